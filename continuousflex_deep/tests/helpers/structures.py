"""Small structures of Cα atoms alone, or of pseudoatoms."""

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from continuousflex_deep.io.structures import Structure


def helix(residues: int = 60, chains: int = 1) -> Structure:
    """Chains of Cα helices side by side: a small, well-connected molecule."""
    t = np.arange(residues)
    one = np.stack([2.3 * np.cos(1.75 * t), 2.3 * np.sin(1.75 * t), 1.5 * t], axis=1)
    coords = np.concatenate([one + np.array([9.0 * k, 0, 0]) for k in range(chains)])
    n = len(coords)
    return Structure(
        coords_A=coords, atomic_number=np.full(n, 6), weights=np.full(n, 6.0),
        atom_names=np.array(["CA"] * n, dtype=object),
        residue_names=np.array(["ALA"] * n, dtype=object), residue_numbers=np.tile(t + 1, chains),
        chain_ids=np.repeat(np.array([chr(65 + k) for k in range(chains)], dtype=object), residues),
    )  # fmt: skip


def two_rings(opened_A: float, residues: int = 30, radius_A: float = 10.0) -> Structure:
    """14 equal Cα helices in two rings, one on the other, as GroEL's chains are; the second wider by this much."""
    chain, rings = helix(residues), helix(residues, chains=14)
    out = np.array([1.0, 0.0, 0.0])
    first = [chain.coords_A + radius_A * out + [0, 0, 1.0], chain.coords_A + (radius_A + opened_A) * out + [0, 0, 1.0]]
    turns = [Rotation.from_euler("z", 360 / 7 * k, degrees=True) for k in range(7)]
    over = Rotation.from_euler("x", 180, degrees=True)
    ring_A = [turn.apply(first[0]) for turn in turns] + [(turn * over).apply(first[1]) for turn in turns]
    return replace(rings, coords_A=np.concatenate(ring_A))


def beads(n: int) -> Structure:
    """Pseudoatoms anywhere."""
    name = np.array(["DENS"] * n, dtype=object)
    coords_A = np.random.default_rng(0).normal(size=(n, 3)) * 20
    return Structure(coords_A, np.full(n, 6), np.ones(n), name, name, np.arange(n), np.array(["A"] * n, dtype=object))
