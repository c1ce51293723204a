"""A structure together with its normal modes, which must be of the same atoms."""

from pathlib import Path

import numpy as np

from continuousflex_deep.io.modes import NormalModes, read_modes, require_same_atoms
from continuousflex_deep.io.structures import Structure, read_structure


def read_reference(
    structure_path: str | Path, modes_folder: str | Path, mode_ids: tuple[int, ...] | None = None
) -> tuple[Structure, NormalModes]:
    """The structure and its modes, those named or all of the folder. Hydrogens are read where the modes have them.

    Raises InputError where the modes are of other atoms, or one of the two cannot be read.
    """
    modes, structure = read_modes(modes_folder, mode_ids), read_structure(structure_path)
    if modes.vectors.shape[1] > len(structure):
        whole = read_structure(structure_path, hydrogens=True)
        structure = whole if modes.vectors.shape[1] == len(whole) else structure
    require_same_atoms(modes, len(structure), structure_path, modes_folder)
    return structure, modes


def read_rigid_reference(structure_path: str | Path) -> tuple[Structure, NormalModes]:
    """A structure and no modes, for what concerns poses only. Raises InputError where it cannot be read."""
    structure = read_structure(structure_path)
    return structure, no_modes(structure)


def no_modes(structure: Structure) -> NormalModes:
    """Of a structure that stays as it is."""
    return NormalModes(mode_ids=(), vectors=np.zeros((0, len(structure), 3)))
