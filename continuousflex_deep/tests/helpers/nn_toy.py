"""A toy particle for the network's tests: a few chiral blobs along two modes, drawn by Gaussians straight from their
coordinates.

The renderer shares no code with the package: position p of a blob is Π·R·(X + Σ q_m V_m) − shift, at pixel d//2 + p /
pixel size.
"""

from pathlib import Path

import numpy as np
import torch

from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler, random_rotations
from continuousflex_deep.imaging.ctf import ctf_2d
from continuousflex_deep.imaging.fourier import filter_images
from continuousflex_deep.io.modes import NormalModes, write_modes
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.io.structures import Structure, write_structure
from continuousflex_deep.particles import Ctf, Particles

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


def toy_ctf(defocus_A) -> Ctf:
    """A CTF for each defocus (n,), a little astigmatic, which crosses zero within the toy's images."""
    each = lambda value: np.full(len(defocus_A), float(value))  # noqa: E731
    return Ctf(
        np.asarray(defocus_A, dtype=float), np.asarray(defocus_A) + 500.0, each(30), each(300), each(2.7), each(0.1),
        each(0),
    )  # fmt: skip


def seen_through(images, ctf: Ctf, pixel_size_A, flipped=False):
    """Images (n, d, d) as a microscope of these CTFs gives them, or with their phases then flipped."""
    through = ctf_2d(ctf, images.shape[-1], pixel_size_A)
    return filter_images(torch.as_tensor(images), through.abs() if flipped else through).numpy()


def coloured_noise(shape, deviation_by_radius, rng):
    """Noise (n, d, d) whose Fourier coefficients' deviation, relative to that of white noise of deviation 1, is a
    function of |k| in Fourier pixels."""
    d = shape[-1]
    k = np.hypot(np.fft.fftfreq(d, 1 / d)[:, None], np.fft.rfftfreq(d, 1 / d))
    return np.fft.irfft2(np.fft.rfft2(rng.normal(size=shape)) * deviation_by_radius(k), s=(d, d)).astype(np.float32)


def toy_particles(
    folder: Path, n=40, box_px=32, noise=0.0, seed=0, name="toy", through=None, flipped=False, colour=None, **changes
) -> tuple[str, Particles]:
    """Path of a particle file with labels, and its particles, of n images written to `folder`; through: their CTF;
    colour: of the noise, see coloured_noise.

    Ids are not row numbers.
    """
    rng = np.random.default_rng(seed)
    rotation, shift = random_rotations(n, rng), rng.uniform(-6, 6, size=(n, 2))
    amplitudes = rng.uniform(-25, 25, size=(n, 2))
    pixel = PIXEL_A * 32 / box_px
    images = render(rotation, shift, amplitudes, box_px, pixel)
    if through is not None:
        images = seen_through(images, through, pixel, flipped)
    drawn = coloured_noise(images.shape, colour, rng) if colour else rng.normal(size=images.shape)
    images += noise * images.std() * drawn.astype(np.float32)
    stack = folder / f"{name}.mrcs"
    write_stack(stack, images, pixel)
    stacks = np.empty(n, dtype=object)
    stacks[:] = str(stack)
    values = {
        "ids": 1000 + 7 * np.arange(n), "stacks": stacks, "indices": np.arange(n), "pixel_size_A": pixel,
        "box_px": box_px, "mode_ids": MODE_IDS, "euler_deg": matrix_to_euler(rotation), "shift_A": shift,
        "amplitudes": amplitudes, "ctf": through, "phase_flipped": flipped,
    }  # fmt: skip
    particles = Particles(**{**values, **changes})
    path = folder / f"{name}.star"
    write_particles(particles, path)
    return str(path), particles


def rotations_of(particles):
    return euler_to_matrix(particles.euler_deg)


def toy_model() -> tuple[Structure, NormalModes]:
    """The toy as pseudoatoms and modes."""
    names = lambda text: np.array([text] * len(BLOBS_A), dtype=object)  # noqa: E731
    structure = Structure(
        coords_A=BLOBS_A, atomic_number=np.full(9, 6), weights=WEIGHTS, atom_names=names("DENS"),
        residue_names=names("DEN"), residue_numbers=np.arange(1, 10), chain_ids=names("A"),
    )  # fmt: skip
    return structure, NormalModes(MODE_IDS, MODES)


def toy_model_files(folder: Path) -> dict[str, str]:
    """The same in files, as options name them."""
    structure, modes = toy_model()
    write_structure(folder / "toy.pdb", structure)
    write_modes(folder / "modes", modes)
    return {"structure": str(folder / "toy.pdb"), "modes": str(folder / "modes")}
