"""A structure seen along z: a trace of its residues, or its pseudoatoms as dots."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.io.structures import Structure

COLOURS = "viridis"
_LONGEST_BOND = 2.5  # times the median distance of neighbours in a chain; longer gaps break the trace
_DOT_AREA = 27.0  # in square points
_WIDTHS, _DOT_AREAS = (1.2, 3.8), (8.0, 30.0)  # of the farthest and of the nearest bond or atom


def chain_bonds(structure: Structure, atoms: Integers) -> Integers:
    """Pairs (B, 2) of positions in `atoms` (S,) to join by a line: neighbours in a chain without a gap between them.
    Pseudoatoms have none."""
    if structure.is_pseudoatomic:
        return np.empty((0, 2), dtype=np.int64)
    coords_A, chains = structure.coords_A[atoms], structure.chain_ids[atoms]
    same = chains[1:] == chains[:-1]
    apart_A = np.linalg.norm(np.diff(coords_A, axis=0), axis=1)
    usual_A = float(np.median(apart_A[same])) if same.any() else 0.0
    first = np.flatnonzero(same & (apart_A < _LONGEST_BOND * usual_A))
    return np.stack([first, first + 1], axis=1)


class Trace:
    """Lines between atoms, or dots where there are no bonds, coloured by a value per atom.

    ``drawn`` is matplotlib's collection, with the colour scale that its set_clim sets.
    """

    def __init__(
        self, axes: Axes, bonds: Integers, width: float = 1.8, depth_A: tuple[float, float] | None = None
    ) -> None:
        """bonds (B, 2): pairs of atoms. depth_A: the lowest and the highest z; between them lines become wider and dots
        larger towards the eye. Without depth_A all lines have the same width, and all dots the same size."""
        self._bonds, self._depth_A = bonds, depth_A
        self.drawn: LineCollection | PathCollection
        if len(bonds):
            self.drawn = LineCollection([], linewidths=width, cmap=COLOURS, capstyle="round")
            axes.add_collection(self.drawn, autolim=False)
        else:
            self.drawn = axes.scatter([], [], s=_DOT_AREA, c=[], cmap=COLOURS, linewidths=0)

    def draw(self, seen_A: Floats, values: Floats) -> None:
        """Draw atoms at (S, 3), coloured by values (S,). A larger z is nearer to the eye and is drawn later."""
        if isinstance(self.drawn, PathCollection):
            order = np.argsort(seen_A[:, 2])
            self.drawn.set_offsets(seen_A[order, :2])
            self.drawn.set_array(values[order])
            if self._depth_A is not None:
                self.drawn.set_sizes(self._by_depth(seen_A[order, 2], _DOT_AREAS))
            return
        depth = seen_A[self._bonds, 2].mean(axis=1)
        order = np.argsort(depth)
        self.drawn.set_segments(list(seen_A[self._bonds[order], :2]))
        self.drawn.set_array(values[self._bonds[order]].mean(axis=1))
        if self._depth_A is not None:
            self.drawn.set_linewidth(self._by_depth(depth[order], _WIDTHS).tolist())

    def _by_depth(self, depth_A: Floats, ends: tuple[float, float]) -> Floats:
        assert self._depth_A is not None
        low, high = self._depth_A
        return ends[0] + (ends[1] - ends[0]) * (depth_A - low) / max(high - low, 1e-9)


def principal_axes(centred_A: Floats) -> Floats:
    """Rotation (3, 3) that shows the longest axis of points (S, 3) from left to right and the shortest in depth."""
    _, _, vt = np.linalg.svd(centred_A, full_matrices=False)
    if np.linalg.det(vt) < 0:
        vt[2] = -vt[2]
    return np.asarray(vt)
