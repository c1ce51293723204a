"""Point groups: the rotations that map a symmetric particle onto itself."""

import re

import numpy as np
from scipy.spatial.transform import Rotation

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError


def point_group(name: str) -> Floats:
    """Rotations (order, 3, 3) of cN (about z) or dN (N-fold about z, 2-fold about x), as in RELION and Xmipp.

    Raises InputError for other names.
    """
    match = re.fullmatch(r"([cd])([1-9]\d?)", name.strip().lower())
    if match is None:
        raise InputError(
            f"symmetry '{name}': expected c1 to c99 or d1 to d99, with the main axis along z and a 2-fold axis along x"
        )
    return np.asarray(Rotation.create_group(match.group(0).upper()).as_matrix())


def nearest_mates(
    rotations: Floats, targets: Floats, group: Floats
) -> Floats:
    """The equivalent orientations R·S (n, 3, 3) that are nearest to targets T (n, 3, 3), for given R (n, 3, 3) and the
    rotations S (s, 3, 3) of the group. The nearest one has the largest trace of (R·S)ᵀ·T = 1 + 2 cos(angle)."""
    nearest, closest = rotations.copy(), np.full(len(rotations), -np.inf)
    for operation in group:  # one by one: all mates of a million orientations would fill the memory
        mates = rotations @ operation
        closeness = np.einsum("nij,nij->n", mates, targets)
        better = closeness > closest
        nearest[better], closest[better] = mates[better], closeness[better]
    return nearest
