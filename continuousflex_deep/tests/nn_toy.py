"""A toy particle for the network's tests: a few chiral blobs along two modes, drawn by Gaussians straight from their
coordinates.

The renderer shares no code with the package: position p of a blob is Π·R·(X + Σ q_m V_m) − shift, at pixel d//2 + p /
pixel size.
"""

from pathlib import Path

import numpy as np

from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler, random_rotations
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.particles import Particles

PIXEL_A = 4.0
MODE_IDS = (7, 8)
_RNG = np.random.default_rng(42)
WEIGHTS = _RNG.integers(50, 150, size=9) / 100  # a PDB file's occupancy has two decimals
BLOBS_A = _RNG.normal(scale=14.0, size=(9, 3))
BLOBS_A = np.round(BLOBS_A - WEIGHTS @ BLOBS_A / WEIGHTS.sum(), 3)
MODES = _RNG.normal(size=(2, 9, 3))
MODES -= (WEIGHTS @ MODES / WEIGHTS.sum())[:, None]  # the weighted centre stays, as in the engine
MODES /= np.linalg.norm(MODES, axis=(1, 2), keepdims=True)


def render(rotation, shift_A, amplitudes, box_px, pixel_size_A=PIXEL_A, sigma_A=6.0):
    """Images (n, d, d) of rotations (n, 3, 3), shifts (n, 2) and amplitudes (n, 2)."""
    coords = BLOBS_A + np.einsum("nm,mad->nad", amplitudes, MODES)
    seen = np.einsum("nij,naj->nai", rotation[:, :2], coords) - np.asarray(shift_A)[:, None]
    grid_A = (np.arange(box_px) - box_px // 2) * pixel_size_A
    x, y = (np.exp(-((grid_A - seen[:, :, i, None]) ** 2) / (2 * sigma_A**2)) for i in (0, 1))
    return np.einsum("a,nay,nax->nyx", WEIGHTS, y, x).astype(np.float32)


def toy_particles(folder: Path, n=40, box_px=32, noise=0.0, seed=0, name="toy", **changes) -> tuple[str, Particles]:
    """Path of a particle file with labels, and its particles, of n images written to `folder`.

    Ids are not row numbers.
    """
    rng = np.random.default_rng(seed)
    rotation, shift = random_rotations(n, rng), rng.uniform(-6, 6, size=(n, 2))
    amplitudes = rng.uniform(-25, 25, size=(n, 2))
    pixel = PIXEL_A * 32 / box_px
    images = render(rotation, shift, amplitudes, box_px, pixel)
    images += noise * images.std() * rng.normal(size=images.shape).astype(np.float32)
    stack = folder / f"{name}.mrcs"
    write_stack(stack, images, pixel)
    stacks = np.empty(n, dtype=object)
    stacks[:] = str(stack)
    values = {
        "ids": 1000 + 7 * np.arange(n), "stacks": stacks, "indices": np.arange(n), "pixel_size_A": pixel,
        "box_px": box_px, "mode_ids": MODE_IDS, "euler_deg": matrix_to_euler(rotation), "shift_A": shift,
        "amplitudes": amplitudes,
    }  # fmt: skip
    particles = Particles(**{**values, **changes})
    path = folder / f"{name}.star"
    write_particles(particles, path)
    return str(path), particles


def rotations_of(particles):
    return euler_to_matrix(particles.euler_deg)
