"""Which atoms are of a polymer: chains of amino acids or nucleotides, with the caps of their ends."""

import numpy as np
from scipy.spatial import cKDTree

from continuousflex_deep.arrays import Booleans
from continuousflex_deep.io.atom_records import AtomRecords, number_residues
from continuousflex_deep.io.elements import names_of_atoms
from continuousflex_deep.io.residue_kinds import is_tabulated_polymer, resembles_polymer

_BOND_A = 2.0  # longer than the bonds that join residues, also in models that are not refined
_BONDS = (("C", "N"), ("O3'", "P"), ("O3*", "P"))


def polymer_atoms(records: AtomRecords) -> Booleans:
    """(N,) whether atoms are of a polymer.

    Names of residues decide where they are tabulated: free nucleotides such as ATP are ligands. Residues of other names
    are of a polymer if they have its backbone and are bonded to another residue by it, as SAM, which is free, is not.
    """
    kinds: dict[str, bool] = {}
    unknown: set[str] = set()
    for residue, names in names_of_atoms(records).items():
        tabulated = is_tabulated_polymer(residue)
        kinds[residue] = bool(tabulated)
        if tabulated is None and resembles_polymer(residue, names):
            unknown.add(residue)
    result = np.array([kinds[name] for name in records.residue_names.tolist()], dtype=bool)
    if unknown:
        candidates = np.array([name in unknown for name in records.residue_names.tolist()], dtype=bool)
        result |= candidates & _bonded(records)
    return result


def _bonded(records: AtomRecords) -> Booleans:
    """(N,) whether atoms are of residues that the bonds of a backbone join to another one."""
    residue = number_residues(records.residue_columns, records.names)
    joined = np.zeros(int(residue.max(initial=-1)) + 1, dtype=bool)
    finite = np.isfinite(records.coords_A).all(axis=1)
    for name, other in _BONDS:
        first, second = (np.flatnonzero((records.names == n) & finite) for n in (name, other))
        near = cKDTree(records.coords_A[first]).query_ball_tree(cKDTree(records.coords_A[second]), _BOND_A)
        low = residue[np.repeat(first, [len(atoms) for atoms in near])]
        high = residue[second[np.array([atom for atoms in near for atom in atoms], dtype=np.int64)]]
        joined[low[low != high]] = True
        joined[high[low != high]] = True
    return joined[residue]
