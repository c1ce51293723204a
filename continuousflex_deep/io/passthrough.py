"""Fields in the passthrough files of a cryoSPARC job, joined by uid.

A job writes computed fields into JOB_…_particles.cs and unchanged fields (images, CTF, micrographs, sometimes poses)
into JOB_passthrough_particles….cs beside it; a classification writes one such file per class.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Booleans, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.messages import note
from continuousflex_deep.particles import find_rows

Fields = dict[str, NDArray[Any]]
_JOB = re.compile(r"(?<![A-Za-z0-9])J\d+(?![A-Za-z0-9])")


def passthrough_files(path: Path) -> list[Path]:
    """The passthrough files of particles beside `path` that may belong to its job, by name."""
    job = _JOB.search(path.name)
    found = []
    for other in sorted(path.parent.glob("*passthrough*.cs")):
        theirs = _JOB.search(other.name)
        same = job is None or theirs is None or job[0] == theirs[0]
        if same and "particle" in other.name and other.name != path.name:
            found.append(other)
    return found


@dataclass(frozen=True)
class Wanted:
    """A group of fields: its content, and whether it is an error if it is missing or contradictory."""

    what: str
    needed: bool


@dataclass
class _Collected:
    """One group as found in passthrough files: its fields (n, …), the rows that have them, and an error, if any."""

    has: Booleans
    fields: Fields = field(default_factory=dict)
    trouble: InputError | None = None


def complete_by_uid(
    path: Path, table: Fields, wanted: Mapping[str, Wanted], read: Callable[[Path], Fields]
) -> tuple[Fields, dict[str, list[str]]]:
    """The table completed by missing groups of fields, and by name of file the groups found in it.

    wanted: field → its group (the part of its name before the slash). If a file cannot be read, two files contradict
    each other, or only some particles have a group, a needed group raises InputError; other groups are omitted with a
    note.
    """
    lacking = {name: group for name, group in wanted.items() if name not in table}
    collected = {name: _Collected(np.zeros(len(table["uid"]), dtype=bool)) for name in lacking}
    found: dict[str, list[str]] = {}
    unread: InputError | None = None
    for other in passthrough_files(path) if lacking else []:
        try:
            theirs = read(other)
        except InputError as error:
            unread = unread or error
            continue
        rows, places = _common(table["uid"], theirs["uid"])
        for name, group in lacking.items():
            if name in theirs and len(rows) and collected[name].trouble is None:
                _collect(collected[name], name, theirs, rows, places, f"'{other}'")
                found.setdefault(other.name, []).append(group.what)
    completed = dict(table)
    for name, group in lacking.items():
        trouble = _trouble(collected[name], path, name, group.what, table["uid"], found, unread)
        if trouble is None:
            completed = collected[name].fields | completed
        elif group.needed:
            raise trouble
        else:
            note(f"'{path.name}': {group.what} are not read: {trouble}")
            found = {file: [what for what in held if what != group.what] for file, held in found.items()}
    return completed, {file: held for file, held in found.items() if held}


def _collect(
    into: _Collected,
    name: str,
    theirs: Fields,
    rows: Integers,
    places: Integers,
    origin: str,
) -> None:
    """Add another file's values, at its places, to our rows; a contradiction is stored as the group's error."""
    group = {n: v for n, v in theirs.items() if n.startswith(name.partition("/")[0] + "/")}
    try:
        _fill(into.fields, into.has, group, rows, places, origin)
    except InputError as error:
        into.trouble = error


def _trouble(
    collected: _Collected,
    path: Path,
    name: str,
    what: str,
    uids: NDArray[np.uint64],
    found: Mapping[str, list[str]],
    unread: InputError | None,
) -> InputError | None:
    """Why a group cannot be taken from the passthrough files; None if it can, or if they do not contain it."""
    has = collected.has
    if collected.trouble is not None or has.all():
        return collected.trouble
    if unread is not None:
        return InputError(f"'{path}' has no {what}, and a passthrough file that may have them cannot be read: {unread}")
    if not has.any():
        return None
    files = sorted(file for file, held in found.items() if what in held)
    return InputError(
        f"'{path}': the passthrough files {files} beside it have {what} ({name}) for {int(has.sum())} of {len(uids)} "
        f"particles; uids {uids[~has][:3].tolist()} are missing: do they belong to the same job?"
    )


def _common(uids: NDArray[np.uint64], theirs: NDArray[np.uint64]) -> tuple[Integers, Integers]:
    """Our rows that are in the other file, and their rows there."""
    places, there = find_rows(theirs, uids)
    rows = np.flatnonzero(there)
    return rows, places[rows]


def _fill(
    into: Fields,
    has: Booleans,
    group: Fields,
    rows: Integers,
    places: Integers,
    origin: str,
) -> None:
    """Copy the values of a group of fields at `places` into our rows; values that are there already must be equal."""
    twice = has[rows]
    for name, values in group.items():
        if name not in into:
            if has.any():
                continue  # an earlier file with the same group lacks this field
            into[name] = np.zeros((len(has), *values.shape[1:]), dtype=values.dtype)
        elif values.dtype.kind in "SU" and values.dtype.itemsize > into[name].dtype.itemsize:
            into[name] = into[name].astype(values.dtype)  # longer paths
        if not np.array_equal(into[name][rows[twice]], values[places[twice]]):
            raise InputError(
                f"{origin}, field {name}: another passthrough file beside it has other values for {int(twice.sum())} "
                "particles; keep only the file of the job"
            )
        into[name][rows] = values[places]
    for name in [n for n in into if n not in group]:
        del into[name]
    has[rows] = True
