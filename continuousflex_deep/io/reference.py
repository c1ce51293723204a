"""A structure together with its normal modes, which must have the same atoms."""

from pathlib import Path

import numpy as np

from continuousflex_deep.io.modes import NormalModes, read_modes, require_same_atoms
from continuousflex_deep.io.structures import Structure, read_structure


def read_reference(
    structure_path: str | Path, modes_folder: str | Path, mode_ids: tuple[int, ...] | None = None
) -> tuple[Structure, NormalModes]:
    """The structure and its modes, the given ones or all in the folder. Hydrogens are read if the modes have them.

    Raises InputError if the modes have other atoms, or the structure or the modes cannot be read.
    """
    modes, structure = read_modes(modes_folder, mode_ids), read_structure(structure_path)
    if modes.vectors.shape[1] > len(structure):
        whole = read_structure(structure_path, hydrogens=True)
        structure = whole if modes.vectors.shape[1] == len(whole) else structure
    require_same_atoms(modes, len(structure), structure_path, modes_folder)
    return structure, modes


def read_rigid_reference(structure_path: str | Path) -> tuple[Structure, NormalModes]:
    """A structure without modes, for poses only. Raises InputError if it cannot be read."""
    structure = read_structure(structure_path)
    return structure, no_modes(structure)


def no_modes(structure: Structure) -> NormalModes:
    """No modes, for a rigid structure."""
    return NormalModes(mode_ids=(), vectors=np.zeros((0, len(structure), 3)))
