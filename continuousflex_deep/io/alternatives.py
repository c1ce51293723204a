"""Which of several alternatives in a file is the molecule: locations of atoms, residues at one place, equal chains."""

import numpy as np

from continuousflex_deep.arrays import Booleans
from continuousflex_deep.io.atom_records import AtomRecords, number_in_order

Place = tuple[str, int, str]  # chain, residue number, insertion code


def first_alternatives(records: AtomRecords) -> Booleans:
    """(N,) whether atoms belong to the first alternative of their place: the one with the first label, A before B.

    Of several residues at one place (microheterogeneity) only the residue of this label is kept, with its atoms without
    a label. Atoms that this alternative lacks are taken from the next one of the same residue.
    """
    keep = np.ones(len(records), dtype=bool)
    places: dict[Place, list[int]] = {}
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


def with_distinct_chains(records: AtomRecords) -> tuple[AtomRecords, list[str]]:
    """The records with a name of its own for each chain, and the names that are new, as "A2 (second A)".

    A chain of a further model, or one that repeats residues of an earlier chain of the same name, gets a number.
    """
    chains, known = records.chain_ids.copy(), set(records.chain_ids.tolist())
    renamed: list[str] = []
    seen: dict[str, dict[tuple[int, str, str], slice]] = {}  # of a new chain, its residues' first atoms
    current: dict[str, tuple[int, str]] = {}  # chain of the file -> model and name that its atoms have now
    counts: dict[str, int] = {}
    starts = np.flatnonzero(np.diff(number_in_order(records.models, *records.residue_columns), prepend=-1))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(records)], strict=True):
        chain, model = records.chain_ids[start], int(records.models[start])
        residue = (int(records.residue_numbers[start]), records.insertion_codes[start], records.residue_names[start])
        if chain not in current:
            current[chain], counts[chain] = (model, chain), 1
        before = seen.get(current[chain][1], {}).get(residue)
        repeats = before is not None and records.names[start] in records.names[before].tolist()
        if current[chain][0] != model or repeats:
            counts[chain] += 1
            current[chain] = (model, _free_name(chain, counts[chain], known))
            renamed.append(f"{current[chain][1]} ({_ordinal(counts[chain])} {chain or 'without a name'})")
        chains[start:end] = current[chain][1]
        seen.setdefault(current[chain][1], {}).setdefault(residue, slice(start, end))
    return (records.with_chains(chains) if renamed else records), renamed


def _free_name(chain: str, count: int, known: set[str]) -> str:
    name = f"{chain}{count}"
    if name in known:
        name = f"{chain}-{count}"
    known.add(name)
    return name


def _ordinal(count: int) -> str:
    return {2: "second", 3: "third"}.get(count, f"{count}th")


