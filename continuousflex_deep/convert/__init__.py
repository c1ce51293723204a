"""Scipion's objects to and from ours: the only package that uses both."""

from continuousflex_deep.convert.ids import enabled_ids
from continuousflex_deep.convert.modes import atoms_beside, fill_modes, modes_to_folder, write_atoms_beside
from continuousflex_deep.convert.particles import (
    fill_set,
    matrix_to_pose,
    mode_ids_of,
    particles_from_set,
    pose_to_matrix,
)

__all__ = [
    "atoms_beside",
    "enabled_ids",
    "fill_modes",
    "fill_set",
    "matrix_to_pose",
    "mode_ids_of",
    "modes_to_folder",
    "particles_from_set",
    "pose_to_matrix",
    "write_atoms_beside",
]
