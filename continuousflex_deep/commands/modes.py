"""The `modes` command: properties of each mode, selection of modes, and animations."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError
from continuousflex_deep.figures.modes import save_modes
from continuousflex_deep.io.file_names import RECORD_JSON
from continuousflex_deep.io.files import atomic_path, require_writable_folder
from continuousflex_deep.io.frames import write_swing
from continuousflex_deep.io.mode_table import (
    DISPLACEMENTS_CSV,
    MODES_CSV,
    ModeTable,
    mode_list_text,
    read_mode_table,
    write_mode_table,
)
from continuousflex_deep.io.modes import parse_mode_list
from continuousflex_deep.io.records import begin_results, write_record
from continuousflex_deep.io.reference import atoms_of_modes, read_reference
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.motion import amplitude_of_rmsd, motion_along
from continuousflex_deep.nma.choice import Transition, match_atoms
from continuousflex_deep.nma.mode_facts import (
    Compared,
    Inputs,
    make_table,
    residue_displacements,
    transition_to_target,
)
from continuousflex_deep.options import ModesOptions
from continuousflex_deep.progress import progress_bar
from continuousflex_deep.runs.sole_writer import sole_writer
from continuousflex_deep.trajectories.frames import swing_frames

_HEADINGS = {
    "energy": "energy",
    "collectivity": "collectivity",
    "score": "score",
    "largest_displacement_A": "largest [Å]",
    "overlap": "overlap",
    "amplitude_A": "amplitude [Å]",
    "cumulative_overlap": "cumulative",
}


@sole_writer
def run(options: ModesOptions) -> None:
    """Write modes.csv, displacements.csv, modes.png, mode_7.pdb … and record.json; print table and selection."""
    folder = _output_folder(options)
    stale = read_mode_table(folder / MODES_CSV).mode_ids if (folder / MODES_CSV).exists() else ()
    inputs = read_inputs(options)
    transition = transition_to_target(inputs, options)
    table = make_table(inputs, transition, options)
    facts = _facts(inputs, transition, table)
    residues = residue_displacements(inputs, transition, options.swing_rmsd_A)
    print(_report(table, facts, options))
    begin_results(folder)
    for number in stale:
        (folder / f"mode_{number}.pdb").unlink(missing_ok=True)
    write_mode_table(folder / MODES_CSV, table)
    _write_displacements(folder / DISPLACEMENTS_CSV, inputs.structure, residues)
    save_modes(folder / "modes.png", table, residues, inputs.structure, options.swing_rmsd_A)
    _write_animations(folder, inputs, options.swing_rmsd_A)
    write_record(folder / RECORD_JSON, "modes", options, n_atoms=len(inputs.structure), **facts)
    print(f"table, picture and animations are in {options.output}")


def _output_folder(options: ModesOptions) -> Path:
    folder = require_writable_folder(options.output)
    if folder.resolve() == Path(options.modes).resolve():
        raise InputError(
            f"--output: '{folder}' is the folder of the modes, whose record would be overwritten; give another folder"
        )
    return folder


def read_inputs(options: ModesOptions) -> Inputs:
    """Read and check the input. Raises InputError before any work."""
    asked = parse_mode_list(options.mode_list) if options.mode_list else ()
    structure, modes = read_reference(options.structure, options.modes, options=options, motion=options.motion)
    modes.select(asked)
    if not options.target:
        return Inputs(structure, modes, asked, None)
    hydrogens, models = bool((structure.atomic_number == 1).any()), atoms_of_modes(options.modes, options).models
    target = read_structure(options.target, hydrogens=hydrogens, models=models)
    matched = match_atoms(structure, target, options.structure, options.target)
    return Inputs(structure, modes, asked, Compared(structure, matched, target.coords_A[matched.second]))


def _facts(inputs: Inputs, transition: Transition | None, table: ModeTable) -> dict[str, Any]:
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


def _report(table: ModeTable, facts: dict[str, Any], options: ModesOptions) -> str:
    """The table as text, with explanations and the selected modes."""
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


def _write_displacements(path: Path, structure: Structure, residues: dict[str, Floats]) -> None:
    shown = structure.representative_atoms
    chains, numbers, codes, kinds = structure.residue_columns
    names = (chains, [f"{number}{code}" for number, code in zip(numbers, codes, strict=True)], kinds)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["chain", "residue", "name", *residues])
        for row, atom in enumerate(shown):
            writer.writerow([*(n[atom] for n in names), *(f"{column[row]:.4f}" for column in residues.values())])


def _write_animations(folder: Path, inputs: Inputs, swing_rmsd_A: float) -> None:
    """mode_7.pdb …: one period of an oscillation along each mode."""
    amplitude = np.array([amplitude_of_rmsd(swing_rmsd_A, len(inputs.structure))])
    with progress_bar("animate", len(inputs.modes), unit="mode") as bar:
        for mode in inputs.modes.mode_ids:
            frames = swing_frames(motion_along(inputs.structure, inputs.modes.select((mode,))), amplitude)
            write_swing(folder / f"mode_{mode}.pdb", inputs.structure, frames)
            bar.update(1)
