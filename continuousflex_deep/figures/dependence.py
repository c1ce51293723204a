"""How the mean of a landscape's coordinate varies with view, in-plane angle, defocus and micrograph."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.figures.saving import save_png

_BINS = 16  # of angles and defocus
_FEWEST = 3  # particles of a mean
_PER_CELL = 20  # particles, of the view on average
_CELLS = (4, 12)  # fewest and most of the view along the cosine of tilt; along rot there are twice as many


def save_dependence(
    path: str | Path,
    values: Floats,
    label: str,
    view: Floats | None,
    factors: dict[str, tuple[str, Floats]],
    micrograph: Integers | None,
) -> None:
    """PNG with the means of values (n,) over the direction of view (n, 3), over binned factors (n,) by their labels and
    whether they are shown in equal numbers, and over micrographs (n,), with standard errors."""
    panels = (view is not None) + len(factors) + (micrograph is not None)
    if not panels:
        Path(path).unlink(missing_ok=True)
        return
    figure = Figure(figsize=(3.9 * panels, 3.5), layout="constrained")
    axes = list(figure.subplots(1, panels, squeeze=False)[0])
    if view is not None:
        _draw_view(axes.pop(0), view, values, label)
    for name, (unit, factor) in factors.items():
        bins = np.minimum(np.argsort(np.argsort(factor, kind="stable")) * _BINS // len(factor), _BINS - 1)
        _draw_means(axes.pop(0), bins, factor, values, f"{name}{unit}", label)
    if micrograph is not None:
        sizes = np.bincount(micrograph)
        means = np.bincount(micrograph, values) / np.maximum(sizes, 1)
        order = np.argsort(np.argsort(np.where(sizes > 0, means, np.inf), kind="stable"))[micrograph]
        xlabel = "micrographs, in order of their means"
        _draw_means(axes.pop(0), order, order.astype(np.float64) + 1, values, xlabel, label)
    save_png(path, figure, dpi=130)


def _draw_means(ax: Any, bins: Integers, factor: Floats, values: Floats, xlabel: str, label: str) -> None:
    """Means with standard errors of values in bins, at the means of the factor."""
    number = np.bincount(bins)
    used = number >= _FEWEST
    n = np.maximum(number, 1)
    mean = np.bincount(bins, values) / n
    variance = np.maximum(np.bincount(bins, values**2) / n - mean**2, 0)
    place = np.bincount(bins, factor) / n
    ax.axhline(values.mean(), color="0.7", linewidth=1)
    ax.errorbar(place[used], mean[used], np.sqrt(variance / n)[used], fmt="o", markersize=3, linewidth=1)
    ax.set(xlabel=xlabel, ylabel=f"mean of {label}")


def _draw_view(ax: Any, view: Floats, values: Floats, label: str) -> None:
    """Means of values over the sphere of directions, in cells of equal area."""
    x, y, z = view.T
    azimuth = np.degrees(np.arctan2(y, x))
    along_z = int(np.clip(np.sqrt(len(values) / (2 * _PER_CELL)), *_CELLS))
    cells, ranges = (2 * along_z, along_z), ((-180, 180), (-1, 1))
    number, *edges = np.histogram2d(azimuth, z, cells, ranges)
    total = np.histogram2d(azimuth, z, cells, ranges, weights=values)[0]
    mean = np.where(number >= _FEWEST, total / np.maximum(number, 1), np.nan)
    error = values.std() / np.sqrt(np.maximum(number, 1))
    away = np.nanmax(np.abs(mean - values.mean()), initial=float(error.min()))
    drawn = ax.pcolormesh(*edges, mean.T, cmap="RdBu_r", vmin=values.mean() - away, vmax=values.mean() + away)
    ax.figure.colorbar(drawn, ax=ax, label=f"mean of {label}")
    ax.set(xlabel="view: rot [°]", ylabel="cos tilt", facecolor="0.9")
