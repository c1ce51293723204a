"""Points on straight lines."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.motion.base import Array, Motion, Other


@dataclass(frozen=True, eq=False)
class StraightMotion(Motion[Array]):
    """Points on straight lines: x = rest + Σ q·v, with vectors v (M, N, 3) that do not move the weighted centre."""

    rest_A: Array
    vectors: Array

    @property
    def n_modes(self) -> int:
        return len(self.vectors)

    @property
    def parameters(self) -> dict[str, Array]:
        return {"vectors": self.vectors}

    @cached_property
    def gram(self) -> Array:
        return self._flat @ self._flat.T / len(self.rest_A)

    def displacements(self, amplitudes_A: Array) -> Array:
        return (amplitudes_A @ self._flat).reshape(*amplitudes_A.shape[:-1], *self.rest_A.shape)

    def derivative(self, amplitudes_A: Array) -> Array:
        return self.vectors

    def rmsd_A(self, first_A: Floats, second_A: Floats) -> Floats:
        # a quadratic form in the difference, so that no atoms need to be moved
        difference = first_A - second_A
        squared = np.einsum("...i,ij,...j->...", difference, self.gram, difference)
        return np.asarray(np.sqrt(np.maximum(squared, 0)))

    def select(self, points: Any) -> "StraightMotion[Array]":
        return StraightMotion(self.rest_A[points], self.vectors[:, points])

    def averaged(self, mean: Callable[[Array], Array]) -> "StraightMotion[Array]":
        return StraightMotion(mean(self.rest_A), mean(self.vectors))

    def converted(self, convert: Callable[[Array], Other]) -> "StraightMotion[Other]":
        return StraightMotion(convert(self.rest_A), convert(self.vectors))

    def view_parts(self) -> Floats:
        return np.asarray(np.concatenate([self.rest_A, *self.vectors], axis=1).T)

    def view_weights(self, rotations: Floats, amplitudes_A: Floats) -> Floats:
        weights = np.concatenate([np.ones((len(amplitudes_A), 1)), amplitudes_A], axis=1)
        return np.einsum("nij,nm->nimj", rotations, weights).reshape(*rotations.shape[:2], -1)

    @property
    def _flat(self) -> Array:
        """The vectors as rows (M, 3N)."""
        return self.vectors.reshape(len(self.vectors), self.vectors.shape[1] * 3)
