"""Outliers by their Mahalanobis distance (Mahalanobis 1936), by which the article removes failed fits."""

import numpy as np
from numpy.typing import ArrayLike

from continuousflex_deep.arrays import Booleans, Floats
from continuousflex_deep.errors import InputError

# eigenvalues of the correlation matrix below this are rounding errors: these directions have no spread
_NO_SPREAD = 1e-9


def mahalanobis_distance(values: ArrayLike) -> Floats:
    """Distance (n,) of each row of `values` (n, k) from their mean in units of their own covariance.

    Columns or combinations of columns without spread (constant or collinear ones) contain no information and are
    ignored: the distance is computed within the directions that vary, and is 0 for all rows if none varies or n < 2.
    Invertible linear maps of the columns do not change it. No distance can exceed (n − 1)/√n, so that a threshold of
    3.2 marks nothing among fewer than 13 rows.
    Raises InputError for an array that is not (n, k), and for NaN or infinity.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 2:
        raise InputError(f"Mahalanobis distance: got an array of shape {x.shape}, expected (particles, parameters)")
    if not np.isfinite(x).all():
        bad = int((~np.isfinite(x)).any(axis=1).sum())
        raise InputError(f"Mahalanobis distance: {bad} of {len(x)} rows contain NaN or infinity; remove them")
    n = len(x)
    if n < 2:
        return np.zeros(n)
    centred = x - x.mean(axis=0)
    spread = centred.std(axis=0, ddof=1)
    varies = spread > _NO_SPREAD * np.maximum(np.abs(x).max(axis=0), np.finfo(float).tiny)
    if not varies.any():
        return np.zeros(n)
    standard = centred[:, varies] / spread[varies]
    variances, directions = np.linalg.eigh(standard.T @ standard / (n - 1))
    kept = variances > _NO_SPREAD * variances.max()
    scores = standard @ directions[:, kept] / np.sqrt(variances[kept])
    return np.sqrt((scores**2).sum(axis=1))


def is_outlier(values: ArrayLike, distance: float) -> Booleans:
    """Mask (n,) of rows farther than `distance` from the mean; a distance of 0 marks none."""
    far = mahalanobis_distance(values)
    return far > distance if distance > 0 else np.zeros(len(far), dtype=bool)
