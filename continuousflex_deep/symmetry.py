"""Point groups: the rotations that leave a symmetric particle as it is."""

import re

import numpy as np
from scipy.spatial.transform import Rotation

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError


def point_group(name: str) -> Floats:
    """Rotations (order, 3, 3) of cN (about z) or dN (N-fold about z, 2-fold about x), the axes of RELION and Xmipp.

    Raises InputError for any other name.
    """
    match = re.fullmatch(r"([cd])([1-9]\d?)", name.strip().lower())
    if match is None:
        raise InputError(
            f"symmetry '{name}': expected c1 to c99 or d1 to d99, with the main axis along z and a 2-fold one along x"
        )
    return np.asarray(Rotation.create_group(match.group(0).upper()).as_matrix())


def nearest_mates(
    rotations: Floats, targets: Floats, group: Floats
) -> Floats:
    """Of the orientations R·S of a particle with the rotations S (s, 3, 3), those (n, 3, 3) nearest to the targets
    (n, 3, 3), where R (n, 3, 3) are given; the nearest has the largest trace of RᵀT, 1 + 2 cos of the angle between."""
    nearest, closest = rotations.copy(), np.full(len(rotations), -np.inf)
    for operation in group:  # one by one, since a million orientations fill memory when all mates are held
        mates = rotations @ operation
        closeness = np.einsum("nij,nij->n", mates, targets)
        better = closeness > closest
        nearest[better], closest[better] = mates[better], closeness[better]
    return nearest
