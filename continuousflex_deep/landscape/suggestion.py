"""Groups of a landscape, suggested by where its particles crowd."""

from dataclasses import dataclass

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.groups import COLOURS, NamedGroup
from continuousflex_deep.io.landscape_table import LandscapeTable
from continuousflex_deep.landscape.clusters import MOST_CLUSTERS, Clustering, find_clusters
from continuousflex_deep.options import ClustersOptions
from continuousflex_deep.particles import evenly_spread

ONE_CLOUD = "the particles form one cloud: no grouping is supported"
_SURELY = 0.9  # probability above which a particle belongs to its cluster beyond doubt
_CONTINUUM_PERCENT = 25.0  # of particles in doubt: so many of two equal clouds 2.8 deviations apart


@dataclass(frozen=True, eq=False)
class Cluster:
    """A group with the mean and deviation (k,) of its coordinates, and the mean probability of belonging to it."""

    group: NamedGroup
    mean: Floats
    sd: Floats
    probability: float | None


@dataclass(frozen=True, eq=False)
class Suggestion:
    """Clusters of a landscape, how they were found, labels (k,) of the coordinates, and numbers of particles: outliers,
    those of too little probability, and those whose cluster is in doubt (None of k-means)."""

    clusters: list[Cluster]
    found: Clustering
    labels: list[str]
    outliers: int
    improbable: int
    doubtful: int | None


def suggest_groups(table: LandscapeTable, options: ClustersOptions) -> Suggestion:
    """Fit clusters to some of a landscape's particles and assign all, outliers left out.

    Raises InputError where nothing can be fitted, or no particle is as probable as asked for.
    """
    if options.method == "kmeans" and options.min_probability:
        raise InputError("--min-probability: k-means knows no probabilities; use --method gmm")
    k = min(options.dimensions or table.coordinates.shape[1], table.coordinates.shape[1])
    rows = np.flatnonzero(~table.outlier)
    points = table.coordinates[rows, :k]
    found = find_clusters(
        points[evenly_spread(len(points), options.n_fit)], options.method, options.n_clusters, options.seed
    )
    labels, probability = found.model.assign(points)
    sure = np.ones(len(points), dtype=bool) if probability is None else probability >= options.min_probability
    clusters: list[Cluster] = []
    for c in range(len(found.model)):
        chosen = sure & (labels == c)
        if not chosen.any():  # a wide cloud can lie below narrower ones everywhere
            continue
        number = len(clusters) + 1
        group = NamedGroup(f"cluster {number}", COLOURS[(number - 1) % len(COLOURS)], table.ids[rows[chosen]])
        of_it = points[chosen]
        mean_probability = None if probability is None else float(probability[chosen].mean())
        clusters.append(Cluster(group, of_it.mean(axis=0), of_it.std(axis=0), mean_probability))
    if not clusters:
        highest = 0.0 if probability is None else probability.max()
        raise InputError(
            f"--min-probability: got {options.min_probability:g}, but no particle belongs to a cluster with more than "
            f"{highest:.3f}; lower it"
        )
    unit = f" [{table.unit}]" if table.unit else ""
    doubtful = None if probability is None else int((probability < _SURELY).sum())
    return Suggestion(
        clusters, found, [f"{label}{unit}" for label in table.labels[:k]], int(table.outlier.sum()), int((~sure).sum()),
        doubtful,
    )  # fmt: skip


def remarks(suggestion: Suggestion) -> list[str]:
    """What the numbers mean for the particles."""
    found, remarks = suggestion.found, []
    if found.supported is False:
        remarks.append(ONE_CLOUD)
    elif found.supported and len(found.model) == MOST_CLUSTERS and found.trials[0].cloud is None:
        remarks.append(
            f"BIC still falls at {MOST_CLUSTERS} clusters: the particles are not a few Gaussian clouds, and this "
            "number means little"
        )
    if suggestion.doubtful and len(found.model) > 1:
        total = sum(len(c.group) for c in suggestion.clusters) + suggestion.improbable
        share = 100 * suggestion.doubtful / total
        remarks.append(
            f"clusters overlap: {share:.1f}% of the particles belong to theirs with a probability below {_SURELY:.0%}"
            + ("; they may be parts of a continuum, not separate states" if share > _CONTINUUM_PERCENT else "")
        )
    return remarks
