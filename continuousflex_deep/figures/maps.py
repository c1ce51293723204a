"""Pictures of maps and FSC curves, drawn without a display."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from continuousflex_deep.arrays import Floats, Singles
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.fsc_table import THRESHOLDS


def draw_fsc(path: str | Path, frequency: Floats, curves: Mapping[str, Floats]) -> None:
    """PNG of FSC curves (shells,) by name over spatial frequency in 1/Å, with the two usual thresholds."""
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    ax: Any = figure.subplots()
    for name, values in curves.items():
        ax.plot(frequency, values, label=name)
    for threshold in THRESHOLDS:
        ax.axhline(threshold, color="0.6", linewidth=0.8, linestyle="--")
    ax.set_xlim(0, frequency[-1])
    ax.set_ylim(min(-0.1, *(float(v.min()) for v in curves.values())), 1.05)
    ticks = [t for t in ax.get_xticks() if 0 < t <= frequency[-1]]
    ax.set_xticks(ticks, [f"1/{1 / t:.3g}" for t in ticks])
    ax.set_xlabel("spatial frequency [1/Å]")
    ax.set_ylabel("Fourier shell correlation")
    ax.legend(fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def draw_slices(path: str | Path, maps: Mapping[str, Singles], pixel_size_A: float) -> None:
    """PNG of the three central slices of each map (d, d, d), one row a map, with axes in Å."""
    figure = Figure(figsize=(9, 3.1 * len(maps)), layout="constrained")
    rows: Any = figure.subplots(len(maps), 3, squeeze=False)
    for axes, (name, volume) in zip(rows, maps.items(), strict=True):
        c, half = len(volume) // 2, len(volume) * pixel_size_A / 2
        low, high = np.percentile(volume, [1, 99.9])
        planes = [("x", "y", volume[c]), ("x", "z", volume[:, c]), ("y", "z", volume[:, :, c])]
        for ax, (across, up, plane) in zip(axes, planes, strict=True):
            ax.imshow(plane, cmap="gray", origin="lower", vmin=low, vmax=high, extent=(-half, half, -half, half))
            ax.set_xlabel(f"{across} [Å]")
            ax.set_ylabel(f"{up} [Å]")
        axes[0].set_title(name, loc="left", fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
