"""Which chain of one structure is which of another, where several have the same sequence.

Files of one homo-oligomer may name its chains in any order, so that names alone can pair chains that lie elsewhere in
the assembly. Here they are paired by their arrangement: superposed by one pair of chains, each other chain goes to the
equal one that is nearest.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from continuousflex_deep.arrays import Booleans, Floats
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.nma.superposition import rigid_fit

Pairing = dict[str, str]  # chain of the structure -> chain of the other one
# other names of the same residue, by its protonation, as force fields write them
_SAME = dict.fromkeys(("HSD", "HSE", "HSP", "HID", "HIE", "HIP"), "HIS")
_EQUAL = 0.9  # of the shorter chain's residues that the other one shares, where sequences count as equal
_COMPLETE = 0.9  # of the residues that names match which another pairing must match
_CLEARLY = 0.9  # of the RMSD by names: symmetric assemblies leave others about as good, which are no reason
_TIED = 1.01
_ROUNDS, _LEAST_RESIDUES = 20, 3
_MOST_STARTS = 4000  # of pairings; one takes about a millisecond for 60 chains
_FAR_A = 1e6  # stands for a pair of chains that cannot be


def plain_residue_names(structure: Structure) -> list[str]:
    """Names of the atoms' residues, whatever their protonation is called."""
    return [_SAME.get(name, name) for name in structure.residue_names.tolist()]


def pair_equal_chains(structure: Structure, other: Structure, named: Pairing) -> Pairing:
    """The pairing `named`, or one by arrangement whose RMSD is clearly smaller; chains without an equal stay.

    The RMSD is that of one atom a residue, superposed as a whole. Pairings are tried from every pair of equal chains
    (polynomial in the number of chains). Where at most one of the chains in question is paired, names stay: there is no
    arrangement to go by.
    """
    table = _compare_chains(structure, other, named)
    several = (table.allowed.sum(axis=1) > 1) | (table.allowed[:, table.allowed.sum(axis=0) > 1]).any(axis=1)
    in_question = [a for a, chain in enumerate(table.ours) if several[a] and named.get(chain) in table.theirs]
    if len(in_question) < 2:
        return named
    by_name = tuple(table.theirs.index(named[c]) if named.get(c) in table.theirs else -1 for c in table.ours)
    least, limit_A = _COMPLETE * table.count(by_name), _CLEARLY * table.rmsd_A(by_name)
    found = {pairing: table.rmsd_A(pairing) for pairing in _pairings(table) if table.count(pairing) >= least}
    if not found or min(found.values()) >= limit_A:
        return named
    tied_A = _TIED * min(found.values()) + 1e-3
    tied = [pairing for pairing, rmsd_A in found.items() if rmsd_A <= tied_A]
    best = max(tied, key=lambda pairing: (sum(a == b for a, b in zip(pairing, by_name, strict=True)), -found[pairing]))
    return {chain: table.theirs[b] for chain, b in zip(table.ours, best, strict=True) if b >= 0}


