"""The `modes` command: properties of each mode, selection of modes, and animations."""

from pathlib import Path

import numpy as np

from continuousflex_deep.errors import InputError
from continuousflex_deep.figures.modes import save_modes
from continuousflex_deep.io.file_names import RECORD_JSON
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.frames import write_swing
from continuousflex_deep.io.mode_table import (
    DISPLACEMENTS_CSV,
    MODES_CSV,
    read_mode_table,
    write_displacements,
    write_mode_table,
)
from continuousflex_deep.io.modes import parse_mode_list
from continuousflex_deep.io.records import begin_results, write_record
from continuousflex_deep.io.reference import atoms_of_modes, read_reference
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.motion import amplitude_of_rmsd, motion_along
from continuousflex_deep.nma.choice import match_atoms
from continuousflex_deep.nma.mode_properties import (
    Compared,
    Inputs,
    make_table,
    residue_displacements,
    transition_to_target,
)
from continuousflex_deep.nma.mode_report import format_mode_table, selection_facts
from continuousflex_deep.options import ModesOptions
from continuousflex_deep.progress import progress_bar
from continuousflex_deep.runs.sole_writer import sole_writer
from continuousflex_deep.trajectories.frames import swing_frames


@sole_writer
def run(options: ModesOptions) -> None:
    """Write modes.csv, displacements.csv, modes.png, mode_7.pdb … and record.json; print table and selection."""
    folder = _output_folder(options)
    stale = read_mode_table(folder / MODES_CSV).mode_ids if (folder / MODES_CSV).exists() else ()
    inputs = read_inputs(options)
    transition = transition_to_target(inputs, options)
    table = make_table(inputs, transition, options)
    facts = selection_facts(inputs, transition, table)
    residues = residue_displacements(inputs, transition, options.swing_rmsd_A)
    print(format_mode_table(table, facts, options))
    begin_results(folder)
    for number in stale:
        (folder / f"mode_{number}.pdb").unlink(missing_ok=True)
    write_mode_table(folder / MODES_CSV, table)
    write_displacements(folder / DISPLACEMENTS_CSV, inputs.structure, residues)
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


def _write_animations(folder: Path, inputs: Inputs, swing_rmsd_A: float) -> None:
    """mode_7.pdb …: one period of an oscillation along each mode."""
    amplitudes = amplitude_of_rmsd(swing_rmsd_A, len(inputs.structure)) * np.eye(len(inputs.modes))
    motion = motion_along(inputs.structure, inputs.modes)
    with progress_bar("animate", len(inputs.modes), unit="mode") as bar:
        for mode, amplitude in zip(inputs.modes.mode_ids, amplitudes, strict=True):
            write_swing(folder / f"mode_{mode}.pdb", inputs.structure, swing_frames(motion, amplitude))
            bar.update(1)
