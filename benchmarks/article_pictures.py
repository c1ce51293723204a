"""The article's Figure 6, drawn as its Supplementary Figure 2: amplitudes of a test set in pairs of modes."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from cases import MODES
from matplotlib.figure import Figure

from continuousflex_deep.arrays import Floats
from continuousflex_deep.figures.saving import save_png

_COLOURS = {"network": "#cc3311", "HEMNMA": "#4477aa", "polished": "#228833"}
_PANEL_INCH, _DPI = 3.4, 130


def save_amplitudes(path: Path, results: Mapping[str, Floats], trajectory: Floats) -> None:
    """PNG of results (n, 3) by name and of the true trajectory (points, 3): a panel for each pair of modes."""
    pairs = list(combinations(range(len(MODES)), 2))
    figure = Figure(figsize=(_PANEL_INCH * len(pairs), _PANEL_INCH + 0.4), layout="constrained")
    for ax, (across, up) in zip(figure.subplots(1, len(pairs)), pairs, strict=True):
        for name, amplitudes in results.items():
            ax.plot(amplitudes[:, across], amplitudes[:, up], ".", markersize=3, color=_COLOURS[name], label=name)
        ax.plot(trajectory[:, across], trajectory[:, up], "k-", linewidth=1, label="truth")
        ax.set(xlabel=f"q{MODES[across]} [Å]", ylabel=f"q{MODES[up]} [Å]")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(results) + 1)
    save_png(path, figure, _DPI)