@dataclass(frozen=True, eq=False)
class _Chains:
    """Chains of a structure, A, and of another, B; and what each pair shares.

    shared[a][b]: coordinates (k, 3) twice, in Å, one atom for each residue that chain a shares with chain b; centre_A
    (A, B, 2, 3) are their means, and allowed (A, B) says which pairs may be.
    """

    ours: list[str]
    theirs: list[str]
    shared: list[list[tuple[Floats, Floats]]]
    centre_A: Floats
    allowed: Booleans

    def points(self, pairing: tuple[int, ...]) -> tuple[Floats, Floats]:
        """The shared atoms (n, 3) of all pairs, ours and theirs; -1 is a chain without a partner."""
        pairs = [self.shared[a][b] for a, b in enumerate(pairing) if b >= 0]
        return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])

    def count(self, pairing: tuple[int, ...]) -> int:
        """How many residues a pairing matches."""
        return sum(len(self.shared[a][b][0]) for a, b in enumerate(pairing) if b >= 0)

    def rmsd_A(self, pairing: tuple[int, ...]) -> float:
        """The RMSD of a pairing, superposed; infinite where nothing is matched."""
        if self.count(pairing) < _LEAST_RESIDUES:
            return float("inf")
        first, second = self.points(pairing)
        rotation, shift_A = rigid_fit(second, first)
        return float(np.sqrt(np.square(second @ rotation + shift_A - first).sum(axis=1).mean()))

    def nearest(self, first: Floats, second: Floats) -> tuple[int, ...]:
        """The pairing of least squared distances between chains, once second (n, 3) is superposed on first (n, 3)."""
        rotation, shift_A = rigid_fit(second, first)
        apart = np.square(self.centre_A[:, :, 1] @ rotation + shift_A - self.centre_A[:, :, 0]).sum(axis=2)
        rows, columns = linear_sum_assignment(np.where(self.allowed, apart, _FAR_A**2))
        pairing = [-1] * len(self.ours)
        for a, b in zip(rows.tolist(), columns.tolist(), strict=True):
            if self.allowed[a, b]:
                pairing[a] = b
        return tuple(pairing)


def _pairings(table: _Chains) -> set[tuple[int, ...]]:
    """Pairings by arrangement, from each pair of equal chains; each is superposed and paired anew until it stays.

    Of very many chains, the pairs of the first ones do: each of them has its right partner among its own.
    """
    found: set[tuple[int, ...]] = set()
    for a, b in np.argwhere(table.allowed)[:_MOST_STARTS].tolist():
        pairing = table.nearest(*table.shared[a][b])
        for _ in range(_ROUNDS):
            if pairing in found:
                break
            found.add(pairing)
            pairing = table.nearest(*table.points(pairing))
    return found


def _compare_chains(structure: Structure, other: Structure, named: Pairing) -> _Chains:
    ours, theirs = _residues(structure), _residues(other)
    names, their_names = list(ours), list(theirs)
    shared: list[list[tuple[Floats, Floats]]] = []
    centre_A = np.zeros((len(ours), len(theirs), 2, 3))
    allowed = np.zeros((len(ours), len(theirs)), dtype=bool)
    for a, mine in enumerate(ours.values()):
        shared.append([])
        for b, yours in enumerate(theirs.values()):
            keys = [key for key in mine if key in yours]
            atoms = np.array([(mine[key], yours[key]) for key in keys], dtype=np.int64).reshape(-1, 2)
            both = structure.coords_A[atoms[:, 0]], other.coords_A[atoms[:, 1]]
            shared[-1].append(both)
            enough = len(keys) >= max(_LEAST_RESIDUES, _EQUAL * min(len(mine), len(yours)))
            allowed[a, b] = enough
            if keys:
                centre_A[a, b] = [points.mean(axis=0) for points in both]
    for a, chain in enumerate(names):  # chains that differ are paired as their names say, if they are at all
        partner = named.get(chain)
        if not allowed[a].any() and partner in theirs and len(shared[a][their_names.index(partner)][0]):
            b = their_names.index(partner)
            allowed[a, b] = not allowed[:, b].any()
    return _Chains(names, their_names, shared, centre_A, allowed)


def _residues(structure: Structure) -> dict[str, dict[tuple[Any, ...], int]]:
    """By chain, in order: residue's number, name and atom's name -> index of the atom that stands for the residue."""
    chains: dict[str, dict[tuple[Any, ...], int]] = {name: {} for name in structure.chain_ids.tolist()}
    columns = (structure.residue_numbers.tolist(), plain_residue_names(structure), structure.atom_names.tolist())
    for atom in structure.representative_atoms.tolist():
        key = tuple(column[atom] for column in columns)
        chains[structure.chain_ids[atom]].setdefault(key, atom)
    return chains
