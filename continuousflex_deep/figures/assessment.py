"""Figures of an assessment, drawn from the tables of the evaluate command: errors, FSC of groups' maps, and text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from continuousflex_deep.arrays import Floats
from continuousflex_deep.figures.literal import legend_name, literal
from continuousflex_deep.figures.saving import save_png
from continuousflex_deep.io.error_table import AMPLITUDES, error_label, is_amplitude_of_one_mode
from continuousflex_deep.io.fsc_table import ALLOWED, CENTROID, LEAST_ALLOWED, OTHER, REST, THRESHOLDS, TRUE_CENTROID
from continuousflex_deep.io.groups import COLOURS

Curves = Mapping[str, tuple[Floats, Floats]]  # frequencies in 1/Å and correlations, by name
_BEYOND = 1.5  # curves end at this many times the highest frequency at which a map agrees with its centroid
_MOST_MODES = 4  # that have a panel each; of more modes only the mean error is shown
_OTHER_PANELS = ("rmsd_amplitude_A", "angle_deg", "shift_A")
_BINS = (8, 40)  # fewest and most of a histogram, depending on the number of particles
_SMALLEST = (2.0, 1e-4)  # the axis begins at this percentile of errors, or at this share of the largest error
_PANEL_INCH, _DPI = (3.6, 3.2), 130
_DASHES = ("-", "--", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 2)))
_PANELS = {
    CENTROID: "with its centroid",
    TRUE_CENTROID: "with its true centroid",
    REST: "with the structure at rest",
    OTHER: "with the farthest other centroid",
}


def error_panels(errors: Mapping[str, Mapping[str, Floats]]) -> dict[str, str]:
    """The kinds of errors that have a panel, with the label of its axis."""
    known = list(dict.fromkeys(kind for by_kind in errors.values() for kind in by_kind))
    modes = [kind for kind in known if is_amplitude_of_one_mode(kind)]
    amplitudes = modes if 0 < len(modes) <= _MOST_MODES else [AMPLITUDES]
    labels = {kind: error_label(kind) for kind in (*amplitudes, *_OTHER_PANELS) if kind in known}
    return {kind: text if text.startswith("RMSD") else f"absolute error of {text}" for kind, text in labels.items()}


def errors_size(errors: Mapping[str, Mapping[str, Floats]]) -> tuple[float, float]:
    """Width and height in inches that suit draw_errors."""
    return _size(len(error_panels(errors)))


def draw_errors(errors: Mapping[str, Mapping[str, Floats]], figure: Figure) -> None:
    """Histograms of absolute errors (n,) by comparison and kind: a panel for each kind, a line for each comparison.

    The axes are logarithmic, since the errors of different methods differ by orders of magnitude. Errors below the
    beginning of the axis are counted in the first bin.
    """
    panels = error_panels(errors)
    for ax, (kind, label) in zip(_grid(figure, len(panels)), panels.items(), strict=False):
        known = {name: by_kind[kind] for name, by_kind in errors.items() if kind in by_kind}
        edges = _error_bins(list(known.values()))
        for i, name in enumerate(errors):
            if name in known:
                values = np.maximum(known[name], edges[0])
                share = np.full(len(values), 100 / len(values))
                ax.hist(values, bins=edges, weights=share, histtype="step", label=legend_name(name), **_line(i))
        ax.set_xlabel(label)
        ax.set_ylabel("particles [%]")
        ax.set_xscale("log")
        ax.set_xlim(edges[0], edges[-1])
    _legend_below(figure)


def save_errors(path: str | Path, errors: Mapping[str, Mapping[str, Floats]]) -> None:
    """PNG of the histograms."""
    figure = Figure(figsize=errors_size(errors))
    draw_errors(errors, figure)
    save_png(path, figure, _DPI)


def _error_bins(errors: list[Floats]) -> Floats:
    """Edges of bins of equal width in the logarithm that hold errors (n,) of all comparisons."""
    largest = max(float(values.max()) for values in errors) * 1.001 or 1.0
    smallest = min(float(np.percentile(values, _SMALLEST[0])) for values in errors)
    bins = int(np.clip(np.sqrt(min(len(values) for values in errors)), *_BINS))
    return np.geomspace(max(smallest, _SMALLEST[1] * largest), largest, bins + 1)


def groups_size(groups: Mapping[str, Curves]) -> tuple[float, float]:
    """Width and height in inches that suit draw_groups."""
    return _size(len(group_panels(groups)))


def group_panels(groups: Mapping[str, Curves]) -> dict[str, str]:
    """The curves that have a panel, with its title."""
    return {curve: title for curve, title in _PANELS.items() if any(curve in curves for curves in groups.values())}


def draw_groups(groups: Mapping[str, Curves], figure: Figure) -> None:
    """FSC of each group's map: a panel for each conformation that the maps are compared with, a line for each group.

    In the first panel, dotted lines show the FSC that the noise of the half maps is estimated to allow.
    """
    panels, last = group_panels(groups), _last_frequency(groups)
    for ax, (curve, title) in zip(_grid(figure, len(panels)), panels.items(), strict=False):
        for i, (name, curves) in enumerate(groups.items()):
            if curve in curves:
                ax.plot(*curves[curve], label=legend_name(name), **_line(i))
        for i, curves in enumerate(groups.values()) if curve == CENTROID else ():
            frequency, allowed = curves[ALLOWED]
            end = int(np.argmax(np.append(allowed, 0.0) < LEAST_ALLOWED))
            ax.plot(frequency[:end], allowed[:end], ":", color=_line(i)["color"], linewidth=1)
        ax.plot([], [], ":", color="0.4", linewidth=1, label=ALLOWED)
        for threshold in THRESHOLDS:
            ax.axhline(threshold, color="0.6", linewidth=0.8, zorder=0)
        ticks = np.linspace(0, last, 6)[1:]
        ax.set_xticks(ticks, [f"1/{1 / t:.2g}" for t in ticks])
        ax.set(xlim=(0, last), ylim=(-0.1, 1.05), xlabel="spatial frequency [1/Å]", ylabel="FSC")
        ax.set_title(title, fontsize=10)
    _legend_below(figure)


def save_groups(path: str | Path, groups: Mapping[str, Curves]) -> None:
    """PNG of the groups' curves."""
    figure = Figure(figsize=groups_size(groups))
    draw_groups(groups, figure)
    save_png(path, figure, _DPI)


