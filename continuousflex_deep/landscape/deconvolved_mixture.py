"""Gaussian mixtures without the errors of the points that they were fitted to: do clusters overlap by themselves?"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from continuousflex_deep.arrays import Floats

_MOST_STEPS, _SETTLED = 300, 1e-5  # of the expectation maximisation, and its last gain per point
_DRAWN = 20_000


@dataclass(frozen=True, eq=False)
class Mixture:
    """Weights (c,), means (c, k) and covariances (c, k, k) of Gaussians."""

    weights: Floats
    means: Floats
    covariances: Floats

    def log_parts(self, points: Floats, errors: Floats | None = None) -> Floats:
        """ln of weight times density (n, c) at points (n, k), each with an error of covariance (n, k, k)."""
        parts = []
        for weight, mean, covariance in zip(self.weights, self.means, self.covariances, strict=True):
            total = covariance[None] + (0 if errors is None else errors)
            root = np.linalg.cholesky(total)
            away = np.linalg.solve(root, (points - mean)[:, :, None])[:, :, 0]
            exponent = np.square(away).sum(axis=1) + points.shape[1] * np.log(2 * np.pi)
            log_root = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
            parts.append(np.log(weight) - exponent / 2 - log_root)
        return np.stack(parts, axis=1)

    def uncertain_share(self, probability: float, seed: int = 0) -> float:
        """Share of points drawn from the mixture that belong to no Gaussian with at least this probability."""
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(self.weights), _DRAWN, p=self.weights)
        roots = np.linalg.cholesky(self.covariances)[chosen]
        drawn = self.means[chosen] + np.einsum("nij,nj->ni", roots, rng.normal(size=(_DRAWN, self.means.shape[1])))
        parts = self.log_parts(drawn)
        return float((parts.max(axis=1) - logsumexp(parts, axis=1) < np.log(probability)).mean())


def deconvolved_mixture(start: Mixture, points: Floats, errors: Floats) -> Mixture:
    """The mixture of as many Gaussians with the highest likelihood when it is widened by the error (n, k, k) of each of
    the points (n, k): extreme deconvolution (Bovy, Hogg & Roweis 2011, Ann. Appl. Stat. 5, 1657).

    A Gaussian may shrink to a millionth of the points' variance, as those of the clusters may.
    """
    floor = 1e-6 * points.var(axis=0).mean() * np.eye(points.shape[1])
    mixture, before = start, -np.inf
    for _ in range(_MOST_STEPS):
        parts = mixture.log_parts(points, errors)
        total = logsumexp(parts, axis=1)
        likelihood = float(total.mean())
        if likelihood - before < _SETTLED:
            break
        before, shares = likelihood, np.exp(parts - total[:, None])
        weights, means, covariances = [], [], []
        for share, mean, covariance in zip(shares.T, mixture.means, mixture.covariances, strict=True):
            gain = np.linalg.solve(covariance + errors, np.broadcast_to(covariance, errors.shape)).transpose(0, 2, 1)
            true = mean + np.einsum("nij,nj->ni", gain, points - mean)
            left = covariance - gain @ covariance
            n = max(share.sum(), np.finfo(float).tiny)
            centre = share @ true / n
            away = true - centre
            spread = (away * share[:, None]).T @ away / n + np.einsum("n,nij->ij", share, left) / n
            weights.append(n / len(points))
            means.append(centre)
            covariances.append((spread + spread.T) / 2 + floor)
        mixture = Mixture(np.array(weights) / sum(weights), np.array(means), np.array(covariances))
    return mixture
