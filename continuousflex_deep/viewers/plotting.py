"""Figures in Scipion's windows."""

from collections.abc import Callable

from matplotlib.figure import Figure
from pwem.viewers import EmPlotter


def figure_window(title: str, size_inch: tuple[float, float], draw: Callable[[Figure], None]) -> EmPlotter:
    """A window with the figure that `draw` draws, in the layout that it chooses."""
    plotter = EmPlotter(windowTitle=title, figsize=size_inch)
    plotter.tightLayoutOn = False
    draw(plotter.getFigure())
    return plotter
