"""A landscape for the page: named columns of its particles, those that are drawn, and groups of them.

Large landscapes do not fit into a page one opens. Of all particles ids, coordinates and amplitudes are kept as far as
they fit, so that selections cover all of them; points are drawn, and described by all columns, for some of them that
are evenly spread.
"""

import base64
import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.density_table import DensityTable, energy_of
from continuousflex_deep.io.file_names import DEPENDENCE_PNG
from continuousflex_deep.io.groups import COLOURS, NamedGroup, read_groups
from continuousflex_deep.io.landscape_table import LandscapeTable
from continuousflex_deep.io.names import telling_names
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.options import ReportOptions
from continuousflex_deep.particles import evenly_spread
from continuousflex_deep.report.packing import Pack

_ID_BYTES, _COLUMN_BYTES = 9, 4  # of a particle: its id and outlier mark, and its value in a column
_CATEGORIES = ("source", "ambiguous")


def landscape_content(
    options: ReportOptions, table: LandscapeTable, groups: list[NamedGroup], pack: Pack
) -> dict[str, Any]:
    """What the page shows of a landscape.

    total particles, of which the first `kept` ones are in the page: all, or those drawn. drawn: their rows among those
    kept, None for all. Of a complete column there is a value for each one kept, of others for each one drawn.
    """
    columns, axes = report_columns(table), axis_names(table)
    drawn = evenly_spread(len(table), options.max_points)
    complete = complete_columns(table, list(columns), len(drawn), options.max_megabytes)
    kept = np.arange(len(table)) if complete else drawn
    shown = None if len(drawn) == len(kept) else pack.array(drawn.astype(np.uint32))
    told = []
    for name, values in columns.items():
        whole = shown is None or name in complete
        packed_values = pack.array(values[kept if whole else drawn].astype(np.float32))
        told.append({
            "name": name, "label": table.label(name), "complete": whole, "values": packed_values,
            "axis": name in axes, "categories": _categories(name, table),
        })  # fmt: skip
    return {
        "total": len(table),
        "kept": len(kept),
        "drawn_count": len(drawn),
        "drawn": shown,
        "ids": pack.array(table.ids[kept].astype(np.int64)),
        "outlier": pack.array(table.outlier[kept].astype(np.uint8)),
        "outliers": int(table.outlier.sum()),
        "columns": told,
        "coordinates": table.coordinate_names(),
        "modes": list(table.mode_ids),
        "groups": [_group_content(group, table, kept, pack) for group in groups],
        "folder": shlex.quote(options.landscape),
    }


def density_content(table: LandscapeTable, densities: list[DensityTable], pack: Pack) -> list[dict[str, Any]]:
    """Free energies in kT over the first coordinate, and in the first plane: raw, deconvolved, and the 95% limits."""
    contents = []
    for density in densities:
        highest = {"raw": density.raw.max()}
        energies = {
            name: energy_of(getattr(density, name), float(highest.get(name, density.deconvolved.max())))
            for name in ("raw", "deconvolved", "low", "high")
        }
        labels = table.axis_labels[: density.raw.ndim]
        contents.append({
            "labels": labels,
            "places": [pack.array(places.astype(np.float32)) for places in density.axes],
            "errors": dict(zip(labels, density.error_sd.tolist(), strict=True)),
            **{name: pack.array(energy.astype(np.float32)) for name, energy in energies.items()},
        })  # fmt: skip
    return contents


def dependence_content(folder: str, record: dict[str, Any]) -> dict[str, Any] | None:
    """What the landscape's record says of the dependence on imaging, with its picture; None of earlier landscapes."""
    picture, found = Path(folder) / DEPENDENCE_PNG, record.get("dependence")
    if not isinstance(found, dict) or not isinstance(found.get("sentence"), str):
        return None
    return {
        "sentence": found["sentence"],
        "alarm": found.get("alarm") is True,
        "picture": base64.b64encode(picture.read_bytes()).decode("ascii") if picture.is_file() else None,
    }


def report_columns(table: LandscapeTable) -> dict[str, NDArray[Any]]:
    """The columns (n,) by the names that conditions use, coordinates and amplitudes first; ids and outliers apart."""
    columns = table.columns()
    axes = axis_names(table)
    other = [name for name in columns if not name.startswith(("pc", "dim")) and name not in (*axes, "id", "outlier")]
    return {name: columns[name] for name in (*axes, *other)}


def axis_names(table: LandscapeTable) -> list[str]:
    """The columns that say what conformation a particle has: coordinates, then amplitudes."""
    return [*table.coordinate_names(), *(f"q{m}" for m in table.mode_ids)]


def complete_columns(table: LandscapeTable, names: list[str], n_drawn: int, most_megabytes: float) -> set[str]:
    """The columns that are kept for all particles: all where all are drawn; else coordinates, and amplitudes, too, if
    these still fit; none where not even the coordinates do."""
    if n_drawn == len(table):
        return set(names)
    for chosen in (axis_names(table), table.coordinate_names()):
        if len(table) * (_ID_BYTES + _COLUMN_BYTES * len(chosen)) <= most_megabytes * 1e6:
            return set(chosen)
    return set()


def read_report_groups(paths: Sequence[str], table: LandscapeTable) -> list[NamedGroup]:
    """The groups of files: named ones (.json), or a particle file that is one group, called as the file is; and where
    groups of several files have one name, by that and the file's.

    Raises InputError where particles are not in the landscape.
    """
    ends = [path.removesuffix(Path(path).suffix) for path in paths]
    found = [
        (group, name) for path, name in zip(paths, telling_names(ends), strict=True)
        for group in _groups_of(path, name, table)
    ]  # fmt: skip
    names = [group.name for group, _ in found]
    return [
        dataclasses.replace(group, name=f"{group.name} ({file})") if names.count(group.name) > 1 else group
        for group, file in found
    ]


def _groups_of(path: str, name: str, table: LandscapeTable) -> list[NamedGroup]:
    """The groups of one file, a particle file's under that name."""
    file = Path(path)
    groups = read_groups(file) if file.suffix == ".json" else [NamedGroup(name, COLOURS[0], read_particles(file).ids)]
    for group in groups:
        missing = np.setdiff1d(group.ids, table.ids)
        if len(missing):
            raise InputError(
                f"group '{group.name}' of '{path}': {len(missing)} of its {len(group)} particles are not in the "
                f"landscape, for example {missing[:5].tolist()}; give groups that were made of it"
            )
    return groups


def _group_content(group: NamedGroup, table: LandscapeTable, kept: Integers, pack: Pack) -> dict[str, Any]:
    """Its ids, all of them, and the rows of those that the page keeps."""
    rows = np.flatnonzero(np.isin(table.ids[kept], group.ids)).astype(np.uint32)
    return {
        "name": group.name,
        "colour": group.colour,
        "size": len(group),
        "outliers": bool(table.outlier[np.isin(table.ids, group.ids)].any()),
        "rows": pack.array(rows),
        "ids": None if len(rows) == len(group) else pack.array(group.ids.astype(np.int64)),
    }


def _categories(name: str, table: LandscapeTable) -> list[str] | None:
    """What the values 0, 1, … of a column stand for; None for numbers."""
    if name not in _CATEGORIES:
        return None
    if name == "ambiguous":
        return ["no", "yes"]
    names = table.source_names or tuple(f"file {i}" for i in range(1, int(table.source.max()) + 1))
    return ["", *names]  # sources are counted from 1
