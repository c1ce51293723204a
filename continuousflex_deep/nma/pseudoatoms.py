"""Pseudoatoms: an EM map as a sum of equal Gaussians, which has normal modes like an atomic structure.

After Nogales-Cadenas et al. (2013, Nucleic Acids Res 41:W363) and Jonić & Sorzano (2016, IEEE J Sel Top Signal Process
10:161): Gaussians are placed where the map exceeds the sum most, their positions and weights are refined together, and
more are added until the sum approximates the map as closely as requested. Coordinates are in Å from voxel d//2.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from continuousflex_deep.arrays import Floats, Integers, Map, Mask
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.messages import note
from continuousflex_deep.motion.blocks import spatial_blocks
from continuousflex_deep.nma.gaussians import GaussianSum, VoxelFit
from continuousflex_deep.progress import progress_bar

_SPACING = 4.0  # between the initial Gaussians, in σ
_CLOSEST = 1.2  # least distance of a new Gaussian from any other, in σ
_TOO_CLOSE = 0.8  # in σ; of two that come closer the weaker one is removed
_TOO_WEAK = 0.1  # of the mean weight
_FAINT = 0.05  # of the greatest residual, below which no Gaussian is placed
_GROWTH = (0.3, 0.1)  # share added at a time, far from the target error and near it
_STALLED = 0.01  # relative gain below which an addition did not help; after two in a row it ends


@dataclass(frozen=True, eq=False)
class Pseudoatoms:
    """The approximation of a map: its structure, sigma_A, the peak density of a pseudoatom of weight 1, and its errors.

    error_percent: root mean square of the difference from the map, without the map's noise, divided by the root mean
    square of the map, within the mask. mean_error_percent: Xmipp's error, the mean absolute difference where the map is
    positive, including noise, divided by the range from the 1st to the 99th percentile of the map there. For the same
    difference it is 0.5 to 0.8 of error_percent.
    """

    structure: Structure
    sigma_A: float
    peak: float
    error_percent: float
    mean_error_percent: float

    def remarks(self) -> list[str]:
        """The remarks of the file."""
        return [
            f"PSEUDOATOMS {len(self.structure)} OF A MAP, COORDINATES FROM VOXEL D//2",
            f"SIGMA {self.sigma_A:.4f} ANGSTROM",
            f"PEAK DENSITY AT OCCUPANCY 1 {self.peak:.6g}",
            f"ERROR {self.error_percent:.2f} PERCENT, MEAN {self.mean_error_percent:.2f} PERCENT OF THE RANGE",
        ]


def map_to_pseudoatoms(
    volume: Map,
    inside: Mask,
    voxel_A: float,
    sigma_A: float,
    target_percent: float,
    most: int,
    noise: float = 0.0,
) -> Pseudoatoms:
    """Pseudoatoms of a map (d, d, d) within a mask (d, d, d); the solvent is 0 with noise of this standard deviation.

    As few as reach the error target_percent, at most `most`, and no more than reduce the error; a note says if the
    error stays above target_percent.
    """
    fit, sigma_px = VoxelFit(volume, inside, noise), sigma_A / voxel_A
    found = _grown(fit, sigma_px, target_percent / 100, most)
    found, _ = fit.refine(found, 20, tolerance=1e-2)
    result = as_pseudoatoms(found, fit, volume.shape[0], voxel_A)
    if result.error_percent > target_percent:
        why = (
            f"--max-pseudoatoms is {most}"
            if len(found) >= most
            else f"the map has finer details than Gaussians of {sigma_A:.2f} Å, try a smaller --sigma-A"
        )
        note(f"the error is {result.error_percent:.2f}%, not the requested {target_percent:g}%: {why}")
    return result


def _grown(fit: VoxelFit, sigma_px: float, target: float, most: int) -> GaussianSum:
    """Gaussians, added and refined until the relative residual is `target`, or more of them do not reduce it."""
    found = _added(fit, GaussianSum(np.zeros((0, 3)), np.zeros(0), sigma_px), fit.target, most, _SPACING)
    best, stalled = np.inf, 0
    with progress_bar("pseudoatoms", 100, unit="%") as bar:
        while True:
            found = _pruned(fit.refine(found, 8)[0])
            error = fit.relative_error(found)
            bar.update(int(100 * min(1, np.log(max(error, target)) / np.log(target))) - bar.n)
            bar.set_postfix_str(f"{len(found)} pseudoatoms, error {100 * error:.1f}%")
            stalled = stalled + 1 if error > (1 - _STALLED) * best else 0
            if error <= target or len(found) >= most or stalled == 2:
                return found
            best = min(best, error)
            more = max(4, round(_GROWTH[error < 2 * target] * len(found)))
            found = _added(fit, found, fit.residual(found), min(more, most - len(found)), _CLOSEST)


def _added(
    fit: VoxelFit, found: GaussianSum, residual: Floats, count: int, apart_sigma: float
) -> GaussianSum:
    """The sum with at most `count` more Gaussians where the smoothed residual is greatest, at least `apart_sigma` σ
    from any other."""
    volume, sigma_px = np.zeros(fit.inside.shape, dtype=np.float32), found.sigma_px
    volume[fit.inside] = residual
    gain = np.where(fit.inside, ndimage.gaussian_filter(volume, sigma_px, mode="constant"), 0)
    reach = int(np.ceil(apart_sigma * sigma_px))
    axis = np.arange(-reach, reach + 1)
    ball = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    ball = ball[(ball**2).sum(axis=1) < (apart_sigma * sigma_px) ** 2]
    edge = np.array(gain.shape) - 1
    free = gain > _FAINT * gain.max()

    def block(voxel: Integers) -> None:
        z, y, x = np.clip(voxel + ball, 0, edge).T
        free[z, y, x] = False

    for voxel in np.rint(found.positions_px).astype(np.int64):
        block(voxel)
    candidates = np.argwhere(free)
    order = np.argsort(-gain[free], kind="stable")
    chosen: list[Integers] = []
    for voxel in candidates[order]:
        if len(chosen) >= count:
            break
        if free[tuple(voxel)]:
            chosen.append(voxel)
            block(voxel)
    places = np.array(chosen, dtype=np.int64).reshape(-1, 3)
    weights = 0.5 * gain[tuple(places.T)].astype(np.float64)  # Gaussians 2σ apart add up to about twice their peak
    return found.joined(replace(found, positions_px=places.astype(np.float64), weights=weights))


def _pruned(found: GaussianSum) -> GaussianSum:
    """The sum without weak Gaussians, and without those close to a stronger one, which gets their weight."""
    keep = found.weights >= _TOO_WEAK * found.weights.mean()
    weights = found.weights.copy()
    for a, b in cKDTree(found.positions_px).query_pairs(_TOO_CLOSE * found.sigma_px, output_type="ndarray"):
        if keep[a] and keep[b]:
            strong, weak = (a, b) if weights[a] >= weights[b] else (b, a)
            weights[strong] += weights[weak]
            keep[weak] = False
    return replace(found, weights=weights).select(keep)


def as_pseudoatoms(found: GaussianSum, fit: VoxelFit, box_px: int, voxel_A: float) -> Pseudoatoms:
    """Gaussians fitted to a map of box_px voxels, rounded to the digits of a PDB file and in spatial order."""
    peak = float(found.weights.max())
    coords = np.round((found.positions_px - box_px // 2)[:, ::-1] * voxel_A, 3)
    weights = np.maximum(np.round(found.weights / peak, 2), 0.01)
    order = np.argsort(spatial_blocks(coords, 1), kind="stable")
    coords, weights = coords[order], weights[order]
    if np.abs(coords).max() > 9999:
        raise InputError(
            f"pseudoatoms: coordinates reach {np.abs(coords).max():.0f} Å, the limit of a PDB file is 9999 Å; check "
            "the map's voxel size"
        )
    written = replace(found, positions_px=coords[:, ::-1] / voxel_A + box_px // 2, weights=weights * peak)
    count = len(coords)
    structure = Structure(
        coords_A=coords,
        atomic_number=np.full(count, 6),
        weights=weights,
        atom_names=np.full(count, "DENS", dtype=object),
        residue_names=np.full(count, "DEN", dtype=object),
        residue_numbers=np.arange(1, count + 1),
        chain_ids=np.full(count, "A", dtype=object),
        sigma_A=found.sigma_px * voxel_A,
    )
    return Pseudoatoms(
        structure,
        found.sigma_px * voxel_A,
        peak,
        100 * fit.relative_error(written),
        100 * mean_error(fit.target, fit.residual(written)),
    )


def mean_error(target: Floats, residual: Floats) -> float:
    """Xmipp's error of an approximation, from the map's values within the mask (voxels,) and the residual (voxels,)."""
    lowest, highest = np.percentile(target, [1, 99])
    lowest = lowest if lowest > 0 else target.max() / 500
    positive = target > 0
    return float(np.abs(residual[positive]).mean() / (highest - lowest))
