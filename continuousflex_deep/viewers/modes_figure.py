"""A mode in motion, and how far it moves each residue, as matplotlib figures that need no window."""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from continuousflex_deep.arrays import Floats
from continuousflex_deep.figures.modes import label_residues
from continuousflex_deep.figures.trace import COLOURS, Trace, principal_axes
from continuousflex_deep.viewers.modes_data import ModesData
from continuousflex_deep.viewers.turning import turned

DEFAULT_RMSD_A = 2.5
_REST, _LINE = "#c8ced6", "#3b6ea5"
_DEGREES_PER_PX = 0.5


class MotionFigure:
    """The structure as a trace that swings along one mode, coloured by displacement; it can be turned and enlarged.

    The view is a plain orthographic projection on a 2D axes, which redraws several times faster than 3D axes do.
    """

    def __init__(self, data: ModesData, figure: Figure, mode: int) -> None:
        self.data, self.figure = data, figure
        self.rmsd_A, self.phase = DEFAULT_RMSD_A, 0.0
        self._coords = data.shown_motion.rest_A
        self._center = self._coords.mean(axis=0)
        self.rotation = principal_axes(self._coords - self._center)
        self._radius_A = float(np.linalg.norm(self._coords - self._center, axis=1).max())
        self._zoom = 1.0
        self.axes = figure.add_axes((0.0, 0.0, 0.9, 1.0))
        self.axes.set_aspect("equal")
        self.axes.set_axis_off()
        (self._rest,) = self.axes.plot([], [], color=_REST, linewidth=1.0, zorder=0)
        self._title = figure.text(0.02, 0.97, "", va="top")
        self._moving = Trace(self.axes, data.bonds)
        self._colours = ScalarMappable(cmap=COLOURS)
        bar = figure.add_axes((0.9, 0.15, 0.02, 0.7))
        figure.colorbar(self._colours, cax=bar, label="displacement at the ends [Å]")
        self.zoom(1.0)
        self.show_mode(mode)

    # -------------------------- what is shown -------------------------------
    def show_mode(self, mode: int) -> None:
        """Let the structure swing along another mode."""
        self.mode = mode
        self._recolour()
        self._draw()

    def set_rmsd(self, rmsd_A: float) -> None:
        """How far the ends of the swing are from the structure."""
        self.rmsd_A = rmsd_A
        self._recolour()
        self._draw()

    def set_phase(self, phase: float) -> None:
        """Where in the swing the structure is, in radians: the structure itself at 0 and π, the ends at ±π/2."""
        self.phase = phase
        self._draw()

    def turn(self, right_px: float, down_px: float) -> None:
        """Turn the view by a drag of the mouse."""
        self.rotation = turned(self.rotation, _DEGREES_PER_PX * right_px, _DEGREES_PER_PX * down_px)
        self._draw()

    def zoom(self, factor: float) -> None:
        """Enlarge the view by a factor."""
        self._zoom = float(np.clip(self._zoom * factor, 0.3, 20))
        half = 1.08 * self._radius_A / self._zoom
        self.axes.set(xlim=(-half, half), ylim=(-half, half))

    def positions_A(self) -> Floats:
        """Coordinates (S, 3) of the shown atoms as they are drawn, before the view's rotation."""
        return self.data.shown_motion.coordinates(self._farthest * np.sin(self.phase))

    # -------------------------- drawing -------------------------------------
    def _recolour(self) -> None:
        self._farthest = self.data.amplitudes_of_rmsd(self.mode, self.rmsd_A)
        self._size_A = np.linalg.norm(self.data.shown_motion.displacements(self._farthest), axis=1)
        self._colours.set_clim(0.0, max(float(self._size_A.max()), 1e-6))
        self._moving.drawn.set_clim(*self._colours.get_clim())
        self._title.set_text(f"mode {self.mode},  q = ±{self.data.amplitude_A(self.rmsd_A):.0f} Å")

    def _draw(self) -> None:
        seen = (self.positions_A() - self._center) @ self.rotation.T
        still = (self._coords - self._center) @ self.rotation.T
        self._moving.draw(seen, self._size_A)
        bonds = self.data.bonds
        gaps = np.full((len(bonds), 1, 2), np.nan)
        self._rest.set_data(*np.concatenate([still[bonds, :2], gaps], axis=1).reshape(-1, 2).T)


class DisplacementFigure:
    """How far a mode moves each residue, or pseudoatom, at the ends of its swing."""

    def __init__(self, data: ModesData, figure: Figure, mode: int) -> None:
        self.data, self.figure, self.rmsd_A = data, figure, DEFAULT_RMSD_A
        self.axes = figure.add_subplot()
        figure.set_layout_engine("constrained")
        label_residues(self.axes, data.structure)
        (self._line,) = self.axes.plot([], [], color=_LINE, linewidth=1.0)
        self._level = self.axes.axhline(self.rmsd_A, color="0.6", linewidth=0.8, linestyle="--")
        self.show_mode(mode)

    def show_mode(self, mode: int) -> None:
        self.mode = mode
        self.set_rmsd(self.rmsd_A)

    def set_rmsd(self, rmsd_A: float) -> None:
        self.rmsd_A = rmsd_A
        moved_A = self.data.residue_displacements(self.mode, rmsd_A)
        self._line.set_data(np.arange(1, len(moved_A) + 1), moved_A)
        self._level.set_ydata([rmsd_A, rmsd_A])
        self.axes.set(xlim=(1, max(len(moved_A), 2)), ylim=(0, 1.08 * float(moved_A.max())))
        self.axes.set_title(f"mode {self.mode} at an RMSD of {rmsd_A:.1f} Å (dashed)", fontsize=9)
