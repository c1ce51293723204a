"""Normal modes: which residues each mode moves, and the numbers by which modes are selected."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from continuousflex_deep.arrays import Floats
from continuousflex_deep.figures.literal import literal
from continuousflex_deep.figures.saving import save_png
from continuousflex_deep.io.mode_table import ModeTable
from continuousflex_deep.io.structures import Structure

_MOST_CURVES = 6  # more would hide each other
_MOST_CHAINS = 30  # whose ends are marked
_GREY, _BLUE, _ORANGE = "0.75", "tab:blue", "tab:orange"


def save_modes(
    path: str | Path, table: ModeTable, residues: dict[str, Floats], structure: Structure, swing_rmsd_A: float
) -> None:
    """PNG with the displacement of each residue along the selected modes, and energies, collectivity and overlaps.

    residues: columns (R,) in Å as residue_displacements makes them, for a motion with an RMSD of swing_rmsd_A.
    """
    has_overlap = "overlap" in table.columns
    panels = [name for name in ("energy", "collectivity", "overlap") if name in table.columns]
    figure = Figure(figsize=(11, 7), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.15, 1))
    _draw_displacements(above.subplots(), table, residues, structure, swing_rmsd_A)
    axes = below.subplots(1, len(panels), squeeze=False)[0]
    for ax, name in zip(axes, panels, strict=True):
        _draw_bars(ax, table, name)
    if has_overlap:
        place = np.arange(len(table.mode_ids))
        axes[-1].plot(place, table.columns["cumulative_overlap"], "o-", color=_ORANGE, markersize=4, label="cumulative")
        axes[-1].set_ylim(0, 1.05)
        axes[-1].legend(fontsize=8)
    save_png(path, figure, dpi=110)


def label_residues(ax: Any, structure: Structure) -> None:
    """Label the axes of displacements by residue, or by pseudoatom, and mark the ends of the chains unless there are
    many."""
    kind = "pseudoatom" if structure.is_pseudoatomic else "residue, numbered along the file"
    ax.set(xlabel=kind, ylabel="displacement [Å]")
    chains = structure.chain_ids[structure.representative_atoms]
    ends = [*(np.flatnonzero(chains[1:] != chains[:-1]) + 1), len(chains)]
    if structure.is_pseudoatomic or not 1 < len(ends) < _MOST_CHAINS:
        return
    for start, end in zip([0, *ends], ends, strict=False):
        ax.axvline(end + 0.5, color="0.8", linewidth=0.6)
        ax.text(
            (start + end) / 2, 0.99, literal(str(chains[start])), transform=ax.get_xaxis_transform(), fontsize=7,
            va="top", ha="center", color="0.5", clip_on=True,
        )  # fmt: skip


def _draw_displacements(
    ax: Any, table: ModeTable, residues: dict[str, Floats], structure: Structure, swing_rmsd_A: float
) -> None:
    place = np.arange(1, len(structure.representative_atoms) + 1)
    if "target_A" in residues:
        ax.fill_between(
            place, residues["target_A"], color=_GREY, alpha=0.6, linewidth=0, label="difference from target"
        )
    for mode in table.chosen_ids[:_MOST_CURVES]:
        ax.plot(place, residues[f"mode_{mode}_A"], linewidth=1, label=f"mode {mode}")
    ax.set(xlim=(1, len(place)), ylim=(0, None))
    label_residues(ax, structure)
    more = len(table.chosen_ids) - _MOST_CURVES
    also = f"; {more} more selected" if more > 0 else ""
    ax.set_title(f"selected modes at an RMSD of {swing_rmsd_A:g} Å{also}", fontsize=10)
    ax.legend(fontsize=8, ncols=2)


def _draw_bars(ax: Any, table: ModeTable, name: str) -> None:
    labels = {
        "energy": f"energy relative to mode {table.mode_ids[0]}",
        "collectivity": "collectivity",
        "overlap": "overlap with the target",
    }
    place = np.arange(len(table.mode_ids))
    ax.bar(place, table.columns[name], color=[_BLUE if taken else _GREY for taken in table.chosen])
    every = -(-len(place) // 20)
    ax.set_xticks(place[::every], [str(m) for m in table.mode_ids[::every]], fontsize=8)
    ax.set(xlabel="mode (selected modes in blue)", ylabel=labels[name])
    if name == "collectivity":
        ax.set_ylim(0, 1)
