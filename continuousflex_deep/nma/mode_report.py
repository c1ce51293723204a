"""Modes and their selection as text, and as facts of a record."""

from typing import Any

from continuousflex_deep.io.mode_table import ModeTable, mode_list_text
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.nma.choice import Transition
from continuousflex_deep.nma.mode_properties import Inputs
from continuousflex_deep.options import ModesOptions

_HEADINGS = {
    "energy": "energy",
    "collectivity": "collectivity",
    "score": "score",
    "largest_displacement_A": "largest [Å]",
    "overlap": "overlap",
    "amplitude_A": "amplitude [Å]",
    "cumulative_overlap": "cumulative",
}


def format_modes(modes: NormalModes, collectivity_threshold: float) -> str:
    """The modes as text, one per line, with a remark on modes of low collectivity."""
    lines = ["mode  eigenvalue  collectivity  score"]
    if modes.eigenvalues is None or modes.collectivity is None or modes.score is None:
        return "\n".join([*lines, *(f"{m:4d}" for m in modes.mode_ids)])
    for mode, value, kappa, score in zip(
        modes.mode_ids, modes.eigenvalues, modes.collectivity, modes.score, strict=True
    ):
        remark = "  not recommended: moves few atoms" if kappa < collectivity_threshold else ""
        lines.append(f"{mode:4d}  {value:10.4g}  {kappa:12.3f}  {score:5.3f}{remark}")
    return "\n".join(lines)


def selection_facts(inputs: Inputs, transition: Transition | None, table: ModeTable) -> dict[str, Any]:
    """The selected modes and, with a target, how close they come to it."""
    facts: dict[str, Any] = {"chosen": list(table.chosen_ids)}
    if transition is None or inputs.compared is None:
        return facts
    along = inputs.compared.transition(inputs.modes.select(table.chosen_ids))
    return facts | {
        "matched": inputs.compared.matched.description,
        "rmsd_from_target_A": transition.rmsd_A,
        "rmsd_left_by_all_modes_A": transition.rmsd_left_A,
        "rmsd_left_by_chosen_modes_A": along.rmsd_left_A,
        "chosen_amplitudes_A": [round(float(q), 3) for q in along.amplitudes_A],
        "chosen_cumulative_overlap": float(along.cumulative[-1]),
    }


def format_mode_table(table: ModeTable, facts: dict[str, Any], options: ModesOptions) -> str:
    """The table of the modes command as text, with the facts of its selection."""
    headings = {name: _HEADINGS[name] for name in table.columns}
    lines = ["mode  " + "  ".join(headings.values())]
    for row, mode in enumerate(table.mode_ids):
        cells = [
            f"{column[row]:{len(headings[name])}.{1 if name.endswith('_A') else 3}f}"
            for name, column in table.columns.items()
        ]
        lines.append(f"{mode:4d}  " + "  ".join(cells) + ("  selected" if table.chosen[row] else ""))
    lines.append(f"largest: displacement of the atom that moves most, at an RMSD of {options.swing_rmsd_A:g} Å")
    kind = "selected" if options.mode_list else "suggested"
    if "matched" in facts:
        lines += [
            facts["matched"],
            f"RMSD from the target {facts['rmsd_from_target_A']:.2f} Å; after the motion along all "
            f"{len(table.mode_ids)} modes {facts['rmsd_left_by_all_modes_A']:.2f} Å, along the {kind} modes "
            f"{facts['rmsd_left_by_chosen_modes_A']:.2f} Å (cumulative overlap "
            f"{facts['chosen_cumulative_overlap']:.3f})",
        ]
    return "\n".join([*lines, f"{kind}: --mode-list '{mode_list_text(table.chosen_ids)}'"])
