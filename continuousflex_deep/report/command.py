"""The report command: what other commands wrote, as one HTML file for any browser."""

import os
from pathlib import Path
from typing import Any

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import atomic_path, telling_names
from continuousflex_deep.io.groups import COLOURS
from continuousflex_deep.io.landscape_table import read_landscape_table
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.options import ReportOptions
from continuousflex_deep.report.evaluations import evaluation_content
from continuousflex_deep.report.landscape import landscape_content, read_report_groups
from continuousflex_deep.report.maps import reconstruction_content
from continuousflex_deep.report.molecule import molecule_content, read_path, trajectory_content
from continuousflex_deep.report.packing import Pack
from continuousflex_deep.report.page import page_text
from continuousflex_deep.report.provenance import provenance, record_beside, record_of
from continuousflex_deep.report.trainings import is_unfinished, training_content

_SOURCES = ("landscape", "structure", "trajectory", "reconstruction", "model", "evaluation")
_SUFFIXES = (".html", ".htm")


def run(options: ReportOptions) -> None:
    """Write the page. Raises InputError where there is nothing to show, and as the reading of each input does."""
    require_sources(options)
    pack = Pack()
    content = report_content(options, pack)
    with atomic_path(options.output) as temporary:
        # names of files in records may be no UTF-8: their bytes are then written as numbers
        temporary.write_text(page_text(content, pack), encoding="utf-8", errors="backslashreplace")
    megabytes = Path(options.output).stat().st_size / 1e6
    print(f"{describe(content)}\nwritten: {options.output} ({megabytes:.1f} MB; open it in a browser)")


def require_sources(options: ReportOptions) -> None:
    """InputError where the options name nothing to show, or half of what belongs together."""
    _require_utf8(options)
    if Path(options.output).suffix.lower() not in _SUFFIXES:
        raise InputError(f"--output: got '{options.output}', expected the name of an HTML file, such as report.html")
    if Path(options.output).is_dir():
        raise InputError(f"--output: '{options.output}' is a folder; give the name of a file, which may be in it")
    if not any(getattr(options, name) for name in _SOURCES):
        flags = ", ".join(f"--{name}" for name in _SOURCES)
        raise InputError(f"a report of nothing: give at least one of {flags}")
    if bool(options.structure) != bool(options.modes):
        raise InputError("--structure and --modes belong together: the structure is shown as its modes move it")
    if options.group and not options.landscape:
        raise InputError("--group: groups are shown in their landscape; name it by --landscape")


def _require_utf8(options: ReportOptions) -> None:
    """InputError where a text that the page will show is not UTF-8, which is all that it can hold."""
    for name in ("title", "output", "structure", "modes", "group", *_SOURCES):
        value = getattr(options, name)
        for text in [value] if isinstance(value, str) else value:
            whole = text if name == "title" else os.path.abspath(text)
            try:
                whole.encode()
            except UnicodeEncodeError as error:
                remedy = "give another" if name == "title" else "rename it, or give it by a link with another name"
                raise InputError(f"--{name}: {whole!a} is not UTF-8, as all text of a page is; {remedy}") from error


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
    reference = None
    if options.structure:
        wanted = table.mode_ids if options.landscape else None
        reference = read_reference(options.structure, options.modes, wanted)
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
    first = options.landscape or next((getattr(options, n) for n in _SOURCES if getattr(options, n)), "")
    path = Path(os.path.abspath(first if isinstance(first, str) else first[0]))
    return f"Conformations: {path.parent.name}/{path.name}"
