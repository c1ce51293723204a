"""The tables that the modes command writes: one row per mode, and one row per residue."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Booleans, Floats
from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.files import atomic_path, require_file
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.io.texts import read_rows

MODES_CSV, DISPLACEMENTS_CSV = "modes.csv", "displacements.csv"
# column of the file -> its label in pictures
MODE_COLUMNS = {
    "energy": "energy",
    "collectivity": "collectivity",
    "score": "score",
    "largest_displacement_A": "largest displacement [Å]",
    "overlap": "overlap",
    "amplitude_A": "amplitude [Å]",
    "cumulative_overlap": "cumulative overlap",
}


@dataclass(frozen=True, eq=False)
class ModeTable:
    """M modes: mode_ids (M,), chosen (M,) and the known columns of MODE_COLUMNS, each (M,).

    energy is relative to the first mode, for motions of the same size; largest_displacement_A is the largest
    displacement of an atom (or representative atom) at the RMSD of the animation; overlap, amplitude_A and
    cumulative_overlap refer to the target.
    """

    mode_ids: tuple[int, ...]
    chosen: Booleans
    columns: dict[str, Floats] = field(default_factory=dict)

    @property
    def chosen_ids(self) -> tuple[int, ...]:
        return tuple(m for m, taken in zip(self.mode_ids, self.chosen, strict=True) if taken)


def write_mode_table(path: str | Path, table: ModeTable) -> None:
    """Write one line per mode, atomically."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["mode", "chosen", *table.columns])
        for row, mode in enumerate(table.mode_ids):
            values = [f"{column[row]:.6g}" for column in table.columns.values()]
            writer.writerow([mode, int(table.chosen[row]), *values])


def read_mode_table(path: str | Path) -> ModeTable:
    """The table that write_mode_table wrote. InputError if there is no file, FormatError for another format."""
    file = require_file(path, "table of modes")
    try:
        head, cells = read_rows(file, "table of modes")
        rows = [dict(zip(head, row, strict=True)) for row in cells]
        columns = {name: np.array([float(row[name]) for row in rows]) for name in MODE_COLUMNS if name in rows[0]}
        return ModeTable(
            mode_ids=tuple(int(row["mode"]) for row in rows),
            chosen=np.array([row["chosen"] == "1" for row in rows]),
            columns=columns,
        )
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise FormatError(f"'{file}' is not a table of the modes command ({error}); run the command again") from error


def write_displacements(path: str | Path, structure: Structure, residues: dict[str, Floats]) -> None:
    """CSV with a row for each of R residues and its displacements, each (R,) in Å by the name of its column."""
    shown = structure.representative_atoms
    chains, numbers, codes, kinds = structure.residue_columns
    names = (chains, [f"{number}{code}" for number, code in zip(numbers, codes, strict=True)], kinds)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["chain", "residue", "name", *residues])
        for row, atom in enumerate(shown):
            writer.writerow([*(n[atom] for n in names), *(f"{column[row]:.4f}" for column in residues.values())])


def mode_list_text(mode_ids: tuple[int, ...]) -> str:
    """Mode numbers as a list that every command's --mode-list takes: (7, 8, 9, 11) is '7-9 11'."""
    parts: list[list[int]] = []
    for mode in mode_ids:
        if parts and mode == parts[-1][-1] + 1:
            parts[-1].append(mode)
        else:
            parts.append([mode])
    return " ".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)
