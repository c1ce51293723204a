"""Principal component analysis of normal-mode amplitudes."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError


@dataclass(frozen=True, eq=False)
class PCA:
    """Linear map between amplitudes (n, features) and principal components (n, k).

    mean (features,); components (k, features) with orthonormal rows, whose largest weights are positive; variance (k,)
    along each component (n − 1 in the denominator); total_variance over all directions.
    """

    mean: Floats
    components: Floats
    variance: Floats
    total_variance: float
    method: ClassVar[str] = "pca"

    @classmethod
    def fit(cls, values: ArrayLike, n_components: int) -> "PCA":
        """PCA of values (n, features). Raises InputError for fewer than 2 rows, no variance, or too many components."""
        x = np.asarray(values, dtype=np.float64)
        if x.ndim != 2 or len(x) < 2:
            raise InputError(f"PCA: got values of shape {x.shape}, expected at least 2 particles (rows)")
        if not 1 <= n_components <= x.shape[1]:
            raise InputError(
                f"PCA: got {n_components} components for {x.shape[1]} amplitudes, expected 1 to {x.shape[1]}"
            )
        if not np.isfinite(x).all():
            raise InputError("PCA: some amplitudes are NaN or infinite; remove these particles")
        mean = x.mean(axis=0)
        # by the covariance matrix, whose size does not depend on the number of particles
        ascending, directions = np.linalg.eigh((x - mean).T @ (x - mean) / (len(x) - 1))
        variance, components = np.maximum(ascending[::-1], 0), directions.T[::-1]
        if variance.sum() <= np.finfo(float).eps * np.abs(x).max() ** 2:
            raise InputError("PCA: all particles have the same amplitudes; give particles that differ")
        largest = np.abs(components).argmax(axis=1)
        components = components * np.sign(components[np.arange(len(components)), largest])[:, None]
        return cls(mean, components[:n_components], variance[:n_components], float(variance.sum()))

    @property
    def explained(self) -> Floats:
        """Share (k,) of the total variance along each component."""
        return self.variance / self.total_variance

    def transform(self, values: ArrayLike) -> Floats:
        """Components (n, k) of amplitudes (n, features)."""
        return (np.asarray(values, dtype=np.float64) - self.mean) @ self.components.T

    def inverse_transform(self, coordinates: ArrayLike) -> Floats:
        """Amplitudes (n, features) of components (n, k); exact when k = features."""
        return np.asarray(coordinates, dtype=np.float64) @ self.components + self.mean

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, as from_dict reads them."""
        return {
            "method": self.method,
            "mean": self.mean.tolist(),
            "components": self.components.tolist(),
            "variance": self.variance.tolist(),
            "total_variance": self.total_variance,
            "explained": self.explained.tolist(),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "PCA":
        """The inverse of as_dict. Raises KeyError, TypeError or ValueError where a number is missing."""
        arrays = [np.array(content[name], dtype=np.float64) for name in ("mean", "components", "variance")]
        mean, components, variance = arrays
        total = float(content["total_variance"])
        if mean.ndim != 1 or components.shape != (len(variance), len(mean)) or variance.ndim != 1:
            raise ValueError(f"arrays of shapes {mean.shape}, {components.shape} and {variance.shape}")
        return cls(mean, components, variance, total)
