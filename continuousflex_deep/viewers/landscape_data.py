"""A landscape's particles, as a viewer shows them: columns to plot and colour by, and what they are called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.density_table import DensityTable, read_densities
from continuousflex_deep.io.landscape_table import COLUMN_LABELS, LandscapeTable, read_landscape_table

_MARKS = ("source", "outlier", "ambiguous")


@dataclass(frozen=True, eq=False)
class LandscapeData:
    """n particles; columns are named as conditions name them (pc1, q7, score, …). densities: those of the landscape's
    first coordinates, where particles have error bars."""

    table: LandscapeTable
    densities: Sequence[DensityTable] = ()

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def named(self) -> dict[str, NDArray[Any]]:
        """All columns (n,) that conditions can name."""
        return self.table.columns()

    @property
    def plane(self) -> DensityTable | None:
        """The densities in the plane of the first two coordinates, if they are known."""
        return next((density for density in self.densities if density.raw.ndim == 2), None)

    @cached_property
    def axes(self) -> list[str]:
        """Names of the columns that can be axes: coordinates, amplitudes, and all other numbers."""
        return [name for name in self.colours if name not in _MARKS]

    @cached_property
    def colours(self) -> list[str]:
        """Names of the columns that particles can be coloured by."""
        main = [*self.table.coordinate_names(), *(f"q{mode}" for mode in self.table.mode_ids)]
        sd = [name for name in (f"{axis}_sd" for axis in main) if name in self.named]
        return [*main, *sd, *(name for name in COLUMN_LABELS if name in self.named)]

    def column(self, name: str) -> Floats:
        """A column as numbers (n,). InputError where the landscape has none of that name."""
        if name not in self.named:
            raise InputError(f"the landscape has no column '{name}'; it has {', '.join(self.named)}")
        return self._kept(("column", name), lambda: np.asarray(self.named[name], dtype=np.float64))

    def range(self, name: str, percent: float = 0.0, outliers: bool = True) -> tuple[float, float]:
        """Where the finite values of a column are, the extreme ones of some percent left out, and outliers unless there
        is nothing else. InputError where no value is finite."""
        return self._kept(("range", name, percent, outliers), lambda: self._find_range(name, percent, outliers))

    def _find_range(self, name: str, percent: float, outliers: bool) -> tuple[float, float]:
        values = self.column(name)
        if not outliers and not self.table.outlier.all():
            values = values[~self.table.outlier]
        values = values[np.isfinite(values)]
        if len(values) == 0:
            raise InputError(f"no value of '{name}' is finite in this landscape; choose another column")
        low, high = np.percentile(values, [percent, 100 - percent]) if percent else (values.min(), values.max())
        return float(low), float(max(high, low + 1e-9 * max(abs(low), 1.0)))

    def classes(self, name: str) -> tuple[list[str], NDArray[np.int32]] | None:
        """Names of the classes and the class (n,) of each particle, where a column is one of them: sets of origin."""
        return self._kept(("classes",), self._find_classes) if name == "source" else None

    def _find_classes(self) -> tuple[list[str], NDArray[np.int32]]:
        numbers, places = np.unique(self.table.source, return_inverse=True)
        named = dict(enumerate(self.table.source_names, start=1))
        return [named.get(int(s), f"set {s}") for s in numbers], places.astype(np.int32)

    def _kept(self, key: tuple[Any, ...], find: Callable[[], Any]) -> Any:
        """What was found once; a million particles are not searched again for every picture."""
        if key not in self._found:
            self._found[key] = find()
        return self._found[key]

    @cached_property
    def _found(self) -> dict[tuple[Any, ...], Any]:
        return {}

    def label(self, name: str) -> str:
        """A column's name with its unit, as axes and scales show it."""
        return self.table.label(name)

    def rows_of(self, ids: Integers) -> Integers:
        """Rows of particles by their ids. InputError where one is not in this landscape."""
        rows, found = self.table.find(ids)
        missing = ids[~found]
        if len(missing):
            raise InputError(
                f"{len(missing)} of {len(ids)} particles are not in this landscape, for example {missing[:5].tolist()}"
            )
        return rows


def read_landscape_data(folder: str | Path) -> LandscapeData:
    """The particles of a folder that the landscape command wrote. Raises InputError or FormatError when it is none."""
    return LandscapeData(read_landscape_table(folder), read_densities(folder))
