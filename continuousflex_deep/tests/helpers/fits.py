"""Poses and amplitudes of the toy molecule as the descent holds them, and whitened images of it."""

import numpy as np
import torch

from continuousflex_deep.geometry import random_rotations
from continuousflex_deep.hemnma.refine import State, Whitened
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel, project

FIELD_A = 120.0


def states(count: int, seed: int = 0) -> State:
    rng = np.random.default_rng(seed)
    rotation = torch.as_tensor(random_rotations(count, rng), dtype=torch.float32)
    shift, q = (torch.as_tensor(rng.normal(scale=s, size=(count, 2)), dtype=torch.float32) for s in (3, 15))
    return State(rotation, shift, q, torch.arange(count))


def images_of(
    model: PointModel, disc: FrequencyDisc, truth: State, snr: float, noise: float = 1.0, seed: int = 0
) -> Whitened:
    w = torch.full((len(truth), len(disc)), snr)
    p = project(model, disc, FIELD_A, truth.rotation, truth.displacement_A, truth.amplitudes)
    return Whitened(p * w + noise * _noise(p.shape, seed), w)


def _noise(shape: torch.Size, seed: int) -> torch.Tensor:
    real = torch.randn(*shape, 2, generator=torch.Generator().manual_seed(seed))
    return torch.view_as_complex(real)


def perturbed(truth: State, angle_deg: float, shift_A: float, amplitude: float, seed: int = 5) -> State:
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=(len(truth), 3))
    axis *= np.radians(angle_deg) / np.linalg.norm(axis, axis=1, keepdims=True)
    step = np.concatenate(
        [axis, rng.normal(scale=shift_A, size=(len(truth), 2)), rng.normal(scale=amplitude, size=(len(truth), 2))], 1
    )
    return truth.moved(torch.as_tensor(step, dtype=torch.float32))
