"""Fit of a sum of equal Gaussians to the voxels of a map: positions and weights by Levenberg–Marquardt.

Gaussians are local, so the matrix of their values at voxels and its derivatives are sparse; each step is solved by
conjugate gradients, without the normal equations.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from continuousflex_deep.arrays import Booleans, Floats, Singles

_REACH = 4.0  # cutoff of a Gaussian in σ, at 0.03% of its peak
_CG_STEPS = 20
_LONGEST_STEP = 0.5  # of a position, in σ


@dataclass(frozen=True, eq=False)
class GaussianSum:
    """N Gaussians of standard deviation sigma_px: positions_px (N, 3) in zyx voxels, weights (N,): peak values."""

    positions_px: Floats
    weights: Floats
    sigma_px: float

    def __len__(self) -> int:
        return len(self.weights)

    def select(self, keep: Booleans) -> "GaussianSum":
        """Some of the Gaussians."""
        return replace(self, positions_px=self.positions_px[keep], weights=self.weights[keep])

    def joined(self, other: "GaussianSum") -> "GaussianSum":
        """These Gaussians, followed by those of another sum with the same σ."""
        positions = np.concatenate([self.positions_px, other.positions_px])
        return replace(self, positions_px=positions, weights=np.concatenate([self.weights, other.weights]))


class VoxelFit:
    """Least-squares fit of Gaussians to the voxels `inside` (d, d, d, boolean) of `volume` (d, d, d), which has white
    noise of standard deviation `noise`."""

    def __init__(self, volume: Singles, inside: Booleans, noise: float = 0.0) -> None:
        self.inside, self.noise = inside, noise
        self.target = volume[inside].astype(np.float64)
        self.norm = float(np.linalg.norm(self.target))
        self._row = np.full(inside.shape, -1, dtype=np.int32)
        self._row[inside] = np.arange(len(self.target), dtype=np.int32)

    def residual(self, gaussians: GaussianSum) -> Floats:
        """Target minus sum (voxels,)."""
        return self.target - self._matrices(gaussians)[0].T @ gaussians.weights

    def relative_error(self, gaussians: GaussianSum) -> float:
        """Norm of the residual without the expected noise, divided by the norm of the target."""
        residual = self.residual(gaussians)
        expected = self.noise**2 * max(len(self.target) - 4 * len(gaussians), 0)
        return float(np.sqrt(max(float(residual @ residual) - expected, 0.0))) / self.norm

    def refine(self, start: GaussianSum, steps: int, tolerance: float = 1e-3) -> tuple[GaussianSum, Floats]:
        """At most `steps` steps from `start`, until a step lowers the squared residual by less than the share
        `tolerance`.

        Returns the sum, with weights above 0 and positions inside, and its residual (voxels,).
        """
        here, damping = start, 1e-2
        matrices = self._matrices(here)
        residual = self.target - matrices[0].T @ here.weights
        for _ in range(steps):
            trial = self._stepped(here, matrices, residual, damping)
            trial_matrices = self._matrices(trial)
            trial_residual = self.target - trial_matrices[0].T @ trial.weights
            before, after = float(residual @ residual), float(trial_residual @ trial_residual)
            if after >= before:
                damping *= 8
                if damping > 1e3:
                    break
                continue
            here, matrices, residual, damping = trial, trial_matrices, trial_residual, damping * 0.3
            if before - after < tolerance * before:
                break
        return here, residual

    def _stepped(
        self, here: GaussianSum, matrices: list[sparse.csr_matrix], residual: Floats, damping: float
    ) -> GaussianSum:
        count = len(here)
        scale = np.concatenate([np.ones(count), *[here.weights] * 3])

        def forward(step: Floats) -> Floats:
            parts = (step * scale).reshape(4, count)
            return np.sum([m.T @ part for m, part in zip(matrices, parts, strict=True)], axis=0)

        def backward(values: Floats) -> Floats:
            return scale * np.concatenate([m @ values for m in matrices])

        squared = np.concatenate([np.asarray(m.multiply(m).sum(axis=1)).ravel() for m in matrices])
        diagonal = np.maximum(scale**2 * squared, 1e-30)
        step = _conjugate_gradients(forward, backward, backward(residual), diagonal, damping)
        weights = np.maximum(here.weights + step[:count], 1e-3 * here.weights.mean())
        moves = step[count:].reshape(3, count).T
        longest = _LONGEST_STEP * here.sigma_px
        moves *= np.minimum(1, longest / np.maximum(np.linalg.norm(moves, axis=1, keepdims=True), 1e-12))
        moved = here.positions_px + moves
        edge = np.array(self.inside.shape) - 1
        voxel = np.rint(moved).astype(np.int64)
        stays = ((voxel >= 0) & (voxel <= edge)).all(axis=1) & self.inside[tuple(np.clip(voxel, 0, edge).T)]
        return replace(here, positions_px=np.where(stays[:, None], moved, here.positions_px), weights=weights)

    def _matrices(self, gaussians: GaussianSum) -> list[sparse.csr_matrix]:
        """Sparse matrices (N, voxels): values of Gaussians of weight 1, and their derivatives by z, y and x."""
        sigma, reach = gaussians.sigma_px, int(np.ceil(_REACH * gaussians.sigma_px))
        axis = np.arange(-reach, reach + 1)
        offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        offsets = offsets[(offsets**2).sum(axis=1) <= (_REACH * sigma) ** 2]
        nearest = np.rint(gaussians.positions_px).astype(np.int64)
        edge = np.array(self.inside.shape) - 1
        parts = []
        chunk = max(1, 2_000_000 // len(offsets))
        for first in range(0, len(gaussians), chunk):
            here = slice(first, first + chunk)
            voxel = nearest[here, None] + offsets
            away = (voxel - gaussians.positions_px[here, None]).astype(np.float32)
            inside = ((voxel >= 0) & (voxel <= edge)).all(axis=2)
            z, y, x = np.clip(voxel, 0, edge).transpose(2, 0, 1)
            row = np.where(inside, self._row[z, y, x], -1)
            used = row >= 0
            away = away[used]
            value = np.exp(-(away**2).sum(axis=1) / (2 * sigma**2))
            parts.append((row[used], used.sum(axis=1), value, value[:, None] * away / np.float32(sigma**2)))
        rows = np.concatenate([p[0] for p in parts])
        starts = np.concatenate([[0], np.cumsum(np.concatenate([p[1] for p in parts]))])
        slopes = np.concatenate([p[3] for p in parts])
        columns = [np.concatenate([p[2] for p in parts]), *(np.ascontiguousarray(s) for s in slopes.T)]
        return [sparse.csr_matrix((c, rows, starts), shape=(len(gaussians), len(self.target))) for c in columns]


def _conjugate_gradients(
    forward: Callable[[Floats], Floats],
    backward: Callable[[Floats], Floats],
    gradient: Floats,
    diagonal: Floats,
    damping: float,
) -> Floats:
    """Solve (JᵀJ + damping·D) x = gradient approximately, preconditioned by the diagonal D of JᵀJ."""
    step, left = np.zeros_like(gradient), gradient.copy()
    ready = left / diagonal
    direction, power = ready, float(left @ ready)
    enough = 1e-4 * power
    for _ in range(_CG_STEPS):
        if power <= enough:
            break
        applied = backward(forward(direction)) + damping * diagonal * direction
        length = power / float(direction @ applied)
        step, left = step + length * direction, left - length * applied
        ready = left / diagonal
        power, before = float(left @ ready), power
        direction = ready + power / before * direction
    return step
