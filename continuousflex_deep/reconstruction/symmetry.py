"""Point groups: the rotations that leave a symmetric particle as it is."""

import re

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from continuousflex_deep.errors import InputError


def point_group(name: str) -> NDArray[np.float64]:
    """Rotations (order, 3, 3) of cN (about z) or dN (N-fold about z, 2-fold about x), the axes of RELION and Xmipp.

    Raises InputError for any other name.
    """
    match = re.fullmatch(r"([cd])([1-9]\d?)", name.strip().lower())
    if match is None:
        raise InputError(
            f"symmetry '{name}': expected c1 to c99 or d1 to d99, with the main axis along z and a 2-fold one along x"
        )
    return np.asarray(Rotation.create_group(match.group(0).upper()).as_matrix())
