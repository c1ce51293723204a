"""The density of amplitudes as a mixture of Gaussians, learned from what images say of them.

Each image's likelihood of the amplitudes is a Gaussian around its best fit, as wide as its errors (covariance.py). The
mixture that makes all images most likely is that of the particles freed of these errors: extreme deconvolution (Bovy,
Hogg & Roweis, Ann Appl Stat 2011, 5:1657), by expectation maximisation.
"""

import numpy as np

from continuousflex_deep.arrays import Booleans, Floats
from continuousflex_deep.hemnma.covariance import Fits
from continuousflex_deep.io.amplitude_density import AmplitudeDensity

_ROUNDS, _STARTS = 120, 4
# deviation of the Gaussians at first, and the least that they have along any axis, as parts of the spread of all
_FIRST, _LEAST = 0.4, 0.05
# weight of a broad Gaussian about rest: what was not seen so far stays possible
_ELSEWHERE = 0.1
# parts of the particles, each of which is told by what the others have shown
_FOLDS, _ROUNDS_OF_FOLD = 5, 40


def learned_density(fits: Fits, found_A: Floats, spread_A: Floats, most: int) -> AmplitudeDensity | None:
    """The density of at most `most` Gaussians, and a broad one, from fits of n particles whose amplitudes found_A
    (n, M) show where they begin; spread_A (M,): deviations of all.

    As many Gaussians as tell of particles that they were not learned from what more of them would, up to one standard
    error (Breiman et al. 1984); None if that is one.
    """
    counts = [count for count in (1, 2, 3, 4, 6, 8) if count <= most]
    told = np.stack([_told_of_others(fits, found_A, spread_A, count) for count in counts])
    less = told[told.sum(axis=1).argmax()] - told
    count = counts[int(np.argmax(less.sum(axis=1) <= np.sqrt(len(fits)) * less.std(axis=1)))]
    if count == 1:
        return None
    starts = [_start(found_A, spread_A, count, seed) for seed in range(_STARTS)]
    tried = [_with_broad(_maximised(fits, start, spread_A, _ROUNDS), spread_A) for start in starts]
    return max(tried, key=lambda density: float(_likelihoods(fits, density).sum()))


def _told_of_others(fits: Fits, found_A: Floats, spread_A: Floats, count: int) -> Floats:
    """The log-likelihoods (n,) of particles under the densities of so many Gaussians that the others have shown."""
    told, fold = np.empty(len(fits)), np.arange(len(fits)) % _FOLDS
    for number in range(_FOLDS):
        known, other = fold != number, fold == number
        start = _start(found_A[known], spread_A, count, seed=number)
        density = _maximised(_some(fits, known), start, spread_A, _ROUNDS_OF_FOLD)
        told[other] = _likelihoods(_some(fits, other), _with_broad(density, spread_A))
    return told


def _some(fits: Fits, rows: Booleans) -> Fits:
    return Fits(fits.information[rows], fits.pull[rows])


def _with_broad(density: AmplitudeDensity, spread_A: Floats) -> AmplitudeDensity:
    return AmplitudeDensity(
        np.append((1 - _ELSEWHERE) * density.weights, _ELSEWHERE),
        np.concatenate([density.mean_A, np.zeros((1, len(spread_A)))]),
        np.concatenate([density.covariance, np.diag(spread_A**2)[None]]),
    )


def _likelihoods(fits: Fits, density: AmplitudeDensity) -> Floats:
    """The log-likelihood (n,) of each particle."""
    return np.asarray(np.logaddexp.reduce(_posteriors(fits, density)[2], axis=1))


def _start(found_A: Floats, spread_A: Floats, count: int, seed: int) -> AmplitudeDensity:
    """Equal Gaussians about some of the particles, drawn far from each other (k-means++, Arthur & Vassilvitskii
    2007)."""
    rng, places = np.random.default_rng(seed), found_A / spread_A
    rows = [int(rng.integers(len(places)))]
    while len(rows) < min(count, len(places)):
        away = np.square(places[:, None] - places[rows]).sum(axis=2).min(axis=1)
        if away.sum() == 0:
            break
        rows.append(int(rng.choice(len(places), p=away / away.sum())))
    wide = np.repeat(np.diag((_FIRST * spread_A) ** 2)[None], len(rows), axis=0)
    return AmplitudeDensity(np.full(len(rows), 1 / len(rows)), found_A[rows], wide)


def _maximised(fits: Fits, density: AmplitudeDensity, spread_A: Floats, rounds: int) -> AmplitudeDensity:
    """The density after expectation maximisation."""
    for _ in range(rounds):
        means, covariances, logs = _posteriors(fits, density)
        shares = np.exp(logs - np.logaddexp.reduce(logs, axis=1)[:, None])
        total = shares.sum(axis=0)
        kept = total > 0.5  # a Gaussian of no particle
        shares, total, means, covariances = shares[:, kept], total[kept], means[:, kept], covariances[:, kept]
        mean_A = np.einsum("nk,nkm->km", shares, means) / total[:, None]
        apart = means - mean_A
        spread = np.einsum("nk,nki,nkj->kij", shares, apart, apart) + np.einsum("nk,nkij->kij", shares, covariances)
        wide = _at_least(spread / total[:, None, None], _LEAST * spread_A)
        density = AmplitudeDensity(total / total.sum(), mean_A, wide)
    return density


def _at_least(covariance: Floats, least_A: Floats) -> Floats:
    """Covariances (K, M, M) whose deviations along their axes, in units of least_A (M,), are 1 at the least."""
    scale = np.outer(least_A, least_A)
    values, vectors = np.linalg.eigh(covariance / scale)
    return np.asarray((vectors * np.maximum(values, 1)[:, None]) @ vectors.swapaxes(1, 2) * scale)


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
