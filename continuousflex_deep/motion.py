"""How the amplitudes of normal modes move the atoms of a structure: x + Σ q·v, its weighted centre kept in place."""

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.io.structures import Structure


def deformed(structure: Structure, vectors: Floats, amplitudes_A: Floats) -> Floats:
    """Coordinates (N, 3) in Å of a structure displaced by amplitudes_A (M,) along modes (M, N, 3).

    As in every model that images are compared with, the weighted centre stays where the structure's is
    (docs/conventions.md): a mode's net translation is removed.
    """
    displacement = np.tensordot(np.asarray(amplitudes_A, dtype=np.float64), vectors, axes=1)
    return np.asarray(structure.coords_A + without_translation(structure, displacement))


def without_translation(structure: Structure, displacements: Floats) -> Floats:
    """Displacements (…, N, 3) of a structure without what they move its weighted centre by."""
    weights = structure.weights / structure.weights.sum()
    return np.asarray(displacements - np.einsum("n,...ni->...i", weights, displacements)[..., None, :])
