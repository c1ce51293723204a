"""A structure as a trace of its residues, or the dots of its pseudoatoms, seen along z."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from numpy.typing import NDArray

from continuousflex_deep.arrays import Floats, Integers

COLOURS = "viridis"


class Trace:
    """An artist on axes; ``drawn`` is its collection, with the colour scale that set_clim sets."""

    def __init__(self, axes: Axes, bonds: Integers, width: float = 1.8) -> None:
        """bonds (B, 2): pairs of atoms that are joined by a line; without any, every atom is a dot."""
        self._bonds = bonds
        self.drawn: LineCollection | PathCollection
        if len(bonds):
            self.drawn = LineCollection([], linewidths=width, cmap=COLOURS, capstyle="round")
            axes.add_collection(self.drawn, autolim=False)
        else:
            self.drawn = axes.scatter([], [], s=14, c=[], cmap=COLOURS)

    def draw(self, seen_A: Floats, values: Floats) -> None:
        """Draw atoms at (S, 3), coloured by values (S,); what has a larger z is nearer and drawn later."""
        if isinstance(self.drawn, PathCollection):
            order = np.argsort(seen_A[:, 2])
            self.drawn.set_offsets(seen_A[order, :2])
            self.drawn.set_array(values[order])
            return
        order = np.argsort(seen_A[self._bonds, 2].sum(axis=1))
        self.drawn.set_segments(list(seen_A[self._bonds[order], :2]))
        self.drawn.set_array(values[self._bonds[order]].mean(axis=1))


def principal_axes(centred_A: Floats) -> Floats:
    """Rotation (3, 3) that shows the longest axis of points (S, 3) from left to right and the shortest in depth."""
    _, _, vt = np.linalg.svd(centred_A, full_matrices=False)
    if np.linalg.det(vt) < 0:
        vt[2] = -vt[2]
    return np.asarray(vt)


def turned(rotation: NDArray[np.floating], right_deg: float, down_deg: float) -> Floats:
    """A view's rotation (3, 3), x to the right, y upwards and z to the eye, turned as if what is near were drawn to the
    right and down."""
    a, b = np.radians(right_deg), np.radians(down_deg)
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return np.asarray(about_x @ about_y @ rotation)
