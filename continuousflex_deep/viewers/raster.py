"""Points of any number as a picture: counts and means in the cells of a grid, in some milliseconds a million."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Booleans, Floats, Integers, Singles


@dataclass(frozen=True)
class Window:
    """The part of a plane that is seen, x from left to right and y from bottom to top."""

    left: float
    right: float
    bottom: float
    top: float

    def zoomed(self, factor: float, x: float, y: float) -> "Window":
        """Enlarged by a factor about a point, which stays where it is."""
        return Window(
            x + (self.left - x) / factor, x + (self.right - x) / factor,
            y + (self.bottom - y) / factor, y + (self.top - y) / factor,
        )  # fmt: skip

    def moved(self, dx: float, dy: float) -> "Window":
        return Window(self.left + dx, self.right + dx, self.bottom + dy, self.top + dy)

    def with_aspect(self, aspect: float) -> "Window":
        """About the same middle, as large in the shorter direction, and in the other as makes units equally long."""
        x, y = (self.left + self.right) / 2, (self.bottom + self.top) / 2
        half = min(self.right - self.left, self.top - self.bottom) / 2
        width, height = half * max(aspect, 1.0), half * max(1.0 / aspect, 1.0)
        return Window(x - width, x + width, y - height, y + height)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """As matplotlib's images take it."""
        return self.left, self.right, self.bottom, self.top


@dataclass(frozen=True, eq=False)
class Raster:
    """Cells (rows, columns) over a window, the first row at its bottom; cell (n,) of each point, and rows · columns
    for those outside."""

    shape: tuple[int, int]
    cell: NDArray[np.int32]

    @classmethod
    def of(cls, xy: Singles, window: Window, shape: tuple[int, int]) -> "Raster":
        """The raster of points (2, n); points that are not finite are outside."""
        rows, columns = shape
        with np.errstate(invalid="ignore"):
            x = (xy[0] - np.float32(window.left)) * np.float32(columns / (window.right - window.left))
            y = (xy[1] - np.float32(window.bottom)) * np.float32(rows / (window.top - window.bottom))
            seen = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
            cell = y.astype(np.int32) * np.int32(columns) + x.astype(np.int32)
        return cls(shape, np.where(seen, cell, np.int32(rows * columns)))

    @property
    def seen(self) -> Booleans:
        """(n,) whether a point is in the window."""
        return self.cell < self.shape[0] * self.shape[1]

    def counts(self, chosen: NDArray[Any] | None = None) -> Integers:
        """How many points, or chosen ones (a mask or numbers of points), are in each cell (rows, columns)."""
        return self._grid(np.bincount(self.cell if chosen is None else self.cell[chosen], minlength=self._cells))

    def most_frequent(self, classes: NDArray[np.int32], number: int) -> Floats:
        """The class, of so many, that most points of each cell are of (rows, columns), NaN where there is none; of
        equally many, the first. classes (n,) from 0."""
        counts = np.bincount(self.cell * np.int32(number) + classes, minlength=self._cells * number)
        table = counts.reshape(self._cells, number)[:-1].reshape(*self.shape, number)
        return np.where(table.any(axis=2), table.argmax(axis=2), np.nan)

    def means(self, values: Floats) -> Floats:
        """The mean of values (n,) in each cell (rows, columns), NaN where there is no point with a finite one."""
        finite = np.isfinite(values)
        cell, of = (self.cell, values) if finite.all() else (self.cell[finite], values[finite])
        with np.errstate(invalid="ignore"):
            return self._grid(np.bincount(cell, of, minlength=self._cells) / np.bincount(cell, minlength=self._cells))

    @property
    def _cells(self) -> int:
        return self.shape[0] * self.shape[1] + 1

    def _grid(self, flat: NDArray) -> NDArray:
        return flat[:-1].reshape(self.shape)
