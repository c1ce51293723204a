"""What each mode does: energy, collectivity, displacement of every residue, and how far it leads to a target."""

from dataclasses import dataclass

import numpy as np

from continuousflex_deep.arrays import Booleans, Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.mode_table import ModeTable
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion import deformed
from continuousflex_deep.nma.choice import (
    Matched,
    Motion,
    collective_modes,
    find_motion,
    suggest_by_energy,
    suggest_by_motion,
)
from continuousflex_deep.nma.network import collectivity, mode_scores
from continuousflex_deep.options import ModesOptions

_LEAST_RMSD_A = 0.01  # between conformations; files round coordinates to 0.001 Å


@dataclass(frozen=True, eq=False)
class Compared:
    """The n atoms shared with a target: coords_A and target_A (n, 3), vectors (M, n, 3) of the modes."""

    matched: Matched
    coords_A: Floats
    vectors: Floats
    target_A: Floats

    def motion(self, rows: Booleans | slice = slice(None)) -> Motion:
        """The motion along some of the modes, or all."""
        return find_motion(self.coords_A, self.vectors[rows], self.target_A)


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the command read and checked. asked: modes that are to be chosen; compared is None without a target."""

    structure: Structure
    modes: NormalModes
    asked: tuple[int, ...]
    compared: Compared | None


def motion_towards_target(inputs: Inputs, options: ModesOptions) -> Motion | None:
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


def _rms_by_residue(residue: Integers, atoms: Integers, displacement: Floats) -> Floats:
    total = np.bincount(residue[atoms], np.square(displacement).sum(axis=1), minlength=residue[-1] + 1)
    count = np.bincount(residue[atoms], minlength=residue[-1] + 1)
    return np.asarray(np.sqrt(np.where(count > 0, total / np.maximum(count, 1), np.nan)))


def _displacement(structure: Structure, vector: Floats, rmsd_A: float) -> Floats:
    """Displacement (N, 3) along a mode (N, 3) at this RMSD."""
    return deformed(structure, vector[None], amplitude_of_rmsd(structure, rmsd_A)) - structure.coords_A


def amplitude_of_rmsd(structure: Structure, rmsd_A: float) -> Floats:
    """q (1,) of a motion of this RMSD: RMSD · √atoms (docs/conventions.md)."""
    return np.array([rmsd_A * np.sqrt(len(structure))])


def _suggested(
    inputs: Inputs, kappa: Floats, score: Floats, energy: Floats | None, options: ModesOptions
) -> Integers:
    collective = collective_modes(inputs.modes, kappa, options.collectivity_threshold)
    found = inputs.compared
    if found is None:
        return suggest_by_energy(energy, score, collective, options.max_energy)
    share = options.explained_percent / 100
    return suggest_by_motion(found.coords_A, found.vectors, found.target_A, collective, share)
