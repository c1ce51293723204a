"""Fourier shell correlation, the resolution read from it, and its correction for masks."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.arrays import Floats, Map
from continuousflex_deep.errors import InputError


def fourier_shell_correlation(first: Map, second: Map) -> Floats:
    """Correlation (d//2 + 1,) of two cubic maps (d, d, d) in shells one Fourier pixel wide (Harauz & van Heel 1986).

    Shells without power in either map count as uncorrelated, 0. Raises InputError for maps of different or no cubic
    shape.
    """
    if first.shape != second.shape or first.ndim != 3 or len(set(first.shape)) != 1:
        raise InputError(
            f"FSC: got maps of shapes {first.shape} and {second.shape}, expected two cubic maps of one size"
        )
    index, count = _shells(len(first))
    a, b = (torch.fft.rfftn(torch.from_numpy(np.asarray(v, dtype=np.float32))).ravel() for v in (first, second))
    cross = _shell_sums(index, count * (a.real * b.real + a.imag * b.imag), len(first))
    power = _shell_sums(index, count * (a.real**2 + a.imag**2), len(first))
    power = power * _shell_sums(index, count * (b.real**2 + b.imag**2), len(first))
    return np.divide(cross, np.sqrt(power), out=np.zeros_like(cross), where=power > 0)


def shell_frequencies(box_px: int, pixel_size_A: float) -> Floats:
    """Spatial frequencies (d//2 + 1,) in 1/Å of the shells of a map of d voxels."""
    return np.arange(box_px // 2 + 1) / (box_px * pixel_size_A)


def resolution_A(frequency: Floats, correlation: Floats, threshold: float) -> float:
    """Resolution in Å where the curve first falls below the threshold, by linear interpolation in frequency.

    The last shell's when it never does (Nyquist: the data may be better), infinity when the first shell after the
    origin is already below.
    """
    below = np.flatnonzero(correlation[1:] < threshold) + 1
    if len(below) == 0:
        return float(1 / frequency[-1])
    k = int(below[0])
    if k == 1:
        return float("inf")
    above, under = correlation[k - 1], correlation[k]
    crossing = frequency[k - 1] + (above - threshold) / (above - under) * (frequency[k] - frequency[k - 1])
    return float(1 / crossing)


def spherical_mask(box_px: int, diameter_px: float, edge_px: float) -> Map:
    """Mask (d, d, d): 1 within the diameter, falling as a raised cosine to 0 over edge_px outside it."""
    axis = np.arange(box_px) - box_px // 2
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2)
    ramp = np.clip((radius - diameter_px / 2) / max(edge_px, 1e-6), 0, 1)
    return ((1 + np.cos(np.pi * ramp)) / 2).astype(np.float32)


@dataclass(frozen=True, eq=False)
class MaskedFsc:
    """FSC of half maps (d//2 + 1,): unmasked, masked, and the latter corrected for the effect of the mask."""

    unmasked: Floats
    masked: Floats
    corrected: Floats


def masked_fsc(first: Map, second: Map, mask: Map, seed: int = 0) -> MaskedFsc:
    """FSC without and with a mask, and the masked one corrected by phase randomisation (Chen et al. 2013).

    Phases of both maps are randomised beyond the shell where the unmasked FSC falls below 0.8. The correlation FSC_n
    that the mask still causes is removed from two shells further on: (FSC_t − FSC_n) / (1 − FSC_n).
    """
    unmasked = fourier_shell_correlation(first, second)
    masked = fourier_shell_correlation(first * mask, second * mask)
    below = np.flatnonzero(unmasked[1:] < 0.8) + 1
    start = int(below[0]) if len(below) else len(unmasked)
    rng = np.random.default_rng(seed)
    noise = fourier_shell_correlation(
        randomise_phases(first, start, rng) * mask, randomise_phases(second, start, rng) * mask
    )
    corrected = masked.copy()
    beyond = np.arange(len(masked)) >= start + 2
    corrected[beyond] = (masked[beyond] - noise[beyond]) / np.maximum(1 - noise[beyond], 1e-6)
    return MaskedFsc(unmasked, masked, corrected)


def randomise_phases(volume: Map, first_shell: int, rng: np.random.Generator) -> Map:
    """The map (d, d, d) with the phases of the shells from first_shell on replaced by those of white noise."""
    transform = torch.fft.rfftn(torch.from_numpy(np.asarray(volume, dtype=np.float32)))
    # the transform of a real map: its phases have Friedel symmetry
    noise = torch.fft.rfftn(torch.from_numpy(rng.standard_normal(volume.shape, dtype=np.float32)))
    beyond = (_shells(len(volume))[0] >= first_shell).reshape(transform.shape)
    mixed = torch.where(beyond, torch.polar(transform.abs(), noise.angle()), transform)
    return np.asarray(torch.fft.irfftn(mixed, s=volume.shape).numpy())


def signal_to_noise(half_map_fsc: Floats) -> Floats:
    """Power of signal over noise by shell, in the map of all particles, from the FSC of the half maps: 2·FSC/(1 − FSC).

    From the first shell without correlation on it is set to 0, because isolated positive values there are random.
    """
    correlation = np.clip(half_map_fsc, 0, 0.9999)
    lost = np.flatnonzero(correlation[1:] <= 0.02) + 1
    if len(lost):
        correlation[lost[0] :] = 0
    return 2 * correlation / (1 - correlation)


def cross_power(first: Map, second: Map) -> Floats:
    """Σ Re(F1·F2*) (d//2 + 1,) of two maps (d, d, d) by shell: of half maps, the power of their common signal."""
    index, count = _shells(len(first))
    a, b = (torch.fft.rfftn(torch.from_numpy(np.asarray(v, dtype=np.float32))).ravel() for v in (first, second))
    return _shell_sums(index, count * (a.real * b.real + a.imag * b.imag), len(first))


def shell_filter(volume: Map, weights: Floats) -> Map:
    """The map (d, d, d) with its transform multiplied by weights (d//2 + 1,) of shells; beyond Nyquist it becomes 0."""
    transform = torch.fft.rfftn(torch.from_numpy(np.asarray(volume, dtype=np.float32)))
    beyond = np.zeros(len(volume))
    table = torch.from_numpy(np.concatenate([weights, beyond]).astype(np.float32))
    transform *= table[_shells(len(volume))[0].long()].reshape(transform.shape)
    return np.asarray(torch.fft.irfftn(transform, s=volume.shape).numpy())


@lru_cache(maxsize=2)
def _shells(box_px: int) -> tuple[Tensor, Tensor]:
    """Shell number of every cell of rfftn's grid, flat, and how often the cell stands in the full transform."""
    k = torch.fft.fftfreq(box_px, 1 / box_px)
    kx = torch.fft.rfftfreq(box_px, 1 / box_px)
    shell = torch.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + kx[None, None, :] ** 2).round().int()
    once = (kx == 0) | (kx == box_px / 2)
    return shell.ravel(), torch.where(once, 1.0, 2.0).expand(shell.shape).ravel()


def _shell_sums(index: Tensor, values: Tensor, box_px: int) -> Floats:
    sums = torch.bincount(index, weights=values.double())[: box_px // 2 + 1]
    return np.asarray(sums.numpy())
