"""Local resolution and local filtering from two half maps.

The Fourier shell correlation within a window about a voxel (Cardone, Heymann & Steven 2013, J Struct Biol 184:226) is
computed for all voxels at once: both maps are split into bands of frequency, and in each band b their correlation under
a Gaussian window G about x is, by Parseval's theorem, the windowed FSC

    FSC_b(x) = G*(f1·f2) / √(G*f1² · G*f2²),

with f1 and f2 the half maps in the band. A band is as wide as the window resolves, 1/width. The filtered map is the
mean of the half maps with each band weighted, at each voxel, by Wiener's factor 2·FSC/(1 + FSC), which is the square of
C_ref of Rosenthal & Henderson (2003, J Mol Biol 333:721), up to the band where the FSC first falls below 0.143.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.arrays import Map
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.fsc_table import THRESHOLDS
from continuousflex_deep.progress import progress_bar

_CUT, RESOLVED = THRESHOLDS  # the latter is the FSC at which local resolution is read
_WINDOW = 7.0  # width of the window in units of the map's resolution, as Cardone et al. advise
_LEAST_PX, _MOST = 8.0, 0.5  # and its bounds, in voxels and in boxes


@dataclass(frozen=True, eq=False)
class LocalFilter:
    """The filtered map (d, d, d), masked, and the local resolution (d, d, d) in Å, 0 outside the mask."""

    map: Map
    resolution_A: Map
    window_A: float


def window_width_A(given_A: float, resolution_A: float, box_px: int, pixel_size_A: float) -> float:
    """Width of the window in Å: as given, or where that is 0, seven times the map's resolution.

    Raises InputError if it is less than 8 voxels or more than half a box.
    """
    low, high = _LEAST_PX * pixel_size_A, _MOST * box_px * pixel_size_A
    if given_A:
        if not low <= given_A <= high:
            raise InputError(
                f"--local-window-A: got {given_A:g} Å, expected {low:.3g} to {high:.3g} Å for {box_px} voxels of "
                f"{pixel_size_A:g} Å"
            )
        return given_A
    return float(np.clip(_WINDOW * resolution_A if math.isfinite(resolution_A) else high, low, high))


def local_filter(half1: Map, half2: Map, mask: Map, pixel_size_A: float, window_A: float) -> LocalFilter:
    """Filter the mean of two half maps (d, d, d) by their local FSC within a soft mask (d, d, d).

    window_A: full width at half maximum of the window.
    """
    box = len(half1)
    window_px = window_A / pixel_size_A
    inside = torch.from_numpy(mask)
    halves = [torch.fft.rfftn(torch.from_numpy(half) * inside) for half in (half1, half2)]
    radius = _radius(box)
    smooth = torch.exp(-2 * (math.pi * window_px / math.sqrt(8 * math.log(2)) * radius / box) ** 2)
    width = max(1.0, box / window_px)  # of a band, in shells
    bands = int(box // 2 / width) + 1
    filtered = torch.zeros_like(inside)
    frequency = torch.zeros_like(inside)  # of the last band before the FSC falls below RESOLVED, in shells
    before = torch.ones_like(inside)
    resolved, kept = (torch.ones(inside.shape, dtype=torch.bool) for _ in range(2))
    with progress_bar("local filter", bands, "band") as bar:
        for b in range(bands):
            share = (1 - (radius / width - b).abs()).clamp(min=0)  # triangles, which add up to 1
            f1, f2 = (torch.fft.irfftn(half * share, s=inside.shape) for half in halves)
            # what is wider than the window cannot be judged within it, and counts as found
            fsc = _windowed_correlation(f1, f2, smooth) if b else torch.ones_like(inside)
            kept &= fsc >= _CUT
            filtered += torch.where(kept, 2 * fsc / (1 + fsc), torch.zeros_like(fsc)) * (f1 + f2) / 2
            crossing = b - 1 + (before - RESOLVED) / (before - fsc).clamp(min=1e-6)
            now = fsc >= RESOLVED
            frequency = torch.where(resolved, torch.where(now, float(b), crossing), frequency)
            resolved &= now
            before = fsc
            bar.update(1)
    shells = (frequency * width).clamp(min=width / 2, max=box // 2)
    resolution = torch.where(inside > 0.5, box * pixel_size_A / shells, torch.zeros_like(inside))
    return LocalFilter(
        np.asarray((filtered * inside).numpy(), dtype=np.float32),
        np.asarray(resolution.numpy(), dtype=np.float32),
        window_A,
    )


def _windowed_correlation(first: Tensor, second: Tensor, smooth: Tensor) -> Tensor:
    """Correlation (d, d, d) of two maps of no mean under a window about each voxel, whose transform is given."""
    cross, power1, power2 = (
        torch.fft.irfftn(torch.fft.rfftn(product) * smooth, s=first.shape)
        for product in (first * second, first * first, second * second)
    )
    least = 1e-6 * max(float(power1.max()), float(power2.max()), 1e-30)  # rounding, far from the mask
    return (cross / (power1.clamp(min=least) * power2.clamp(min=least)).sqrt()).clamp(-1, 1)


def _radius(box_px: int) -> Tensor:
    """Distance (d, d, d//2 + 1) of the cells of rfftn's grid from the origin, in shells."""
    k, kx = torch.fft.fftfreq(box_px, 1 / box_px), torch.fft.rfftfreq(box_px, 1 / box_px)
    return torch.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + kx[None, None, :] ** 2)
