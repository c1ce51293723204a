"""The particle in an EM map, and the level and noise of the solvent."""

import numpy as np
from scipy import ndimage

from continuousflex_deep.arrays import Map, Mask
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.maps import read_map, read_volume, require_cubic
from continuousflex_deep.messages import note
from continuousflex_deep.options import PseudoatomsOptions

_SMOOTHING_PX = 1.0  # Gaussian that weakens the noise before the contrast is judged
_CLEARLY = 0.5  # part of the strongest deviations that must be dark in an inverted map
_FLAT = 0.5  # of the deviations inside, below which those in the corners are solvent's
_DUST = 0.05  # of the largest part's volume; smaller parts are noise and would not be connected with the network


def read_particle(options: PseudoatomsOptions) -> tuple[Map, float]:
    """The map with positive density of the particle, and its voxel size in Å; InputError for unusable maps."""
    volume, voxel_A = read_map(options.map, options.voxel_size_A)
    where = f"map '{options.map}'"
    require_cubic(volume, where)
    if np.ptp(volume) == 0:
        raise InputError(f"{where}: all voxels are {volume.flat[0]:g}; the map contains no particle")
    volume = -volume if options.invert else volume
    if not options.mask and is_inverted(volume):
        raise InputError(
            f"{where}: its density appears to be {'positive' if options.invert else 'negative'} (the strongest values "
            "are below those in the corners of the box, where the solvent is expected); "
            f"{'omit' if options.invert else 'use'} --invert, or give the particle's region by --mask"
        )
    return volume, voxel_A


def is_inverted(volume: Map) -> bool:
    """Whether the particle of a map (d, d, d) is clearly darker than the solvent.

    The solvent's level is the median outside the sphere inscribed in the box; that of the whole box would be the
    particle's where it fills more than half of it. From it, matter deviates strongly to one side: Σ d³ / Σ |d|³ over
    the smoothed map is near 1 where it is bright, near −1 where it is dark, near 0 for noise. Where the corners deviate
    as much, matter reaches into them, and nothing is decided.
    """
    smooth = ndimage.gaussian_filter(volume.astype(np.float64), _SMOOTHING_PX)
    axis = (np.arange(len(volume)) - (len(volume) - 1) / 2) ** 2
    corners = axis[:, None, None] + axis[:, None] + axis > (len(volume) / 2) ** 2
    cubes = (smooth - np.median(smooth[corners])) ** 3
    flat = np.abs(cubes[corners]).mean() < _FLAT * np.abs(cubes[~corners]).mean()
    return bool(flat and cubes.sum() < -_CLEARLY * np.abs(cubes).sum())


def solvent_of(volume: Map, inside: Mask, sigma_px: float) -> tuple[float, float]:
    """Level and noise (standard deviation) outside the particle; the noise is the part of the density that is finer
    than Gaussians of this width."""
    if inside.all():
        return 0.0, 0.0
    outside = ~ndimage.binary_dilation(inside, iterations=int(np.ceil(3 * sigma_px)))
    outside = outside if outside.any() else ~inside
    fine = (volume - ndimage.gaussian_filter(volume, sigma_px))[outside]
    deviation = 1.4826 * float(np.median(np.abs(fine - np.median(fine))))
    return float(np.median(volume[~inside])), deviation


def particle_mask(volume: Map, options: PseudoatomsOptions, sigma_px: float) -> tuple[Mask, str]:
    """The voxels (d, d, d) of the particle, without separate specks of noise, and how they were found.

    Otsu's threshold is computed from the map smoothed by the Gaussian, in which noise is weak.
    """
    if options.mask:
        mask, _ = read_volume(options.mask)
        if mask.shape != volume.shape:
            raise InputError(f"mask '{options.mask}': got a shape of {mask.shape}, expected the map's {volume.shape}")
        inside, how, values = mask > 0.5, "mask", mask
    elif options.threshold == "auto":
        smooth = ndimage.gaussian_filter(volume, sigma_px)
        threshold = otsu_threshold(smooth)
        inside, how, values = smooth >= threshold, f"Otsu's threshold {threshold:.4g} of the smoothed map", smooth
    else:
        threshold = _number(options.threshold)
        inside, how, values = volume >= threshold, f"threshold {threshold:g}", volume
    if not inside.any():
        what, needed = ("mask", "above 0.5") if options.mask else ("map", "as high")
        raise InputError(
            f"pseudoatoms: the {how} selects no voxel: none is {needed}; the {what}'s values range from "
            f"{values.min():.4g} to {values.max():.4g}; give another"
        )
    return _without_dust(inside), how


def otsu_threshold(volume: Map) -> float:
    """The threshold between two classes of least internal variance (Otsu 1979, IEEE Trans SMC 9:62)."""
    count, edges = np.histogram(volume, bins=1024)
    middle = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(count)[:-1]
    above = count.sum() - below
    total = np.cumsum(count * middle)
    mean_below = total[:-1] / np.maximum(below, 1)
    mean_above = (total[-1] - total[:-1]) / np.maximum(above, 1)
    between = below * above * (mean_above - mean_below) ** 2.0
    return float(edges[1 + int(np.argmax(between))])


def _without_dust(inside: Mask) -> Mask:
    """Without connected parts of less than a twentieth of the largest part's volume."""
    label, count = ndimage.label(inside, np.ones((3, 3, 3)))
    volume = np.bincount(label[inside], minlength=count + 1)
    left = inside & (volume >= _DUST * volume.max())[label]
    if (removed := int(inside.sum() - left.sum())) > 0:
        note(f"{removed} of {int(inside.sum())} voxels are in small parts separate from the particle and are ignored")
    return left


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"--threshold: got '{text}', expected a density or auto")
    return value
