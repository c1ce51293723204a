"""Clusters of points: a Gaussian mixture whose number of components has the lowest BIC, or k-means whose number of
clusters has the highest silhouette.

Points are not standardised. The coordinates of a landscape share one unit, mostly Å, so that distances along different
coordinates compare. Standardisation would stretch directions of little motion, which are mostly error, until they count
as much as the motion. (A mixture with full covariances gives the same clusters with and without it.)
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.landscape.deconvolved_mixture import Mixture
from continuousflex_deep.particles import evenly_spread

MOST_CLUSTERS = 10  # the largest number that is tried
_BLOCK = 100_000  # points assigned at a time
_STARTS, _MOST_STEPS = 3, 500  # of the expectation maximisation
_KMEANS_STARTS = 10
_LEAST_VARIANCE = 1e-6  # of a cluster, in units of the mean variance of the coordinates: none shrinks onto one point
_SILHOUETTE_POINTS = 3000  # time and memory of a silhouette grow with the square of their number
# by how much a silhouette must exceed that of one Gaussian cloud cut in the same way: a uniform cloud exceeds it by
# 0.07, and random variations are about 0.01
_CLEARLY = 0.1


@dataclass(frozen=True)
class Trial:
    """A number of clusters and its score: BIC (lower is better) or silhouette (higher is better).

    cloud: the silhouette of one Gaussian cloud of the same covariance. converged: False where the fit was stopped
    before it converged.
    """

    number: int
    score: float
    cloud: float | None = None
    converged: bool = True


class ClusterModel:
    """c clusters in k dimensions, fitted by scikit-learn, numbered from 0 by their means along the first dimension."""

    def __init__(self, fit: GaussianMixture | KMeans) -> None:
        self._fit = fit
        means = fit.means_ if isinstance(fit, GaussianMixture) else fit.cluster_centers_
        self._order = np.argsort(means[:, 0], kind="stable")
        self.means: Floats = np.asarray(means[self._order], dtype=np.float64)  # (c, k)

    def __len__(self) -> int:
        return len(self.means)

    @property
    def mixture(self) -> Mixture | None:
        """The Gaussians, None for k-means."""
        if not isinstance(self._fit, GaussianMixture):
            return None
        return Mixture(self._fit.weights_[self._order], self.means, self._fit.covariances_[self._order])

    def assign(self, points: Floats) -> tuple[Integers, Floats | None]:
        """The cluster (n,) of points (n, k) and, from a mixture, the probability (n,) of belonging to it.

        The cluster of a mixture is the most probable one by Bayes' rule, that of k-means the one with the nearest mean.
        """
        if isinstance(self._fit, GaussianMixture):
            # in blocks, for a probability of every cluster of a million points takes a gigabyte
            blocks = np.array_split(points, max(1, len(points) // _BLOCK))
            found = [self._fit.predict_proba(block)[:, self._order] for block in blocks]
            return np.concatenate([p.argmax(axis=1) for p in found]), np.concatenate([p.max(axis=1) for p in found])
        return np.argsort(self._order)[self._fit.predict(points)], None


@dataclass(frozen=True, eq=False)
class Clustering:
    """The model, the numbers of clusters that were tried, and whether the points support their division into clusters:
    False where they form one cloud, which is then the only cluster; None where the user set the number."""

    model: ClusterModel
    trials: list[Trial]
    supported: bool | None


def find_clusters(points: Floats, method: Literal["gmm", "kmeans"], n_clusters: int = 0, seed: int = 0) -> Clustering:
    """Clusters of points (n, k). n_clusters 0 finds the number: 1 to 10 by BIC, or 2 to 10 by the silhouette.

    k-means divides any cloud. Its number is supported where the silhouette clearly exceeds that of one Gaussian cloud.
    Raises InputError for points without spread, and for fewer points than that many clusters need.
    """
    if not (len(points) and np.ptp(points, axis=0).any()):
        raise InputError(f"clusters: all {len(points)} particles lie on one point, which cannot be divided")
    most = _most_clusters(points, method)
    if n_clusters > most:
        raise InputError(
            f"--n-clusters: got {n_clusters}, but {len(points)} particles in {points.shape[1]} dimensions suffice for "
            f"{most}; give a smaller number"
        )
    numbers = [n_clusters] if n_clusters else range(1 if method == "gmm" else 2, min(MOST_CLUSTERS, most) + 1)
    if not numbers:
        raise InputError(f"clusters: {len(points)} particles are too few to be divided; give more particles")
    fits = [(_mixture if method == "gmm" else _kmeans)(points, number, seed) for number in numbers]
    trials = [trial for _, trial in fits]
    sign = 1 if method == "gmm" else -1
    model, best = min(fits, key=lambda fit: sign * fit[1].score)
    supported = None if n_clusters else best.number > 1 and (best.cloud is None or best.score > best.cloud + _CLEARLY)
    if supported is False:
        model = fits[0][0] if method == "gmm" else ClusterModel(KMeans(1, n_init=1).fit(points))
    return Clustering(model, trials, supported)


def _most_clusters(points: Floats, method: str) -> int:
    """The largest number of clusters that the points allow: a covariance needs k + 1 points, a silhouette needs two
    clusters of which one has two points."""
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
        warnings.simplefilter("ignore", ConvergenceWarning)  # the trial reports it
        fit.fit(points)
    return ClusterModel(fit), Trial(number, float(fit.bic(points)), converged=bool(fit.converged_))


def _kmeans(points: Floats, number: int, seed: int) -> tuple[ClusterModel, Trial]:
    """k-means, its silhouette, and that of k-means on a Gaussian cloud with the points' mean and covariance."""
    some = points[evenly_spread(len(points), _SILHOUETTE_POINTS)]
    covariance = np.atleast_2d(np.cov(points, rowvar=False))
    cloud = np.random.default_rng(seed).multivariate_normal(points.mean(axis=0), covariance, len(some))
    fit = KMeans(number, n_init=_KMEANS_STARTS, random_state=seed).fit(points)
    cut = KMeans(number, n_init=_KMEANS_STARTS, random_state=seed).fit(cloud)
    return ClusterModel(fit), Trial(number, _silhouette(some, fit.predict(some)), _silhouette(cloud, cut.labels_))


def _silhouette(points: Floats, labels: Integers) -> float:
    """The mean silhouette; 0 where it is undefined: all points in one cluster, or each in a cluster of its own."""
    return float(silhouette_score(points, labels)) if 1 < len(np.unique(labels)) < len(points) else 0.0
