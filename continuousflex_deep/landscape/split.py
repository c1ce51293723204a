"""Consecutive groups of particles along an axis of a landscape, for a series of reconstructions."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from continuousflex_deep.arrays import Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.landscape.landscape import Landscape


@dataclass(frozen=True, eq=False)
class AxisGroup:
    """Rows (n,) of a group's particles, in the landscape's order, and the lowest, mean and highest value along the
    axis, in its unit."""

    rows: Integers
    low: float
    mean: float
    high: float


def split_landscape(
    landscape: Landscape,
    axis: str,
    groups: int,
    by: Literal["numbers", "widths"] = "numbers",
    keep_outliers: bool = False,
    least: int = 1,
) -> list[AxisGroup]:
    """Consecutive groups along an axis (pc1, q7, …), from low to high values, without outliers unless keep_outliers.

    by: equal numbers of particles (they differ by one at most), or equal widths between the lowest and the highest
    value. Raises InputError for an unknown or constant axis and for groups of fewer than `least` particles.
    """
    columns = {k: v for k, v in landscape.table().columns().items() if np.issubdtype(v.dtype, np.floating)}
    if axis not in columns:
        raise InputError(f"--axis: got '{axis}', but this landscape has {', '.join(columns)}")
    rows = np.arange(len(landscape.particles)) if keep_outliers else np.flatnonzero(~landscape.outlier)
    values = columns[axis][rows]
    if not np.ptp(values) > 0:
        raise InputError(f"--axis {axis}: all {len(rows)} particles have the value {values[0]:g}; select another axis")
    if by == "numbers":
        parts = np.array_split(np.argsort(values, kind="stable"), groups)
    else:
        edges = np.linspace(values.min(), values.max(), groups + 1)
        place = np.searchsorted(edges[1:-1], values, side="right")
        parts = [np.flatnonzero(place == g) for g in range(groups)]
    counts = [len(part) for part in parts]
    if min(counts) < least:
        remedy = "fewer --groups" if by == "numbers" else "fewer --groups or --split numbers"
        raise InputError(
            f"{groups} groups along {axis} have {', '.join(map(str, counts))} particles, but each needs {least}; use "
            f"{remedy}"
        )
    return [
        AxisGroup(np.sort(rows[part]), float(v.min()), float(v.mean()), float(v.max()))
        for part, v in ((part, values[part]) for part in parts)
    ]
