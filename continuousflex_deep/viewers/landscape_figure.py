"""The landscape as a matplotlib figure: points or density, and regions that one encircles with the mouse."""

from pathlib import Path as FilePath

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.widgets import LassoSelector
from numpy.typing import NDArray

from continuousflex_deep.errors import InputError
from continuousflex_deep.viewers.landscape_data import LandscapeData

DENSITY = "density"
NO_COLOUR = "nothing"
# with more points than this, single ones are no longer visible and only slow the drawing
MOST_POINTS = 50_000
_GREY, _CHOSEN = "#9aa5b1", "#d62728"


class LandscapeFigure:
    """One view of a landscape in a figure; ``selected`` is a mask (n,) of the particles that were encircled."""

    def __init__(self, data: LandscapeData, figure: Figure, x: str, y: str, colour: str = NO_COLOUR) -> None:
        """Draw column ``y`` over column ``x``; ``colour`` is a column, DENSITY or NO_COLOUR."""
        allowed = [*data.columns, DENSITY, NO_COLOUR]
        for name in (x, y, colour):
            if name not in allowed:
                raise InputError(f"the landscape has no column '{name}'; it has {sorted(data.columns)}")
        self.data = data
        self.figure = figure
        self.selected: NDArray[np.bool_] = np.zeros(len(data.ids), dtype=bool)
        self._xy = np.stack([data.columns[x], data.columns[y]], axis=1)
        self.axes: Axes = figure.add_subplot()
        self._draw(colour)
        self.axes.set(xlabel=data.label(x), ylabel=data.label(y))
        (self._marks,) = self.axes.plot([], [], ".", color=_CHOSEN, markersize=4)
        self._lasso: LassoSelector | None = None

    def _draw(self, colour: str) -> None:
        x, y = self._xy.T
        if colour == DENSITY or (colour == NO_COLOUR and len(x) > MOST_POINTS):
            drawn = self.axes.hexbin(x, y, gridsize=60, bins="log", mincnt=1, cmap="viridis")
            self.figure.colorbar(drawn, ax=self.axes, label="particles")
        elif colour == NO_COLOUR:
            self.axes.plot(x, y, ".", color=_GREY, markersize=3)
        elif len(x) > MOST_POINTS:
            drawn = self.axes.hexbin(x, y, C=self.data.columns[colour], gridsize=60, cmap="viridis")
            self.figure.colorbar(drawn, ax=self.axes, label=f"mean {colour}")
        else:
            points = self.axes.scatter(x, y, c=self.data.columns[colour], s=6, cmap="viridis")
            self.figure.colorbar(points, ax=self.axes, label=colour)

    def enable_selection(self) -> None:
        """Let the user encircle particles with the mouse; a new circle replaces the last one."""
        self._lasso = LassoSelector(self.axes, onselect=self.select_inside)
        self._title()

    def select_inside(self, polygon: list[tuple[float, float]]) -> None:
        """Select the particles inside a closed polygon of (x, y) corners, in the units of the axes."""
        self.selected = Path(polygon).contains_points(self._xy) if len(polygon) > 2 else np.zeros_like(self.selected)
        self._marks.set_data(*self._xy[self.selected].T)
        self._title()
        self.figure.canvas.draw_idle()

    def _title(self) -> None:
        chosen = int(self.selected.sum())
        text = f"{chosen} of {len(self.selected)} particles" if chosen else "Draw around particles to choose them"
        self.axes.set_title(text)

    def selected_ids(self) -> NDArray[np.int64]:
        return self.data.ids[self.selected]

    def save_selection(self, path: str | FilePath) -> int:
        """Write the chosen particles' ids, one a line, as the group command reads them; returns their number."""
        ids = self.selected_ids()
        if len(ids) == 0:
            raise InputError("no particle is chosen: draw around some particles in the figure first")
        FilePath(path).write_text("".join(f"{number}\n" for number in ids), encoding="utf-8")
        return len(ids)
