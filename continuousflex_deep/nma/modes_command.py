"""The modes command: what each mode does, which ones to use, and animations of them."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.animation import deformed, swing_frames, write_swing
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import atomic_path, require_writable_folder
from continuousflex_deep.io.mode_table import (
    DISPLACEMENTS_CSV,
    MODES_CSV,
    ModeTable,
    mode_list_text,
    read_mode_table,
    write_mode_table,
)
from continuousflex_deep.io.modes import NormalModes, parse_mode_list
from continuousflex_deep.io.records import write_record
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.nma.choice import (
    Matched,
    Motion,
    collective_modes,
    find_motion,
    match_atoms,
    suggest_by_energy,
    suggest_by_motion,
)
from continuousflex_deep.nma.modes_picture import draw_modes
from continuousflex_deep.nma.network import collectivity, mode_scores
from continuousflex_deep.options import ModesOptions
from continuousflex_deep.progress import progress_bar

Floats = NDArray[np.float64]
_LEAST_RMSD_A = 0.01  # between conformations; files round coordinates to 0.001 Å
_HEADINGS = {
    "energy": "energy",
    "collectivity": "collectivity",
    "score": "score",
    "largest_displacement_A": "largest (Å)",
    "overlap": "overlap",
    "amplitude_A": "amplitude (Å)",
    "cumulative_overlap": "cumulative",
}


@dataclass(frozen=True, eq=False)
class Compared:
    """The n atoms shared with a target: coords_A and target_A (n, 3), vectors (M, n, 3) of the modes."""

    matched: Matched
    coords_A: Floats
    vectors: Floats
    target_A: Floats

    def motion(self, rows: NDArray[np.bool_] | slice = slice(None)) -> Motion:
        """The motion along some of the modes, or all."""
        return find_motion(self.coords_A, self.vectors[rows], self.target_A)


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the command read and checked. asked: modes that are to be chosen; compared is None without a target."""

    structure: Structure
    modes: NormalModes
    asked: tuple[int, ...]
    compared: Compared | None


def run(options: ModesOptions) -> None:
    """Write modes.csv, displacements.csv, modes.png, mode_7.pdb … and record.json; print the table and the choice."""
    folder = _output_folder(options)
    stale = read_mode_table(folder / MODES_CSV).mode_ids if (folder / MODES_CSV).exists() else ()
    inputs = read_inputs(options)
    motion = _motion(inputs, options)
    table = make_table(inputs, motion, options)
    facts = _facts(inputs, motion, table)
    residues = residue_displacements(inputs, motion, options.swing_rmsd_A)
    print(_report(table, facts, options))
    for number in stale:
        (folder / f"mode_{number}.pdb").unlink(missing_ok=True)
    write_mode_table(folder / MODES_CSV, table)
    _write_displacements(folder / DISPLACEMENTS_CSV, inputs.structure, residues)
    draw_modes(folder / "modes.png", table, residues, inputs.structure, options.swing_rmsd_A)
    _write_animations(folder, inputs, options.swing_rmsd_A)
    write_record(folder / "record.json", "modes", options, n_atoms=len(inputs.structure), **facts)
    print(f"table, picture and animations are in {options.output}")


def _output_folder(options: ModesOptions) -> Path:
    folder = require_writable_folder(options.output)
    if folder.resolve() == Path(options.modes).resolve():
        raise InputError(
            f"--output: '{folder}' is the folder of the modes, whose record would be overwritten; give another one"
        )
    return folder


def read_inputs(options: ModesOptions) -> Inputs:
    """Read and check everything that is named. Raises InputError before any work."""
    asked = parse_mode_list(options.mode_list) if options.mode_list else ()
    structure, modes = read_reference(options.structure, options.modes)
    modes.select(asked)
    if not options.target:
        return Inputs(structure, modes, asked, None)
    target = read_structure(options.target, hydrogens=bool((structure.atomic_number == 1).any()))
    matched = match_atoms(structure, target, options.structure, options.target)
    atoms = matched.first
    compared = Compared(matched, structure.coords_A[atoms], modes.vectors[:, atoms], target.coords_A[matched.second])
    return Inputs(structure, modes, asked, compared)


def _motion(inputs: Inputs, options: ModesOptions) -> Motion | None:
    """The motion along all modes towards the target; InputError where there is none."""
    if inputs.compared is None:
        return None
    motion = inputs.compared.motion()
    if motion.rmsd_A < _LEAST_RMSD_A:
        raise InputError(
            f"--target: '{options.target}' is the conformation of '{options.structure}' itself (RMSD "
            f"{motion.rmsd_A:.4f} Å once superposed, expected at least {_LEAST_RMSD_A:g} Å); give another one, or "
            "leave the target out"
        )
    return motion


def make_table(inputs: Inputs, motion: Motion | None, options: ModesOptions) -> ModeTable:
    """The facts of each mode, and which are chosen: those asked for, or those suggested."""
    modes, structure = inputs.modes, inputs.structure
    kappa = collectivity(modes.vectors) if modes.collectivity is None else modes.collectivity
    score = mode_scores(kappa) if modes.score is None else modes.score
    columns: dict[str, Floats] = {}
    if modes.eigenvalues is not None:
        columns["energy"] = modes.eigenvalues / modes.eigenvalues[0]
    columns |= {"collectivity": kappa, "score": score}
    columns["largest_displacement_A"] = np.array([
        np.linalg.norm(_displacement(structure, vector, options.swing_rmsd_A), axis=1).max()
        for vector in modes.vectors
    ])  # fmt: skip
    if motion is not None:
        columns |= {
            "overlap": motion.overlap,
            "amplitude_A": motion.amplitudes_A,
            "cumulative_overlap": motion.cumulative,
        }
    if inputs.asked:
        chosen = np.isin(modes.mode_ids, inputs.asked)
    else:
        chosen = np.zeros(len(modes), dtype=bool)
        chosen[_suggested(inputs, kappa, score, columns.get("energy"), options)] = True
    return ModeTable(modes.mode_ids, chosen, columns)


