"""Particle sets of different origin, such as HEMNMA and the network, merged for one landscape."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from continuousflex_deep.arrays import Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.relion import OPTICS_GROUP, optics_groups
from continuousflex_deep.particles import RESULTS, Particles, concatenate

_OPTICS = ("voltage_kV", "cs_mm", "amplitude_contrast")
_OPTIONAL = (*RESULTS, "ctf")


def merge_sets(sets: Sequence[Particles], names: Sequence[str]) -> tuple[Particles, Integers, list[str]]:
    """The merged set, the number (n,) of each particle's file (1, 2, …), and the columns that were dropped.

    Only columns that all files have are kept. A particle in two files is an InputError, since any selection among its
    results would be silent. Optics groups with the same number but different optics are renumbered.
    """
    for (i, first), (j, second) in combinations(enumerate(sets), 2):
        both = np.intersect1d(first.ids, second.ids)
        if len(both):
            raise InputError(
                f"'{names[i]}' and '{names[j]}' share {len(both)} particles, for example ids {both[:5].tolist()}; "
                "each particle can occur only once in a landscape: remove them from one of the files"
            )
    merged = concatenate(sets)
    source = np.concatenate([np.full(len(p), i, dtype=np.int64) for i, p in enumerate(sets, start=1)])
    return _with_distinct_optics(merged), source, _dropped(sets, merged)


def _dropped(sets: Sequence[Particles], merged: Particles) -> list[str]:
    known = {c for p in sets for c in _OPTIONAL if getattr(p, c) is not None}
    lost = [c for c in _OPTIONAL if c in known and getattr(merged, c) is None]
    extra = sorted({c for p in sets for c in (*p.extra, *p.optics_extra)} - {*merged.extra, *merged.optics_extra})
    return lost + extra


def _with_distinct_optics(p: Particles) -> Particles:
    """The same particles with one optics group for each combination of group number and optics."""
    groups = optics_groups(p)
    facts = [groups, *p.optics_extra.values()]
    if p.ctf is not None:
        facts += [getattr(p.ctf, name) for name in _OPTICS]
    keys = list(zip(*facts, strict=True))
    distinct = dict.fromkeys(keys)
    if len(distinct) == len(set(groups)):
        return p
    number = {key: str(i) for i, key in enumerate(distinct, start=1)}
    renumbered = np.array([number[key] for key in keys], dtype=object)
    return p.replace(extra=p.extra | {OPTICS_GROUP: renumbered})
