"""Properties of each mode: energy, collectivity, displacement of every residue, and overlap with a target."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.mode_table import ModeTable
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion import Motion, amplitude_of_rmsd, motion_along
from continuousflex_deep.nma.choice import (
    Matched,
    Transition,
    collective_modes,
    find_transition,
    suggest_by_energy,
    suggest_by_transition,
)
from continuousflex_deep.nma.network import collectivity, mode_scores
from continuousflex_deep.options import ModesOptions

_LEAST_RMSD_A = 0.01  # between different conformations; files round coordinates to 0.001 Å


@dataclass(frozen=True, eq=False)
class Compared:
    """A structure and a target with n common atoms `matched`, which the target has at target_A (n, 3)."""

    structure: Structure
    matched: Matched
    target_A: Floats

    def motion(self, modes: NormalModes) -> Motion[Floats]:
        """The motion of the common atoms along modes of the structure."""
        return motion_along(self.structure, modes).select(self.matched.first)

    def transition(self, modes: NormalModes) -> Transition:
        """The transition to the target along modes of the structure."""
        return find_transition(self.motion(modes), self.target_A)


@dataclass(frozen=True, eq=False)
class Inputs:
    """The input of the modes command. asked: modes to be selected; compared is None without a target."""

    structure: Structure
    modes: NormalModes
    asked: tuple[int, ...]
    compared: Compared | None


def transition_to_target(inputs: Inputs, options: ModesOptions) -> Transition | None:
    """The transition to the target along all modes, None without a target. InputError if the target is identical."""
    if inputs.compared is None:
        return None
    transition = inputs.compared.transition(inputs.modes)
    if transition.rmsd_A < _LEAST_RMSD_A:
        raise InputError(
            f"--target: '{options.target}' has the same conformation as '{options.structure}' (RMSD "
            f"{transition.rmsd_A:.4f} Å after superposition, expected at least {_LEAST_RMSD_A:g} Å); give another "
            "conformation, or no target"
        )
    return transition


def make_table(inputs: Inputs, transition: Transition | None, options: ModesOptions) -> ModeTable:
    """The properties of each mode, and which modes are selected: those given by the user, or those suggested."""
    modes = inputs.modes
    kappa = collectivity(modes.vectors) if modes.collectivity is None else modes.collectivity
    score = mode_scores(kappa) if modes.score is None else modes.score
    columns: dict[str, Floats] = {}
    if modes.eigenvalues is not None:
        columns["energy"] = modes.eigenvalues / modes.eigenvalues[0]
    columns |= {"collectivity": kappa, "score": score}
    swings = _swings(inputs, options.swing_rmsd_A)
    columns["largest_displacement_A"] = np.array([np.linalg.norm(moved, axis=1).max() for moved in swings])
    if transition is not None:
        columns |= {
            "overlap": transition.overlap,
            "amplitude_A": transition.amplitudes_A,
            "cumulative_overlap": transition.cumulative,
        }
    if inputs.asked:
        chosen = np.isin(modes.mode_ids, inputs.asked)
    else:
        chosen = np.zeros(len(modes), dtype=bool)
        chosen[_suggested(inputs, kappa, score, columns.get("energy"), options)] = True
    return ModeTable(modes.mode_ids, chosen, columns)


def residue_displacements(inputs: Inputs, transition: Transition | None, swing_rmsd_A: float) -> dict[str, Floats]:
    """Displacement of each residue (root mean square over its atoms) by column, each (R,) in Å.

    One column per mode, at the end of its animation, and, with a target, the difference from it (NaN for residues that
    the target does not have).
    """
    structure = inputs.structure
    residue = structure.residue_index
    everything = np.arange(len(structure))
    columns = {
        f"mode_{mode}_A": _rms_by_residue(residue, everything, moved)
        for mode, moved in zip(inputs.modes.mode_ids, _swings(inputs, swing_rmsd_A), strict=True)
    }
    if transition is not None and inputs.compared is not None:
        columns["target_A"] = _rms_by_residue(residue, inputs.compared.matched.first, transition.difference_A)
    return columns


def _rms_by_residue(residue: Integers, atoms: Integers, displacement: Floats) -> Floats:
    total = np.bincount(residue[atoms], np.square(displacement).sum(axis=1), minlength=residue.max() + 1)
    count = np.bincount(residue[atoms], minlength=residue.max() + 1)
    return np.asarray(np.sqrt(np.where(count > 0, total / np.maximum(count, 1), np.nan)))


def _swings(inputs: Inputs, rmsd_A: float) -> Iterator[Floats]:
    """The displacements (N, 3) along each mode at this RMSD."""
    motion = motion_along(inputs.structure, inputs.modes)
    for amplitudes in amplitude_of_rmsd(rmsd_A, len(inputs.structure)) * np.eye(len(inputs.modes)):
        yield motion.displacements(amplitudes)


def _suggested(
    inputs: Inputs, kappa: Floats, score: Floats, energy: Floats | None, options: ModesOptions
) -> Integers:
    collective = collective_modes(inputs.modes, kappa, options.collectivity_threshold)
    found = inputs.compared
    if found is None:
        return suggest_by_energy(energy, score, collective, options.max_energy)
    share = options.explained_percent / 100
    return suggest_by_transition(found.motion(inputs.modes), found.target_A, collective, share)
