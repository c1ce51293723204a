"""Free energies of a landscape, raw and deconvolved with the errors of its coordinates."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from continuousflex_deep.arrays import Floats
from continuousflex_deep.figures.saving import save_png
from continuousflex_deep.io.density_table import DensityTable, energy_of

_HIGHEST_KT = 6.0  # energies above this look the same
_RAW, _DECONVOLVED = "0.45", "tab:blue"


def save_densities(path: str | Path, tables: list[DensityTable], labels: list[str]) -> None:
    """PNG of the energies over the first coordinate, with the 95% band of the deconvolved one, and over the first
    plane, raw and deconvolved. Without densities, the picture of an earlier run is removed."""
    if not tables:
        Path(path).unlink(missing_ok=True)
        return
    panels = 1 + 2 * (len(tables) > 1)
    figure = Figure(figsize=(4.6 * panels, 4.0), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    draw_profile(axes[0], tables[0], labels[0])
    for ax, name in zip(axes[1:], ("raw", "deconvolved"), strict=False):
        drawn = _draw_plane(ax, tables[1], getattr(tables[1], name), labels)
        ax.set_title(name)
    if panels > 1:
        figure.colorbar(drawn, ax=axes[-1], label="−ln p [kT]")
    save_png(path, figure, dpi=150)


def draw_profile(ax: Any, table: DensityTable, label: str) -> None:
    """The energies of a density over one coordinate."""
    (x,) = table.axes
    highest = table.deconvolved.max()
    ax.fill_between(x, energy_of(table.high, highest), energy_of(table.low, highest), color=_DECONVOLVED, alpha=0.25,
                    linewidth=0, label="95% of bootstrap replicas")  # fmt: skip
    ax.plot(x, energy_of(table.deconvolved, highest), color=_DECONVOLVED, label="deconvolved")
    ax.plot(x, energy_of(table.raw, table.raw.max()), color=_RAW, linestyle="--", label="raw")
    ax.set(xlabel=label, ylabel="−ln p [kT]", ylim=(-0.5, _HIGHEST_KT))
    ax.legend(fontsize=7)


def _draw_plane(ax: Any, table: DensityTable, density: Floats, labels: list[str]) -> Any:
    x, y = table.axes
    energy = np.minimum(energy_of(density, float(density.max())), _HIGHEST_KT)
    drawn = ax.pcolormesh(x, y, energy.T, cmap="viridis_r", vmin=0, vmax=_HIGHEST_KT, rasterized=True)
    ax.contour(x, y, energy.T, levels=np.arange(1, _HIGHEST_KT), colors="white", linewidths=0.6)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    return drawn
