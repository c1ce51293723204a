"""Particles counted on a grid by the error of their coordinates, and the blur that these errors are.

A density p of true coordinates is seen as p ∗ N(0, C_i) by a particle of covariance C_i. Particles of similar
covariances are counted together, so that the time does not grow with their number.
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft
from sklearn.cluster import KMeans

from continuousflex_deep.arrays import Floats
from continuousflex_deep.particles import evenly_spread

_SAMPLE = 5000  # particles by which classes of covariances are found
_LEAST_VARIANCE = 0.01  # of an error, in squared cells: far less than a cell
_REACH = 5.0  # deviations of the largest error up to which a density is blurred
_LEAST_SEEN = 1e-300  # a density that is no longer positive by rounding has no logarithm


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of d coordinates, `shape`, around places from `corner` (d,) at steps of `spacing` (d,)."""

    corner: Floats
    spacing: Floats
    shape: tuple[int, ...]

    @classmethod
    def around(cls, points: Floats, bins: int) -> "Grid":
        """The grid of `bins` cells along each axis between the extreme points (n, d)."""
        corner = points.min(axis=0)
        return cls(corner, (points.max(axis=0) - corner) / (bins - 1), (bins,) * points.shape[1])

    @property
    def axes(self) -> list[Floats]:
        """The places of the cells along each axis."""
        return [c + s * np.arange(n) for c, s, n in zip(self.corner, self.spacing, self.shape, strict=True)]


class ErrorBlur:
    """Counts (c, *grid.shape) of particles in c classes of similar errors, and the blur of a density by each class."""

    def __init__(self, points: Floats, covariances: Floats, grid: Grid, most_classes: int, seed: int = 0) -> None:
        """points (n, d) and the covariances (n, d, d) of their errors, in the units of the grid."""
        self.grid = grid
        in_cells = covariances / (grid.spacing[:, None] * grid.spacing)
        labels = _classes_of(in_cells, most_classes, seed)
        self.covariances = np.array([in_cells[labels == c].mean(axis=0) for c in range(labels.max() + 1)])
        cells = np.rint((points - grid.corner) / grid.spacing).astype(np.int64)
        flat = np.ravel_multi_index((labels, *cells.T), (len(self.covariances), *grid.shape))
        size = len(self.covariances) * int(np.prod(grid.shape))
        self.counts: Floats = np.bincount(flat, minlength=size).reshape(-1, *grid.shape).astype(np.float64)
        widest = np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2).max(axis=0))
        self._padded = tuple(
            fft.next_fast_len(n + int(np.ceil(_REACH * w)) + 1, real=True)
            for n, w in zip(grid.shape, widest, strict=True)
        )
        frequencies = [2 * np.pi * fft.fftfreq(n) for n in self._padded]
        frequencies[-1] = 2 * np.pi * fft.rfftfreq(self._padded[-1])
        waves = np.stack(np.meshgrid(*frequencies, indexing="ij"), axis=-1)
        weights = self.counts.reshape(len(self.counts), -1).sum(axis=1) / len(points)
        every = np.concatenate([self.covariances, np.tensordot(weights, self.covariances, 1)[None]])
        *transfers, self._mean_transfer = np.exp(-np.einsum("...i,cij,...j->c...", waves, every, waves) / 2)
        self._transfer = np.array(transfers)
        self._inside = tuple(slice(0, n) for n in grid.shape)
        self._axes = tuple(range(1, 1 + len(grid.shape)))

    def seen(self, density: Floats) -> Floats:
        """The density (*grid.shape) as the particles of each class (c, *grid.shape) see it; positive."""
        transform = fft.rfftn(density, self._padded)
        blurred = fft.irfftn(transform * self._transfer, self._padded, axes=self._axes)
        return np.maximum(blurred[(slice(None), *self._inside)], _LEAST_SEEN)

    def seen_on_average(self, values: Floats) -> Floats:
        """Values (*grid.shape), blurred by the mean covariance of all particles."""
        transform = fft.rfftn(values, self._padded) * self._mean_transfer
        return np.asarray(fft.irfftn(transform, self._padded)[self._inside])

    def gathered(self, values: Floats) -> Floats:
        """The adjoint of `seen`: values (c, *grid.shape), blurred by each class, in sum (*grid.shape)."""
        transform = fft.rfftn(values, self._padded, axes=self._axes)
        return np.asarray(fft.irfftn((transform * self._transfer).sum(axis=0), self._padded)[self._inside])


def _classes_of(covariances: Floats, most: int, seed: int) -> np.ndarray:
    """Classes (n,) from 0, all occupied, of similar covariances (n, d, d), by k-means of their logarithms."""
    values, vectors = np.linalg.eigh(covariances)
    logarithms = (vectors * np.log(np.maximum(values, _LEAST_VARIANCE))[:, None]) @ vectors.transpose(0, 2, 1)
    upper = np.triu_indices(covariances.shape[1])
    features = logarithms[:, upper[0], upper[1]]
    some = features[evenly_spread(len(features), _SAMPLE)]
    different = len(np.unique(some.round(9), axis=0))
    labels = KMeans(min(most, different), n_init=1, random_state=seed).fit(some).predict(features)
    return np.unique(labels, return_inverse=True)[1]
