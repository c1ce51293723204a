"""The `clusters` command: clusters of the particles of a landscape, as a file of suggested groups.

…_record.json beside the file contains the scores by which the number of clusters was selected. Outliers are in no
group. If the particles form one cloud, the command reports this and writes all of them as one group, so that subsequent
steps run.
"""

from pathlib import Path

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.groups import write_groups
from continuousflex_deep.io.landscape_table import read_landscape_table
from continuousflex_deep.io.records import require_record, write_record
from continuousflex_deep.landscape.reduction import read_reduction
from continuousflex_deep.landscape.suggestion import format_suggestion, suggest_groups, suggestion_facts
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
    write_record(record, "clusters", options, **suggestion_facts(suggestion))
    print(format_suggestion(suggestion, options.min_probability))
    print(f"written: {output}")
