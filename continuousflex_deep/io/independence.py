"""Whether amplitudes along modes can be told apart: no mode moves the atoms as the others together do."""

import numpy as np
from scipy.sparse.csgraph import connected_components

from continuousflex_deep.arrays import Floats

# Length of the part of a mode of norm 1 that the other modes cannot make. The error bar of its amplitude grows by the
# inverse of it (the root of the variance inflation factor), here 20 times: from some 5 Å, as HEMNMA has along separate
# modes, to the range of the amplitudes themselves. Text files round identical modes to within 0.001.
LEAST_OWN = 0.05
_SINGULAR = 1e-12  # least eigenvalue: below, it is rounding
_RELATED = 0.1  # partial correlation from which on two dependent modes belong together


def dependent_modes(vectors: Floats) -> list[tuple[list[int], int]]:
    """Groups of modes (M, N, 3) of norm 1 that are linearly dependent, or nearly: rows of the modes, and how many of
    them the others of the group can make."""
    flat = vectors.reshape(len(vectors), -1)
    overlaps = flat @ flat.T
    inverse = _inverse(overlaps)
    dependent = np.flatnonzero(np.diagonal(inverse) > LEAST_OWN**-2)
    if not len(dependent):
        return []
    scale = np.sqrt(np.diagonal(inverse)[dependent])
    related = np.abs(inverse[np.ix_(dependent, dependent)]) / np.outer(scale, scale) > _RELATED
    number, group = connected_components(related, directed=False)
    found = []
    for rows in (dependent[group == g] for g in range(number)):
        surplus = int((np.linalg.eigvalsh(overlaps[np.ix_(rows, rows)]) < LEAST_OWN**2).sum())
        found.append((rows.tolist(), max(1, surplus)))
    return found


def _inverse(overlaps: Floats) -> Floats:
    """The inverse of a matrix (M, M) of scalar products, whose diagonal is the variance inflation of each mode."""
    values, directions = np.linalg.eigh(overlaps)
    return np.asarray(directions / np.maximum(values, _SINGULAR) @ directions.T)
