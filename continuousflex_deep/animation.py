"""Coordinates of a structure that swings along normal modes, and their files for molecular viewers."""

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.io.structures import Structure, write_structure

Floats = NDArray[np.float64]
SWING_FRAMES = 20
MOST_ATOMS = 20_000  # of a file; of larger structures it shows Cα and P, or one atom a residue
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def deformed(structure: Structure, vectors: Floats, amplitudes_A: Floats) -> Floats:
    """Coordinates (N, 3) in Å of a structure displaced by amplitudes_A (M,) along modes (M, N, 3).

    As in every model that images are compared with, the weighted centre stays where the structure's is
    (docs/conventions.md): a mode's net translation is removed.
    """
    displacement = np.tensordot(np.asarray(amplitudes_A, dtype=np.float64), vectors, axes=1)
    return np.asarray(structure.coords_A + without_translation(structure, displacement))


def without_translation(structure: Structure, displacements: Floats) -> Floats:
    """Displacements (…, N, 3) of a structure without what they move its weighted centre by."""
    weights = structure.weights / structure.weights.sum()
    return np.asarray(displacements - np.einsum("n,...ni->...i", weights, displacements)[..., None, :])


def swing_phases(n_frames: int = SWING_FRAMES) -> Floats:
    """sin(2πk / n_frames) for the frames k (n_frames,) of one period of a swing."""
    return np.asarray(np.sin(2 * np.pi * np.arange(n_frames) / n_frames))


def swing_frames(
    structure: Structure, vectors: Floats, amplitudes_A: Floats, n_frames: int = SWING_FRAMES
) -> list[Floats]:
    """One period of a swing as n_frames coordinate sets (N, 3) in Å.

    Frame k is displaced by amplitudes_A (M,) · sin(2πk / n_frames) along modes (M, N, 3): the first one is the
    structure itself, both ends of the swing follow, and the last one leads back to the first.
    """
    return [deformed(structure, vectors, np.asarray(amplitudes_A) * phase) for phase in swing_phases(n_frames)]


def equal_steps(points: Floats, n: int) -> Floats:
    """n places (n, D) at equal steps along the path of straight lines through points (P, D), from the first to the
    last one. A path without length is its first point (1, D) alone."""
    points = np.asarray(points, dtype=np.float64)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    if along[-1] == 0:
        return points[:1]
    steps = np.linspace(0, along[-1], n)
    return np.stack([np.interp(steps, along, column) for column in points.T], axis=1)


def path_frames(structure: Structure, vectors: Floats, points_A: Floats, n_frames: int) -> tuple[Floats, list[Floats]]:
    """Amplitudes (n_frames, M) at equal steps along a path of points_A (P, M) from the first to the last one, and the
    coordinate sets (N, 3) displaced by them along modes (M, N, 3). A single point is one frame."""
    amplitudes = equal_steps(points_A, n_frames)
    return amplitudes, [deformed(structure, vectors, q) for q in amplitudes]


def write_swing(path: str | Path, structure: Structure, frames_A: list[Floats]) -> None:
    """Write frames (N, 3) as the models of one PDB file; of large structures, the representative atoms alone.

    Chains whose names are too long for a PDB file get short ones, all of them in order; remarks in the file say which.
    """
    atoms = np.arange(len(structure)) if len(structure) <= MOST_ATOMS else structure.representative_atoms
    part, short = _with_short_chain_names(structure.select(atoms))
    remarks = [f"chain {new} is {old}" for old, new in short.items()]
    write_structure(path, part, [frame[atoms] for frame in frames_A], remarks)


def _with_short_chain_names(structure: Structure) -> tuple[Structure, dict[str, str]]:
    """The structure with chain names of one or two letters, which is what a PDB file can hold; and old → new name,
    empty where the names are short already."""
    names = list(dict.fromkeys(structure.chain_ids.tolist()))
    if all(len(name) <= 2 for name in names):
        return structure, {}
    short = [*_LETTERS, *(a + b for a in _LETTERS for b in _LETTERS)][: len(names)]
    renamed = dict(zip(names, short, strict=True))
    chain_ids = np.array([renamed[name] for name in structure.chain_ids], dtype=object)
    return dataclasses.replace(structure, chain_ids=chain_ids), renamed
