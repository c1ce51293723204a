"""Coordinates of a structure that swings along normal modes, and their files for molecular viewers."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.io.structures import Structure, write_structure

Floats = NDArray[np.float64]
MOST_ATOMS = 20_000  # of a file; of larger structures it shows Cα and P, or one atom a residue
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def deformed(structure: Structure, vectors: Floats, amplitudes_A: Floats) -> Floats:
    """Coordinates (N, 3) in Å of a structure displaced by amplitudes_A (M,) along modes (M, N, 3).

    As in every model that images are compared with, the weighted centre stays where the structure's is
    (docs/conventions.md): a mode's net translation is removed.
    """
    moved = structure.coords_A + np.tensordot(np.asarray(amplitudes_A, dtype=np.float64), vectors, axes=1)
    weights = structure.weights
    return np.asarray(moved - (weights @ moved) / weights.sum() + structure.center_A)


def swing_frames(structure: Structure, vectors: Floats, amplitudes_A: Floats, n_frames: int = 20) -> list[Floats]:
    """One period of a swing as n_frames coordinate sets (N, 3) in Å.

    Frame k is displaced by amplitudes_A (M,) · sin(2πk / n_frames) along modes (M, N, 3): the first one is the
    structure itself, both ends of the swing follow, and the last one leads back to the first.
    """
    phases = np.sin(2 * np.pi * np.arange(n_frames) / n_frames)
    return [deformed(structure, vectors, np.asarray(amplitudes_A) * phase) for phase in phases]


def path_frames(structure: Structure, vectors: Floats, points_A: Floats, n_frames: int) -> tuple[Floats, list[Floats]]:
    """Amplitudes (n_frames, M) at equal steps along a path of points_A (P, M) from the first to the last one, and the
    coordinate sets (N, 3) displaced by them along modes (M, N, 3). A single point is one frame."""
    points = np.asarray(points_A, dtype=np.float64)
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    if along[-1] == 0:
        amplitudes = points[:1]
    else:
        steps = np.linspace(0, along[-1], n_frames)
        amplitudes = np.stack([np.interp(steps, along, column) for column in points.T], axis=1)
    return amplitudes, [deformed(structure, vectors, q) for q in amplitudes]


def write_swing(path: str | Path, structure: Structure, frames_A: list[Floats]) -> None:
    """Write frames (N, 3) as the models of one PDB file; of large structures, the representative atoms alone."""
    atoms = np.arange(len(structure)) if len(structure) <= MOST_ATOMS else structure.representative_atoms
    write_structure(path, _with_short_chain_names(structure.select(atoms)), [frame[atoms] for frame in frames_A])


def _with_short_chain_names(structure: Structure) -> Structure:
    """The structure with chain names of one or two letters, which is what a PDB file can hold, in order."""
    names = list(dict.fromkeys(structure.chain_ids.tolist()))
    if all(len(name) <= 2 for name in names):
        return structure
    short = [*_LETTERS, *(a + b for a in _LETTERS for b in _LETTERS)][: len(names)]
    renamed = dict(zip(names, short, strict=True))
    return Structure(
        **{**vars(structure), "chain_ids": np.array([renamed[n] for n in structure.chain_ids], dtype=object)}
    )
