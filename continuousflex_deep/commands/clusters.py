"""The `clusters` command: clusters of the particles of a landscape, as a file of suggested groups.

…_record.json beside the file contains the scores by which the number of clusters was selected. Outliers are in no
group. If the particles form one cloud, the command reports this and writes all of them as one group, so that subsequent
steps run.
"""

from pathlib import Path
from typing import Any

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.groups import write_groups
from continuousflex_deep.io.landscape_table import read_landscape_table
from continuousflex_deep.io.records import require_record, write_record
from continuousflex_deep.io.tables import format_rows
from continuousflex_deep.landscape.clusters import Trial
from continuousflex_deep.landscape.reduction import read_reduction
from continuousflex_deep.landscape.suggestion import Suggestion, remarks, suggest_groups
from continuousflex_deep.options import ClustersOptions


def run(options: ClustersOptions) -> None:
    """The `clusters` command."""
    output = Path(options.output)
    if output.suffix != ".json" or output.is_dir():
        raise InputError(f"--output: got '{output}', expected a .json file for the groups")
    record = output.with_name(f"{output.stem}_record.json")
    require_record(record)
    suggestion = suggest_groups(
        read_landscape_table(options.landscape), options, read_reduction(Path(options.landscape))
    )
    write_groups(output, [c.group for c in suggestion.clusters])
    write_record(record, "clusters", options, **_facts(suggestion))
    print(format_suggestion(suggestion, options))
    print(f"written: {output}")


def format_suggestion(suggestion: Suggestion, options: ClustersOptions) -> str:
    """What the command prints: the numbers of clusters that were tried, conclusions, and the clusters."""
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
        excluded.append(f"{suggestion.improbable} particles with a probability below {options.min_probability:g}")
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


def _facts(suggestion: Suggestion) -> dict[str, Any]:
    """Facts for the record."""
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
