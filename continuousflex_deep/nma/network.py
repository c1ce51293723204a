"""Normal modes of an elastic network, with or without rigid blocks of residues (RTB).

Atoms closer than a cutoff are joined by equal springs (Tirion, Phys Rev Lett 1996, 77:1905). For a spring of direction
u between atoms i and j the energy is ½ (u·(v_j − v_i))². With one such row per spring in a sparse matrix D, the Hessian
is DᵀD. Rigid blocks (Durand, Trinquier & Sanejouand 1994; Tama et al., Proteins 2000, 41:1) restrict v to P·b, the
translations and rotations of the blocks: the block Hessian is (DP)ᵀ(DP), see rigid_blocks. All masses are 1.
"""

import os
from dataclasses import replace

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator, eigsh, splu
from scipy.spatial import cKDTree

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion.blocks import block_numbers
from continuousflex_deep.nma.rigid_blocks import make_rigid_blocks, rigid_motions
from continuousflex_deep.options import (
    ATOMS_BLOCK_SIZE,
    ATOMS_CUTOFF_A,
    PSEUDOATOMS_BLOCK_SIZE,
    PSEUDOATOMS_CUTOFF_PERCENT,
    NmaOptions,
)

N_RIGID = 6
_DENSE_LIMIT = 2000  # unknowns up to which a dense eigen-solver is faster
_NEIGHBOURS = 3  # per atom, whose distances determine a relative cutoff
_SPRINGS = 6  # per atom, at least, with a relative cutoff
_SHORTEST_CUTOFF_A = 2.0  # hardly more than a bond
_SAME_PLACE_A = 1e-3
_SAMPLE = 2000  # atoms, by which springs are counted
_LOOSE = 0.1  # of the largest squared displacement, above which an atom is loose


def compute_modes(structure: Structure, options: NmaOptions, dense_limit: int = _DENSE_LIMIT) -> NormalModes:
    """Modes 7 to options.n_modes of a structure: vectors of unit norm over 3N, with eigenvalues (spring constant 1).

    collectivity: see `collectivity`; score: see `mode_scores`. Vectors are orthonormal and free of rigid-body motion,
    and signed so that the largest component is positive. dense_limit: unknowns up to which the dense eigen-solver is
    used rather than the sparse one.
    Raises InputError, before long work, if the network is not connected, too small for the number of modes, or too
    large for the memory; and afterwards if parts of it move freely (more than six zero eigenvalues).
    """
    options = for_structure(options, structure)
    cutoff_A = network_cutoff_A(structure.coords_A, options)
    pairs = network_springs(structure, cutoff_A, blocks=options.block_size > 0)
    if options.block_size > 0:
        blocks = make_rigid_blocks(structure.coords_A, block_numbers(structure, options.block_size))
        require_enough_unknowns(options, len(structure), blocks.n_unknowns)
        hessian = blocks.hessian(structure.coords_A, pairs)
        eigenvalues, unknowns = _lowest_modes(hessian, options.n_modes, dense_limit)
        vectors = blocks.atoms(unknowns)
    else:
        require_enough_unknowns(options, len(structure), structure.coords_A.size)
        strain = strain_matrix(structure.coords_A, pairs)
        hessian = (strain.T @ strain).tocsc()
        eigenvalues, unknowns = _lowest_modes(hessian, options.n_modes, dense_limit)
        vectors = unknowns.T
    require_six_zeros(eigenvalues, vectors, structure, float(hessian.diagonal().mean()), cutoff_A)
    return finished_modes(vectors[N_RIGID:], eigenvalues[N_RIGID:])


