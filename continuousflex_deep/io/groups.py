"""Named groups of particles: the file by which the landscape viewer, the report and the commands exchange them.

A JSON file: {"format": …, "groups": [{"name": "open", "colour": "#4477aa", "ids": [3, 8, …]}, …]}. Groups may overlap.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Integers
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import atomic_path, require_file
from continuousflex_deep.io.names import numbered_names
from continuousflex_deep.io.texts import parse_json, read_text

_FORMAT = "continuousflex_deep groups 1"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
# distinguishable with all kinds of colour vision (Paul Tol, "bright" and "muted" schemes, personal.sron.nl/~pault)
COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377",
    "#332288", "#999933", "#882255", "#44aa99", "#cc6677", "#117733",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class NamedGroup:
    """Particles by their ids (n,), sorted and unique; colour is #rrggbb. Raises InputError for names without printable
    characters, for other colours and for repeated ids."""

    name: str
    colour: str
    ids: Integers

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.name.isprintable():
            raise InputError(f"group: got the name {self.name!r}, expected printable characters")
        if not _COLOUR.fullmatch(self.colour):
            raise InputError(f"group '{self.name}': got colour '{self.colour}', expected one such as #4477aa")
        ids = np.unique(np.asarray(self.ids, dtype=np.int64))
        if len(ids) != len(self.ids):
            raise InputError(f"group '{self.name}': {len(self.ids) - len(ids)} ids occur more than once")
        object.__setattr__(self, "ids", ids)

    def __len__(self) -> int:
        return len(self.ids)


def file_names(groups: Sequence[NamedGroup]) -> list[str]:
    """A name for a file of each group, without suffix: 1_open, 2_in_between."""
    return numbered_names([group.name for group in groups])


def write_groups(path: str | Path, groups: Sequence[NamedGroup]) -> None:
    """Write groups in their order. Raises InputError if two groups have the same name."""
    _require_different_names(groups)
    plain = [{"name": g.name, "colour": g.colour, "ids": g.ids.tolist()} for g in groups]
    with atomic_path(path) as temporary:  # compact: a million ids are some 8 MB
        temporary.write_text(json.dumps({"format": _FORMAT, "groups": plain}) + "\n", encoding="utf-8")


def read_groups(path: str | Path) -> list[NamedGroup]:
    """The groups of a file that write_groups wrote, in their order. Raises InputError if there is no file, FormatError
    for another format."""
    file = require_file(path, "groups")
    try:
        content = parse_json(read_text(file, "groups"))
        if content["format"] != _FORMAT:
            raise ValueError(f"its format is {content['format']!r}, expected {_FORMAT!r}")
        groups = [NamedGroup(str(g["name"]), str(g["colour"]), _ids(g["ids"])) for g in content["groups"]]
        _require_different_names(groups)
    except (ValueError, KeyError, TypeError, OverflowError, InputError) as error:
        raise FormatError(f"'{file}' is not a file of groups ({error}); save the groups again in the viewer") from error
    return groups


def _ids(values: object) -> Integers:
    if not isinstance(values, list) or not all(type(v) is int for v in values):
        raise ValueError("its ids are not whole numbers")
    return np.array(values, dtype=np.int64)


def _require_different_names(groups: Sequence[NamedGroup]) -> None:
    names = [group.name for group in groups]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two groups have the name '{twice[0]}'; rename one of them")
