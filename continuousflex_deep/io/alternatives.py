"""Which of several alternatives in a file is the molecule: locations of atoms, residues at one place, equal chains."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from continuousflex_deep.arrays import Booleans
from continuousflex_deep.io.atom_records import AtomRecords, pieces

_Place = tuple[str, int, str]  # chain, residue number, insertion code
_Residue = tuple[int, str, str]  # number, insertion code, name


def first_alternatives(records: AtomRecords) -> Booleans:
    """(N,) whether atoms belong to the first alternative of their place: the one with the first label, A before B.

    Of several residues at one place (microheterogeneity) only the residue of this label is kept, with its atoms without
    a label. Atoms that this alternative lacks are taken from the next one of the same residue.
    """
    keep = np.ones(len(records), dtype=bool)
    places: dict[_Place, list[int]] = {}
    keys = records.residue_keys
    for i in np.flatnonzero(records.alternatives != "").tolist():
        places.setdefault(keys[i][:3], [])
    if not places:
        return keep
    for i, key in enumerate(keys):
        if key[:3] in places:
            places[key[:3]].append(i)
    for atoms in places.values():
        first = min((i for i in atoms if records.alternatives[i]), key=lambda i: (records.alternatives[i], i))
        residue = records.residue_names[first]
        best: dict[str, int] = {}
        for i in sorted(atoms, key=lambda i: (records.alternatives[i], i)):  # atoms without a label come first
            if records.residue_names[i] == residue:
                best.setdefault(records.names[i], i)
        for i in atoms:
            other = records.residue_names[i] != residue and records.alternatives[i]
            labelled = records.alternatives[i] and best.get(records.names[i]) != i
            keep[i] = not (other or labelled)
    return keep


@dataclass
class _Chain:
    """A chain of the result: its name, its model, and the names of atoms in each of its residues, as first met."""

    name: str
    model: int
    residues: dict[_Residue, set[str]] = field(default_factory=dict)

    def has(self, residue: _Residue, atom: str) -> bool:
        return atom in self.residues.get(residue, ())


def with_distinct_chains(records: AtomRecords) -> tuple[AtomRecords, list[str]]:
    """The records with a name of its own for each chain, and the names that are new, as "A2 (second A)".

    A chain of a further model, or one that repeats residues of an earlier chain of the same name, gets a number.
    """
    chain_ids, taken = records.chain_ids.copy(), set(records.chain_ids.tolist())
    current: dict[str, _Chain] = {}  # by the chain's name in the file
    counts: Counter[str] = Counter()
    renamed: list[str] = []
    for start, end in pieces(records.models, *records.residue_columns):
        given, number, code, name = (column[start] for column in records.residue_columns)
        residue, model = (int(number), code, name), int(records.models[start])
        chain = current.get(given)
        if chain is None or chain.model != model or chain.has(residue, records.names[start]):
            counts[given] += 1
            chain = current[given] = _Chain(_name_of(given, counts[given], taken), model)
            if counts[given] > 1:
                renamed.append(f"{chain.name} ({_ordinal(counts[given])} {given or 'without a name'})")
        chain_ids[start:end] = chain.name
        chain.residues.setdefault(residue, set(records.names[start:end].tolist()))
    return (records.with_chains(chain_ids) if renamed else records), renamed


def _name_of(given: str, count: int, taken: set[str]) -> str:
    """A name for the chain that is the `count`-th with a name of the file, which is added to the names taken."""
    name, mark = given if count == 1 else f"{given}{count}", ""
    while count > 1 and name in taken:
        mark += "-"
        name = f"{given}{mark}{count}"
    taken.add(name)
    return name


def _ordinal(count: int) -> str:
    return {2: "second", 3: "third"}.get(count, f"{count}th")
