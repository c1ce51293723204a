"""Tables of numbers that other commands wrote, by column."""

import math
from pathlib import Path

from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.texts import read_rows


def read_columns(path: str | Path, what: str) -> dict[str, list[float | None]]:
    """Numbers of a CSV file by its head's names, None where one is not finite. FormatError for anything else."""
    head, rows = read_rows(path, what)
    try:
        if not rows:
            raise ValueError("it has no rows")
        columns = [[float(value) for value in column] for column in zip(*rows, strict=True)]
    except ValueError as error:
        raise FormatError(f"{what}: '{path}' is not a whole table of numbers ({error}); make it again") from error
    return {name: [v if math.isfinite(v) else None for v in column] for name, column in zip(head, columns, strict=True)}
