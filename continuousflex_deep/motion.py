"""How amplitudes along normal modes move the atoms of a structure, and the derivative. No other module knows this.

Everything that moves atoms calls a `Motion`: projector, simulation, evaluation, selection of modes, trajectories,
deformation-corrected reconstruction, viewers and report. The arrays are numpy's or, in the projector, torch's. Each
formula uses only what both have: it is written once, and Scipion's windows need no torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.io.modes import NormalModes, require_same_atoms
from continuousflex_deep.io.structures import Structure

Array = TypeVar("Array", bound=Any)  # numpy's or torch's
Other = TypeVar("Other", bound=Any)


class Motion(ABC, Generic[Array]):
    """How amplitudes q (…, M) in Å along M modes move N points; rest_A (N, 3) are their coordinates at q = 0.

    The points are the atoms of a structure, some of its atoms, or means of groups of them. The structure's weighted
    centre does not move, as in every conformation that images are compared with (docs/conventions.md). Functions of q
    take one conformation (M,) or many (…, M).
    """

    rest_A: Array

    @property
    @abstractmethod
    def n_modes(self) -> int:
        """M."""

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Array]:
        """The arrays by name that, with rest_A, define the motion."""

    @property
    @abstractmethod
    def gram(self) -> Array:
        """G (M, M), the mean over points of the products of their derivatives at q = 0: the RMSD of small amplitudes is
        √(qᵀ·G·q)."""

    @abstractmethod
    def displacements(self, amplitudes_A: Array) -> Array:
        """Displacements (…, N, 3) in Å from rest_A."""

    def coordinates(self, amplitudes_A: Array) -> Array:
        """Coordinates (…, N, 3) in Å."""
        return self.rest_A + self.displacements(amplitudes_A)

    @abstractmethod
    def derivative(self, amplitudes_A: Array) -> Array:
        """∂x/∂q (…, M, N, 3) at these amplitudes, or (M, N, 3) where it does not depend on them."""

    @abstractmethod
    def rmsd_A(self, first_A: Floats, second_A: Floats) -> Floats:
        """RMSD (…,) in Å between two sets of conformations, of amplitudes (…, M) in numpy's arrays."""

    @abstractmethod
    def select(self, points: Any) -> "Motion[Array]":
        """The motion of some of the points, by mask or index."""

    @abstractmethod
    def averaged(self, mean: Callable[[Array], Array]) -> "Motion[Array]":
        """The motion of the means of G groups of points; mean: takes values (…, N, k) of the points to (…, G, k)."""

    @abstractmethod
    def converted(self, convert: Callable[[Array], Other]) -> "Motion[Other]":
        """The same motion with arrays of another library, precision or device."""


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
        """P (3 + 3M, N), in numpy's arrays: coordinates x rotated by R (k, 3), R·x (k, N), are view_weights @ P.

        One product gives the views of many conformations, whose coordinates are never formed. For the millions of
        voxels of a map this is several times faster.
        """
        return np.asarray(np.concatenate([self.rest_A, *self.vectors], axis=1).T)

    @staticmethod
    def view_weights(rotations: Floats, amplitudes_A: Floats) -> Floats:
        """Weights (n, k, 3 + 3M) of the view_parts for rotations (n, k, 3) and amplitudes (n, M)."""
        weights = np.concatenate([np.ones((len(amplitudes_A), 1)), amplitudes_A], axis=1)
        return np.einsum("nij,nm->nimj", rotations, weights).reshape(*rotations.shape[:2], -1)

    @property
    def _flat(self) -> Array:
        """The vectors as rows (M, 3N)."""
        return self.vectors.reshape(len(self.vectors), self.vectors.shape[1] * 3)


def motion_along(structure: Structure, modes: NormalModes) -> Motion[Floats]:
    """The motion of a structure along modes. Raises InputError for modes of another number of atoms.

    The net translation of each mode is removed: the weighted centre does not move, as with Xmipp's --centerPDB.
    """
    require_same_atoms(modes, len(structure))
    weights = structure.weights / structure.weights.sum()
    drift = np.einsum("n,mni->mi", weights, modes.vectors)
    return StraightMotion(structure.coords_A, np.asarray(modes.vectors - drift[:, None]))


def amplitude_of_rmsd(rmsd_A: float, n_atoms: int) -> float:
    """The amplitude q in Å of a motion of this RMSD along one mode, whose norm over all atoms is 1
    (docs/conventions.md)."""
    return float(rmsd_A * np.sqrt(n_atoms))
