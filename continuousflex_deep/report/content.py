"""Everything that a report shows, from the folders and files that other commands wrote."""

import os
from pathlib import Path
from typing import Any

from continuousflex_deep.io.density_table import read_densities
from continuousflex_deep.io.groups import COLOURS
from continuousflex_deep.io.landscape_table import read_landscape_table
from continuousflex_deep.io.names import telling_names
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.options import ReportOptions
from continuousflex_deep.particles import AS_MODES
from continuousflex_deep.report.evaluations import evaluation_content
from continuousflex_deep.report.landscape import (
    density_content,
    dependence_content,
    landscape_content,
    read_report_groups,
)
from continuousflex_deep.report.maps import reconstruction_content
from continuousflex_deep.report.molecule import molecule_content, read_path, trajectory_content
from continuousflex_deep.report.packing import Pack
from continuousflex_deep.report.provenance import provenance, record_beside, record_of
from continuousflex_deep.report.trainings import is_unfinished, training_content


def report_content(options: ReportOptions, pack: Pack) -> dict[str, Any]:
    """Everything that the page shows, as JSON can hold it; large arrays are put into the pack."""
    content: dict[str, Any] = {"title": options.title or _title(options), "colours": list(COLOURS)}
    records = []
    if options.landscape:
        table = read_landscape_table(options.landscape)
        records.append(record_of(options.landscape, ("landscape",)))
        groups = read_report_groups(options.group, table)
        records += [record for file in options.group if (record := record_beside(file))]
        content["landscape"] = landscape_content(options, table, groups, pack)
        content["landscape"]["dependence"] = dependence_content(options.landscape, records[0]["record"])
        content["landscape"]["densities"] = density_content(table, read_densities(options.landscape), pack)
    reference = None
    if options.structure:
        mode_ids, motion = (table.mode_ids, table.motion) if options.landscape else (None, AS_MODES)
        reference = read_reference(options.structure, options.modes, mode_ids, options, motion)
        content["molecule"] = molecule_content(options.structure, *reference, pack)
    content["trajectories"], content["reconstructions"], content["trainings"] = [], [], []
    for folder, name in _named(options.trajectory):
        records.append(record_of(folder, ("trajectory",)))
        trajectory = read_path(folder, table if options.landscape else None)
        content["trajectories"].append(trajectory_content(folder, name, trajectory, reference, pack))
    for folder, name in _named(options.reconstruction):
        records.append(record_of(folder, ("reconstruct", "unbend")))
        content["reconstructions"].append(reconstruction_content(folder, name, records[-1]["record"]))
    for folder, name in _named(options.model):
        if not (unfinished := is_unfinished(folder)):
            records.append(record_of(folder, ("train",), "train.json"))
        content["trainings"].append(training_content(folder, name) | {"unfinished": unfinished})
    content["evaluations"] = []
    for place, name in _named(options.evaluation):
        records.append(record_of(place, ("evaluate",)))
        content["evaluations"].append(evaluation_content(place, name, records[-1]["record"]))
    return content | {"records": [provenance(**record) for record in records]}


def _named(places: tuple[str, ...]) -> list[tuple[str, str]]:
    """Each place, and what the page calls it."""
    return list(zip(places, telling_names(places), strict=True))


def describe(content: dict[str, Any]) -> str:
    """What the command prints: what is in the page, and what of a large landscape is not."""
    lines = []
    if (landscape := content.get("landscape")) is not None:
        lines.append(f"landscape of {landscape['total']} particles, {landscape['drawn_count']} of them drawn")
        if landscape["kept"] < landscape["total"]:
            lines.append(
                f"selections in the page cover only the {landscape['kept']} particles drawn: ids and coordinates of "
                "all would be more than --max-megabytes"
            )
    names = {
        "trajectories": "trajectories", "reconstructions": "reconstructions", "trainings": "trainings",
        "evaluations": "evaluations",
    }  # fmt: skip
    counts = [f"{len(content[key])} {name}" for key, name in names.items() if content[key]]
    return "\n".join([*lines, *([", ".join(counts)] if counts else [])]) or "structure and modes"


def _title(options: ReportOptions) -> str:
    """Named after what it shows first."""
    first = options.landscape or next((getattr(options, n) for n in SOURCES if getattr(options, n)), "")
    path = Path(os.path.abspath(first if isinstance(first, str) else first[0]))
    return f"Conformations: {path.parent.name}/{path.name}"


SOURCES = ("landscape", "structure", "trajectory", "reconstruction", "model", "evaluation")
