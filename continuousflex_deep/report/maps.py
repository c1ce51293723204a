"""Reconstructions for the page: pictures of their central slices, curves and resolutions."""

import base64
from pathlib import Path
from typing import Any

from continuousflex_deep.arrays import Map
from continuousflex_deep.errors import FormatError
from continuousflex_deep.figures.maps import grey_limits, small_slices_png
from continuousflex_deep.io.file_names import AVERAGE_MRC, FSC_CSV, FSC_JSON, LOCAL_MRC, MAP_MRC
from continuousflex_deep.io.fsc_table import FREQUENCY, read_resolutions
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.report.csv_columns import read_columns

# maps of a folder that are shown beside map.mrc, where they are there, and what they are called
_BESIDE = {AVERAGE_MRC: "motion not undone", LOCAL_MRC: "locally filtered"}


def reconstruction_content(folder: str, name: str, record: dict[str, Any]) -> dict[str, Any]:
    """The maps that `reconstruct` or `unbend` wrote into a folder: of one group, or of several on one grey scale."""
    path = Path(folder)
    several = _groups(path, record)
    members = [(path / facts["folder"], facts) for facts in several] if several else [(path, record)]
    volumes = [_volumes(place) for place, _ in members]
    maps = [volume for shown in volumes for volume, _ in shown.values()]
    limits = grey_limits(maps)
    return {
        "name": name,
        "command": record["command"],
        "members": [
            _member(place, facts, shown, limits) for (place, facts), shown in zip(members, volumes, strict=True)
        ],
    }


def _groups(folder: Path, record: dict[str, Any]) -> list[dict[str, Any]]:
    """What the record says of each group; nothing where it is of one map."""
    groups = record.get("groups") or []
    whole = isinstance(groups, list) and all(isinstance(g, dict) for g in groups)
    if not whole or not all(isinstance(g.get("folder"), str) for g in groups):
        raise FormatError(
            f"'{folder / 'record.json'}': its groups are {groups!r:.60}, expected the folder of each; run the "
            "reconstruct command again"
        )
    return groups


def fsc_content(file: Path) -> dict[str, Any]:
    """The frequencies in 1/Å and the curves by name of a table of Fourier shell correlations."""
    curves = read_columns(file, "Fourier shell correlations")
    frequency = curves.pop(FREQUENCY, None)
    if frequency is None or None in frequency or not curves:
        raise FormatError(
            f"'{file}' has no column {FREQUENCY} of numbers, or no other one; run the command that wrote it again"
        )
    return {"frequency": frequency, "curves": curves}


def _member(
    folder: Path, facts: dict[str, Any], volumes: dict[str, tuple[Map, float]], limits: tuple[float, float]
) -> dict[str, Any]:
    along: dict[str, Any] = {name: facts[name] for name in ("axis", "low", "high") if name in facts}
    return {
        "name": folder.name,
        "particles": facts.get("particles"),
        **along,
        **fsc_content(folder / FSC_CSV),
        "resolutions": read_resolutions(folder / FSC_JSON),
        "pictures": {name: _picture(*volume, limits) for name, volume in volumes.items()},
    }


def _volumes(folder: Path) -> dict[str, tuple[Map, float]]:
    """Maps and their voxel sizes in Å by what they are called."""
    beside = {name: folder / file for file, name in _BESIDE.items() if (folder / file).is_file()}
    return {name: read_volume(file) for name, file in ({"map": folder / MAP_MRC} | beside).items()}


def _picture(volume: Map, voxel_A: float, limits: tuple[float, float]) -> str:
    """PNG, in base64, of a map's central slices."""
    return base64.b64encode(small_slices_png(volume, voxel_A, limits)).decode("ascii")
