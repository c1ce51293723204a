"""How well latent coordinates and maps show known conformations: the measures of benchmarks/peers.py.

Those of CryoBench (Jeon et al. 2024) have its definitions, so that its published values can stand beside ours. Equal
distances, which known conformations have where many images show one, count as in the mean over all orders of them.
"""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import rankdata, spearmanr

from continuousflex_deep.arrays import Floats, Integers, Map

_FOLDS = 5
_BLOCK = 2**23  # distances that are held at once


def predicted(latents: Floats, truth: Floats) -> Floats:
    """Truth (n, d) by the best linear map from latent coordinates (n, z), of which each fifth of the particles is
    predicted from the other four."""
    design = np.column_stack([latents, np.ones(len(latents))])
    fold = np.random.default_rng(0).permutation(len(latents)) % _FOLDS
    result = np.empty_like(truth, dtype=float)
    for number in range(_FOLDS):
        held = fold == number
        weights = np.linalg.lstsq(design[~held], truth[~held], rcond=None)[0]
        result[held] = design[held] @ weights
    return result


def explained(latents: Floats, truth: Floats) -> float:
    """R², the share of the variance of the truth (n, d) that a linear map from latent coordinates (n, z) predicts: 1 at
    best, 0 or less where it predicts no better than the mean."""
    left = np.square(truth - predicted(latents, truth)).sum()
    return float(1 - left / np.square(truth - truth.mean(axis=0)).sum())


def order(latents: Floats, place: Floats) -> float:
    """Spearman's rank correlation of places on a way (n,) with the direction in latent space (n, z) that follows it
    best."""
    return float(spearmanr(predicted(latents, place[:, None])[:, 0], place).statistic)


def neighbourhood_similarity(truth: Floats, latents: Floats, k: int) -> float:
    """Share of the k nearest particles in the truth (n, d), and of the particle itself, that are the same in latent
    space (n, z): 1 at best, about (1 + k²/n) / (k + 1) by chance."""
    shared = 0.0
    for rows in _blocks(len(truth)):
        shared += (_nearest(truth, rows, k + 1) * _nearest(latents, rows, k + 1)).sum()
    return shared / len(truth) / (k + 1)


def information_imbalance(first: Floats, second: Floats) -> float:
    """Information imbalance from one space (n, a) to another (n, b) (Glielmo et al. 2022): 2/n times the mean rank that
    the nearest particle in the first has in the second; about 0 where the first determines the second, 1 where it tells
    nothing of it."""
    total = 0.0
    for rows in _blocks(len(first)):
        nearest = _distances(first, rows, of_itself=np.inf)
        nearest = nearest == nearest.min(axis=1, keepdims=True)
        ranks = rankdata(_distances(second, rows, of_itself=-1.0), axis=1) - 1
        total += ((ranks * nearest).sum(axis=1) / nearest.sum(axis=1)).sum()
    return 2 * total / len(first) ** 2


def fsc(first: Map, second: Map) -> Floats:
    """FSC (d/2,) of two maps (d, d, d) in CryoBench's shells: number i, at i/d of the sampling frequency, has the radii
    from i - 1 to below i, and 1 is set at the origin. Shells of the package are centred on i."""
    box = len(first)
    a, b = (np.fft.fftn(volume) for volume in (first, second))
    k = np.fft.fftfreq(box, 1 / box)
    radius = np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None, :] ** 2)
    shell = np.floor(radius + 1e-9).astype(int).ravel() + 1
    cross, power_a, power_b = (
        np.bincount(shell, weights=values.ravel())[: box // 2]
        for values in ((a * b.conj()).real, np.abs(a) ** 2, np.abs(b) ** 2)
    )
    power = np.sqrt(power_a * power_b)
    curve = np.divide(cross, power, out=np.zeros_like(cross), where=power > 0)
    curve[0] = 1.0
    return curve


def area_under_fsc(curve: Floats) -> float:
    """Area under an FSC (d/2,) within 0 to 1, over the frequency in sampling frequencies: (d/2 - 1)/d at most."""
    clipped = np.clip(curve, 0, 1)
    return float((clipped[1:] + clipped[:-1]).sum() / 2 / (2 * len(curve)))


def _nearest(points: Floats, rows: Integers, count: int) -> Floats:
    """(rows, n): 1 for the `count` nearest particles, first the particle itself; those at the distance of the last
    share what is left."""
    distances = _distances(points, rows, of_itself=-1.0)
    last = np.partition(distances, count - 1, axis=1)[:, count - 1 : count]
    nearer, tied = distances < last, distances == last
    share = (count - nearer.sum(axis=1)) / tied.sum(axis=1)
    return nearer + tied * share[:, None]


def _distances(points: Floats, rows: Integers, of_itself: float) -> Floats:
    """(rows, n) squared distances from some particles to all."""
    found = cdist(points[rows], points, "sqeuclidean")
    found[np.arange(len(rows)), rows] = of_itself
    return found


def _blocks(n: int) -> Iterator[Integers]:
    size = max(1, _BLOCK // n)
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))