def finished_modes(vectors: Floats, eigenvalues: Floats) -> NormalModes:
    """Modes from 7 on of vectors (M, 3N) in order of frequency: with unit norm, sign, collectivity and score."""
    vectors = np.asarray(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
    vectors = (vectors * np.sign(largest)).reshape(len(vectors), -1, 3)
    kappa = collectivity(vectors)
    return NormalModes(
        mode_ids=tuple(range(N_RIGID + 1, N_RIGID + 1 + len(vectors))),
        vectors=vectors,
        eigenvalues=eigenvalues,
        collectivity=kappa,
        score=mode_scores(kappa),
    )


def for_structure(options: NmaOptions, structure: Structure) -> NmaOptions:
    """The options with default cutoff and blocks for atoms or pseudoatoms, unless they are given.

    Blocks of pseudoatoms would stiffen a map by an arbitrary partition, and no cutoff in Å is suitable for all maps.
    Raises InputError if both kinds of cutoff are given, or the cutoff is too short.
    """
    pseudo = structure.is_pseudoatomic
    if options.cutoff_A > 0 and options.cutoff_percent > 0:
        raise InputError(
            f"--cutoff-A {options.cutoff_A:g} and --cutoff-percent {options.cutoff_percent:g} are two cutoffs; give one"
        )
    if 0 < options.cutoff_A < _SHORTEST_CUTOFF_A:
        raise InputError(
            f"--cutoff-A: got {options.cutoff_A:g} Å, expected at least {_SHORTEST_CUTOFF_A:g} Å, or 0 for the default "
            "of atoms or pseudoatoms"
        )
    if options.cutoff_A == 0 and options.cutoff_percent == 0:
        if pseudo:
            options = replace(options, cutoff_percent=PSEUDOATOMS_CUTOFF_PERCENT)
        else:
            options = replace(options, cutoff_A=ATOMS_CUTOFF_A)
    if options.block_size < 0:
        options = replace(options, block_size=PSEUDOATOMS_BLOCK_SIZE if pseudo else ATOMS_BLOCK_SIZE)
    return options


def collectivity(vectors: Floats) -> Floats:
    """Share of atoms (M,) that move in each mode (M, N, 3): exp(−Σ p ln p)/N, p: an atom's share of the squared norm.

    Brüschweiler, J Chem Phys 1995, 102:3396, for equal masses: 1 if all atoms move equally, 1/N if only one moves.
    """
    share = np.square(vectors).sum(axis=2)
    share = share / share.sum(axis=1, keepdims=True)
    entropy = -np.sum(share * np.log(np.where(share > 0, share, 1.0)), axis=1)
    return np.asarray(np.exp(entropy) / vectors.shape[1])


def mode_scores(kappa: Floats) -> Floats:
    """Score (M,) in (0, 1] of modes in order of frequency, from their collectivity (M,); lower is better.

    HEMNMA's ranking for the selection of modes: (rank by frequency + rank by collectivity, the most collective first)
    / 2M, ranks from 1. Functional motions consist of slow, collective modes.
    """
    by_frequency = np.arange(1, len(kappa) + 1)
    by_collectivity = np.empty(len(kappa), dtype=np.int64)
    by_collectivity[np.argsort(-kappa, kind="stable")] = by_frequency
    return np.asarray((by_frequency + by_collectivity) / (2 * len(kappa)))


def network_cutoff_A(coords_A: Floats, options: NmaOptions) -> float:
    """The cutoff in Å of options `for_structure`: the given one, or the percentile cutoff_percent of the distances of
    all atoms to their 3 nearest neighbours.

    The percentile is increased until every atom has the 6 springs that a rigid network needs on average (Maxwell
    1864): otherwise parts of networks of pseudoatoms are not rigid.
    """
    if options.cutoff_percent <= 0:
        return options.cutoff_A
    distances, _ = cKDTree(coords_A).query(coords_A, k=min(_SPRINGS + 1, len(coords_A)))
    percentile = np.percentile(distances[:, 1 : _NEIGHBOURS + 1], options.cutoff_percent)
    return float(max(percentile, distances[:, -1].max() * (1 + 1e-6)))


def network_springs(structure: Structure, cutoff_A: float, blocks: bool) -> Integers:
    """Pairs (S, 2) of atoms within the cutoff. InputError unless they form one network that fits into the memory."""
    coords_A = structure.coords_A
    tree = cKDTree(coords_A)
    sample = coords_A[:: max(1, len(coords_A) // _SAMPLE)]
    neighbours = float(np.mean(tree.query_ball_point(sample, cutoff_A, return_length=True))) - 1
    _require_memory(len(coords_A), int(neighbours * len(coords_A) / 2), cutoff_A, blocks)
    twice = tree.query_pairs(_SAME_PLACE_A, output_type="ndarray")
    if len(twice):
        raise InputError(
            f"normal modes: two atoms have the same position, {structure.describe(twice[0])}; leave one of them out by "
            f"{structure.leave_out(np.unique(twice[:, 1]))}"
        )
    pairs = np.asarray(tree.query_pairs(cutoff_A, output_type="ndarray"), dtype=np.int64)
    near = np.asarray(tree.query_pairs(cutoff_A / 2, output_type="ndarray"), dtype=np.int64)
    n_parts, part = _parts(near, len(coords_A))  # a tenth of the springs mostly suffices
    if n_parts > 1:
        n_parts, part = _parts(pairs, len(coords_A))
    if n_parts > 1:
        sizes = np.bincount(part)
        apart = np.flatnonzero(part != sizes.argmax())
        raise InputError(
            f"normal modes: with a cutoff of {cutoff_A:.3g} Å the network falls into {n_parts} parts that are not "
            f"connected; the largest has {sizes.max()} of {len(coords_A)} atoms. Not connected to it: "
            f"{structure.describe(apart)}; use a larger cutoff, or leave these atoms out by "
            f"{structure.leave_out(apart)}"
        )
    return pairs


def _parts(pairs: Integers, n_atoms: int) -> tuple[int, Integers]:
    """The number of connected parts, and the part (n_atoms,) of each atom."""
    links = sparse.coo_matrix((np.ones(len(pairs), dtype=np.int8), pairs.T), shape=(n_atoms, n_atoms))
    count, part = sparse.csgraph.connected_components(links, directed=False)
    return int(count), part


def strain_matrix(coords_A: Floats, pairs: Integers) -> sparse.csr_matrix:
    """D (S, 3N): the extension of each spring per unit displacement of each coordinate."""
    along = coords_A[pairs[:, 1]] - coords_A[pairs[:, 0]]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    columns = np.concatenate([3 * pairs[:, :1] + np.arange(3), 3 * pairs[:, 1:] + np.arange(3)], axis=1)
    starts = np.arange(0, 6 * len(pairs) + 1, 6)
    values = np.concatenate([-along, along], axis=1)
    return sparse.csr_matrix((values.ravel(), columns.ravel(), starts), shape=(len(pairs), coords_A.size))


def _lowest_modes(hessian: sparse.csc_matrix, count: int, dense_limit: int) -> tuple[Floats, Floats]:
    n = hessian.shape[0]
    if n <= dense_limit or count > n // 3:
        values, vectors = linalg.eigh(hessian.toarray(), subset_by_index=[0, count - 1])
        return values, vectors
    # shift and invert just below zero: the Hessian itself is singular; shifted it is positive, and needs no pivots
    shift = -1e-4 * hessian.diagonal().mean()
    shifted = (hessian - shift * sparse.identity(n, format="csc")).tocsc()
    factors = splu(shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    inverse = LinearOperator(hessian.shape, matvec=factors.solve)
    start = np.random.default_rng(0).normal(size=n)  # fixed, so that repeated runs give the same numbers
    values, vectors = eigsh(hessian, k=count, sigma=shift, which="LM", OPinv=inverse, v0=start)
    order = np.argsort(values)
    return values[order], vectors[:, order]


def require_enough_unknowns(options: NmaOptions, n_atoms: int, n_unknowns: int) -> None:
    """InputError if a network of blocks has fewer modes than requested."""
    if options.n_modes > n_unknowns:
        raise InputError(
            f"normal modes: {options.n_modes} modes were requested, but {n_atoms} atoms in blocks of "
            f"{options.block_size} residues have only {n_unknowns}; request fewer modes or use smaller blocks"
        )


def require_six_zeros(
    eigenvalues: Floats, vectors: Floats, structure: Structure, stiffness: float, cutoff_A: float
) -> None:
    """InputError unless exactly six eigenvalues are 0 relative to the mean of the Hessian's diagonal.

    vectors (M, 3N): the modes of the eigenvalues (M,), the rigid-body modes first.
    """
    zeros = int(np.sum(eigenvalues < 1e-8 * stiffness))
    if zeros == N_RIGID:
        return
    rigid = rigid_motions(structure.coords_A)
    free = vectors[:zeros] - (vectors[:zeros] @ rigid) @ rigid.T
    moved = np.square(free).reshape(zeros, -1, 3).sum(axis=(0, 2))
    loose = np.flatnonzero(moved > _LOOSE * moved.max())
    raise InputError(
        f"normal modes: the network has {zeros} motions without energy, expected the {N_RIGID} of a rigid body: with "
        f"a cutoff of {cutoff_A:.3g} Å parts of it move freely, such as {structure.describe(loose)}; use a larger "
        f"cutoff or larger blocks, or leave these atoms out by {structure.leave_out(loose)}"
    )


def _require_memory(n_atoms: int, n_pairs: int, cutoff_A: float, blocks: bool) -> None:
    """InputError if the estimated memory of the eigen-solver exceeds that of the machine."""
    spring_bytes = n_pairs * (70.0 if blocks else 144.0)  # as measured with 11 million springs; 6 entries twice
    # without blocks the factor of the 3N Hessian dominates; its size is fitted to networks of 5,000 to 43,000 unknowns
    entries, unknowns = 9.0 * (2 * n_pairs + n_atoms), 3.0 * n_atoms
    factor_bytes = 0.0 if blocks else 24 * 3.5 * entries * max(unknowns / 5000, 1.0) ** 0.4
    needed = spring_bytes + factor_bytes
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > 0.8 * memory:
        remedy = "a smaller cutoff" if blocks else "blocks (--block-size 10) or a smaller cutoff"
        raise InputError(
            f"normal modes: {n_atoms} atoms with about {n_pairs} springs of at most {cutoff_A:.3g} Å need about "
            f"{needed / 1e9:.0f} GB, this machine has {memory / 1e9:.0f} GB; use {remedy}, or Cα and P atoms only"
        )
