"""A landscape as a matplotlib figure, in two axes or three, that stays fluid with a million particles.

Few particles are drawn as points, many as a raster, whose cost hardly depends on their number. Three axes are an
orthographic projection on plain 2D axes, so that drawing, encircling and finding the nearest particle are the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.path import Path

from continuousflex_deep.arrays import Floats, Integers, Mask, Singles
from continuousflex_deep.errors import InputError
from continuousflex_deep.figures.literal import literal
from continuousflex_deep.io.density_table import energy_of
from continuousflex_deep.io.groups import COLOURS
from continuousflex_deep.viewers.landscape_data import LandscapeData
from continuousflex_deep.viewers.raster import Raster, Window
from continuousflex_deep.viewers.turning import turned

LOG_DENSITY, DENSITY, PLAIN = "density (log)", "density", "one colour"
FIXED_COLOURS = (LOG_DENSITY, DENSITY, PLAIN)
# free energies in the plane of the first two coordinates, by the densities that they are of
ENERGIES = {"−ln p, deconvolved": "deconvolved", "−ln p, raw": "raw"}
_HIGHEST_KT = 8.0  # energies above it are not drawn
# points that are drawn one by one; more of them hide each other, and slow the drawing
MOST_POINTS = 4000
_DENSITY_CELL_PX, _POINT_CELL_PX = 3.0, 2.0
_GREY = "#9aa5b1"
_MAP = "viridis"
_DEGREES_PER_PX = 0.4
_MARGIN = 0.04
_ZOOMS = 0.1, 1e4  # beyond them there is nothing to see, or single precision ends
_LONGEST = 15  # letters of a class' name beside its colour
_FAINTEST, _STRONGEST = 0.3, 0.65  # opacity of a layer where few, and all, particles of a cell belong to it
_CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32)
_EDGES = [(i, j) for i in range(8) for j in range(i + 1, 8) if np.abs(_CUBE[i] - _CUBE[j]).sum() == 2]


@dataclass(frozen=True, eq=False)
class Layer:
    """Particles, by their rows, to draw over the others in a colour of their own."""

    colour: str
    rows: Integers


class LandscapeView:
    """One view of a landscape; what it shows is chosen by ``show``, and drawn when the figure is."""

    def __init__(self, data: LandscapeData, figure: Figure, x: str, y: str) -> None:
        self.data, self.figure = data, figure
        self.layers: Sequence[Layer] = ()
        self.axes = figure.add_axes((0.11, 0.1, 0.72, 0.86))
        self._scale_axes = figure.add_axes((0.85, 0.1, 0.025, 0.86))
        self._image = self.axes.imshow(np.zeros((1, 1)), origin="lower", aspect="auto", interpolation="nearest")
        self._over = self.axes.imshow(
            np.zeros((1, 1, 4)), origin="lower", aspect="auto", interpolation="nearest", zorder=3
        )
        self._points = self.axes.scatter([], [], linewidths=0, zorder=2)
        self._over_points = self.axes.scatter([], [], linewidths=0, zorder=4)
        self._box = LineCollection([], colors="0.75", linewidths=0.7, zorder=1)
        self.axes.add_collection(self._box, autolim=False)
        self._names = [self.axes.text(0, 0, "", color="0.35", fontsize=9, ha="center", va="center", zorder=5,
                                     bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.5})
                       for _ in range(3)]  # fmt: skip
        (self._path,) = self.axes.plot([], [], "-o", color="#111111", linewidth=1.6, markersize=4, zorder=6)
        (self._marker,) = self.axes.plot([], [], "o", color="#ee3377", markersize=10, markerfacecolor="none",
                                         markeredgewidth=2.0, visible=False, zorder=7)  # fmt: skip
        self._background: Any = None
        self._said: Any = None  # what the scale of colours says at present
        figure.canvas.mpl_connect("draw_event", self._drawn)
        self.colour = PLAIN if len(data) <= MOST_POINTS else LOG_DENSITY
        self.show(x, y)

    # -------------------------- what is shown -------------------------------
    def show(self, x: str, y: str, z: str = "", colour: str = "") -> None:
        """Show column y over column x, or with z all three as a cloud that can be turned; colour is a column, one of
        FIXED_COLOURS or ENERGIES, '' the present one. Raises InputError for columns that there are not, and for
        energies along other axes than theirs."""
        colour = colour or self.colour
        axes = (x, y, z) if z else (x, y)
        ranges = np.array([self.data.range(name, outliers=False) for name in axes])
        if colour in ENERGIES:
            self._require_plane(axes)
        elif colour not in FIXED_COLOURS:
            self.data.range(colour, 1.0)
        same = axes == getattr(self, "shown", None)
        self.shown, self.colour = axes, colour
        if not same:
            self._set_columns(ranges)
        self.redraw()

    def _require_plane(self, axes: tuple[str, ...]) -> None:
        own = tuple(self.data.table.coordinate_names()[:2])
        if self.data.plane is None or axes != own:
            raise InputError(
                f"free energies are known of {' and '.join(own)} only; choose these axes, and no third one"
            )

    def _set_columns(self, ranges: Floats) -> None:
        columns = [self.data.column(name) for name in self.shown]
        if self.is_3d:
            self._ranges = ranges
            middle, half = ranges.mean(axis=1), np.ptp(ranges, axis=1) / 2
            self._cloud = np.stack(
                [((c - m) / h).astype(np.float32) for c, m, h in zip(columns, middle, half, strict=True)]
            )
            self.rotation = _first_view()
            self._whole = Window(-1.9, 1.9, -1.9, 1.9)
            self._project()
        else:
            self.screen = np.stack([c.astype(np.float32) for c in columns])
            margin = _MARGIN * np.ptp(ranges, axis=1)
            self._whole = Window(*(ranges[0] + [-margin[0], margin[0]]), *(ranges[1] + [-margin[1], margin[1]]))
        self.window = self._whole
        self.set_path(None)
        self._marker.set_data([], [])
        self.axes.tick_params(bottom=not self.is_3d, left=not self.is_3d,
                              labelbottom=not self.is_3d, labelleft=not self.is_3d)  # fmt: skip
        labels = ["", ""] if self.is_3d else [self.data.label(name) for name in self.shown]
        self.axes.set(xlabel=literal(labels[0]), ylabel=literal(labels[1]))

    @property
    def is_3d(self) -> bool:
        return len(self.shown) == 3

    def set_layers(self, layers: Sequence[Layer]) -> None:
        """Draw these over the particles, the last on top."""
        self.layers = layers
        self.redraw()

    def turn(self, right_px: float, down_px: float) -> None:
        """Turn a cloud by a drag of the mouse; to be redrawn."""
        rotation = turned(self.rotation, _DEGREES_PER_PX * right_px, _DEGREES_PER_PX * down_px)
        self.rotation = rotation.astype(np.float32)
        self._project()

    def move(self, right_px: float, down_px: float) -> None:
        """Move what is seen by a drag of the mouse; to be redrawn."""
        box = self.axes.bbox
        width, height = self.window.right - self.window.left, self.window.top - self.window.bottom
        self.window = self.window.moved(-right_px * width / box.width, down_px * height / box.height)

    def zoom(self, factor: float, x: float, y: float) -> None:
        """Enlarge what is seen about a point of the axes, within reason; to be redrawn."""
        now = (self._whole.right - self._whole.left) / (self.window.right - self.window.left)
        factor = float(np.clip(now * factor, *_ZOOMS)) / now
        self.window = self.window.zoomed(factor, x, y)

    def reset(self) -> None:
        """See all particles but outliers again."""
        self.window = self._whole
        self.redraw()

    def _project(self) -> None:
        self.screen = self.rotation[:2] @ self._cloud

    # -------------------------- what is where -------------------------------
    def inside(self, polygon: Sequence[tuple[float, float]]) -> Mask:
        """Mask (n,) of the particles inside a closed polygon of corners in the units of the axes; of a cloud, at any
        depth."""
        found = np.zeros(len(self.data), dtype=bool)
        corners = np.asarray(polygon, dtype=np.float64)
        if len(corners) < 3:
            return found
        (left, bottom), (right, top) = corners.min(axis=0), corners.max(axis=0)
        x, y = self.screen
        rows = np.flatnonzero((x >= left) & (x <= right) & (y >= bottom) & (y <= top))
        found[rows] = Path(corners).contains_points(self.screen[:, rows].T)
        return found

    def nearest(self, x: float, y: float, within_px: float = 8.0) -> int | None:
        """The row of the particle that is drawn nearest to a point of the axes; None where none is near."""
        box = self.axes.bbox
        dx = (self.screen[0] - np.float32(x)) * np.float32(box.width / (self.window.right - self.window.left))
        dy = (self.screen[1] - np.float32(y)) * np.float32(box.height / (self.window.top - self.window.bottom))
        squared = dx * dx + dy * dy
        squared[np.isnan(squared)] = np.inf
        row = int(squared.argmin())
        return row if squared[row] <= within_px**2 else None

    def place(self, row: int) -> tuple[float, float]:
        """Where a particle is drawn."""
        return float(self.screen[0, row]), float(self.screen[1, row])

    # -------------------------- marks ---------------------------------------
    def set_path(self, points: Floats | None) -> None:
        """Draw a path (P, 2) in the units of the axes, or none."""
        self._path.set_data(*(np.asarray(points).T if points is not None else ([], [])))

    def mark(self, place: tuple[float, float] | None) -> None:
        """Ring a place of the axes, or none, at once and without drawing the rest again."""
        self._marker.set_data(*([[place[0]], [place[1]]] if place is not None else ([], [])))
        if self._background is not None:
            canvas: Any = self.figure.canvas
            canvas.restore_region(self._background)
            self._draw_marker()
            canvas.blit(self.figure.bbox)

    def _drawn(self, _event: Any) -> None:
        canvas: Any = self.figure.canvas
        self._background = canvas.copy_from_bbox(self.figure.bbox) if canvas.supports_blit else None
        self._draw_marker()

    def _draw_marker(self) -> None:
        """Over what is drawn. At all other times it is invisible: for visible animated artists, matplotlib's selectors
        have every picture drawn twice more."""
        self._marker.set_visible(True)
        self.axes.draw_artist(self._marker)
        self._marker.set_visible(False)

    # -------------------------- drawing -------------------------------------
    def redraw(self) -> None:
        """Prepare all that is drawn for the present window."""
        box = self.axes.bbox
        if self.is_3d:
            self.window = self.window.with_aspect(box.width / box.height)
        cell_px = _DENSITY_CELL_PX if self.colour in (LOG_DENSITY, DENSITY) else _POINT_CELL_PX
        shape = max(int(box.height / cell_px), 8), max(int(box.width / cell_px), 8)
        raster = Raster.of(self.screen, self.window, shape)
        self.axes.set(xlim=(self.window.left, self.window.right), ylim=(self.window.bottom, self.window.top))
        few = int(raster.seen.sum()) <= MOST_POINTS and self.colour not in (LOG_DENSITY, DENSITY, *ENERGIES)
        self._draw_particles(raster, few)
        self._draw_layers(raster, few)
        self._draw_box()

    def _draw_particles(self, raster: Raster, few: bool) -> None:
        if self.colour in ENERGIES:
            self._draw_energies()
            return
        values, colours = self._colouring(raster, few)
        self._image.set_visible(not few)
        self._points.set_visible(few)
        drawn: Any = self._points if few else self._image
        drawn.set_norm(colours.norm)
        drawn.set_cmap(colours.cmap)
        if few:
            rows = self._drawn_rows(np.flatnonzero(raster.seen))
            self._points.set_offsets(self.screen[:, rows].T)
            self._points.set_array(values[rows])
            self._points.set_sizes([_size(len(rows))])
        else:
            self._image.set_data(np.ma.masked_invalid(values))
            self._image.set_extent(self.window.extent)
        self._draw_scale(colours)

    def _draw_energies(self) -> None:
        """The free energies of the plane in place of particles."""
        plane = self.data.plane
        assert plane is not None  # show() requires it
        density: Floats = getattr(plane, ENERGIES[self.colour])
        energy = energy_of(density, float(density.max())).T
        colours = ScalarMappable(Normalize(0, _HIGHEST_KT), f"{_MAP}_r")
        x, y = plane.axes
        dx, dy = plane.spacing / 2
        self._image.set(visible=True, norm=colours.norm, cmap=colours.cmap)
        self._image.set_data(np.ma.masked_greater(energy, _HIGHEST_KT))
        self._image.set_extent((x[0] - dx, x[-1] + dx, y[0] - dy, y[-1] + dy))
        self._points.set_visible(False)
        self._draw_scale(colours)

    def _colouring(self, raster: Raster, few: bool) -> tuple[Floats, ScalarMappable]:
        """The numbers of particles (n,), or of cells, and the colours that stand for them."""
        if self.colour in FIXED_COLOURS:
            counts = raster.counts().astype(np.float64)
            counts[counts == 0] = np.nan
            if self.colour == PLAIN:
                values = np.zeros(len(self.data)) if few else np.where(np.isnan(counts), np.nan, 0.0)
                return values, ScalarMappable(Normalize(0, 1), ListedColormap([_GREY]))
            most = max(float(np.nanmax(counts)) if np.isfinite(counts).any() else 1.0, 2.0)
            if self.colour == LOG_DENSITY:  # matplotlib's own LogNorm takes three times as long to draw
                return np.log10(counts), ScalarMappable(Normalize(0, np.log10(most)), _MAP)
            return counts, ScalarMappable(Normalize(0, most), _MAP)
        classes = self.data.classes(self.colour)
        if classes is not None:
            names, places = classes
            values = places.astype(np.float64) if few else raster.most_frequent(places, len(names))
            return values, _class_colours(len(names))
        column = self.data.column(self.colour)
        values = column if few else raster.means(column)
        return values, ScalarMappable(Normalize(*self.data.range(self.colour, 1.0)), _MAP)

    def _draw_scale(self, colours: ScalarMappable) -> None:
        said = self.colour, colours.norm.vmin, colours.norm.vmax
        if said == self._said:
            return
        self._said = said
        axes = self._scale_axes
        axes.clear()
        axes.set_visible(self.colour != PLAIN)
        if self.colour == PLAIN:
            return
        bar = self.figure.colorbar(colours, cax=axes)
        fixed = self.colour in FIXED_COLOURS or self.colour in ENERGIES
        classes = None if fixed else self.data.classes(self.colour)
        if self.colour in ENERGIES:
            bar.set_label("−ln p [kT]")
        elif classes is None:
            fixed = self.colour in FIXED_COLOURS
            bar.set_label("particles in a cell" if fixed else literal(self.data.label(self.colour)))
            if self.colour == LOG_DENSITY:
                powers = np.arange(int(colours.norm.vmax or 0) + 1)
                bar.set_ticks(powers.tolist(), labels=[f"{10 ** int(p):,}" for p in powers])
        else:
            names = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in classes[0]]
            bar.set_ticks(list(range(len(names))), labels=[literal(name) for name in names])
            axes.tick_params(length=0, labelsize=8 if len(names) < 30 else 5)

    def _draw_layers(self, raster: Raster, few: bool) -> None:
        self._over.set_visible(not few and bool(self.layers))
        self._over_points.set_visible(few and bool(self.layers))
        if not self.layers:
            return
        if few:
            self._draw_layers_as_points(raster)
            return
        counts = np.maximum(raster.counts(), 1)
        picture = np.zeros((*raster.shape, 4))  # colours times opacity, laid one over the other
        for layer in self.layers:
            share = raster.counts(layer.rows) / counts
            opacity = np.where(share > 0, _FAINTEST + (_STRONGEST - _FAINTEST) * share, 0.0)[..., None]
            picture = opacity * [*to_rgb(layer.colour), 1.0] + (1 - opacity) * picture
        picture[..., :3] /= np.maximum(picture[..., 3:], 1e-9)
        self._over.set_data(picture)
        self._over.set_extent(self.window.extent)

    def _draw_layers_as_points(self, raster: Raster) -> None:
        """Dots, or rings where the dots' own colour says something, so that those of several layers are all seen."""
        rows = [self._drawn_rows(layer.rows[raster.seen[layer.rows]]) for layer in self.layers]
        numbers = [len(r) for r in rows]
        colours: Any = np.repeat([to_rgb(layer.colour) for layer in self.layers], numbers, axis=0)
        plain = self.colour == PLAIN
        larger = 1.6 if plain else 2.5 + 1.4 * np.repeat(np.arange(len(rows)), numbers)
        self._over_points.set_offsets(self.screen[:, np.concatenate(rows)].T)
        self._over_points.set_facecolor(colours if plain else "none")
        self._over_points.set_edgecolor(colours)
        self._over_points.set_linewidth(0.0 if plain else 1.1)
        self._over_points.set_sizes(np.broadcast_to(larger * _size(int(raster.seen.sum())), len(colours)))

    def _draw_box(self) -> None:
        if not self.is_3d:
            self._box.set_segments([])
            for text in self._names:
                text.set_text("")
            return
        corners = _CUBE @ self.rotation[:2].T
        self._box.set_segments([corners[list(edge)] for edge in _EDGES])
        for axis, text in enumerate(self._names):
            # beside that of the four edges along the axis which is farthest out on the screen
            middles = np.array([corners[list(edge)].mean(axis=0) for edge in _EDGES if _along(edge) == axis])
            outermost = middles[np.argmax(np.linalg.norm(middles, axis=1) - 0.1 * middles[:, 1])]
            text.set_position(tuple(1.1 * outermost))
            low, high = self._ranges[axis]
            text.set_text(literal(f"{self.data.label(self.shown[axis])}: {low:.3g} … {high:.3g}"))

    def _drawn_rows(self, rows: Integers) -> Integers:
        """Rows in the order of drawing: of a cloud, what is nearer is drawn later."""
        return rows[np.argsort(self.rotation[2] @ self._cloud[:, rows])] if self.is_3d else rows


def _along(edge: tuple[int, int]) -> int:
    """The axis that an edge of the cube is parallel to."""
    return int(np.abs(_CUBE[edge[1]] - _CUBE[edge[0]]).argmax())


def _class_colours(count: int) -> ScalarMappable:
    """A colour for each class; of many, neighbours in a scale."""
    colours = COLOURS[:count] if count <= len(COLOURS) else colormaps["turbo"](np.linspace(0.05, 0.95, count))
    return ScalarMappable(Normalize(-0.5, count - 0.5), ListedColormap(list(colours)))


def _first_view() -> Singles:
    """The three axes seen from above one corner."""
    a, b = np.radians(-35), np.radians(25)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    upright = np.array([[1, 0, 0], [0, np.sin(b), np.cos(b)], [0, -np.cos(b), np.sin(b)]])
    return (upright @ about_z).astype(np.float32)


def _size(count: int) -> float:
    """Area of a point in pt², less where there are many."""
    return 22.0 if count < 500 else 9.0
