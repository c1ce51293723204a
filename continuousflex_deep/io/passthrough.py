"""Fields that a cryoSPARC job left to its passthrough files, joined by uid.

A job writes what it computed into JOB_…_particles.cs and what it only handed on (images, CTF, micrographs, sometimes
poses) into JOB_passthrough_particles….cs beside it; where it sorted particles, there is one such file per class.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.errors import InputError

Fields = dict[str, NDArray[Any]]
_JOB = re.compile(r"(?<![A-Za-z0-9])J\d+(?![A-Za-z0-9])")


def passthrough_files(path: Path) -> list[Path]:
    """The passthrough files of particles beside `path` that can be of its job, by name."""
    job = _JOB.search(path.name)
    found = []
    for other in sorted(path.parent.glob("*passthrough*.cs")):
        theirs = _JOB.search(other.name)
        same = job is None or theirs is None or job[0] == theirs[0]
        if same and "particle" in other.name and other.name != path.name:
            found.append(other)
    return found


def complete_by_uid(
    path: Path, table: Fields, wanted: Mapping[str, str], read: Callable[[Path], Fields]
) -> tuple[Fields, dict[str, list[str]]]:
    """The table with the groups of fields that it lacks, and by file's name what was found in it.

    wanted: field → what its group (the part of its name before the slash) holds. Raises InputError where two files
    contradict each other, or a group is there for some of the particles only.
    """
    lacking = {field: what for field, what in wanted.items() if field not in table}
    if not lacking:
        return table, {}
    uids = table["uid"]
    collected: dict[str, Fields] = {field: {} for field in lacking}
    has = {field: np.zeros(len(uids), dtype=bool) for field in lacking}
    found: dict[str, list[str]] = {}
    for other in passthrough_files(path):
        theirs = read(other)
        rows, places = _common(uids, theirs["uid"])
        for field, what in lacking.items():
            if field in theirs and len(rows):
                group = {n: v for n, v in theirs.items() if n.startswith(field.partition("/")[0] + "/")}
                _fill(collected[field], has[field], group, rows, places, f"'{other}'")
                found.setdefault(other.name, []).append(what)
    for field, what in lacking.items():
        if has[field].any() and not has[field].all():
            absent = uids[~has[field]]
            raise InputError(
                f"'{path}': the passthrough files {sorted(found)} beside it have {what} ({field}) for "
                f"{int(has[field].sum())} of {len(uids)} particles; uids {absent[:3].tolist()} are missing: do they "
                "belong to the same job?"
            )
    new = {name: values for group in collected.values() for name, values in group.items()}
    return new | table, found


def _common(uids: NDArray[np.uint64], theirs: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of ours that the other file has, and their rows in it."""
    order = np.argsort(theirs)
    place = order[np.clip(np.searchsorted(theirs, uids, sorter=order), 0, len(theirs) - 1)]
    rows = np.flatnonzero(theirs[place] == uids)
    return rows, place[rows]


def _fill(
    into: Fields,
    has: NDArray[np.bool_],
    group: Fields,
    rows: NDArray[np.int64],
    places: NDArray[np.int64],
    origin: str,
) -> None:
    """Put the values at `places` of a group of fields into our rows; what is there already must be the same."""
    twice = has[rows]
    for name, values in group.items():
        if name not in into:
            if has.any():
                continue  # a field that an earlier file of the same group lacks
            into[name] = np.zeros((len(has), *values.shape[1:]), dtype=values.dtype)
        elif values.dtype.kind in "SU" and values.dtype.itemsize > into[name].dtype.itemsize:
            into[name] = into[name].astype(values.dtype)  # longer paths
        if not np.array_equal(into[name][rows[twice]], values[places[twice]]):
            raise InputError(
                f"{origin}, field {name}: for {int(twice.sum())} particles another passthrough file beside it says "
                "otherwise; leave the file that belongs to the job"
            )
        into[name][rows] = values[places]
    for name in [n for n in into if n not in group]:
        del into[name]
    has[rows] = True
