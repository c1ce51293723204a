"""Types of arrays, by their content. Docstrings give the shapes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.int64]
Rows = NDArray[np.int64]  # row numbers, for example of particles, from 0
Booleans = NDArray[np.bool_]
Column = NDArray[np.object_]  # a column of a table, as text
Table = dict[str, Column]  # columns by name

Images = NDArray[np.float32]  # (n, d, d), yx
Map = NDArray[np.float32]  # (d, d, d), zyx
Mask = NDArray[np.bool_]  # (d, d, d), zyx


def as_column(values: Sequence[str]) -> Column:
    """Texts as a column."""
    column = np.empty(len(values), dtype=object)
    column[:] = list(values)
    return column
