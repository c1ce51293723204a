"""The groups that the reconstruct command wrote, for an assessment: their particles, half maps, and names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from continuousflex_deep.arrays import Map
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.file_names import HALF_MAPS_MRC, PARTICLES_STAR, RECORD_JSON
from continuousflex_deep.io.files import require_file
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.names import distinct, telling_names
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.records import read_record
from continuousflex_deep.particles import Particles
from continuousflex_deep.sampling import same_pixel_size

_AGAIN = "run reconstruct again"
_NOT_IN_NAMES = re.compile(r"[/\\:]+")


@dataclass(frozen=True, eq=False)
class GroupMap:
    """A folder of the reconstruct command: its particles, and the parameters of the map.

    name: unique among the groups that are read together, and valid for a folder; label: describes the group.
    """

    name: str
    folder: Path
    particles: Particles
    mask_diameter_A: float
    symmetry: str
    facts: dict[str, Any]
    label: str = ""

    def halves(self) -> tuple[Map, Map, float]:
        """Both half maps (d, d, d) and their voxel size in Å. FormatError unless cubic and of the same size."""
        (first, voxel_A), (second, other_A) = (read_volume(self.folder / half) for half in HALF_MAPS_MRC)
        cubic = len(set(first.shape)) == 1
        if not cubic or first.shape != second.shape or not same_pixel_size(other_A, voxel_A):
            found = ", ".join(
                f"'{self.folder / half}' with {'×'.join(map(str, volume.shape))} voxels of {size_A:g} Å"
                for half, volume, size_A in zip(HALF_MAPS_MRC, (first, second), (voxel_A, other_A), strict=True)
            )
            raise FormatError(f"half maps: got {found}, expected two cubic maps of the same size; {_AGAIN}")
        return first, second, voxel_A


def read_group_maps(folders: Sequence[str | Path]) -> list[GroupMap]:
    """The groups in these folders, in order; reconstruct writes one group or several groups into a folder.

    Raises InputError or FormatError for folders of other commands, and for groups without their particles.
    """
    found: list[tuple[Path, dict[str, Any]]] = []
    for name in folders:
        folder = Path(name)
        record = _record(folder)
        found += [(part, _record(part)) for part in _parts(folder, record)]
    names = [_NOT_IN_NAMES.sub("_", name).strip("_") for name in telling_names([folder for folder, _ in found])]
    return [_group(name, folder, record) for name, (folder, record) in zip(distinct(names), found, strict=True)]


def _record(folder: Path) -> dict[str, Any]:
    file = folder / RECORD_JSON
    record = read_record(file) if file.is_file() else {}
    if record.get("command") != "reconstruct":
        raise InputError(f"'{folder}' has no record of the reconstruct command; give an output folder of it")
    return record


def _parts(folder: Path, record: dict[str, Any]) -> list[Path]:
    """The folders of the groups of a reconstruction: their own folders, or the folder itself for a single group."""
    if "groups" not in record:
        return [folder]
    groups = record["groups"]
    if not (isinstance(groups, list) and groups and all(isinstance(g, dict) for g in groups)):
        raise FormatError(f"'{folder / RECORD_JSON}': got groups {groups!r:.60}, expected a list; {_AGAIN}")
    return [folder / _fact(group, "folder", str, folder) for group in groups]


def _fact(facts: dict[str, Any], key: str, kind: type | tuple[type, ...], folder: Path) -> Any:
    """A value of that kind from a folder's record; FormatError where it is missing."""
    if not isinstance(facts.get(key), kind):
        got = f"{facts[key]!r:.40}" if key in facts else f"only {', '.join(map(repr, facts)) or 'nothing'}"
        raise FormatError(f"'{folder / RECORD_JSON}': expected '{key}', got {got}; {_AGAIN}")
    return facts[key]


def _group(name: str, folder: Path, record: dict[str, Any]) -> GroupMap:
    file = folder / PARTICLES_STAR
    if not file.is_file():
        raise InputError(f"'{folder}' has no particles.star, from which its centroid is computed; {_AGAIN}")
    for half in HALF_MAPS_MRC:
        require_file(folder / half, "half map")
    facts: dict[str, Any] = {key: record[key] for key in ("axis", "low", "mean", "high") if key in record}
    options = record["options"]
    diameter_A = float(_fact(options, "mask_diameter_A", (int, float), folder))
    return GroupMap(
        name, folder, read_particles(file), diameter_A, _fact(options, "symmetry", str, folder), facts, _label(record)
    )


def _label(record: dict[str, Any]) -> str:
    """A description of the group: the name of its particle file, or its range along an axis."""
    if isinstance(record.get("file"), str):
        return Path(record["file"]).stem
    numbers = [record.get(key) for key in ("low", "high")]
    if isinstance(record.get("axis"), str) and all(isinstance(number, (int, float)) for number in numbers):
        return f"{record['axis']} {numbers[0]:.4g} to {numbers[1]:.4g}"
    return ""
