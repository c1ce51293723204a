"""A map deformed with its atoms: their displacements are extended smoothly to all voxels, and the map is resampled.

A motion is split into the rotation and translation that superpose the atoms best, which move all space, and the
remaining displacements, which are extended by normalised Gaussian averages: over a few atoms near the atoms, over more
and more of them farther away, so that they fade. The map's value at a place is the value at the place's origin.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from continuousflex_deep.arrays import Booleans, Floats, Map, Singles
from continuousflex_deep.messages import note
from continuousflex_deep.nma.superposition import rigid_fit

_NEIGHBOURS = 8  # atoms within reach of the finest average
_REACH = 0.75  # standard deviation of the finest average, relative to the distance of the farthest of them
_GRID = 0.5  # spacing of the field's grid, in that standard deviation
_COARSER = 0.01  # weight of the next coarser average, relative to that at a place with many atoms
_CORRECTIONS = 4  # rounds in which the remaining displacements of the atoms are extended
_STEPS, _DAMPED, _CONVERGED = 50, 0.8, 0.02  # of the inversion: steps, damping, convergence in voxels
_FOLDED = 0.01  # share of the density where the inversion fails, above which a note says so
_STILL_A = 1e-9
_SPLINE = 3
_VOXELS_AT_A_TIME = 1_000_000


@dataclass(frozen=True, eq=False)
class DisplacementField:
    """Displacements (3,) in Å in space: `values` (3, z, y, x) on a grid of `spacing_A` from `corner_A` (xyz)."""

    values: Singles
    corner_A: Floats
    spacing_A: float

    def at(self, places_A: Floats) -> Floats:
        """Displacements (k, 3) at places (k, 3), both xyz; outside the grid those of its border."""
        grid = ((places_A - self.corner_A) / self.spacing_A)[:, ::-1].T
        return np.stack([ndimage.map_coordinates(v, grid, order=1, mode="nearest") for v in self.values], axis=1)


def displacement_field(coords_A: Floats, moved_A: Floats, reach_A: float | None = None) -> DisplacementField:
    """The field that moves atoms from coords_A to moved_A, both (N, 3); farther away it fades towards their mean.

    reach_A: standard deviation of the finest Gaussian average; by default it follows from the spacing of the atoms.
    """
    reach = reach_A or atoms_reach_A(coords_A)
    extent = float(np.ptp(coords_A, axis=0).max())
    spacing, margin = _GRID * reach, max(extent / 2, 8 * reach)
    corner = coords_A.min(axis=0) - margin
    shape = tuple(np.ceil((np.ptp(coords_A, axis=0) + 2 * margin) / spacing).astype(int)[::-1] + 1)
    displacement = moved_A - coords_A
    mean = displacement.mean(axis=0)
    places = (coords_A - corner) / spacing
    weight = _splatted(places, np.ones(len(coords_A)), shape)
    scales = [1 / _GRID * 2.0**k for k in range(int(np.ceil(np.log2(max(extent / reach, 2)))))]
    weights = [ndimage.gaussian_filter(weight, scale, mode="constant") for scale in scales]
    total = np.zeros((3, *shape), dtype=np.float32)
    left = displacement - mean
    for _ in range(_CORRECTIONS):
        sums = np.stack([_splatted(places, component, shape) for component in left.T])
        spread = np.zeros_like(total)
        for scale, blurred in zip(reversed(scales), reversed(weights), strict=True):
            floor = _COARSER * blurred.max()
            for axis in range(3):
                numerator = ndimage.gaussian_filter(sums[axis], scale, mode="constant")
                spread[axis] = (numerator + floor * spread[axis]) / (blurred + floor)
        total += spread
        left = displacement - mean - DisplacementField(total, corner, spacing).at(coords_A)
    return DisplacementField(total + mean[:, None, None, None].astype(np.float32), corner, spacing)


def atoms_reach_A(coords_A: Floats) -> float:
    """A distance in Å within which atoms have a few neighbours."""
    count = min(_NEIGHBOURS, len(coords_A) - 1)
    distance, _ = cKDTree(coords_A).query(coords_A, k=count + 1)
    return _REACH * float(np.median(distance[:, -1]))


def warp_map(volume: Map, voxel_A: float, coords_A: Floats, moved_A: Floats) -> Map:
    """The map (d, d, d) after its atoms have moved from coords_A to moved_A, both (N, 3) in Å from voxel d//2.

    Density from outside the map is that of the solvent, the median of its border. Values are resampled by cubic
    splines; without motion the map is unchanged.
    """
    if np.abs(moved_A - coords_A).max() < _STILL_A:
        return volume.copy()
    rotation, shift_A = rigid_fit(moved_A, coords_A)
    field = displacement_field(coords_A, moved_A @ rotation + shift_A)
    splines = ndimage.spline_filter(volume.astype(np.float64), order=_SPLINE, mode="mirror")
    solvent, middle, edge = _border_median(volume), np.array(volume.shape)[::-1] // 2, np.array(volume.shape) - 1
    out, folded = np.empty(volume.size, dtype=np.float32), np.zeros(volume.size, dtype=bool)
    for start in range(0, volume.size, _VOXELS_AT_A_TIME):
        index = np.arange(start, min(start + _VOXELS_AT_A_TIME, volume.size))
        voxels = np.stack(np.unravel_index(index, volume.shape), axis=1)[:, ::-1]
        before = (voxels - middle) * voxel_A @ rotation + shift_A
        source, folded[index] = _inverted(field, before, voxel_A)
        grid = (source / voxel_A + middle)[:, ::-1]
        inside = np.clip(grid, 0, edge)
        values = ndimage.map_coordinates(splines, inside.T, order=_SPLINE, mode="mirror", prefilter=False)
        out[index] = np.where(np.abs(grid - inside).max(axis=1) > 0.5, solvent, values)
    density = np.abs(out - solvent)
    share = float(density[folded].sum() / max(density.sum(), 1e-30))
    if share > _FOLDED:
        note(
            f"{100 * share:.1f}% of the map's density is only approximate: neighbours move so differently there that "
            "the motion folds space; use smaller amplitudes"
        )
    return out.reshape(volume.shape)


def _inverted(field: DisplacementField, places_A: Floats, voxel_A: float) -> tuple[Floats, Booleans]:
    """The origins of places (k, 3), by fixed-point steps, and which of them (k,) are off by more than half a voxel."""
    source = places_A - field.at(places_A)
    active, off_px = np.arange(len(places_A)), np.zeros(len(places_A))
    for _ in range(_STEPS):
        step = places_A[active] - field.at(source[active]) - source[active]
        off_px[active] = np.abs(step).max(axis=1) / voxel_A
        source[active] += np.where(off_px[active] > _CONVERGED, _DAMPED, 1.0)[:, None] * step
        active = active[off_px[active] > _CONVERGED]
        if not len(active):
            break
    return source, off_px > 0.5


def _splatted(places: Floats, values: Floats, shape: tuple[int, ...]) -> Singles:
    """Values (N,) at places (N, 3; xyz in grid units), distributed to the eight grid points around each."""
    low = np.floor(places).astype(np.int64)
    part = places - low
    grid = np.zeros(int(np.prod(shape)))
    for corner in np.ndindex(2, 2, 2):
        share = np.where(corner, part, 1 - part).prod(axis=1)
        x, y, z = (low + np.array(corner)).T
        grid += np.bincount(np.ravel_multi_index((z, y, x), shape), weights=share * values, minlength=len(grid))
    return grid.reshape(shape).astype(np.float32)


def _border_median(volume: Map) -> float:
    border = np.ones(volume.shape, dtype=bool)
    border[1:-1, 1:-1, 1:-1] = False
    return float(np.median(volume[border]))
