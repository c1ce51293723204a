"""Pairs of equal chains of two structures, if several chains have the same sequence.

Files of a homo-oligomer may name its chains in any order, so names alone can pair chains at different places of the
assembly. Here chains are paired by their arrangement: after superposition on one pair of chains, every other chain is
paired with the nearest equal chain.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from continuousflex_deep.arrays import Booleans, Floats
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.nma.superposition import rigid_fit

Pairing = dict[str, str]  # chain of the structure -> chain of the other one
# names of one residue in different protonation states, as in force fields
_SAME = dict.fromkeys(("HSD", "HSE", "HSP", "HID", "HIE", "HIP"), "HIS")
_EQUAL = 0.9  # share of the shorter chain's residues that equal sequences have in common
_COMPLETE = 0.9  # of the residues matched by names, which another pairing must match at least
_CLEARLY = 0.9  # of the RMSD by names, below which another pairing is better; symmetric ones are as good
_TIED = 1.01
_ROUNDS, _LEAST_RESIDUES = 20, 3
_MOST_STARTS = 4000  # initial pairings; one takes about a millisecond for 60 chains
_FAR_A = 1e6  # distance of chains that must not be paired


def plain_residue_names(structure: Structure) -> list[str]:
    """Names of the atoms' residues, the same for all protonation states."""
    return [_SAME.get(name, name) for name in structure.residue_names.tolist()]


def pair_equal_chains(structure: Structure, other: Structure, named: Pairing) -> Pairing:
    """The pairing `named`, or a pairing by arrangement if its RMSD is clearly smaller; unique chains keep theirs.

    The RMSD is computed over one atom per residue, after superposition of the whole assembly. Pairings start from every
    pair of equal chains (polynomial in the number of chains). Of pairings that fit equally well, as in a symmetric
    assembly, the one that keeps most names is taken, and of these the one that keeps the first ones. If at most one of
    the chains with equal ones is paired, there is no arrangement, and the names decide.
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
    kept = {pairing: [a == b for a, b in zip(pairing, by_name, strict=True)] for pairing in tied}
    best = max(tied, key=lambda pairing: (sum(kept[pairing]), kept[pairing], -found[pairing]))
    return {chain: table.theirs[b] for chain, b in zip(table.ours, best, strict=True) if b >= 0}


@dataclass(frozen=True, eq=False)
class _Chains:
    """The A chains of a structure, the B chains of another one, and the residues that each pair has in common.

    shared[a][b]: two arrays of coordinates (k, 3) in Å, one atom for each common residue of chains a and b; centre_A
    (A, B, 2, 3): their means; allowed (A, B): which chains may be paired.
    """

    ours: list[str]
    theirs: list[str]
    shared: list[list[tuple[Floats, Floats]]]
    centre_A: Floats
    allowed: Booleans

    def points(self, pairing: tuple[int, ...]) -> tuple[Floats, Floats]:
        """The common atoms (n, 3) of all pairs, in both structures; -1 is a chain without a partner."""
        pairs = [self.shared[a][b] for a, b in enumerate(pairing) if b >= 0]
        return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])

    def count(self, pairing: tuple[int, ...]) -> int:
        """The number of residues that a pairing matches."""
        return sum(len(self.shared[a][b][0]) for a, b in enumerate(pairing) if b >= 0)

    def rmsd_A(self, pairing: tuple[int, ...]) -> float:
        """The RMSD of a pairing after superposition; infinite if too few residues are matched."""
        if self.count(pairing) < _LEAST_RESIDUES:
            return float("inf")
        first, second = self.points(pairing)
        rotation, shift_A = rigid_fit(second, first)
        return float(np.sqrt(np.square(second @ rotation + shift_A - first).sum(axis=1).mean()))

    def nearest(self, first: Floats, second: Floats) -> tuple[int, ...]:
        """The pairing with the least squared distances between chains, after superposition of second (n, 3) on first
        (n, 3)."""
        rotation, shift_A = rigid_fit(second, first)
        apart = np.square(self.centre_A[:, :, 1] @ rotation + shift_A - self.centre_A[:, :, 0]).sum(axis=2)
        rows, columns = linear_sum_assignment(np.where(self.allowed, apart, _FAR_A**2))
        pairing = [-1] * len(self.ours)
        for a, b in zip(rows.tolist(), columns.tolist(), strict=True):
            if self.allowed[a, b]:
                pairing[a] = b
        return tuple(pairing)


def _pairings(table: _Chains) -> set[tuple[int, ...]]:
    """Pairings by arrangement, from each pair of equal chains: superposed and paired again until nothing changes.

    For very many chains the pairs of the first chains suffice, since each of these has its correct partner among them.
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
    for a, chain in enumerate(names):  # chains without an equal one are paired by their names, if at all
        partner = named.get(chain)
        if not allowed[a].any() and partner in theirs and len(shared[a][their_names.index(partner)][0]):
            b = their_names.index(partner)
            allowed[a, b] = not allowed[:, b].any()
    return _Chains(names, their_names, shared, centre_A, allowed)


def _residues(structure: Structure) -> dict[str, dict[tuple[Any, ...], int]]:
    """By chain, in order: number, insertion code and name of a residue, and name of its representative atom -> index of
    that atom."""
    chains: dict[str, dict[tuple[Any, ...], int]] = {name: {} for name in structure.chain_ids.tolist()}
    _, numbers, codes, _ = (column.tolist() for column in structure.residue_columns)
    columns = (numbers, codes, plain_residue_names(structure), structure.atom_names.tolist())
    for atom in structure.representative_atoms.tolist():
        key = tuple(column[atom] for column in columns)
        chains[structure.chain_ids[atom]].setdefault(key, atom)
    return chains
