"""Fourier shell correlations, and central slices of maps."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from continuousflex_deep.arrays import Floats, Map, Singles
from continuousflex_deep.figures.literal import legend_name, literal
from continuousflex_deep.figures.saving import png_bytes, rendered, save_png
from continuousflex_deep.io.fsc_table import THRESHOLDS

FSC_INCH = (6.0, 4.2)
_ROW_INCH = (9.0, 3.1)  # three slices of one map
_SMALL_PANEL_INCH, _SMALL_DPI = 1.9, 110
_PERCENTILES = (1.0, 99.9)  # of densities: black and white
_ALONG = (("x", "y"), ("x", "z"), ("y", "z"))  # across and up in the slices normal to z, y and x

Curves = Mapping[str, tuple[Floats, Floats]]  # frequencies in 1/Å and correlations, by name


# -------------------------- Fourier shell correlation -----------------------
def draw_fsc(curves: Curves, figure: Figure) -> None:
    """FSC curves by name, with the two usual thresholds."""
    figure.set_layout_engine("constrained")
    ax: Any = figure.subplots()
    for name, (frequency, correlation) in curves.items():
        ax.plot(frequency, correlation, label=legend_name(name))
    for threshold in THRESHOLDS:
        ax.axhline(threshold, color="0.6", linewidth=0.8, linestyle="--")
    last = max(float(frequency[-1]) for frequency, _ in curves.values())
    ax.set_xlim(0, last)
    ax.set_ylim(min(-0.1, *(float(correlation.min()) for _, correlation in curves.values())), 1.05)
    ticks = [t for t in ax.get_xticks() if 0 < t <= last]
    ax.set_xticks(ticks, [f"1/{1 / t:.3g}" for t in ticks])
    ax.set_xlabel("spatial frequency [1/Å]")
    ax.set_ylabel("Fourier shell correlation")
    ax.legend(fontsize=8)


def save_fsc(path: str | Path, curves: Curves) -> None:
    """PNG of FSC curves."""
    figure = Figure(figsize=FSC_INCH)
    draw_fsc(curves, figure)
    save_png(path, figure, dpi=150)


# -------------------------- slices ------------------------------------------
def slices_size(n_maps: int) -> tuple[float, float]:
    """Width and height in inches that suit draw_slices."""
    return _ROW_INCH[0], _ROW_INCH[1] * n_maps


def draw_slices(maps: Mapping[str, Map], voxel_A: float, figure: Figure) -> None:
    """The three central slices of each map (d, d, d), one row per map on a grey scale of its own, with axes in Å."""
    figure.set_layout_engine("constrained")
    rows: Any = figure.subplots(len(maps), 3, squeeze=False)
    for axes, (name, volume) in zip(rows, maps.items(), strict=True):
        limits = grey_limits([volume])
        for ax, (across, up), plane in zip(axes, _ALONG, _central_slices(volume), strict=True):
            _show_plane(ax, plane, voxel_A, limits)
            ax.set_xlabel(f"{across} [Å]")
            ax.set_ylabel(f"{up} [Å]")
        axes[0].set_title(literal(name), loc="left", fontsize=9)


def save_slices(path: str | Path, maps: Mapping[str, Map], voxel_A: float) -> None:
    """PNG of the central slices of maps (d, d, d) by name."""
    figure = Figure(figsize=slices_size(len(maps)))
    draw_slices(maps, voxel_A, figure)
    save_png(path, figure, dpi=120)


def small_slices_png(volume: Map, voxel_A: float, limits: tuple[float, float]) -> bytes:
    """PNG for a web page of the three central slices of a map (d, d, d) between two densities, with axes in Å."""
    figure = Figure(figsize=(3 * _SMALL_PANEL_INCH, _SMALL_PANEL_INCH), layout="constrained")
    panels: Any = figure.subplots(1, 3)
    for ax, (across, up), plane in zip(panels, _ALONG, _central_slices(volume), strict=True):
        _show_plane(ax, plane, voxel_A, limits)
        ax.set_title(f"{across} →, {up} ↑ [Å]", fontsize=6, pad=2)
        ax.tick_params(labelsize=5, length=2, pad=1)
    return png_bytes(figure, _SMALL_DPI)


def series_pictures(maps: Iterable[Map], titles: Sequence[str], voxel_A: float) -> list[Image.Image]:
    """Grey pictures of maps (d, d, d): the central slices and the projections of each, all on the same grey scales and
    at the same places."""
    shown = [(_central_slices(volume), [volume.sum(axis=axis) for axis in range(3)]) for volume in maps]
    scales = [grey_limits(plane for panels in shown for plane in panels[row]) for row in range(2)]
    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    rows: Any = figure.subplots(2, 3)
    drawn = [
        _show_plane(ax, plane, voxel_A, limits)
        for axes, planes, limits in zip(rows, shown[0], scales, strict=True)
        for ax, plane in zip(axes, planes, strict=True)
    ]
    for axes, kind in zip(rows, ("slice", "projection"), strict=True):
        for ax, (across, up) in zip(axes, _ALONG, strict=True):
            ax.set_title(f"{kind} {across}{up}", fontsize=8)
            ax.tick_params(labelsize=6)
    heading, pictures = figure.suptitle(literal(titles[0]), fontsize=9), []
    for panels, title in zip(shown, titles, strict=True):
        heading.set_text(literal(title))
        for image, plane in zip(drawn, [*panels[0], *panels[1]], strict=True):
            image.set_data(plane)
        pictures.append(rendered(figure).convert("L"))
        figure.set_layout_engine("none")  # that of the first picture is kept; finding it takes longer than drawing
    return pictures


def grey_limits(densities: Iterable[Singles | Floats]) -> tuple[float, float]:
    """Densities to show as black and white: the lowest 1st and the highest 99.9th percentile of the arrays."""
    low, high = np.array([np.percentile(values, _PERCENTILES) for values in densities]).T
    return float(low.min()), float(high.max())


def _central_slices(volume: Map) -> list[Singles]:
    """Copies of the planes (d, d) through voxel d//2 normal to z, y and x, so that the map need not stay in memory."""
    return [np.take(volume, len(volume) // 2, axis) for axis in range(3)]


def _show_plane(ax: Axes, plane: Singles, pixel_A: float, limits: tuple[float, float]) -> AxesImage:
    half_A = len(plane) * pixel_A / 2
    low, high = limits
    extent = (-half_A, half_A, -half_A, half_A)
    return ax.imshow(plane, cmap="gray", origin="lower", vmin=low, vmax=high, extent=extent)
