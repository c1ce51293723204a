"""Images of a simulation's truth: on a CPU one a thread, on a GPU many at once."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.devices import working_bytes
from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.imaging.ctf import ctf_2d
from continuousflex_deep.imaging.fourier import filter_images, resize
from continuousflex_deep.imaging.scattering import Scatterer, project, projection_transform
from continuousflex_deep.imaging.simulation import NOISE, Simulator, draw_truth
from continuousflex_deep.options import SimulateOptions
from continuousflex_deep.particles import Particles

_MOST_AT_ONCE = 512  # images of a batch


def seen_A(simulator: Simulator, truth: Particles, row: int) -> Tensor:
    """Where the image of a row shows the atoms (N, 2), in Å from its centre."""
    euler, shift = truth.require_poses("simulation")
    # the shift moves the image back to the centre
    return torch.as_tensor(simulator.coordinates(truth, row) @ euler_to_matrix(euler[row])[:2].T - shift[row])


def signal_transform(simulator: Simulator, truth: Particles, row: int, box_px: int, pixel_size_A: float) -> Tensor:
    """Transform (d, d//2+1) of the noise-free projection of one particle, origin at pixel (0, 0), before its CTF."""
    return _transform_within(simulator.atoms, seen_A(simulator, truth, row), box_px, pixel_size_A)


def noise_level(simulator: Simulator, options: SimulateOptions) -> float:
    """Standard deviation per pixel of all added noise, from the SNR and the mean variance of the signal."""
    if options.snr == 0:
        return 0.0
    truth = draw_truth(options, simulator, "", pilot=True)
    d = options.box_px
    signal, passed = [], []
    for row in range(len(truth)):
        contrast = _contrast(truth, row, options)
        transform = signal_transform(simulator, truth, row, d, options.pixel_size_A) * contrast
        signal.append(torch.fft.irfft2(transform, s=(d, d)).var(correction=0).item())
        # white noise of variance s² has s²·mean(CTF²) after the CTF
        passed.append(torch.fft.irfft2(contrast.to(torch.complex64), s=(d, d)).square().sum().item())
    share = options.noise_before_ctf
    return float(np.sqrt(np.mean(signal) / options.snr / (share * np.mean(passed) + 1 - share)))


def simulate_image(simulator: Simulator, truth: Particles, row: int, level: float, options: SimulateOptions) -> Tensor:
    """One image (d, d), float32, with the final box; level: standard deviation of all added noise, 0 for none."""
    transform = signal_transform(simulator, truth, row, options.box_px, options.pixel_size_A)
    contrast = _contrast(truth, row, options)
    return _image(transform, contrast, _noise(row, level, options), level, truth, options)


def images_in_order(
    simulator: Simulator, truth: Particles, level: float, options: SimulateOptions, device: torch.device
) -> Iterator[Tensor]:
    """Images (k, d, d) in order, on the CPU: one a thread on a CPU, many at once on a GPU; a bounded number is in
    memory. Random numbers are those of numpy, so that a device changes the images by rounding only."""
    threads = options.threads or len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(threads) as pool:
        if device.type == "cpu":
            for rows in _parts(len(truth), 8 * threads):
                for image in pool.map(lambda row: simulate_image(simulator, truth, row, level, options), rows):
                    yield image[None]
            return

        def drawn(row: int) -> tuple[Tensor, Tensor]:
            return seen_A(simulator, truth, row), _noise(row, level, options)

        parts = list(_parts(len(truth), _images_at_once(simulator, options, device)))
        coming = pool.map(drawn, parts[0])
        for rows, following in zip(parts, [*parts[1:], range(0)], strict=True):
            xy_A, noise = (torch.stack(each).to(device) for each in zip(*coming, strict=True))
            coming = pool.map(drawn, following)  # by the CPU's threads, while the device makes these images
            yield simulate_batch(simulator, truth, rows, xy_A, noise, level, options).cpu()


def simulate_batch(
    simulator: Simulator, truth: Particles, rows: range, xy_A: Tensor, noise: Tensor, level: float,
    options: SimulateOptions,
) -> Tensor:  # fmt: skip
    """Images (k, d, d) of consecutive rows, of atoms seen at xy_A (k, N, 2) with their noise (k, 2, d, d); on the
    device of these."""
    box_px, pixel_size_A = options.box_px, options.pixel_size_A
    inside = (_reach_px(xy_A, pixel_size_A) <= box_px // 2).tolist()
    if all(inside):
        transform = projection_transform(simulator.atoms, xy_A, box_px, pixel_size_A)
    else:
        transform = torch.stack([_transform_within(simulator.atoms, xy, box_px, pixel_size_A) for xy in xy_A])
    contrast = _contrast(truth, rows, options, xy_A.device)
    return _image(transform, contrast, noise.movedim(1, 0), level, truth, options)


def _transform_within(atoms: list[Scatterer], xy_A: Tensor, box_px: int, pixel_size_A: float) -> Tensor:
    """Transform (d, d//2+1) of the projection of atoms at (N, 2). Atoms that a large deformation or shift moves out of
    the box are not in the image."""
    reach_px = int(_reach_px(xy_A, pixel_size_A))
    if 2 * reach_px <= box_px:
        return projection_transform(atoms, xy_A, box_px, pixel_size_A)
    # the transform is periodic: atoms that leave the box on one side must not enter it on the other
    wide = project(atoms, xy_A, 2 * reach_px, pixel_size_A)
    start = reach_px - box_px // 2
    cut = wide[start : start + box_px, start : start + box_px]
    return torch.fft.rfft2(torch.fft.ifftshift(cut))


def _reach_px(xy_A: Tensor, pixel_size_A: float) -> Tensor:
    """Pixels from the centre (…) within which all atoms (…, N, 2) are."""
    return torch.ceil(xy_A.abs().amax(dim=(-2, -1)) / pixel_size_A) + 2


def _noise(row: int, level: float, options: SimulateOptions) -> Tensor:
    """Standard white noise (2, d, d), float32, before and after the CTF; zeros where none is added."""
    size = (2, options.box_px, options.box_px)
    if level == 0:
        return torch.zeros(size)
    return torch.as_tensor(np.random.default_rng([options.seed, NOISE, row]).standard_normal(size, dtype=np.float32))


def _image(
    transform: Tensor, contrast: Tensor, noise: Tensor, level: float, truth: Particles, options: SimulateOptions
) -> Tensor:
    """Images (…, d, d) of transforms (…, d, d//2+1) with noise (2, …, d, d) before and after the CTF."""
    d, share = options.box_px, options.noise_before_ctf
    before, after = noise
    transform = (transform + torch.fft.rfft2(before) * (level * np.sqrt(share))) * contrast
    transform = transform + torch.fft.rfft2(after) * (level * np.sqrt(1 - share))
    image = torch.fft.fftshift(torch.fft.irfft2(transform, s=(d, d)), dim=(-2, -1))
    if truth.phase_flipped:
        image = filter_images(image, torch.where(contrast < 0, -1.0, 1.0))
    return resize(image, truth.box_px).float()


def _images_at_once(simulator: Simulator, options: SimulateOptions, device: torch.device) -> int:
    """How many images of a batch fit into the working memory: waves of the most frequent element's atoms, and a dozen
    transforms."""
    atoms, d = max(len(one.rows) for one in simulator.atoms), options.box_px
    per_image = 24 * atoms * (3 * d // 2) + 12 * 8 * d * d
    return int(np.clip(working_bytes(device) // per_image, 1, _MOST_AT_ONCE))


def _parts(count: int, size: int) -> Iterator[range]:
    """Consecutive rows, this many at a time."""
    return (range(start, min(start + size, count)) for start in range(0, count, size))


def _contrast(
    truth: Particles, rows: int | range, options: SimulateOptions, device: torch.device | str = "cpu"
) -> Tensor:
    """The factor of the projections' transforms ([k, ]d, d//2+1): the CTF, with which protein is bright; 1 without."""
    d = options.box_px
    if truth.ctf is None:
        return torch.ones(d, d // 2 + 1, device=device)
    ctf = ctf_2d(truth.ctf.select(np.atleast_1d(rows)), d, options.pixel_size_A, device)
    return ctf[0] if isinstance(rows, int) else ctf
