"""The molecule among the atoms of a file: what of them is taken, and what is reported."""

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from continuousflex_deep.arrays import Integers, as_column
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.alternatives import first_alternatives, with_distinct_chains
from continuousflex_deep.io.atom_records import AtomRecords, Names, number_in_order, pieces
from continuousflex_deep.io.elements import atomic_numbers, names_of_atoms
from continuousflex_deep.io.polymers import polymer_atoms
from continuousflex_deep.io.residue_kinds import is_bead, is_dummy, is_water, is_water_bead
from continuousflex_deep.messages import note_once

PSEUDOATOM = "DENS"  # Xmipp's atom name for pseudoatoms
Models = Literal["first", "all"]
_CARBON, _HYDROGEN = 6, 1
_LEAST_TYPICAL_A, _MOST_MEASURED = 0.6, 2000  # bonds have 1 Å and more; atoms among which distances are measured
_CLASH_A, _CLASHING = 1.0, 0.05  # atoms that are nearer clash, and the share of them from which on models overlap


def the_molecule(
    records: AtomRecords, file: Path, hydrogens: bool, models: Models
) -> tuple[AtomRecords, Integers]:
    """The atoms that are used, in their order, and their atomic numbers (N,); a note reports what is special.

    FormatError for coarse-grained models; InputError if `models` takes conformations for copies.
    """
    _require_no_beads(records, file)
    notes = _notes_on_copies(records, models)
    several = len(np.unique(records.models)) > 1
    if models == "first":
        records = records.select(records.models == records.models[0])
    atomic_number = np.where(records.names == PSEUDOATOM, _CARBON, atomic_numbers(records))
    kept, dummies = _not_of_the_molecule(records)
    if not hydrogens:
        kept &= atomic_number != _HYDROGEN
    records, atomic_number = records.select(kept), atomic_number[kept]
    first = first_alternatives(records)
    records, atomic_number = records.select(first), atomic_number[first]
    if models == "all" and several:
        _require_apart(records, file)
    if not (records.names == PSEUDOATOM).all():
        records, renamed = with_distinct_chains(records)
        notes += [f"chains are named {some_names(as_column(renamed))}"] if renamed else []
        notes += _notes_on_composition(records, dummies)
    if notes:
        note_once(f"'{file}': {'; '.join(notes)}")
    return records, atomic_number


def _require_no_beads(records: AtomRecords, file: Path) -> None:
    names = dict.fromkeys(zip(records.residue_names.tolist(), records.names.tolist(), strict=True))
    beads = [f"{name} of {residue}" for residue, name in names if is_bead(residue, name)]
    if beads:
        raise FormatError(
            f"'{file}' is a coarse-grained model, whose beads stand for several atoms each: "
            f"{some_names(as_column(beads))}; give a structure with all atoms, or with the Cα atoms alone"
        )


def _notes_on_copies(records: AtomRecords, models: Models) -> list[str]:
    """Models and copies in assemblies that are not read."""
    count = len(np.unique(records.models))
    if count > 1 and models == "first":
        return [f"the first of {count} models is read; --models all takes all of them as one molecule"]
    if count == 1 and records.copies > 1:
        return [
            f"the file describes an assembly of {records.copies} copies of its atoms, which are read once; for the "
            "assembly, give a file that contains it"
        ]
    return []


def _require_apart(records: AtomRecords, file: Path) -> None:
    """InputError if models are conformations of one molecule, which occupy the same space, and not copies of it."""
    mine = records.models == records.models[0]
    finite = np.isfinite(records.coords_A).all(axis=1)
    others = cKDTree(records.coords_A[~mine & finite])
    nearest_A, _ = others.query(records.coords_A[mine & finite])
    if np.mean(nearest_A < _CLASH_A) > _CLASHING:
        raise InputError(
            f"--models all: the models of '{file}' occupy the same space, so they are conformations of one molecule "
            "and not copies in an assembly; read the first model (--models first), or write one model to a file of its "
            "own"
        )


def some_names(names: Names, most: int = 10) -> str:
    """The first few of the different names, as text."""
    unique = [name or "without a name" for name in dict.fromkeys(names.tolist())]
    return ", ".join(unique[:most]) + (", …" if len(unique) > most else "")


def _not_of_the_molecule(records: AtomRecords) -> tuple[np.ndarray, int]:
    """(N,) whether atoms are neither water nor dummies; and the number of dummies."""
    water = {residue for residue, names in names_of_atoms(records).items() if is_water(residue, names)}
    columns = zip(records.residue_names.tolist(), records.names.tolist(), records.elements.tolist(), strict=True)
    keys = list(columns)
    kinds = {key: is_dummy(*key) for key in dict.fromkeys(keys)}
    dummy = np.array([kinds[key] for key in keys], dtype=bool)
    beads = {key for key in kinds if is_water_bead(*key)}
    bead = np.array([key in beads for key in keys], dtype=bool)
    return ~(dummy | bead | np.isin(records.residue_names, list(water))), int(dummy.sum())


def _notes_on_composition(records: AtomRecords, dummies: int) -> list[str]:
    """What a user may not expect: dummies, residues besides the polymer, places and names that are there twice, and
    atoms that are not observed."""
    notes = [f"dummy atoms left out: {dummies}"] if dummies else []
    polymeric, first = polymer_atoms(records), [start for start, _ in pieces(*records.residue_columns)]
    others = Counter(records.residue_names[first][~polymeric[first]].tolist())
    if others and polymeric.any():
        listed = ", ".join(f"{n} {name}" for name, n in others.most_common(10)) + (", …" if len(others) > 10 else "")
        notes.append(f"part of the structure besides the polymer: {listed} (--select ';polymer' leaves them out)")
    chains, numbers, codes = (column[first] for column in records.residue_columns[:3])
    same = (chains[1:] == chains[:-1]) & (numbers[1:] == numbers[:-1]) & (codes[1:] == codes[:-1])
    if same.any():
        notes.append(f"residues with the number of the one before, used like the others: {int(same.sum())}")
    twice = len(records) - _count_different(number_in_order(*records.residue_columns), records.names)
    if twice:
        notes.append(f"atoms with the name of another atom of their residue, used like the others: {twice}")
    unseen = records.occupancies <= 0
    if unseen.any() and not unseen.all():
        notes.append(f"atoms of occupancy 0, used like the others: {int(unseen.sum())}")
    apart_A = _typical_distance_A(records)
    if apart_A < _LEAST_TYPICAL_A:
        notes.append(
            f"atoms are {apart_A:.2g} Å from their nearest ones (median); are the coordinates in nm, or are atoms in "
            "the file twice?"
        )
    return notes


def _typical_distance_A(records: AtomRecords) -> float:
    """Median distance of atoms, among the first ones, from the nearest of them; inf of a single atom."""
    coords_A = records.coords_A[:_MOST_MEASURED]
    coords_A = coords_A[np.isfinite(coords_A).all(axis=1)]
    return float(np.median(cKDTree(coords_A).query(coords_A, k=2)[0][:, 1])) if len(coords_A) > 1 else np.inf


def _count_different(residues: Integers, names: Names) -> int:
    """The number of different pairs of a residue (N,) and a name (N,)."""
    codes = {name: code for code, name in enumerate(dict.fromkeys(names.tolist()))}
    code = np.array([codes[name] for name in names.tolist()], dtype=np.int64)
    return len(np.unique(residues * (len(codes) + 1) + code))
