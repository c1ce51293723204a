"""The `clusters` command: groups of a landscape, suggested by where its particles crowd, as a file of groups.

Beside the file, …_record.json says how they were found. Outliers are in no group. Where the particles form one cloud,
this is said, and the file holds all of them as one group: what follows still runs, and finds nothing to compare.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.analysis.clusters import MOST_CLUSTERS, Clustering, Trial, find_clusters
from continuousflex_deep.analysis.tables import format_rows
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.groups import COLOURS, NamedGroup, write_groups
from continuousflex_deep.io.landscape_table import LandscapeTable, read_landscape_table
from continuousflex_deep.io.records import require_record, write_record
from continuousflex_deep.options import ClustersOptions
from continuousflex_deep.particles import evenly_spread

Floats = NDArray[np.float64]
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


def run(options: ClustersOptions) -> None:
    """The `clusters` command."""
    output = Path(options.output)
    if output.suffix != ".json" or output.is_dir():
        raise InputError(f"--output: got '{output}', expected a file .json for the groups")
    record = output.with_name(f"{output.stem}_record.json")
    require_record(record)
    suggestion = suggest_groups(read_landscape_table(options.landscape), options)
    write_groups(output, [c.group for c in suggestion.clusters])
    write_record(record, "clusters", options, **_facts(suggestion))
    print(format_suggestion(suggestion, options))
    print(f"written: {output}")


def format_suggestion(suggestion: Suggestion, options: ClustersOptions) -> str:
    """What the command prints: what was tried, what it says of the particles, and the clusters."""
    trials, clusters = suggestion.found.trials, suggestion.clusters
    certain = suggestion.doubtful is not None
    head = ["cluster", "particles", *suggestion.labels, *(["mean probability"] if certain else [])]
    rows = [
        [c.group.name, str(len(c.group)), *(f"{m:.1f} ± {s:.1f}" for m, s in zip(c.mean, c.sd, strict=True)),
         *([] if c.probability is None else [f"{c.probability:.3f}"])]
        for c in clusters
    ]  # fmt: skip
    told = [_format_trials(trials), *_remarks(suggestion), format_rows(head, rows)]
    left_out = [f"{suggestion.outliers} outliers"] if suggestion.outliers else []
    if suggestion.improbable:
        left_out.append(f"{suggestion.improbable} particles of a probability below {options.min_probability:g}")
    return "\n".join(told + ([f"in no group: {', '.join(left_out)}"] if left_out else []))


def _format_trials(trials: list[Trial]) -> str:
    """The table by which a number of clusters is chosen: BIC above the least one, or silhouettes."""
    if trials[0].cloud is None:
        least = min(t.score for t in trials)
        rows = [
            [str(t.number), f"{t.score:.1f}", f"{t.score - least:.1f}", "yes" if t.converged else "no"] for t in trials
        ]
        return format_rows(["clusters", "BIC", "above the least", "converged"], rows)
    rows = [[str(t.number), f"{t.score:.3f}", f"{t.cloud:.3f}"] for t in trials]
    return format_rows(["clusters", "silhouette", "of one cloud"], rows)


def _remarks(suggestion: Suggestion) -> list[str]:
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


def _facts(suggestion: Suggestion) -> dict[str, Any]:
    """For the record."""
    found = suggestion.found
    return {
        "grouping_supported": found.supported,
        "remarks": _remarks(suggestion),
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
        "in_doubt": suggestion.doubtful,
    }
