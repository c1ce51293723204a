"""Tables in the layout of the article (Hamitouche & Jonić 2022): distances as Tables 1 and 3, RMSD as Tables 2 and 4.

The article's Tables 3 and 4 are Tables 1 and 2 for another set of images; here each compared file has its own row.
Means and standard deviations are those of absolute errors. If particles are misaligned, a second row is about the
others.
"""

import csv
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from continuousflex_deep.assessment.evaluation import Evaluation
from continuousflex_deep.io.error_table import AMPLITUDES, amplitude_kind, error_label
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.tables import format_rows

_NOTE_LETTERS = 100  # per line
Cell = str | int | float | None
_DISTANCES = ("angle_deg", "shift_x_A", "shift_y_A")
_RMSD = ("rmsd_amplitude_A", "rmsd_angle_A", "rmsd_shift_A")
_WITHOUT_SD = AMPLITUDES  # the article gives no standard deviation of the mean over modes


@dataclass(frozen=True)
class Table:
    """A table with a name, a title, column heads, rows with a cell for each head (None where unknown), and a note."""

    name: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def text(self) -> str:
        """Title, table and note as plain text, with three significant digits."""
        text = f"{self.title}\n\n{format_rows(self.head, [[_shown(c) for c in row] for row in self.rows])}"
        return text + (f"\n\n{textwrap.fill(self.note, _NOTE_LETTERS)}" if self.note else "")

    def markdown(self) -> str:
        """Title, table and note in Markdown, with three significant digits."""
        rows = [self.head, ["---"] * len(self.head), *([_shown(c) for c in row] for row in self.rows)]
        text = "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(row)} |" for row in rows)])
        return text + (f"\n\n{self.note}" if self.note else "")

    def write_csv(self, path: Path) -> None:
        """The table as CSV, with six significant digits and empty cells for unknown values."""
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self.head)
            writer.writerows([f"{c:.6g}" if isinstance(c, float) else c for c in row] for row in self.rows)


def article_tables(evaluations: Mapping[str, Evaluation], bound: Mapping[str, float] | None = None) -> list[Table]:
    """Distances and RMSD of comparisons by name, such as 'network vs. truth', and the errors expected at the bound.

    A table without any value is omitted.
    """
    modes = sorted({m for e in evaluations.values() for m in e.mode_ids})
    distances = (AMPLITUDES, *(amplitude_kind(mode) for mode in modes), *_DISTANCES)
    tables = [
        _table(
            "distances", "Distance between parameters (as Tables 1 and 3 of the article)", evaluations, distances, bound
        ),
        _table(
            "rmsd", "RMSD of the atoms by one type of parameter (as Tables 2 and 4 of the article)", evaluations, _RMSD
        ),
    ]
    return [table for table in tables if table.rows]


def _table(
    name: str,
    title: str,
    evaluations: Mapping[str, Evaluation],
    kinds: Sequence[str],
    bound: Mapping[str, float] | None = None,
) -> Table:
    labels = {kind: error_label(kind).removeprefix("RMSD ") for kind in kinds}
    present = {kind: label for kind, label in labels.items() if any(kind in e.errors for e in evaluations.values())}
    heads = [[label, *([] if e == _WITHOUT_SD else [f"{label.partition(' [')[0]} SD"])] for e, label in present.items()]
    rows: list[tuple[Cell, ...]] = []
    for comparison, evaluation in evaluations.items() if present else ():
        rows.append(_row(comparison, "all", evaluation, evaluation.n, found_only=False, errors=present))
        if evaluation.n_lost:
            which, left = f"within {evaluation.lost_deg:g}°", evaluation.n - evaluation.n_lost
            rows.append(_row(comparison, which, evaluation, left, found_only=True, errors=present))
    if bound is not None and rows:
        cells = [[bound.get(e), *([] if e == _WITHOUT_SD else [None])] for e in present]
        rows.append(("Cramér-Rao bound", "", None, *(c for pair in cells for c in pair)))
    return Table(name, title, ("", "of", "particles", *(h for pair in heads for h in pair)), tuple(rows))


def _row(
    comparison: str, which: str, evaluation: Evaluation, n: int, found_only: bool, errors: Mapping[str, str]
) -> tuple[Cell, ...]:
    summaries = evaluation.found if found_only else evaluation.overall
    cells: list[Cell] = [comparison, which, n]
    for name in errors:
        summary = summaries.get(name)
        cells.append(summary.mean if summary else None)
        if name != _WITHOUT_SD:
            cells.append(summary.sd if summary else None)
    return tuple(cells)


def _shown(cell: Cell) -> str:
    if cell is None:
        return "–"
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)


def write_tables(folder: Path, tables: Sequence[Table]) -> None:
    """Write all tables to tables.txt and tables.md, and each to NAME.csv."""
    for suffix, texts in (("txt", [t.text() for t in tables]), ("md", [t.markdown() for t in tables])):
        with atomic_path(folder / f"tables.{suffix}") as temporary:
            temporary.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    for table in tables:
        table.write_csv(folder / f"{table.name}.csv")
