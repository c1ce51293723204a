"""Overview of a landscape: its first planes, and the variance that its components explain."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from continuousflex_deep.arrays import Floats
from continuousflex_deep.figures.literal import legend_name, literal
from continuousflex_deep.figures.saving import save_png
from continuousflex_deep.io.landscape_table import LandscapeTable

_MANY = 5000  # points up to which they are drawn one by one; more hide each other, and a density shows more


def save_landscape(path: str | Path, table: LandscapeTable, explained: Floats | None) -> None:
    """PNG with the first two planes of a landscape of k coordinates, or the histogram of a single coordinate.

    explained (k,): the share of variance along each component, for a panel of its own; None for methods other than PCA.
    Few particles are drawn as points, coloured by the file that they come from; many are drawn as a density.
    """
    labels = table.axis_labels
    k = len(labels)
    planes = [(0, 1), (0, 2)][: max(k - 1, 1)] if k > 1 else []
    panels = max(len(planes), 1) + (explained is not None)
    figure = Figure(figsize=(4.6 * panels, 4.2), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    shares = [""] * k if explained is None else [f" ({100 * share:.1f}% of variance)" for share in explained]
    names = [_with_share(label, share) for label, share in zip(labels, shares, strict=True)]
    for ax, (i, j) in zip(axes, planes, strict=False):
        _draw_plane(ax, table, i, j)
        ax.set_xlabel(literal(names[i]))
        ax.set_ylabel(literal(names[j]))
    if not planes:
        axes[0].hist(table.coordinates[~table.outlier, 0], bins="auto", color="tab:blue")
        axes[0].set_xlabel(literal(labels[0]))
        axes[0].set_ylabel("particles")
    if explained is not None:
        _draw_variance(axes[-1], explained)
    save_png(path, figure, dpi=150)


def _with_share(label: str, share: str) -> str:
    """The share before the unit, as in 'PC1 (60.0% of variance) [Å]'."""
    name, bracket, unit = label.partition(" [")
    return f"{name}{share}{bracket}{unit}"


def _draw_plane(ax: Any, table: LandscapeTable, i: int, j: int) -> None:
    """Coordinate j over coordinate i."""
    points, outlier = table.coordinates[:, [i, j]], table.outlier
    kept = points[~outlier]
    if len(kept) > _MANY:
        density = ax.hexbin(kept[:, 0], kept[:, 1], gridsize=80, bins="log", cmap="viridis", mincnt=1)
        ax.figure.colorbar(density, ax=ax, label="particles")
    else:
        for number, name in enumerate(table.source_names, start=1):
            mine = points[~outlier & (table.source == number)]
            ax.scatter(mine[:, 0], mine[:, 1], s=8, alpha=0.6, linewidths=0, label=legend_name(name))
    if outlier.any():
        ax.scatter(*points[outlier].T, s=14, marker="x", color="0.5", linewidths=0.8, label="outliers")
    if len(ax.get_legend_handles_labels()[1]) > 1:
        ax.legend(fontsize=7, loc="best")


def _draw_variance(ax: Any, explained: Floats) -> None:
    number = np.arange(1, len(explained) + 1)
    ax.bar(number, 100 * explained, color="tab:blue", label="each")
    ax.plot(number, 100 * np.cumsum(explained), "o-", color="tab:orange", label="cumulative")
    ax.set_xlabel("principal component")
    ax.set_ylabel("variance explained [%]")
    ax.set_xticks(number)
    ax.set_ylim(0, 105)
    ax.legend(fontsize=7)
