"""Suggested groups: clusters of the particles of a landscape."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.groups import COLOURS, NamedGroup
from continuousflex_deep.io.landscape_table import LandscapeTable
from continuousflex_deep.io.tables import format_rows
from continuousflex_deep.landscape.clusters import MOST_CLUSTERS, Clustering, Trial, find_clusters
from continuousflex_deep.landscape.coordinate_errors import measured_coordinates
from continuousflex_deep.landscape.deconvolved_mixture import deconvolved_mixture
from continuousflex_deep.landscape.reduction import Reduction
from continuousflex_deep.options import ClustersOptions
from continuousflex_deep.particles import evenly_spread

ONE_CLOUD = "the particles form one cloud: they do not support a division into groups"
_SURELY = 0.9  # probability from which on the cluster of a particle counts as certain
_MOST_DECONVOLVED = 5000  # particles
_CONTINUUM_PERCENT = 25.0  # of particles with an uncertain cluster; two equal clouds 2.8 deviations apart have as many


@dataclass(frozen=True, eq=False)
class Cluster:
    """A group with the mean and standard deviation (k,) of its coordinates, and the mean probability of belonging to
    it."""

    group: NamedGroup
    mean: Floats
    sd: Floats
    probability: float | None


@dataclass(frozen=True, eq=False)
class Suggestion:
    """Clusters of a landscape, how they were found, labels (k,) of the coordinates, and numbers of particles: outliers,
    those below the least probability, and those whose cluster is uncertain (None with k-means).

    overlap: share of particles whose cluster would be uncertain if their coordinates had no errors (None with k-means,
    and where errors are not known)."""

    clusters: list[Cluster]
    found: Clustering
    labels: list[str]
    outliers: int
    improbable: int
    uncertain: int | None
    overlap: float | None = None


def suggest_groups(
    table: LandscapeTable, options: ClustersOptions, reduction: Reduction | None = None
) -> Suggestion:
    """Fit clusters to a sample of a landscape's particles, and assign all particles except outliers.

    reduction: that of the landscape, by which errors of amplitudes become errors of coordinates.
    Raises InputError where clusters cannot be fitted, and where no particle reaches the least probability.
    """
    if options.method == "kmeans" and options.min_probability:
        raise InputError("--min-probability: k-means has no probabilities; use --method gmm")
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
        members = sure & (labels == c)
        if not members.any():  # a wide cluster can be less probable everywhere than narrower ones
            continue
        number = len(clusters) + 1
        group = NamedGroup(f"cluster {number}", COLOURS[(number - 1) % len(COLOURS)], table.ids[rows[members]])
        own = points[members]
        mean_probability = None if probability is None else float(probability[members].mean())
        clusters.append(Cluster(group, own.mean(axis=0), own.std(axis=0), mean_probability))
    if not clusters:
        highest = 0.0 if probability is None else probability.max()
        raise InputError(
            f"--min-probability: got {options.min_probability:g}, but the highest probability of a particle is "
            f"{np.floor(highest * 1000) / 1000:.3f}; give this or a lower value"
        )
    uncertain = None if probability is None else int((probability < _SURELY).sum())
    return Suggestion(
        clusters, found, table.axis_labels[:k], int(table.outlier.sum()), int((~sure).sum()), uncertain,
        _overlap_without_errors(found, table, rows[evenly_spread(len(rows), _MOST_DECONVOLVED)], k, reduction),
    )  # fmt: skip


def _overlap_without_errors(
    found: Clustering, table: LandscapeTable, rows: Integers, k: int, reduction: Reduction | None
) -> float | None:
    """Share of particles whose cluster would be uncertain if the first k coordinates of these rows had no errors."""
    mixture = found.model.mixture
    if mixture is None or len(mixture.means) < 2 or reduction is None:
        return None
    measured = measured_coordinates(reduction, table, table.coordinates, tuple(range(k)), rows)
    if measured is None or not len(measured.rows):
        return None
    return deconvolved_mixture(mixture, measured.points, measured.covariances).uncertain_share(_SURELY)


def remarks(suggestion: Suggestion) -> list[str]:
    """Conclusions about the particles from the scores and probabilities."""
    found, remarks = suggestion.found, []
    if found.supported is False:
        remarks.append(ONE_CLOUD)
    elif found.supported and len(found.model) == MOST_CLUSTERS and found.trials[0].cloud is None:
        remarks.append(
            f"BIC still decreases at {MOST_CLUSTERS} clusters: the particles do not form a few Gaussian clouds, and "
            "this number has little meaning"
        )
    if suggestion.uncertain and len(found.model) > 1:
        total = sum(len(c.group) for c in suggestion.clusters) + suggestion.improbable
        share = 100 * suggestion.uncertain / total
        remarks.append(
            f"clusters overlap: {share:.1f}% of the particles belong to their cluster with a probability below "
            f"{_SURELY:.0%}" + ("; the clusters may be parts of a continuum" if share > _CONTINUUM_PERCENT else "")
        )
    if suggestion.overlap is not None:
        remarks.append(
            f"without the errors of the coordinates, the cluster of {100 * suggestion.overlap:.1f}% of the particles "
            "would be uncertain"
        )
    return remarks


def format_suggestion(suggestion: Suggestion, min_probability: float) -> str:
    """A suggestion as text: the numbers of clusters that were tried, conclusions, and the clusters.

    min_probability: below which particles belong to no cluster.
    """
    trials, clusters = suggestion.found.trials, suggestion.clusters
    certain = suggestion.uncertain is not None
    head = ["cluster", "particles", *suggestion.labels, *(["mean probability"] if certain else [])]
    rows = [
        [c.group.name, str(len(c.group)), *(f"{m:.1f} ± {s:.1f}" for m, s in zip(c.mean, c.sd, strict=True)),
         *([] if c.probability is None else [f"{c.probability:.3f}"])]
        for c in clusters
    ]  # fmt: skip
    parts = [_format_trials(trials), *remarks(suggestion), format_rows(head, rows)]
    excluded = [f"{suggestion.outliers} outliers"] if suggestion.outliers else []
    if suggestion.improbable:
        excluded.append(f"{suggestion.improbable} particles with a probability below {min_probability:g}")
    return "\n".join(parts + ([f"in no group: {', '.join(excluded)}"] if excluded else []))


def _format_trials(trials: list[Trial]) -> str:
    """The table by which the number of clusters is selected: BIC, or silhouettes."""
    if trials[0].cloud is None:
        least = min(t.score for t in trials)
        rows = [
            [str(t.number), f"{t.score:.1f}", f"{t.score - least:.1f}", "yes" if t.converged else "no"] for t in trials
        ]
        return format_rows(["clusters", "BIC", "above the lowest", "converged"], rows)
    rows = [[str(t.number), f"{t.score:.3f}", f"{t.cloud:.3f}"] for t in trials]
    return format_rows(["clusters", "silhouette", "that of one cloud"], rows)


def suggestion_facts(suggestion: Suggestion) -> dict[str, Any]:
    """The facts of a record about clusters."""
    found = suggestion.found
    return {
        "grouping_supported": found.supported,
        "remarks": remarks(suggestion),
        "tried": [
            {"clusters": t.number, ("bic" if t.cloud is None else "silhouette"): t.score, "converged": t.converged}
            | ({} if t.cloud is None else {"silhouette_of_one_cloud": t.cloud})
            for t in found.trials
        ],
        "coordinates": suggestion.labels,
        "clusters": [
            {"name": c.group.name, "particles": len(c.group), "mean": c.mean.tolist(), "sd": c.sd.tolist()}
            | ({} if c.probability is None else {"mean_probability": c.probability})
            for c in suggestion.clusters
        ],
        "outliers_left_out": suggestion.outliers,
        "improbable_left_out": suggestion.improbable,
        "in_doubt": suggestion.uncertain,
        "uncertain_share_without_errors": suggestion.overlap,
    }
