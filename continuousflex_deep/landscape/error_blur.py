"""Particles counted on a grid by the error of their coordinates, and the blur that these errors are.

A density p of true coordinates is seen as p ∗ N(0, C_i) by a particle of covariance C_i. Particles of similar
covariances are counted together, so that the time does not grow with their number. The blur is by Fourier transforms of
the whole grid, or, of few particles, by the value of the kernel between every cell and those with particles.
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
_TRANSFORM_COST = 12  # time of a Fourier coefficient, in times of a value of the kernel
_MOST_VALUES = 2**23  # of the kernel: 64 MiB


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
    """Particles in c classes of similar errors, counted on a grid, and the blur of a density by each class.

    Many are counted in all cells of each class, (c, *grid.shape); few in the m cells with particles alone, (m,). These
    are the `places` of the blur. cells (n, 1 + d): the class and the cell of the grid of each particle; covariances
    (c, d, d): those of the classes, in cells.
    """

    def __init__(self, points: Floats, covariances: Floats, grid: Grid, most_classes: int, seed: int = 0) -> None:
        """points (n, d) and the covariances (n, d, d) of their errors, in the units of the grid."""
        self.grid = grid
        in_cells = covariances / (grid.spacing[:, None] * grid.spacing)
        labels = _classes_of(in_cells, most_classes, seed)
        self.covariances = np.array([in_cells[labels == c].mean(axis=0) for c in range(labels.max() + 1)])
        self.cells = np.column_stack([labels, np.rint((points - grid.corner) / grid.spacing).astype(np.int64)])
        widest = np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2).max(axis=0))
        self._padded = tuple(
            fft.next_fast_len(n + int(np.ceil(_REACH * w)) + 1, real=True)
            for n, w in zip(grid.shape, widest, strict=True)
        )
        frequencies = [2 * np.pi * fft.fftfreq(n) for n in self._padded]
        frequencies[-1] = 2 * np.pi * fft.rfftfreq(self._padded[-1])
        waves = np.stack(np.meshgrid(*frequencies, indexing="ij"), axis=-1)
        weights = np.bincount(labels) / len(points)
        every = np.concatenate([self.covariances, np.tensordot(weights, self.covariances, 1)[None]])
        *transfers, self._mean_transfer = np.exp(-np.einsum("...i,cij,...j->c...", waves, every, waves) / 2)
        self._transfer = np.array(transfers)
        self._inside = tuple(slice(0, n) for n in grid.shape)
        self._axes = tuple(range(1, 1 + len(grid.shape)))
        occupied, counts = np.unique(self.cells, axis=0, return_counts=True)
        values = len(occupied) * int(np.prod(grid.shape))
        few = values <= min(_MOST_VALUES, _TRANSFORM_COST * self._transfer.size)
        self._kernel = self._kernel_at(occupied) if few else None
        self.counts: Floats = counts.astype(np.float64)
        if not few:
            self.counts = np.zeros((len(self.covariances), *grid.shape))
            self.counts[tuple(occupied.T)] = counts

    def seen(self, density: Floats) -> Floats:
        """The density (*grid.shape) as the particles of each place see it; positive."""
        if self._kernel is not None:
            return np.maximum(self._kernel @ density.ravel(), _LEAST_SEEN)
        transform = fft.rfftn(density, self._padded)
        blurred = fft.irfftn(transform * self._transfer, self._padded, axes=self._axes)
        return np.maximum(blurred[(slice(None), *self._inside)], _LEAST_SEEN)

    def seen_on_average(self, values: Floats) -> Floats:
        """Values (*grid.shape), blurred by the mean covariance of all particles."""
        transform = fft.rfftn(values, self._padded) * self._mean_transfer
        return np.asarray(fft.irfftn(transform, self._padded)[self._inside])

    def gathered(self, values: Floats) -> Floats:
        """The adjoint of `seen`: values of the places, blurred by the class of each, in sum (*grid.shape)."""
        if self._kernel is not None:
            return np.asarray((values @ self._kernel).reshape(self.grid.shape))
        transform = fft.rfftn(values, self._padded, axes=self._axes)
        return np.asarray(fft.irfftn((transform * self._transfer).sum(axis=0), self._padded)[self._inside])

    def _kernel_at(self, places: np.ndarray) -> Floats:
        """The share (m, cells of the grid) of each cell of a density in what is seen at places (m, 1 + d)."""
        kernels = fft.irfftn(self._transfer, self._padded, axes=self._axes)
        d = len(self.grid.shape)
        labels = places[:, 0].reshape(-1, *[1] * d)
        away = [
            ((place[:, None] - np.arange(n)) % padded).reshape(-1, *[n if i == axis else 1 for i in range(d)])
            for axis, (place, n, padded) in enumerate(zip(places.T[1:], self.grid.shape, self._padded, strict=True))
        ]
        return np.asarray(kernels[(labels, *away)].reshape(len(places), -1))


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
