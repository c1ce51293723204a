"""Rigid superposition of two sets of points."""

import numpy as np

from continuousflex_deep.arrays import Floats


def superpose(coords_A: Floats, onto_A: Floats, weights: Floats | None = None) -> Floats:
    """coords_A (n, 3), rotated and translated to the smallest (weighted) RMSD from onto_A (n, 3).

    weights (n,) default to equal ones, which make the difference orthogonal to all small rotations of onto_A about its
    centre, as its normal modes are.
    """
    rotation, shift_A = rigid_fit(coords_A, onto_A, weights)
    return np.asarray(coords_A @ rotation + shift_A)


def rigid_fit(coords_A: Floats, onto_A: Floats, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """The rotation R (3, 3) and shift t (3,) in Å for which coords_A @ R + t (n, 3) is nearest to onto_A (n, 3).

    Kabsch, Acta Cryst 1976, A32:922. weights (n,) default to equal ones.
    """
    w = np.full(len(coords_A), 1.0) if weights is None else np.asarray(weights, dtype=np.float64)
    w = w / w.sum()
    center, onto_center = w @ coords_A, w @ onto_A
    u, _, vt = np.linalg.svd((coords_A - center).T @ (w[:, None] * (onto_A - onto_center)))
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))  # a rotation, never a mirror
    rotation = u @ vt
    return rotation, onto_center - center @ rotation
