"""Phase flipping, resampling, normalisation and inversion of particle images."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.arrays import Images
from continuousflex_deep.errors import InputError
from continuousflex_deep.imaging.ctf import ctf_2d
from continuousflex_deep.imaging.fourier import filter_images, resize
from continuousflex_deep.options import PreprocessOptions
from continuousflex_deep.particles import SAMPLING, Particles

_BACKGROUND_RADIUS = 0.45  # of the box; pixels farther from the centre are background


@dataclass(frozen=True)
class Steps:
    """The steps of preprocessing, in this order: phase flip, resample to `box_px`, normalise, invert."""

    box_px: int
    phase_flip: bool = False
    normalize: bool = False
    invert: bool = False


def planned_steps(particles: Particles, options: PreprocessOptions) -> Steps:
    """The steps for these particles. Flipped images are not flipped again; flipping needs a CTF."""
    flip = options.phase_flip and not particles.phase_flipped
    if flip:
        particles.require_ctf("phase flipping")
    box = options.box or particles.box_px
    if box < 2:
        raise InputError(f"option --box: got {box} px, expected at least 2, or 0 to keep {particles.box_px} px")
    return Steps(box_px=box, phase_flip=flip, normalize=options.normalize, invert=options.invert)


def describe_result(particles: Particles, steps: Steps, stack: str) -> Particles:
    """The particles after the steps, in a new stack in the order of their rows. Shifts, in Å, do not change."""
    return particles.replace(
        stacks=np.array([stack] * len(particles), dtype=object),
        indices=np.arange(len(particles), dtype=np.int64),
        pixel_size_A=particles.pixel_size_A * particles.box_px / steps.box_px,
        box_px=steps.box_px,
        optics_extra={k: v for k, v in particles.optics_extra.items() if k not in SAMPLING},
        phase_flipped=particles.phase_flipped or steps.phase_flip,
    )


def preprocess_images(images: Images, particles: Particles, steps: Steps) -> Images:
    """Images (n, d, d) of `particles` (n) after the steps, (n, steps.box_px, steps.box_px), float32."""
    out = torch.as_tensor(images)
    if steps.phase_flip:
        out = phase_flip(out, particles)
    out = resize(out, steps.box_px)
    if steps.normalize:
        out = normalize(out)
    if steps.invert:
        out = -out
    return np.asarray(out.numpy(), dtype=np.float32)


def phase_flip(images: Tensor, particles: Particles) -> Tensor:
    """Images (n, d, d) whose contrast has the same sign at all frequencies, that of the lowest ones.

    They are multiplied by sign(CTF), which is positive at the origin: bright particles stay bright, dark ones dark.
    """
    ctf = ctf_2d(particles.require_ctf("phase flipping"), images.shape[-1], particles.pixel_size_A, images.device)
    return filter_images(images, torch.where(ctf < 0, -1.0, 1.0))


def normalize(images: Tensor) -> Tensor:
    """Images (n, d, d) with mean 0 and standard deviation 1 of the pixels farther than 0.45 boxes from the centre.

    Raises InputError if those pixels are constant, as in noise-free images with an empty background.
    """
    d = images.shape[-1]
    axis = torch.arange(d, device=images.device) - d // 2
    outside = torch.hypot(axis[:, None].float(), axis[None, :].float()) > _BACKGROUND_RADIUS * d
    background = images[:, outside].double()
    mean, deviation = background.mean(dim=1), background.std(dim=1)
    flat = deviation <= 1e-6 * images.flatten(1).std(dim=1)
    if flat.any():
        raise InputError(
            f"normalise: {int(flat.sum())} of {len(images)} images have a constant background (no noise outside the "
            f"disc of radius {_BACKGROUND_RADIUS} boxes), so that they cannot be scaled; omit the normalisation"
        )
    return ((images - mean[:, None, None]) / deviation[:, None, None]).to(images.dtype)
