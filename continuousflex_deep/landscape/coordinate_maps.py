"""Maps between amplitudes and coordinates, learned from landmarks and stored as plain arrays.

There are two kinds: a smooth map by regularised regression on Gaussians, and a local map by the weights that
reconstruct a point from its nearest landmarks. The one with the smaller error on held-out landmarks is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from continuousflex_deep.arrays import Booleans, Floats, Integers
from continuousflex_deep.errors import InputError

CHUNK_NUMBERS = 4_000_000  # in memory at a time, whatever the number of points: 32 MB
_TUNING = 600  # landmarks by which the width and the regularisation are selected
_WIDTHS = (0.06, 0.12, 0.25, 0.5, 1.0, 2.0)  # of the Gaussians, in units of the median distance between landmarks
_NOISES = (1e-6, 1e-4, 1e-2, 3e-2, 0.1, 0.3, 1.0, 10.0)  # unexplained variance, in units of the map's variance
_NEIGHBOURS, _LOCAL = 12, (1e-3, 1.0)  # number of neighbours and regularisations of the local maps that are tried
_HELD_OUT = 0.2


class LearnedMap(Protocol):
    """A map from points (n, a) to points (n, b)."""

    kind: ClassVar[str]

    def __call__(self, points: ArrayLike) -> Floats: ...


@dataclass(frozen=True, eq=False)
class KernelMap:
    """x ↦ offset + slope·x + Σ_j c_j exp(−|x − x_j|²/2w²): kernel ridge regression on the residuals of a linear fit.

    centres (m, a), coefficients (m, b), slope (a, b), offset (b,), width w in the unit of the centres. Far from all
    centres only the linear part remains (Saunders, Gammerman & Vovk, ICML 1998). Width and regularisation minimise
    leave-one-out errors, which have a closed form (Rasmussen & Williams 2006, eq. 5.12).
    """

    kind: ClassVar[str] = "kernel"
    centres: Floats
    coefficients: Floats
    slope: Floats
    offset: Floats
    width: Floats  # ()

    @classmethod
    def fit(cls, x: Floats, y: Floats, rng: np.random.Generator) -> "KernelMap":
        """The map fitted to pairs x (m, a), y (m, b)."""
        width, noise = _choose_width(x, y, rng)
        slope, offset, rest = _linear(x, y)
        kernel = _gaussians(x, x, width)
        kernel[np.diag_indices_from(kernel)] += noise
        return cls(x, cho_solve(cho_factor(kernel, overwrite_a=True), rest), slope, offset, np.array(width))

    def __call__(self, points: ArrayLike) -> Floats:
        x = np.asarray(points, dtype=np.float64)
        out = x @ self.slope + self.offset
        for rows in _chunks(len(x), len(self.centres)):
            out[rows] += _gaussians(x[rows], self.centres, float(self.width)) @ self.coefficients
        return out


@dataclass(frozen=True, eq=False)
class NeighbourMap:
    """A point is written as a weighted mean of its nearest landmarks; the same mean of their values is its value.

    centres (m, a), values (m, b). The weights sum to 1 and minimise the squared distance plus `regularisation` times
    its trace (Saul & Roweis, JMLR 4, 2003). Little regularisation follows the plane of the landmarks, much of it takes
    their mean.
    """

    kind: ClassVar[str] = "neighbours"
    centres: Floats
    values: Floats
    n_neighbors: Integers  # ()
    regularisation: Floats  # ()

    @classmethod
    def fit(cls, x: Floats, y: Floats, n_neighbors: int = _NEIGHBOURS, regularisation: float = 1e-3) -> "NeighbourMap":
        return cls(x, y, np.array(min(n_neighbors, len(x))), np.array(regularisation))

    def __call__(self, points: ArrayLike) -> Floats:
        x, k = np.asarray(points, dtype=np.float64), int(self.n_neighbors)
        tree = cKDTree(self.centres)
        out = np.empty((len(x), self.values.shape[1]))
        for rows in _chunks(len(x), k * (k + sum(self.centres.shape[1:]) + self.values.shape[1])):
            near = tree.query(x[rows], k)[1].reshape(-1, k)
            apart = self.centres[near] - x[rows][:, None, :]
            gram = apart @ apart.transpose(0, 2, 1)
            trace = np.trace(gram, axis1=1, axis2=2)
            gram[:, np.arange(k), np.arange(k)] += float(self.regularisation) * np.where(trace > 0, trace, 1)[:, None]
            weights = np.linalg.solve(gram, np.ones((len(gram), k, 1)))[:, :, 0]
            weights /= weights.sum(axis=1, keepdims=True)
            out[rows] = np.einsum("nk,nkb->nb", weights, self.values[near])
        return out


KINDS: tuple[Any, ...] = (KernelMap, NeighbourMap)


def held_out_rows(n: int, rng: np.random.Generator) -> Booleans:
    """Mask (n,) of a fifth of the landmarks, at least one, drawn at random."""
    mask = np.zeros(n, dtype=bool)
    mask[rng.choice(n, max(1, round(_HELD_OUT * n)), replace=False)] = True
    return mask


def learn_map(x: Floats, y: Floats, held_out: Booleans, seed: int) -> tuple[LearnedMap, LearnedMap]:
    """The map from x (m, a) to y (m, b) fitted to all pairs, and the one fitted without the held-out pairs (m,).

    Of the kinds of maps, the one with the smallest error on the held-out pairs is used.
    """

    def fit(rows: Booleans, kind: int) -> LearnedMap:
        if kind == 0:
            return KernelMap.fit(x[rows], y[rows], np.random.default_rng(seed))
        return NeighbourMap.fit(x[rows], y[rows], regularisation=_LOCAL[kind - 1])

    tried = [fit(~held_out, kind) for kind in range(1 + len(_LOCAL))]
    errors = [float(((one(x[held_out]) - y[held_out]) ** 2).sum()) for one in tried]
    best = int(np.argmin(errors))
    return fit(np.ones(len(x), dtype=bool), best), tried[best]


def map_as_arrays(learned: LearnedMap, prefix: str) -> dict[str, NDArray[Any]]:
    """Arrays by name, as map_from_arrays takes them."""
    arrays = {f"{prefix}_{f.name}": getattr(learned, f.name) for f in fields(learned)}  # type: ignore[arg-type]
    return arrays | {f"{prefix}_kind": np.array(learned.kind)}


def map_from_arrays(arrays: Mapping[str, NDArray[Any]], prefix: str) -> LearnedMap:
    """The inverse of map_as_arrays. Raises KeyError or ValueError where an array is missing or of the wrong shape."""
    kind = str(arrays[f"{prefix}_kind"])
    for one in KINDS:
        if one.kind == kind:
            return one(**{f.name: arrays[f"{prefix}_{f.name}"] for f in fields(one)})
    raise ValueError(f"unknown kind of map '{kind}'")


def median_distance(x: Floats, rng: np.random.Generator) -> float:
    """The median distance between distinct points (m, a), in their unit. InputError where all are the same."""
    sample = x if len(x) <= _TUNING else x[rng.choice(len(x), _TUNING, replace=False)]
    apart = cdist(sample, sample)
    apart = apart[apart > 0]
    if not len(apart):
        raise InputError("a learned map needs different points, but all points are the same")
    return float(np.median(apart))


def _choose_width(x: Floats, y: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """Width and noise with the smallest leave-one-out error on a sample of the pairs."""
    rows = np.arange(len(x)) if len(x) <= _TUNING else rng.choice(len(x), _TUNING, replace=False)
    x, rest = x[rows], _linear(x[rows], y[rows])[2]
    unit, best = median_distance(x, rng), (np.inf, 1.0, 1.0)
    for factor in _WIDTHS:
        values, vectors = np.linalg.eigh(_gaussians(x, x, factor * unit))
        projected = vectors.T @ rest
        for noise in _NOISES:
            inverse = 1 / (np.maximum(values, 0) + noise)
            left = (vectors * inverse) @ projected / ((vectors**2) @ inverse)[:, None]
            best = min(best, (float((left**2).sum()), factor * unit, noise))
    return best[1:]


def _linear(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Slope (a, b), offset (b,) and residuals (m, b) of least squares; slope 0 along directions without spread."""
    centre, mean = x.mean(axis=0), y.mean(axis=0)
    slope = np.linalg.lstsq(x - centre, y - mean, rcond=1e-9)[0]
    offset = mean - centre @ slope
    return slope, offset, y - offset - x @ slope


def _gaussians(x: Floats, centres: Floats, width: float) -> Floats:
    """Kernel (n, m) between points (n, a) and centres (m, a)."""
    out = cdist(x, centres, "sqeuclidean")
    out *= -0.5 / width**2
    return np.exp(out, out=out)


def _chunks(n: int, numbers_per_row: int) -> list[slice]:
    size = max(1, CHUNK_NUMBERS // numbers_per_row)
    return [slice(start, start + size) for start in range(0, n, size)]
