"""Clusters of points: a mixture of Gaussians whose number BIC chooses, or k-means whose number the silhouette chooses.

Points are taken as they are, not standardised. A landscape's coordinates have one unit, mostly Å, so that distances
along different ones compare; standardising would stretch directions of little motion, which are mostly error, until
they count as much as the motion. (To a mixture with full covariances it would make no difference.)
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.particles import evenly_spread

MOST_CLUSTERS = 10  # among which a number is chosen
_STARTS, _MOST_STEPS = 3, 500  # of a mixture's fit
_KMEANS_STARTS = 10
_LEAST_VARIANCE = 1e-6  # of a cluster, in the mean variance of the coordinates: none shrinks onto one point
_SILHOUETTE_POINTS = 3000  # its time and memory grow with the square
# by which a silhouette must exceed that of one Gaussian cloud cut in the same way: a uniform one exceeds it by 0.07,
# chance changes it by 0.01
_CLEARLY = 0.1
_BLOCK = 100_000  # points that are assigned at a time


@dataclass(frozen=True)
class Trial:
    """A number of clusters and its score, BIC (less is better) or silhouette (more is better); cloud is the silhouette
    of one Gaussian cloud of the same covariance; converged is False where a fit was stopped before."""

    number: int
    score: float
    cloud: float | None = None
    converged: bool = True


@dataclass(frozen=True, eq=False)
class ClusterModel:
    """c clusters in k dimensions, in the order of their means (c, k) along the first one; of a mixture also weights
    (c,) and covariances (c, k, k)."""

    means: Floats
    weights: Floats | None = None
    covariances: Floats | None = None

    def __len__(self) -> int:
        return len(self.means)

    def assign(self, points: Floats) -> tuple[Integers, Floats | None]:
        """The cluster (n,) of points (n, k), counted from 0, and of a mixture the probability (n,) of belonging to it.

        By Bayes' rule: the cluster whose weight times density is the greatest. Of k-means: whose mean is nearest.
        """
        labels, probability = np.empty(len(points), dtype=np.int64), np.empty(len(points))
        for start in range(0, len(points), _BLOCK):
            part = slice(start, start + _BLOCK)
            merit = self._merit(points[part])
            labels[part] = merit.argmax(axis=1)
            probability[part] = 1 / np.exp(merit - merit.max(axis=1, keepdims=True)).sum(axis=1)
        return labels, None if self.weights is None else probability

    def _merit(self, points: Floats) -> Floats:
        """(n, c): logarithm of weight times density, or minus half the squared distance."""
        k = points.shape[1]
        merit = np.empty((len(points), len(self)))
        for c, mean in enumerate(self.means):
            away, constant = points - mean, 0.0
            if self.weights is not None and self.covariances is not None:
                root = np.linalg.cholesky(self.covariances[c])
                away = solve_triangular(root, away.T, lower=True).T
                constant = np.log(self.weights[c]) - np.log(np.diag(root)).sum() - k / 2 * np.log(2 * np.pi)
            merit[:, c] = constant - (away**2).sum(axis=1) / 2
        return merit

    def ordered(self) -> "ClusterModel":
        """The same with clusters along the first dimension."""
        order = np.argsort(self.means[:, 0], kind="stable")
        pick = (None if a is None else a[order] for a in (self.weights, self.covariances))
        return ClusterModel(self.means[order], *pick)


@dataclass(frozen=True, eq=False)
class Clustering:
    """The model, what was tried, and whether the points support it: False where they form one cloud, which is then the
    only cluster; None where a number was asked for, which says nothing."""

    model: ClusterModel
    trials: list[Trial]
    supported: bool | None


def find_clusters(points: Floats, method: Literal["gmm", "kmeans"], n_clusters: int = 0, seed: int = 0) -> Clustering:
    """Clusters of points (n, k). n_clusters 0 chooses the number: 1 to 10 by BIC, or 2 to 10 by the silhouette.

    k-means cuts any cloud. Its number is supported where the silhouette exceeds what cutting one Gaussian cloud gives.
    Raises InputError for points without spread, and where there are too few of them for that many clusters.
    """
    if not (len(points) and np.ptp(points, axis=0).any()):
        raise InputError(f"clusters: all {len(points)} particles lie on one point; there is nothing to divide")
    most = _most_clusters(points, method)
    if n_clusters > most:
        raise InputError(
            f"--n-clusters: got {n_clusters}, but {len(points)} particles in {points.shape[1]} dimensions suffice for "
            f"{most}; ask for fewer"
        )
    numbers = [n_clusters] if n_clusters else range(1 if method == "gmm" else 2, min(MOST_CLUSTERS, most) + 1)
    if not numbers:
        raise InputError(f"clusters: {len(points)} particles are too few to be divided; give more")
    fits = [(_mixture if method == "gmm" else _kmeans)(points, number, seed) for number in numbers]
    trials = [trial for _, trial in fits]
    sign = 1 if method == "gmm" else -1
    model, best = min(fits, key=lambda fit: sign * fit[1].score)
    supported = None if n_clusters else best.number > 1 and (best.cloud is None or best.score > best.cloud + _CLEARLY)
    if supported is False:
        model = ClusterModel(points.mean(axis=0, keepdims=True))
        if method == "gmm":
            model = _mixture(points, 1, seed)[0]
    return Clustering(model.ordered(), trials, supported)


def _most_clusters(points: Floats, method: str) -> int:
    """Number of clusters that so many points can tell: a covariance needs k + 1 points, a silhouette 2 clusters that
    are not all single points."""
    if method == "gmm":
        return max(1, len(points) // (points.shape[1] + 1))
    return len(np.unique(points, axis=0)) - 1


def _mixture(points: Floats, number: int, seed: int) -> tuple[ClusterModel, Trial]:
    """A mixture of Gaussians with full covariances by expectation maximisation, and its BIC."""
    fit = GaussianMixture(
        number, covariance_type="full", reg_covar=_LEAST_VARIANCE * float(points.var(axis=0).mean()), n_init=_STARTS,
        max_iter=_MOST_STEPS, random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the trial says so
        fit.fit(points)
    model = ClusterModel(fit.means_, fit.weights_, fit.covariances_)
    return model, Trial(number, float(fit.bic(points)), converged=bool(fit.converged_))


def _kmeans(points: Floats, number: int, seed: int) -> tuple[ClusterModel, Trial]:
    """k-means, its silhouette, and that of k-means on a Gaussian cloud of the points' mean and covariance."""
    some = points[evenly_spread(len(points), _SILHOUETTE_POINTS)]
    covariance = np.atleast_2d(np.cov(points, rowvar=False))
    cloud = np.random.default_rng(seed).multivariate_normal(points.mean(axis=0), covariance, len(some))
    fit = KMeans(number, n_init=_KMEANS_STARTS, random_state=seed).fit(points)
    cut = KMeans(number, n_init=_KMEANS_STARTS, random_state=seed).fit(cloud)
    trial = Trial(number, _silhouette(some, fit.predict(some)), _silhouette(cloud, cut.labels_))
    return ClusterModel(np.asarray(fit.cluster_centers_, dtype=np.float64)), trial


def _silhouette(points: Floats, labels: Integers) -> float:
    """0 where no two clusters, or no two points of one, are among these few points."""
    return float(silhouette_score(points, labels)) if 1 < len(np.unique(labels)) < len(points) else 0.0
