"""Where the particle is in an EM map, and what its solvent is like."""

import numpy as np
from scipy import ndimage

from continuousflex_deep.arrays import Map, Mask
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.stacks import read_map, read_volume, require_cubic
from continuousflex_deep.messages import note
from continuousflex_deep.options import PseudoatomsOptions

_DUST = 0.05  # of the largest part's volume; smaller parts are noise, and would leave a network in pieces


def read_particle(options: PseudoatomsOptions) -> tuple[Map, float]:
    """The map with its particle positive, and its voxel size in Å; InputError for what cannot be approximated."""
    volume, voxel_A = read_map(options.map, options.voxel_size_A)
    where = f"map '{options.map}'"
    require_cubic(volume, where)
    if np.ptp(volume) == 0:
        raise InputError(f"{where}: all voxels are {volume.flat[0]:g}; there is no particle in it")
    volume = -volume if options.invert else volume
    # a particle stands out of its flat solvent to one side
    from_solvent = volume - np.median(volume)
    if float((from_solvent.astype(np.float64) ** 3).sum()) < 0 and not options.mask:
        raise InputError(
            f"{where}: its density appears to be {'positive' if options.invert else 'negative'} (the strongest values "
            f"lie below the solvent); {'leave out' if options.invert else 'use'} --invert, or say where the particle "
            "is by --mask"
        )
    return volume, voxel_A


def solvent_of(volume: Map, inside: Mask, sigma_px: float) -> tuple[float, float]:
    """Level and noise (standard deviation) of what is outside the particle; the noise is that part which Gaussians of
    this width cannot follow."""
    if inside.all():
        return 0.0, 0.0
    outside = ~ndimage.binary_dilation(inside, iterations=int(np.ceil(3 * sigma_px)))
    outside = outside if outside.any() else ~inside
    fine = (volume - ndimage.gaussian_filter(volume, sigma_px))[outside]
    deviation = 1.4826 * float(np.median(np.abs(fine - np.median(fine))))
    return float(np.median(volume[~inside])), deviation


def particle_mask(volume: Map, options: PseudoatomsOptions, sigma_px: float) -> tuple[Mask, str]:
    """The voxels (d, d, d) of the particle and how they were found, without specks of noise apart from it.

    Otsu's threshold is that of the map seen through the Gaussian, in which noise does not stand out.
    """
    if options.mask:
        mask, _ = read_volume(options.mask)
        if mask.shape != volume.shape:
            raise InputError(f"mask '{options.mask}': got a shape of {mask.shape}, expected the map's {volume.shape}")
        inside, how = mask > 0.5, "mask"
    elif options.threshold == "auto":
        smooth = ndimage.gaussian_filter(volume, sigma_px)
        threshold = otsu_threshold(smooth)
        inside, how = smooth >= threshold, f"Otsu's threshold {threshold:.4g} of the smoothed map"
    else:
        threshold = _number(options.threshold)
        inside, how = volume >= threshold, f"threshold {threshold:g}"
    if not inside.any():
        top = (
            "above 0.5"
            if options.mask
            else f"as high; the map's values go from {volume.min():.4g} to {volume.max():.4g}"
        )
        raise InputError(f"pseudoatoms: with the {how} no voxel is left: none is {top}; choose another")
    return _without_dust(inside), how


def otsu_threshold(volume: Map) -> float:
    """The density that parts the voxels into two classes of least variance within (Otsu 1979, IEEE Trans SMC 9:62)."""
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
    """Parts of less than a twentieth of the largest part's volume are left out."""
    label, count = ndimage.label(inside, np.ones((3, 3, 3)))
    volume = np.bincount(label[inside], minlength=count + 1)
    left = inside & (volume >= _DUST * volume.max())[label]
    if (removed := int(inside.sum() - left.sum())) > 0:
        note(f"{removed} of {int(inside.sum())} voxels lie in small parts apart from the particle and are left out")
    return left


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"--threshold: got '{text}', expected a density or auto")
    return value
