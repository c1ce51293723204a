"""Rigid blocks of atoms: consecutive residues, or neighbouring points in space for pseudoatoms without a sequence."""

import numpy as np
from scipy.spatial import cKDTree

from continuousflex_deep.arrays import Booleans, Floats, Integers
from continuousflex_deep.io.structures import Structure

_BOND_A = 2.2  # between residues: peptide, phosphodiester, glycosidic and disulfide bonds are shorter
_BONDING = (6, 7, 8, 15, 16, 34)  # elements of these bonds; metals are near to everything
_CARBON, _PHOSPHORUS = 6, 15
_TRACE_A = {_CARBON: 4.6, _PHOSPHORUS: 8.0}  # from Cα to Cα, and from P to P
_REDUCED_ATOMS = 3  # at most, in residues of models without their bonds, such as Cα traces


def block_numbers(structure: Structure, block_size: int) -> Integers:
    """(N,) block of each atom: block_size consecutive residues of one chain; with block_size 0 every atom is a block.

    Blocks end where consecutive residues are not joined: at gaps of a chain, and at ions and ligands, each of which is
    a block of its own, since distant groups do not move as one body. Pseudoatoms have no sequence: their blocks are
    block_size neighbours in space.
    """
    if block_size == 0:
        return np.arange(len(structure))
    if structure.is_pseudoatomic:
        return spatial_blocks(structure.coords_A, block_size)
    residue = structure.residue_index
    starts = np.concatenate([[True], ~joined_residues(structure)])
    run = np.cumsum(starts) - 1
    place = np.arange(len(starts)) - np.flatnonzero(starts)[run]
    begins = starts | (place % block_size == 0)
    return np.asarray((np.cumsum(begins) - 1)[residue], dtype=np.int64)


def joined_residues(structure: Structure) -> Booleans:
    """(R − 1,) whether each residue is joined to the next one: by a bond, or as a trace of Cα or P atoms."""
    residue, shown = structure.residue_index, structure.representative_atoms
    joined = np.zeros(len(shown), dtype=bool)
    bonding = np.flatnonzero(np.isin(structure.atomic_number, _BONDING))
    pairs = bonding[cKDTree(structure.coords_A[bonding]).query_pairs(_BOND_A, output_type="ndarray")]
    low = np.minimum(residue[pairs[:, 0]], residue[pairs[:, 1]])
    joined[low[np.abs(residue[pairs[:, 0]] - residue[pairs[:, 1]]) == 1]] = True
    first, second = shown[:-1], shown[1:]
    reduced = np.bincount(residue) <= _REDUCED_ATOMS
    apart_A = np.linalg.norm(structure.coords_A[first] - structure.coords_A[second], axis=1)
    for element, limit_A in _TRACE_A.items():
        both = (structure.atomic_number[first] == element) & (structure.atomic_number[second] == element)
        same = structure.atom_names[first] == structure.atom_names[second]
        joined[:-1] |= both & same & (reduced[:-1] | reduced[1:]) & (apart_A <= limit_A)
    return np.asarray(joined[:-1] & (structure.chain_ids[first] == structure.chain_ids[second]))


def spatial_blocks(coords_A: Floats, size: int) -> Integers:
    """(N,) compact blocks of `size` neighbouring points (the last block may be smaller), numbered in spatial order.

    The points are repeatedly divided in two across their longest side, each time at a whole number of blocks.
    """
    block = np.empty(len(coords_A), dtype=np.int64)
    waiting, number = [np.arange(len(coords_A))], 0
    while waiting:
        members = waiting.pop()
        blocks = -(-len(members) // size)
        if blocks <= 1:
            block[members] = number
            number += 1
            continue
        axis = int(np.argmax(np.ptp(coords_A[members], axis=0)))
        members = members[np.argsort(coords_A[members, axis], kind="stable")]
        waiting += [members[blocks // 2 * size :], members[: blocks // 2 * size]]
    return block


def block_sums(block: Integers, columns: Floats, count: int = 0) -> Floats:
    """Sums (blocks, k) of columns (N, k) over the atoms of each block; count: of blocks, if the last may be empty."""
    return np.stack([np.bincount(block, column, count) for column in columns.T], axis=1)
