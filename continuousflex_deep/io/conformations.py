"""Conformations of one molecule, from a folder of structures, a file of several models or a trajectory."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.dcd import read_dcd
from continuousflex_deep.io.molecule import Models
from continuousflex_deep.io.structure_files import STRUCTURE_SUFFIXES, read_atom_records, suffix_of
from continuousflex_deep.io.structures import Structure, structure_of


def read_conformations(
    path: str | Path, structure: Structure, structure_path: str | Path, select: str = "", models: Models = "first"
) -> Floats:
    """Coordinates (F, N, 3) in Å of a structure's atoms in the conformations of a folder, whose files are taken in the
    order of their names with numbers by value, in the models of a file, or in the frames of a trajectory (.dcd) of all
    atoms of the structure's file.

    structure: the atoms that every conformation must have, in its order; structure_path, select, models: where and how
    it was read (see read_structure). A file in a folder is one conformation, and of a single file each model is one.
    Raises InputError for a folder without structures, and for a conformation of other atoms.
    """
    base = Path(path)
    hydrogens = bool((structure.atomic_number == 1).any())
    if base.suffix.lower() == ".dcd":
        found = _of_trajectory(base, structure_path, hydrogens, select, models)
    elif base.is_dir():
        files = sorted((f for f in base.iterdir() if suffix_of(f) in STRUCTURE_SUFFIXES), key=_by_numbers)
        if not files:
            raise InputError(
                f"--conformations: the folder '{base}' has no structures; expected {', '.join(STRUCTURE_SUFFIXES)}"
            )
        found = {f.name: structure_of(read_atom_records(f), f, hydrogens, select, models) for f in files}
    else:
        records = read_atom_records(base)
        numbers = np.unique(records.models)
        found = {
            f"model {number}": structure_of(records.select(records.models == number), base, hydrogens, select)
            for number in numbers
        }
    for name, other in found.items():
        _require_atoms_of(structure, other, f"'{base}', {name}")
    return np.stack([other.coords_A for other in found.values()])


def _of_trajectory(
    file: Path, structure_path: str | Path, hydrogens: bool, select: str, models: Models
) -> dict[str, Structure]:
    """The frames of a trajectory, which names no atoms: they are those of the structure's file, in its order."""
    atoms, frames_A = read_atom_records(structure_path), read_dcd(file)
    if frames_A.shape[1] != len(atoms):
        raise InputError(
            f"'{file}' has frames of {frames_A.shape[1]} atoms, the structure file '{structure_path}' has {len(atoms)} "
            "(hydrogens, solvent and all models included); give as --structure the file that the trajectory was made "
            "from, such as its first frame with all its atoms in their order"
        )
    return {
        f"frame {number}": structure_of(replace(atoms, coords_A=frame_A), file, hydrogens, select, models)
        for number, frame_A in enumerate(frames_A, 1)
    }


def _require_atoms_of(structure: Structure, other: Structure, what: str) -> None:
    if len(other) != len(structure):
        raise InputError(
            f"{what} has {len(other)} atoms, the structure has {len(structure)}; give conformations of exactly these "
            "atoms, or select common ones by --select"
        )
    differ = np.flatnonzero(other.atomic_number != structure.atomic_number)
    if len(differ):
        raise InputError(
            f"{what} has other elements than the structure, or another order of atoms: {len(differ)} differ, first "
            f"{structure.describe(differ[:1])}; write all from one topology"
        )


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """The parts of a name, numbers by their value: frame2 stands before frame10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
