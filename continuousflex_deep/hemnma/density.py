"""The density of amplitudes as a mixture of Gaussians, learned from what images say of them.

Each image's likelihood of the amplitudes is a Gaussian around its best fit, as wide as its errors (covariance.py). The
mixture that makes all images most likely is that of the particles freed of these errors: extreme deconvolution (Bovy,
Hogg & Roweis, Ann Appl Stat 2011, 5:1657), by expectation maximisation.
"""

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.hemnma.covariance import Fits
from continuousflex_deep.io.amplitude_density import AmplitudeDensity

_ROUNDS, _STARTS = 120, 4
# deviation of the Gaussians at first, and the least that they keep, as parts of the spread of all
_FIRST, _LEAST = 0.4, 0.1
# weight of a broad Gaussian about rest: what was not seen so far stays possible
_ELSEWHERE = 0.1


def learned_density(fits: Fits, found_A: Floats, spread_A: Floats, count: int) -> AmplitudeDensity:
    """The density of at most `count` Gaussians, and a broad one, from fits of n particles whose amplitudes found_A
    (n, M) show where they begin; spread_A (M,): deviations of all."""
    tried = [_maximised(fits, start, spread_A) for start in _starts(found_A, spread_A, count)]
    best, _ = max(tried, key=lambda one: one[1])
    return AmplitudeDensity(
        np.append((1 - _ELSEWHERE) * best.weights, _ELSEWHERE),
        np.concatenate([best.mean_A, np.zeros((1, len(spread_A)))]),
        np.concatenate([best.covariance, np.diag(spread_A**2)[None]]),
    )


def _starts(found_A: Floats, spread_A: Floats, count: int) -> list[AmplitudeDensity]:
    """Equal Gaussians about some of the particles, drawn far from each other (k-means++, Arthur & Vassilvitskii
    2007)."""
    starts = []
    for seed in range(_STARTS):
        rng, places = np.random.default_rng(seed), found_A / spread_A
        rows = [int(rng.integers(len(places)))]
        while len(rows) < min(count, len(places)):
            away = np.square(places[:, None] - places[rows]).sum(axis=2).min(axis=1)
            if away.sum() == 0:
                break
            rows.append(int(rng.choice(len(places), p=away / away.sum())))
        wide = np.repeat(np.diag((_FIRST * spread_A) ** 2)[None], len(rows), axis=0)
        starts.append(AmplitudeDensity(np.full(len(rows), 1 / len(rows)), found_A[rows], wide))
    return starts


def _maximised(fits: Fits, density: AmplitudeDensity, spread_A: Floats) -> tuple[AmplitudeDensity, float]:
    """The density after expectation maximisation, and its log-likelihood."""
    least, likelihood = np.diag((_LEAST * spread_A) ** 2), -np.inf
    for _ in range(_ROUNDS):
        means, covariances, logs = _posteriors(fits, density)
        top = logs.max(axis=1, keepdims=True)
        shares = np.exp(logs - top)
        likelihood = float((top[:, 0] + np.log(shares.sum(axis=1))).sum())
        shares /= shares.sum(axis=1, keepdims=True)
        total = shares.sum(axis=0)
        kept = total > 0.5  # a Gaussian of no particle
        shares, total, means, covariances = shares[:, kept], total[kept], means[:, kept], covariances[:, kept]
        mean_A = np.einsum("nk,nkm->km", shares, means) / total[:, None]
        apart = means - mean_A
        spread = np.einsum("nk,nki,nkj->kij", shares, apart, apart) + np.einsum("nk,nkij->kij", shares, covariances)
        # as if one more particle, at the least deviation, were in each
        density = AmplitudeDensity(total / total.sum(), mean_A, (spread + least) / (total + 1)[:, None, None])
    return density, likelihood


def _posteriors(fits: Fits, density: AmplitudeDensity) -> tuple[Floats, Floats, Floats]:
    """Of each particle in each Gaussian: mean (n, K, M) and covariance (n, K, M, M) of the amplitudes, and the
    log-likelihood (n, K) with the Gaussian's weight."""
    precision = np.linalg.inv(density.covariance)
    inverse = fits.information[:, None] + precision
    covariance = np.linalg.inv(inverse)
    pull = fits.pull[:, None] + np.einsum("kij,kj->ki", precision, density.mean_A)
    mean_A = (covariance @ pull[..., None])[..., 0]
    logs = (
        np.log(density.weights)
        + 0.5 * (np.linalg.slogdet(precision)[1] - np.linalg.slogdet(inverse)[1])
        + 0.5 * ((pull * mean_A).sum(axis=2) - np.einsum("ki,kij,kj->k", density.mean_A, precision, density.mean_A))
    )
    return mean_A, covariance, logs
