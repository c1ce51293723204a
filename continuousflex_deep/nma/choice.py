"""Selection of normal modes: by energy and collectivity, or by the motion between two conformations.

The motion is the difference of two superposed conformations, expressed by the modes of one of them (Marques &
Sanejouand, Proteins 1995, 23:557; Tama & Sanejouand, Protein Eng 2001, 14:1). All atoms have equal weights, as in the
modes (all masses are 1): the difference then contains no translation or rotation of the first structure.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Booleans, Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.messages import note
from continuousflex_deep.motion import Motion
from continuousflex_deep.nma.chains import pair_equal_chains, plain_residue_names
from continuousflex_deep.nma.rigid_blocks import rigid_motions
from continuousflex_deep.nma.superposition import superpose

AtomKey = tuple[Any, ...]  # chain, residue number, insertion code and name, atom name, and a count of atoms like it
LEAST_SHARE = 0.5  # of the structure's residues, which the other conformation must have
_STEPS, _CONVERGED_A = 100, 1e-7


# ------------------------------------------------------------------------------------------------------------ matching


@dataclass(frozen=True, eq=False)
class Matched:
    """Common atoms of two structures: atom first[k] of one is atom second[k] of the other; both (n,)."""

    first: Integers
    second: Integers
    description: str


def match_atoms(structure: Structure, other: Structure, name: str = "structure", other_name: str = "target") -> Matched:
    """The common atoms of two structures, matched by chain, residue (number, insertion code, name) and atom name.

    Histidines match in all protonation states. Chains are paired by name or by order, whichever matches more atoms;
    chains of equal sequence by their place in the assembly, if that makes the RMSD clearly smaller. A note lists pairs
    of chains with different names. Pseudoatoms belong to no residue: they are matched by order, and their numbers must
    be equal.
    Raises InputError if the other structure has less than half of the residues, or another number of pseudoatoms.
    """
    if structure.is_pseudoatomic or other.is_pseudoatomic:
        return _match_pseudoatoms(structure, other, name, other_name)
    places = [_chains_by_name(structure, other), _chains_by_order(structure, other)]
    named = max(places, key=lambda chains: len(_match(structure, other, chains)[0]))
    chains = pair_equal_chains(structure, other, named)
    first, second = _match(structure, other, chains)
    residue = structure.residue_index
    found, total = len(np.unique(residue[first])), int(residue.max()) + 1
    if found < LEAST_SHARE * total:
        raise InputError(
            f"'{other_name}' has {found} of the {total} residues of '{name}' (matched by chain, residue number and "
            f"residue name; chains {_some(structure.chain_ids)} and {_some(other.chain_ids)}), expected at least "
            f"{100 * LEAST_SHARE:.0f}%; give a conformation of the same molecule with the same numbers of residues"
        )
    renamed = _renamed(chains)
    if renamed:
        reason = "by order" if chains == named else "by their place in the assembly, which gives a clearly smaller RMSD"
        note(f"chains of '{name}' and '{other_name}' are paired {reason}, not by name: {renamed}")
    return Matched(
        first,
        second,
        f"{len(first)} of {len(structure)} atoms and {found} of {total} residues are in the target"
        + (f" (chains {renamed})" if renamed else ""),
    )


def _renamed(chains: dict[str, str]) -> str:
    """The pairs of chains with different names, as text; empty if there are none."""
    pairs = [f"{ours} = {theirs}" for ours, theirs in chains.items() if ours != theirs]
    return ", ".join(pairs[:10]) + (", …" if len(pairs) > 10 else "")


def _match_pseudoatoms(structure: Structure, other: Structure, name: str, other_name: str) -> Matched:
    if not (structure.is_pseudoatomic and other.is_pseudoatomic and len(structure) == len(other)):
        kinds = ["pseudoatoms" if s.is_pseudoatomic else "atoms" for s in (structure, other)]
        raise InputError(
            f"'{name}' has {len(structure)} {kinds[0]}, '{other_name}' has {len(other)} {kinds[1]}; pseudoatoms belong "
            "to no residue and can only be compared with the same pseudoatoms at other positions: give these, or use "
            "atomic structures"
        )
    everything = np.arange(len(structure))
    return Matched(everything, everything, f"{len(structure)} pseudoatoms, compared by their order")


def _chains_by_name(structure: Structure, other: Structure) -> dict[str, str]:
    ours, theirs = _chains(structure), _chains(other)
    return {c: c for c in ours if c in theirs}


def _chains_by_order(structure: Structure, other: Structure) -> dict[str, str]:
    return dict(zip(_chains(structure), _chains(other), strict=False))


def _chains(structure: Structure) -> list[str]:
    return list(dict.fromkeys(structure.chain_ids.tolist()))


def _match(structure: Structure, other: Structure, chains: dict[str, str]) -> tuple[Integers, Integers]:
    """Pairs of atoms, for given pairs of chains."""
    there = {key: i for i, key in enumerate(_keys(other))}
    pairs = []
    for i, (chain, *rest) in enumerate(_keys(structure)):
        partner = there.get((chains.get(chain), *rest))
        if partner is not None:
            pairs.append((i, partner))
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return first, second


def _keys(structure: Structure) -> list[AtomKey]:
    """A unique key for each atom; its last number distinguishes atoms with the same names."""
    seen: dict[AtomKey, int] = {}
    keys: list[AtomKey] = []
    chains, numbers, codes, _ = (column.tolist() for column in structure.residue_columns)
    columns = (chains, numbers, codes, plain_residue_names(structure), structure.atom_names.tolist())
    for key in zip(*columns, strict=True):
        seen[key] = seen.get(key, -1) + 1
        keys.append((*key, seen[key]))
    return keys


def _some(names: NDArray[np.object_]) -> str:
    unique = list(dict.fromkeys(names.tolist()))
    return " ".join(unique[:5]) + (" …" if len(unique) > 5 else "")


# -------------------------------------------------------------------------------------------------------------- motion


@dataclass(frozen=True, eq=False)
class Transition:
    """The motion of a structure along M modes towards another conformation, over n matched atoms.

    amplitudes_A (M,): q of all modes together, with the pose, that give the smallest RMSD.
    overlap (M,), from 0 to 1: the cosine between each mode and the difference.
    cumulative (M,): the part of the difference's length in the span of this mode and the previous ones.
    rmsd_A: before the motion; rmsd_left_A: after the motion along all modes. difference_A (n, 3): the difference.
    """

    amplitudes_A: Floats
    overlap: Floats
    cumulative: Floats
    rmsd_A: float
    rmsd_left_A: float
    difference_A: Floats


def find_transition(motion: Motion[Floats], target_A: Floats) -> Transition:
    """The transition of n atoms that move along M modes towards target_A (n, 3), the same atoms in order.

    Overlap and cumulative overlap are defined as in the literature: the target is superposed on the structure, and the
    difference is compared with each mode and with the span of the first modes. If the modes have more atoms than the n
    matched ones, they may rotate these as a whole; rigid motions are removed first. Amplitudes give the smallest RMSD
    over all poses of the target, since the alignment of images finds pose and amplitudes together. For a target that
    the modes can express they are exact for motions of any size; with all atoms matched they are the projections v·D.
    Raises InputError if there are too few atoms for this number of modes.
    """
    coords_A, n_modes = motion.rest_A, motion.n_modes
    if coords_A.size < n_modes + 6:
        raise InputError(
            f"{len(coords_A)} matched atoms do not determine {n_modes} amplitudes; give a more complete target, "
            "or select fewer modes"
        )
    difference = superpose(target_A, coords_A) - coords_A
    internal = _internal(motion)
    length, lengths = np.linalg.norm(difference), np.linalg.norm(internal, axis=1)
    if length < 1e-6 * np.sqrt(len(coords_A)):
        overlap = cumulative = np.zeros(n_modes)
    else:
        safe = np.where(lengths > 1e-9, lengths, 1.0)  # a mode that does not move the matched atoms
        overlap = np.abs(internal @ difference.ravel()) / (safe * length)
        cumulative = _cumulative(internal, difference.ravel() / length)
    amplitudes, left_A = fit_amplitudes(motion, target_A)
    return Transition(
        amplitudes_A=amplitudes,
        overlap=np.minimum(overlap, 1.0),
        cumulative=cumulative,
        rmsd_A=float(length / np.sqrt(len(coords_A))),
        rmsd_left_A=left_A,
        difference_A=difference,
    )


def fit_amplitudes(motion: Motion[Floats], target_A: Floats) -> tuple[Floats, float]:
    """Amplitudes (M,) in Å of a motion of n atoms, and the remaining RMSD in Å from target_A (n, 3) in its best pose.

    Gauss-Newton steps: the target is superposed on the moved structure, and the remaining difference is expressed by
    modes and small rigid motions (least squares).
    """
    amplitudes = np.zeros(motion.n_modes)
    for _ in range(_STEPS):
        moved = motion.coordinates(amplitudes)
        residual = (superpose(target_A, moved) - moved).ravel()
        both = np.concatenate([_rows(motion.derivative(amplitudes)).T, rigid_motions(moved)], axis=1)
        step = np.linalg.lstsq(both, residual, rcond=1e-8)[0][: len(amplitudes)]
        amplitudes = amplitudes + step
        if np.abs(step).max() < _CONVERGED_A * np.sqrt(len(moved)):
            break
    moved = motion.coordinates(amplitudes)
    left = superpose(target_A, moved) - moved
    return amplitudes, float(np.linalg.norm(left) / np.sqrt(len(moved)))


def _internal(motion: Motion[Floats]) -> Floats:
    """The modes at rest, without rigid motions, as rows (M, 3n)."""
    rows, rigid = _rows(motion.derivative(np.zeros(motion.n_modes))), rigid_motions(motion.rest_A)
    return rows - (rows @ rigid) @ rigid.T


def _rows(directions: Floats) -> Floats:
    return directions.reshape(len(directions), -1)


def _cumulative(rows: Floats, direction: Floats) -> Floats:
    """Length (M,) of a unit vector's (k,) projection on the span of the first 1, 2, …, M rows (M, k)."""
    q, r = np.linalg.qr(rows.T)
    independent = np.abs(np.diag(r)) > 1e-8 * np.abs(np.diag(r)).max()
    return np.asarray(np.sqrt(np.minimum(np.cumsum(independent * (q.T @ direction) ** 2), 1.0)))


