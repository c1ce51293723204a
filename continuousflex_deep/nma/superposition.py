"""Rigid superposition of two sets of points."""

import warnings

import numpy as np
from scipy.spatial.transform import Rotation

from continuousflex_deep.arrays import Floats


def superpose(coords_A: Floats, onto_A: Floats, weights: Floats | None = None) -> Floats:
    """coords_A (n, 3), rotated and translated to the smallest (weighted) RMSD from onto_A (n, 3).

    weights (n,) are equal by default: the difference is then orthogonal to all small rotations of onto_A about its
    centre, like its normal modes.
    """
    rotation, shift_A = rigid_fit(coords_A, onto_A, weights)
    return np.asarray(coords_A @ rotation + shift_A)


def rigid_fit(coords_A: Floats, onto_A: Floats, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """The rotation R (3, 3), never a reflection, and the shift t (3,) in Å for which coords_A @ R + t (n, 3) is nearest
    to onto_A (n, 3). weights (n,) are equal by default."""
    w = np.ones(len(coords_A)) if weights is None else np.asarray(weights, dtype=np.float64)
    center, onto_center = w @ coords_A / w.sum(), w @ onto_A / w.sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of points on a line, for which any of the best rotations will do
        turn, _ = Rotation.align_vectors(onto_A - onto_center, coords_A - center, weights=w)
    rotation = turn.as_matrix().T
    return rotation, onto_center - center @ rotation
