"""Selection of particles with similar conformations in a landscape, for reconstruction."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Integers
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.texts import read_text
from continuousflex_deep.landscape.expressions import evaluate_condition, parse_box, ranges_of
from continuousflex_deep.landscape.landscape import Landscape, landscape_columns
from continuousflex_deep.particles import Particles, with_images

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Criteria:
    """Criteria that the particles of a group fulfil together: a condition, limits, a list of ids; see GroupOptions."""

    expression: str = ""
    box: str = ""
    ids: tuple[int, ...] | None = None
    keep_outliers: bool = False


def select_group(landscape: Landscape, criteria: Criteria) -> Integers:
    """Rows of the particles that fulfil all criteria, in the landscape's order.

    Outliers are excluded unless keep_outliers is set, or the condition or the box names `outlier`.
    Raises InputError for unknown names and ids, and for an empty group, with the ranges of the columns in the criteria.
    """
    columns = landscape.table().columns()
    mask = np.ones(len(landscape.particles), dtype=bool)
    used: list[str] = []
    if criteria.expression:
        condition, used = evaluate_condition(criteria.expression, columns)
        mask &= condition
    if criteria.box:
        limits = parse_box(criteria.box, columns)
        for name, (low, high) in limits.items():
            mask &= (columns[name] >= low) & (columns[name] <= high)
        used += [name for name in limits if name not in used]
    if criteria.ids is not None:
        listed = np.zeros(len(mask), dtype=bool)
        listed[landscape.particles.rows_of(np.array(criteria.ids, dtype=np.int64))] = True
        mask &= listed
    fulfilled = int(mask.sum())
    if not criteria.keep_outliers and "outlier" not in used:
        mask &= ~landscape.outlier
    if not mask.any():
        raise InputError(_why_empty(criteria, columns, used, fulfilled))
    return np.flatnonzero(mask)


def _why_empty(criteria: Criteria, columns: Columns, used: list[str], fulfilled: int) -> str:
    if fulfilled:
        return f"all {fulfilled} particles that fulfil the condition are outliers; add --keep-outliers to include them"
    ranges = ranges_of(columns, used)
    parts = (criteria.expression, criteria.box, "the list of ids" if criteria.ids is not None else "")
    asked = " and ".join(part for part in parts if part)
    return f"no particle fulfils '{asked}'; this landscape has {ranges or 'no particle of that list'}"


def group_particles(landscape: Landscape, rows: Integers, images: Particles | None = None) -> Particles:
    """The group's particles with their coordinates as columns; with `images`, on these images."""
    group = landscape.select(rows)
    particles = group.particles if images is None else with_images(group.particles, images)
    return particles.replace(extra=particles.extra | landscape_columns(group))


def centroid(landscape: Landscape, rows: Integers) -> dict[str, Any]:
    """The conformation of a group: number of particles, mean and deviation of amplitudes and components [Å]."""
    amplitudes = landscape.particles.require_amplitudes("a group's centroid")[rows]
    coordinates = landscape.coordinates[rows]
    return {
        "particles": len(rows),
        "mode_ids": list(landscape.particles.mode_ids),
        "centroid_amplitudes": amplitudes.mean(axis=0).tolist(),
        "sd_amplitudes": amplitudes.std(axis=0).tolist(),
        "centroid_pcs": coordinates.mean(axis=0).tolist(),
        "sd_pcs": coordinates.std(axis=0).tolist(),
    }


def read_ids(path: str | Path) -> tuple[int, ...]:
    """Particle ids from a text file with one id per line; blank lines and lines that start with # are skipped."""
    file = Path(path)
    ids = []
    for number, line in enumerate(read_text(path, "list of ids").splitlines(), start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                ids.append(int(np.int64(int(text))))
            except (ValueError, OverflowError) as error:
                raise FormatError(
                    f"'{file}', line {number}: got '{text[:40]}', expected one particle id per line"
                ) from error
    if not ids:
        raise FormatError(f"'{file}' has no ids; expected one particle id per line")
    return tuple(dict.fromkeys(ids))