# -------------------------------------------------------------------------------------------------------------- choice


def suggest_by_transition(
    motion: Motion[Floats], target_A: Floats, collective: Booleans, explained: float
) -> Integers:
    """Rows of the fewest modes, in order, that explain the share `explained` (0 to 1) of the part of the squared
    difference that all collective modes explain.

    Modes are added one by one, each time the one that explains most of the rest. For orthogonal modes no smaller set
    explains as much.
    """
    rows = np.flatnonzero(collective)
    difference = superpose(target_A, motion.rest_A) - motion.rest_A
    left = _internal(motion)[rows]
    rest = difference.ravel() / max(float(np.linalg.norm(difference)), 1e-12)
    total = float(_cumulative(left, rest)[-1] ** 2)
    chosen: list[int] = []
    held = 0.0
    while len(chosen) < len(rows) and held < explained * total - 1e-12:
        lengths = np.linalg.norm(left, axis=1)
        gain = np.where(lengths > 1e-8, (left @ rest) ** 2 / np.maximum(lengths, 1e-8) ** 2, -1.0)
        gain[chosen] = -1.0
        best = int(gain.argmax())
        direction = left[best] / lengths[best]
        held += float(gain[best])
        rest = rest - (direction @ rest) * direction
        left = left - np.outer(left @ direction, direction)
        chosen.append(best)
    return np.asarray(np.sort(rows[chosen]), dtype=np.int64)


def suggest_by_energy(
    energies: Floats | None, score: Floats, collective: Booleans, max_energy: float, count: int = 3
) -> Integers:
    """Rows of the collective modes whose energy (M,) is at most max_energy times that of the slowest collective mode.

    If energies are unknown: the `count` modes with the lowest scores.
    """
    rows = np.flatnonzero(collective)
    if energies is None:
        return np.asarray(np.sort(rows[np.argsort(score[rows], kind="stable")[:count]]), dtype=np.int64)
    return rows[energies[rows] <= max_energy * energies[rows].min()]


def collective_modes(modes: NormalModes, kappa: Floats, threshold: float) -> Booleans:
    """Which of the modes (M,) have a collectivity (M,) of at least the threshold; InputError if none has."""
    collective = np.asarray(kappa >= threshold)
    if not collective.any():
        raise InputError(
            f"none of the modes {list(modes.mode_ids)} has a collectivity of at least {threshold:g} (the highest is "
            f"{kappa.max():.3f}); lower --collectivity-threshold, or compute more modes"
        )
    return collective
