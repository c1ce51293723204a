"""Errors of every particle by comparison: the kinds of errors with their labels, and the table of `evaluate`."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from continuousflex_deep.arrays import Booleans, Floats, Integers
from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.texts import read_rows

ERRORS_FILE = "errors.csv"
# kinds of errors, beside amplitude_7, … of single modes, in the order in which tables show them
AMPLITUDES = "amplitude"  # the mean over modes
LABELS = {
    AMPLITUDES: "q [Å]",
    "angle_deg": "angle [°]",
    "shift_A": "shift [Å]",
    "shift_x_A": "shift x [Å]",
    "shift_y_A": "shift y [Å]",
    "rmsd_amplitude_A": "RMSD amplitudes [Å]",
    "rmsd_angle_A": "RMSD angles [Å]",
    "rmsd_shift_A": "RMSD shifts [Å]",
}
_ONE_MODE = "amplitude_"


class ParticleErrors(Protocol):
    """Errors of n particles by kind, each (n,), with their ids (n,) and whether they are misaligned (n,)."""

    @property
    def ids(self) -> Integers: ...

    @property
    def lost(self) -> Booleans: ...

    @property
    def errors(self) -> Mapping[str, Floats]: ...


def amplitude_kind(mode: int) -> str:
    """The kind of error that a mode's amplitude has."""
    return f"{_ONE_MODE}{mode}"


def is_amplitude_of_one_mode(kind: str) -> bool:
    """Whether a kind of error is that of a single mode's amplitude."""
    return kind.startswith(_ONE_MODE)


def error_label(kind: str) -> str:
    """A kind of error as tables and figures name it, with its unit."""
    return f"q{kind.removeprefix(_ONE_MODE)} [Å]" if is_amplitude_of_one_mode(kind) else LABELS[kind]


def write_errors(path: str | Path, comparisons: Mapping[str, ParticleErrors]) -> None:
    """CSV with one row per particle and comparison: comparison, id, lost (1 where it is misaligned), and a column per
    kind of error, empty where a comparison lacks it."""
    kinds = list(dict.fromkeys(kind for one in comparisons.values() for kind in one.errors))
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["comparison", "id", "lost", *kinds])
        for comparison, one in comparisons.items():
            columns = [
                [f"{value:.6g}" for value in one.errors[kind]] if kind in one.errors else [""] * len(one.ids)
                for kind in kinds
            ]
            for row in zip(one.ids.tolist(), one.lost.astype(int).tolist(), *columns, strict=True):
                writer.writerow([comparison, *row])


def read_errors(path: str | Path) -> dict[str, dict[str, Floats]]:
    """Errors (n,) by comparison and kind, as write_errors wrote them. FormatError for another file."""
    head, rows = read_rows(path, "table of errors")
    if head[:3] != ["comparison", "id", "lost"]:
        raise FormatError(f"'{path}': got columns {head[:5]}, expected comparison, id, lost and kinds of errors")
    found: dict[str, dict[str, Floats]] = {}
    for name in dict.fromkeys(row[0] for row in rows):
        columns = zip(head[3:], zip(*[row[3:] for row in rows if row[0] == name], strict=True), strict=True)
        try:
            found[name] = {kind: np.array(values, dtype=np.float64) for kind, values in columns if values[0]}
        except ValueError as error:
            raise FormatError(f"'{path}': errors of '{name}' that are no numbers ({error}); make it again") from error
    return found
