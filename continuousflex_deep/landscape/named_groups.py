"""Named groups of a landscape's particles, as a file of groups lists them: their rows and their statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.groups import NamedGroup
from continuousflex_deep.io.tables import format_rows
from continuousflex_deep.landscape.landscape import Landscape
from continuousflex_deep.landscape.selection import centroid


@dataclass(frozen=True, eq=False)
class SelectedGroup:
    """A group, its rows (n,) in the landscape's order, the number of outliers that were excluded, and the number of its
    particles that are also in other groups."""

    group: NamedGroup
    rows: Integers
    outliers: int
    shared: int


def select_named(
    landscape: Landscape, groups: Sequence[NamedGroup], keep_outliers: bool = False
) -> list[SelectedGroup]:
    """The groups' particles in a landscape, without outliers unless keep_outliers.

    Raises InputError, naming the group, for ids that the landscape lacks and for groups without particles.
    """
    if not groups:
        raise InputError("the file contains no groups; save groups in the viewer, or run the clusters command")
    members = [_rows(landscape, group, keep_outliers) for group in groups]
    times = np.zeros(len(landscape.particles), dtype=np.int64)
    for rows in members:
        times[rows] += 1
    return [
        SelectedGroup(
            replace(group, ids=landscape.particles.ids[rows]),
            rows,
            len(group) - len(rows),
            int((times[rows] > 1).sum()),
        )
        for group, rows in zip(groups, members, strict=True)
    ]


def _rows(landscape: Landscape, group: NamedGroup, keep_outliers: bool) -> Integers:
    if not len(group):
        raise InputError(f"group '{group.name}' has no particles; delete it or add particles")
    try:
        rows = np.sort(landscape.particles.rows_of(group.ids))
    except InputError as error:
        raise InputError(f"group '{group.name}' belongs to another landscape: {error}") from error
    kept = rows if keep_outliers else rows[~landscape.outlier[rows]]
    if not len(kept):
        raise InputError(
            f"group '{group.name}': all {len(rows)} particles are outliers; add --keep-outliers to include them"
        )
    return kept


def group_facts(landscape: Landscape, selected: SelectedGroup) -> dict[str, Any]:
    """The facts of a group's record: its name, numbers of particles, and its centroid."""
    return {
        "name": selected.group.name,
        "colour": selected.group.colour,
        "outliers_left_out": selected.outliers,
        "shared_with_other_groups": selected.shared,
        **centroid(landscape, selected.rows),
    }


def format_groups(facts: Sequence[dict[str, Any]], total: int) -> str:
    """The table of groups that the command prints. total: particles of the landscape."""
    head = ["group", "particles", "share %", "outliers excluded", "in other groups"]
    head += [f"q{m} [Å]" for m in facts[0]["mode_ids"]]
    rows = [
        [
            f["name"], str(f["particles"]), f"{100 * f['particles'] / total:.1f}", str(f["outliers_left_out"]),
            str(f["shared_with_other_groups"]),
            *(f"{q:.1f} ± {s:.1f}" for q, s in zip(f["centroid_amplitudes"], f["sd_amplitudes"], strict=True)),
        ]
        for f in facts
    ]  # fmt: skip
    return format_rows(head, rows)
