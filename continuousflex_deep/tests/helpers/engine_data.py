"""A small flexible molecule and images of it, for tests of the engine: quick, and with known truth."""

from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from continuousflex_deep.geometry import matrix_to_euler, random_rotations
from continuousflex_deep.imaging.ctf import ctf_2d
from continuousflex_deep.imaging.fourier import filter_images
from continuousflex_deep.imaging.projector import PointModel
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.nma.superposition import rigid_fit
from continuousflex_deep.particles import HELICAL, Ctf, Particles

PIXEL_A, BOX_PX, SIGMA_A = 3.0, 40, 3.0


def toy_structure(seed: int = 3, residues: int = 60) -> Structure:
    """A random chain about 60 Å long, without symmetry."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(residues, 3)) + 0.35 * np.array([1, 0.3, 0])
    coords = np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)
    return Structure(
        coords_A=coords - coords.mean(axis=0),
        atomic_number=np.full(residues, 6),
        weights=np.full(residues, 6.0),
        atom_names=np.full(residues, "CA", dtype=object),
        residue_names=np.full(residues, "ALA", dtype=object),
        residue_numbers=np.arange(1, residues + 1),
        chain_ids=np.full(residues, "A", dtype=object),
    )


def toy_modes(structure: Structure) -> NormalModes:
    """Two smooth, orthonormal bending motions along the chain."""
    s = np.linspace(-1, 1, len(structure))
    fields = np.stack([np.outer(s**2, [0, 0, 1.0]), np.outer(s**3 - 0.6 * s, [0, 1.0, 0.5])]).reshape(2, -1)
    fields = fields - fields.reshape(2, -1, 3).mean(axis=1, keepdims=True).repeat(len(s), axis=1).reshape(2, -1)
    q, _ = np.linalg.qr(fields.T)
    return NormalModes(mode_ids=(7, 8), vectors=q.T.reshape(2, -1, 3))


def in_double(model: PointModel) -> PointModel:
    """In double precision, so that finite differences can be trusted."""
    return PointModel(model.weights.double(), model.motion.converted(torch.Tensor.double))


def toy_particles(
    folder,
    count=24,
    snr=1.0,
    amplitude_sd=20.0,
    contrast=1.0,
    seed=0,
    ctf=True,
    structure=None,
    box_px=BOX_PX,
    pixel_A=PIXEL_A,
    defocus_A=(8000, 15000),
    **changed_ctf,
) -> Particles:
    """Particles with their true poses and amplitudes, and images of Gaussian atoms summed in real space (not the
    engine's projector).

    changed_ctf: constants of the CTF other than usual, and astigmatism_A.
    """
    rng = np.random.default_rng(seed)
    structure = toy_structure() if structure is None else structure
    modes = toy_modes(structure)
    rotation, q = random_rotations(count, rng), rng.normal(scale=amplitude_sd, size=(count, 2))
    shift = rng.uniform(-6, 6, size=(count, 2))
    coords = structure.coords_A + np.einsum("nm,mad->nad", q, modes.vectors)
    seen = np.einsum("nij,naj->nai", rotation, coords - coords.mean(axis=1, keepdims=True))[..., :2] - shift[:, None]
    images, parameters = _images(seen, rng, snr, contrast, ctf, box_px, pixel_A, defocus_A, changed_ctf)
    return _particles(folder, images, parameters, pixel_A, rotation, shift).replace(mode_ids=(7, 8), amplitudes=q)


def rmsd_A(model_A: np.ndarray, true_A: np.ndarray) -> float:
    """Of two conformations, superposed."""
    turn, shift_A = rigid_fit(model_A, true_A)
    return float(np.sqrt(np.square(model_A @ turn + shift_A - true_A).sum(axis=1).mean()))


ARM = slice(48, 80)


def hinged_structure() -> Structure:
    """A body of 48 residues and, at its end, an arm of 32."""
    return toy_structure(seed=4, residues=ARM.stop)


def hinged_modes() -> NormalModes:
    """Rotations of the arm about its hinge, orthonormal, with the body turning back as in normal modes."""
    structure = hinged_structure()
    x = structure.coords_A - structure.coords_A.mean(axis=0)
    moved = [np.broadcast_to(axis, x.shape) for axis in np.eye(3)] + [np.cross(axis, x) for axis in np.eye(3)]
    for axis in np.eye(3):
        field = np.zeros_like(x)
        field[ARM] = np.cross(axis, x[ARM] - x[ARM.start])
        moved.append(field)
    orthonormal = np.linalg.qr(np.reshape(moved, (len(moved), -1)).T)[0].T
    return NormalModes((7, 8, 9), orthonormal[6:].reshape(3, *x.shape), motion=HELICAL, block_size=16)


def hinged_particles(folder: Path, angle_deg: float, count: int = 24, snr: float = 1.0) -> tuple[Particles, np.ndarray]:
    """Particles whose arm is turned by up to an angle to either side about one axis, at the poses of their bodies; and
    the atoms (count, N, 3) of each."""
    rng = np.random.default_rng(1)
    rest = hinged_structure().coords_A
    angle = np.radians(angle_deg) * np.linspace(-1, 1, count)
    turn = Rotation.from_rotvec(angle[:, None] * np.array([0, 0, 1.0])).as_matrix()
    coords = np.repeat(rest[None], count, axis=0)
    coords[:, ARM] = np.einsum("nij,aj->nai", turn, rest[ARM] - rest[ARM.start]) + rest[ARM.start]
    rotation, shift = random_rotations(count, rng), rng.uniform(-6, 6, size=(count, 2))
    seen = np.einsum("nij,naj->nai", rotation, coords)[..., :2] - shift[:, None]
    images, parameters = _images(seen, rng, snr, 1.0, True, 48, PIXEL_A, (8000, 15000), {})
    return _particles(folder, images, parameters, PIXEL_A, rotation, shift), coords


def _images(
    seen: np.ndarray, rng: np.random.Generator, snr: float, contrast: float, ctf: bool, box_px: int, pixel_A: float,
    defocus_A: tuple[float, float], changed_ctf: dict[str, float],
) -> tuple[np.ndarray, Ctf | None]:  # fmt: skip
    """Images of atoms at (n, N, 2), with noise, and their CTF."""
    count = len(seen)
    axis = (np.arange(box_px) - box_px // 2) * pixel_A
    gx, gy = (np.exp(-((axis - seen[..., i, None]) ** 2) / (2 * SIGMA_A**2)) for i in (0, 1))
    images = torch.as_tensor(np.einsum("nay,nax->nyx", gy, gx), dtype=torch.float32)
    parameters = None
    if ctf:
        constant = {
            "defocus_angle_deg": 30,
            "voltage_kV": 200,
            "cs_mm": 2,
            "amplitude_contrast": 0.1,
            "phase_shift_deg": 0,
        } | changed_ctf
        astigmatism_A = constant.pop("astigmatism_A", 500)
        defocus = rng.uniform(defocus_A[0], defocus_A[1], size=count)
        columns = {k: np.broadcast_to(np.asarray(v, dtype=np.float64), count) for k, v in constant.items()}
        parameters = Ctf(defocus, defocus + astigmatism_A, **columns)
        images = filter_images(images, ctf_2d(parameters, box_px, pixel_A))
    images = contrast * images
    noise = float(images.var()) ** 0.5 / np.sqrt(snr) * rng.normal(size=images.shape)
    return images.numpy() + noise.astype(np.float32), parameters


def _particles(
    folder: Path, images: np.ndarray, parameters: Ctf | None, pixel_A: float, rotation: np.ndarray, shift: np.ndarray
) -> Particles:
    """Particles of images, written to a folder, at known poses."""
    count, stack = len(images), folder / "toy.mrcs"
    write_stack(stack, images, pixel_A)
    return Particles(
        ids=np.arange(count) + 101,
        stacks=np.array([str(stack)] * count, dtype=object),
        indices=np.arange(count),
        pixel_size_A=pixel_A,
        box_px=images.shape[-1],
        ctf=parameters,
        euler_deg=matrix_to_euler(rotation),
        shift_A=shift,
    )


def without_truth(particles: Particles) -> Particles:
    """The same images, nothing known of them."""
    return particles.replace(euler_deg=None, shift_A=None, amplitudes=None, mode_ids=())
