"""The course of a training, epoch by epoch: the table that the train command writes and viewers read."""

import csv
from pathlib import Path

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.texts import read_rows

TABLE = "curves.csv"
_COUNTS = ("epoch", "simulated")  # columns of whole numbers
# column → label: errors of the validation particles
VALIDATION_ERRORS = {
    "amplitude_error_A": "amplitudes, mean |error| [Å]",
    "angle_error_deg": "angular distance [°]",
    "shift_error_A": "shifts, mean |error| [Å]",
}

History = list[dict[str, float]]  # one row per epoch
Curves = dict[str, list[float]]  # the same by column


def curves_of(history: History) -> Curves:
    """The columns of a history of at least one epoch."""
    return {name: [row[name] for row in history] for name in history[0]}


def write_curves(folder: str | Path, history: History) -> None:
    """Write curves.csv: one row per epoch, columns as in the history."""
    with atomic_path(Path(folder) / TABLE) as temporary, open(temporary, "w", newline="", encoding="utf-8") as out:
        table = csv.DictWriter(out, fieldnames=list(history[0]))
        table.writeheader()
        table.writerows({k: int(v) if k in _COUNTS else f"{v:.8g}" for k, v in row.items()} for row in history)


def curve_files(folder: str | Path) -> list[Path]:
    """The tables of all networks below a model's folder, its own first; none before the first epoch has finished."""
    return sorted(Path(folder).rglob(TABLE), key=lambda file: (len(file.parts), file))


def read_curves(path: str | Path) -> Curves:
    """The columns of curves.csv. InputError before the first epoch has finished, FormatError for another file."""
    file = Path(path)
    if not file.is_file():
        raise InputError(f"there is no '{file}': the first epoch has not finished yet; look again later")
    head, rows = read_rows(file, "training curves")
    try:
        if not rows:
            raise ValueError("it has no rows")
        return {name: [float(row[i]) for row in rows] for i, name in enumerate(head)}
    except ValueError as error:
        raise FormatError(f"'{file}' is not a table of training curves ({error}); run train again") from error
