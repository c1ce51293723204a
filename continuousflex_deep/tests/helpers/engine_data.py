"""A small flexible molecule and images of it, for tests of the engine: quick, and with known truth."""

import numpy as np
import torch

from continuousflex_deep.geometry import matrix_to_euler, random_rotations
from continuousflex_deep.imaging.ctf import ctf_2d
from continuousflex_deep.imaging.fourier import filter_images
from continuousflex_deep.imaging.projector import PointModel
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.particles import Ctf, Particles

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
    stack = folder / "toy.mrcs"
    write_stack(stack, images.numpy() + noise.astype(np.float32), pixel_A)
    return Particles(
        ids=np.arange(count) + 101,
        stacks=np.array([str(stack)] * count, dtype=object),
        indices=np.arange(count),
        pixel_size_A=pixel_A,
        box_px=box_px,
        ctf=parameters,
        euler_deg=matrix_to_euler(rotation),
        shift_A=shift,
        mode_ids=(7, 8),
        amplitudes=q,
    )


def without_truth(particles: Particles) -> Particles:
    """The same images, nothing known of them."""
    return particles.replace(euler_deg=None, shift_A=None, amplitudes=None, mode_ids=())