def residue_displacements(inputs: Inputs, motion: Motion | None, swing_rmsd_A: float) -> dict[str, Floats]:
    """How far each residue's atoms move (root mean square over them), by column, each (R,) in Å.

    One column a mode, at the end of its swing, and, with a target, the difference from it (NaN where it lacks the
    residue).
    """
    structure = inputs.structure
    residue = structure.residue_index
    everything = np.arange(len(structure))
    columns = {
        f"mode_{number}_A": _rms_by_residue(residue, everything, _displacement(structure, vector, swing_rmsd_A))
        for number, vector in zip(inputs.modes.mode_ids, inputs.modes.vectors, strict=True)
    }
    if motion is not None and inputs.compared is not None:
        columns["target_A"] = _rms_by_residue(residue, inputs.compared.matched.first, motion.difference_A)
    return columns


def _rms_by_residue(residue: NDArray[np.int64], atoms: NDArray[np.int64], displacement: Floats) -> Floats:
    total = np.bincount(residue[atoms], np.square(displacement).sum(axis=1), minlength=residue[-1] + 1)
    count = np.bincount(residue[atoms], minlength=residue[-1] + 1)
    return np.asarray(np.sqrt(np.where(count > 0, total / np.maximum(count, 1), np.nan)))


def _displacement(structure: Structure, vector: Floats, rmsd_A: float) -> Floats:
    """Displacement (N, 3) along a mode (N, 3) at this RMSD."""
    return deformed(structure, vector[None], _amplitude(structure, rmsd_A)) - structure.coords_A


def _amplitude(structure: Structure, rmsd_A: float) -> Floats:
    """q (1,) of a motion of this RMSD: RMSD · √atoms (docs/conventions.md)."""
    return np.array([rmsd_A * np.sqrt(len(structure))])


def _suggested(
    inputs: Inputs, kappa: Floats, score: Floats, energy: Floats | None, options: ModesOptions
) -> NDArray[np.int64]:
    collective = collective_modes(inputs.modes, kappa, options.collectivity_threshold)
    found = inputs.compared
    if found is None:
        return suggest_by_energy(energy, score, collective, options.max_energy)
    share = options.explained_percent / 100
    return suggest_by_motion(found.coords_A, found.vectors, found.target_A, collective, share)


def _facts(inputs: Inputs, motion: Motion | None, table: ModeTable) -> dict[str, Any]:
    """The chosen modes and, with a target, how far they lead towards it."""
    facts: dict[str, Any] = {"chosen": list(table.chosen_ids)}
    if motion is None or inputs.compared is None:
        return facts
    along = inputs.compared.motion(table.chosen)
    return facts | {
        "matched": inputs.compared.matched.description,
        "rmsd_from_target_A": motion.rmsd_A,
        "rmsd_left_by_all_modes_A": motion.rmsd_left_A,
        "rmsd_left_by_chosen_modes_A": along.rmsd_left_A,
        "chosen_amplitudes_A": [round(float(q), 3) for q in along.amplitudes_A],
        "chosen_cumulative_overlap": float(along.cumulative[-1]),
    }


def _report(table: ModeTable, facts: dict[str, Any], options: ModesOptions) -> str:
    """The table as text, what the numbers are for, and the modes to use."""
    headings = {name: _HEADINGS[name] for name in table.columns}
    lines = ["mode  " + "  ".join(headings.values())]
    for row, mode in enumerate(table.mode_ids):
        cells = [
            f"{column[row]:{len(headings[name])}.{1 if name.endswith('_A') else 3}f}"
            for name, column in table.columns.items()
        ]
        lines.append(f"{mode:4d}  " + "  ".join(cells) + ("  chosen" if table.chosen[row] else ""))
    lines.append(f"largest: the atom that moves most, where the RMSD of all is {options.swing_rmsd_A:g} Å")
    kind = "chosen" if options.mode_list else "suggested"
    if "matched" in facts:
        lines += [
            facts["matched"],
            f"RMSD from the target {facts['rmsd_from_target_A']:.2f} Å; left by all {len(table.mode_ids)} modes "
            f"{facts['rmsd_left_by_all_modes_A']:.2f} Å, by the {kind} ones "
            f"{facts['rmsd_left_by_chosen_modes_A']:.2f} Å (cumulative overlap "
            f"{facts['chosen_cumulative_overlap']:.3f})",
        ]
    return "\n".join([*lines, f"{kind}: --mode-list '{mode_list_text(table.chosen_ids)}'"])


def _write_displacements(path: Path, structure: Structure, residues: dict[str, Floats]) -> None:
    shown = structure.representative_atoms
    names = (structure.chain_ids, structure.residue_numbers, structure.residue_names)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["chain", "residue", "name", *residues])
        for row, atom in enumerate(shown):
            writer.writerow([*(n[atom] for n in names), *(f"{column[row]:.4f}" for column in residues.values())])


def _write_animations(folder: Path, inputs: Inputs, swing_rmsd_A: float) -> None:
    """mode_7.pdb …: one period of a swing along each mode."""
    amplitude = _amplitude(inputs.structure, swing_rmsd_A)
    with progress_bar("animate", len(inputs.modes), unit="mode") as bar:
        for number, vector in zip(inputs.modes.mode_ids, inputs.modes.vectors, strict=True):
            frames = swing_frames(inputs.structure, vector[None], amplitude)
            write_swing(folder / f"mode_{number}.pdb", inputs.structure, frames)
            bar.update(1)
