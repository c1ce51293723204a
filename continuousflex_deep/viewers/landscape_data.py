"""A landscape's particles, as a viewer shows them: columns to plot and colour by, and what they are called."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.landscape_table import LandscapeTable, read_landscape_table

Floats = NDArray[np.float64]
_TOLD = {
    "score": "score", "ambiguous": "ambiguous", "angle_sd": "deviation of the angle (°)",
    "shift_sd": "deviation of the shift (Å)", "defocus": "defocus (Å)", "rot": "rot (°)", "tilt": "tilt (°)",
    "psi": "psi (°)", "shift_x": "shift x (Å)", "shift_y": "shift y (Å)", "outlier": "outlier",
    "distance": "Mahalanobis distance", "source": "set of origin",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class LandscapeData:
    """n particles; columns are named as conditions name them (pc1, q7, score, …)."""

    table: LandscapeTable

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def named(self) -> dict[str, NDArray[Any]]:
        """All columns (n,) that conditions can name."""
        return self.table.columns()

    @cached_property
    def axes(self) -> list[str]:
        """Names of the columns that make sense as axes: the coordinates and the amplitudes."""
        return [*self.table.coordinate_names(), *(f"q{mode}" for mode in self.table.mode_ids)]

    @cached_property
    def colours(self) -> list[str]:
        """Names of the columns that particles can be coloured by."""
        sd = [name for name in (f"{axis}_sd" for axis in self.axes) if name in self.named]
        return [*self.axes, *sd, *(name for name in _TOLD if name in self.named)]

    def column(self, name: str) -> Floats:
        """A column as numbers (n,). InputError where the landscape has none of that name."""
        if name not in self.named:
            raise InputError(f"the landscape has no column '{name}'; it has {', '.join(self.named)}")
        return np.asarray(self.named[name], dtype=np.float64)

    def classes(self, name: str) -> dict[int, str] | None:
        """What the values of a column stand for, where it is one of classes and not of numbers."""
        if name == "source":
            named = dict(enumerate(self.table.source_names, start=1))
            return {int(s): named.get(int(s), f"set {s}") for s in np.unique(self.table.source)}
        return {0: "no", 1: "yes"} if name in ("outlier", "ambiguous") else None

    def label(self, name: str) -> str:
        """A column's name with its unit, as axes and scales show it."""
        if name in _TOLD:
            return _TOLD[name]
        if name in self.table.coordinate_names():
            told = self.table.labels[self.table.coordinate_names().index(name)]
            return f"{told} ({self.table.unit})" if self.table.unit else told
        mode = name.removesuffix("_sd").removeprefix("q")
        return f"deviation of q{mode} (Å)" if name.endswith("_sd") else f"amplitude of mode {mode} (Å)"

    def rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of particles by their ids. InputError where one is not in this landscape."""
        order = self._order
        place = np.minimum(np.searchsorted(self.table.ids, ids, sorter=order), len(self) - 1)
        rows = order[place]
        missing = ids[self.table.ids[rows] != ids]
        if len(missing):
            raise InputError(
                f"{len(missing)} of {len(ids)} particles are not in this landscape, for example {missing[:5].tolist()}"
            )
        return np.asarray(rows)

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self.table.ids, kind="stable")


def read_landscape_data(folder: str | Path) -> LandscapeData:
    """The particles of a folder that the landscape command wrote. Raises InputError or FormatError when it is none."""
    return LandscapeData(read_landscape_table(folder))
