"""Plain text tables."""

from collections.abc import Sequence


def format_rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as text: first column left-aligned, the others right-aligned, a line below the head."""
    table = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    return "\n".join(
        [lines[0].rstrip(), "-" * (sum(widths) + 2 * (len(widths) - 1)), *(line.rstrip() for line in lines[1:])]
    )
