"""A chain of equal atoms that bends, and its projections in closed form, by none of the project's imaging."""

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler, random_rotations
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.particles import Particles

SIGMA_A, ATOMS = 2.5, 120


def chain() -> Structure:
    """A random walk of carbon atoms within 24 Å, its centre at the origin to the digits that a PDB file keeps."""
    rng = np.random.default_rng(2)
    walk = np.cumsum(rng.normal(size=(ATOMS, 3)), axis=0)
    walk -= walk.mean(axis=0)
    return Structure(
        coords_A=np.round(walk * 24 / np.abs(walk).max(), 3),
        atomic_number=np.full(ATOMS, 6),
        weights=np.full(ATOMS, 6.0),
        atom_names=np.full(ATOMS, "CA", dtype=object),
        residue_names=np.full(ATOMS, "ALA", dtype=object),
        residue_numbers=np.arange(1, ATOMS + 1),
        chain_ids=np.full(ATOMS, "A", dtype=object),
    )


def motions(structure: Structure) -> NormalModes:
    """Two smooth motions, orthogonal and without translation: along y and along z as x grows."""
    bend = structure.coords_A[:, 0] ** 2
    bend -= bend.mean()
    vectors = np.zeros((2, len(structure), 3))
    vectors[0, :, 1] = vectors[1, :, 2] = bend / np.linalg.norm(bend)
    return NormalModes(mode_ids=(7, 8), vectors=vectors)


def write_images(
    path: str, amplitudes: Floats, box_px: int, pixel_size_A: float, seed: int = 0, first_id: int = 1
) -> Particles:
    """Noise-free images without CTF of the chain in conformations (n, 2), seen from everywhere; with their truth."""
    structure, rng, n = chain(), np.random.default_rng(seed), len(amplitudes)
    euler_deg, shift_A = matrix_to_euler(random_rotations(n, rng)), rng.normal(size=(n, 2)) * 2
    atoms = structure.coords_A + np.tensordot(amplitudes, motions(structure).vectors, axes=1)
    seen = np.einsum("nij,naj->nai", euler_to_matrix(euler_deg)[:, :2], atoms) - shift_A[:, None]
    axis = (np.arange(box_px) - box_px // 2) * pixel_size_A
    gx, gy = (np.exp(-((axis - seen[..., i, None]) ** 2) / (2 * SIGMA_A**2)) for i in (0, 1))
    write_stack(path, np.einsum("nay,nax->nyx", gy, gx).astype(np.float32), pixel_size_A)
    return Particles(
        ids=np.arange(first_id, first_id + n),
        stacks=np.full(n, path, dtype=object),
        indices=np.arange(n),
        pixel_size_A=pixel_size_A,
        box_px=box_px,
        euler_deg=euler_deg,
        shift_A=shift_A,
        mode_ids=(7, 8),
        amplitudes=amplitudes,
    )