def _line(number: int) -> dict[str, Any]:
    """Colour and dashes of a line; together they distinguish more lines than either does, for all colour vision."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": _DASHES[number % len(_DASHES)]}


def _last_frequency(groups: Mapping[str, Curves]) -> float:
    """The frequency where curves end: well beyond the last shell at which a map agrees with its centroid."""
    ends, nyquist = [], 0.0
    for frequency, correlation in (curves[CENTROID] for curves in groups.values()):
        ends += [frequency[1], *frequency[correlation >= min(THRESHOLDS)]]
        nyquist = max(nyquist, float(frequency[-1]))
    return min(nyquist, _BEYOND * float(max(ends)))


def text_size(text: str) -> tuple[float, float]:
    """Width and height in inches that suit draw_text."""
    lines = text.splitlines()
    return 0.5 + 0.075 * max(len(line) for line in lines), 0.4 + 0.153 * len(lines)


def draw_text(text: str, figure: Figure) -> None:
    """Tables of plain text in a font of fixed width."""
    width, height = text_size(text)
    figure.text(0.2 / width, 1 - 0.2 / height, literal(text), family="monospace", fontsize=9, va="top", ha="left")


def _size(panels: int) -> tuple[float, float]:
    columns = _columns(panels)
    return _PANEL_INCH[0] * columns, _PANEL_INCH[1] * -(-panels // columns) + 0.4


def _columns(panels: int) -> int:
    return 2 if panels == 4 else min(3, panels)


def _grid(figure: Figure, panels: int) -> list[Any]:
    figure.set_layout_engine("constrained")
    columns = _columns(panels)
    axes = figure.subplots(-(-panels // columns), columns, squeeze=False).ravel()
    for ax in axes[panels:]:
        ax.set_axis_off()
    return list(axes)


def _legend_below(figure: Figure) -> None:
    """One legend for all panels, whose lines are the same."""
    found: dict[str, Any] = {}
    for ax in figure.axes:
        handles, labels = ax.get_legend_handles_labels()
        found |= {label: handle for handle, label in zip(handles, labels, strict=True) if label not in found}
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=min(4, len(found)), fontsize=8)
