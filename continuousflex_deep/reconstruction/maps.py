"""Maps brought to one sampling, and which way up their contrast is."""

from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Map
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.maps import read_volume, require_cubic
from continuousflex_deep.sampling import same_pixel_size, same_width


def resize_map(volume: Map, box_px: int) -> Map:
    """A map (d, d, d) resampled to box_px voxels over the same field of view, by cropping or padding its transform.

    The centre goes from voxel d//2 to box_px//2; values are kept.
    """
    old = len(volume)
    if old == box_px:
        return volume
    transform = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(volume)))
    half = (min(old, box_px) - 1) // 2  # the Nyquist plane of an even box has no partner of its own: leave it out
    out = np.zeros((box_px,) * 3, dtype=complex)
    take = slice(old // 2 - half, old // 2 + half + 1)
    put = slice(box_px // 2 - half, box_px // 2 + half + 1)
    out[put, put, put] = transform[take, take, take]
    resized = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(out))).real
    return (resized * (box_px / old) ** 3).astype(np.float32)


def crop_or_pad_map(volume: Map, box_px: int) -> Map:
    """A map (d, d, d) cut, or padded with its border's mean, to box_px voxels of the same size about voxel d//2."""
    old = len(volume)
    border = np.ones(volume.shape, dtype=bool)
    border[1:-1, 1:-1, 1:-1] = False
    out = np.full((box_px,) * 3, volume[border].mean(), dtype=np.float32)
    low, high = min(old // 2, box_px // 2), min(old - old // 2, box_px - box_px // 2)
    take, put = slice(old // 2 - low, old // 2 + high), slice(box_px // 2 - low, box_px // 2 + high)
    out[put, put, put] = volume[take, take, take]
    return out


def read_reference_map(path: str | Path, box_px: int, pixel_size_A: float) -> Map:
    """A reference map at this box and voxel size, centres on each other.

    One of the same field of view is resampled, one of the same voxel size cut or padded; any other, or one that is not
    cubic, is an InputError that tells both sizes.
    """
    volume, voxel = read_volume(path)
    require_cubic(volume, f"reference '{path}'")
    box = len(volume)
    if voxel <= 0 and box != box_px:
        raise InputError(
            f"reference '{path}': its header has no voxel size and its box is {box}, not {box_px}; write it as an MRC "
            "map with its voxel size"
        )
    if voxel <= 0 or same_pixel_size(voxel, pixel_size_A):
        return crop_or_pad_map(volume, box_px)
    if same_width(box, voxel, box_px, pixel_size_A):
        return resize_map(volume, box_px)
    raise InputError(
        f"reference '{path}' has {box} voxels of {voxel:g} Å ({box * voxel:g} Å wide), the images {box_px} px of "
        f"{pixel_size_A:g} Å ({box_px * pixel_size_A:g} Å wide); resample it to the same voxel size or the same width"
    )


def contrast_sign(volume: Map, mask: Map, reference: Map | None = None) -> tuple[int, str]:
    """Sign (+1 or −1) that makes the particle's density positive, and the rule by which it was found.

    With a reference: the sign of the correlation with it. Without: the sign of the skewness within the mask about the
    solvent, since matter stands out of it to one side, while noise has no preferred side. The solvent's level is the
    median outside the mask; the mean within it would be the particle's where that fills most of the mask.
    """
    inside = mask > 0.5
    values = volume[inside].astype(np.float64)
    if reference is not None:
        other = reference[inside].astype(np.float64)
        correlation = (values - values.mean()) @ (other - other.mean())
        return (1 if correlation >= 0 else -1), "correlation with the reference"
    from_solvent = values - np.median(volume[~inside])
    return (1 if (from_solvent**3).sum() >= 0 else -1), "skewness of the map"
