"""How amplitudes of normal modes move the atoms of a structure, and the derivative: the only place that knows.

Everything that moves atoms asks a `Motion`: projector, simulation, evaluation, trajectories, deformation-corrected
reconstruction, viewers and report. Its arrays are numpy's or, on the engine's side, torch's: each formula uses only
what both have, so that it is written once, and Scipion's windows need no torch.
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
    """How amplitudes q (…, M) in Å along M modes move N points, which are at rest_A (N, 3) where all q are 0.

    The points are the atoms of a structure, or some of them, or the means of groups of them. The weighted centre of
    the structure stays where it is, as in every conformation that images are compared with (docs/conventions.md).
    A function of q takes one conformation (M,) or many (…, M).
    """

    rest_A: Array

    @property
    @abstractmethod
    def n_modes(self) -> int:
        """M."""

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Array]:
        """The arrays, by name, that define the motion together with rest_A."""

    @property
    @abstractmethod
    def gram(self) -> Array:
        """G (M, M), the mean over points of the products of their derivatives at rest: small amplitudes are an RMSD of
        √(qᵀ·G·q)."""

    @abstractmethod
    def displacements(self, amplitudes_A: Array) -> Array:
        """How far each point is moved from where it is at rest, (…, N, 3) in Å."""

    def coordinates(self, amplitudes_A: Array) -> Array:
        """Where the points are, (…, N, 3) in Å."""
        return self.rest_A + self.displacements(amplitudes_A)

    @abstractmethod
    def derivative(self, amplitudes_A: Array) -> Array:
        """∂x/∂q (…, M, N, 3) at these amplitudes; (M, N, 3) where it is the same at all amplitudes."""

    @abstractmethod
    def rmsd_A(self, first_A: Floats, second_A: Floats) -> Floats:
        """RMSD (…,) in Å between the conformations of two sets of amplitudes (…, M), of numpy's arrays."""

    @abstractmethod
    def select(self, points: Any) -> "Motion[Array]":
        """The motion of some of the points, by mask or index."""

    @abstractmethod
    def averaged(self, mean: Callable[[Array], Array]) -> "Motion[Array]":
        """The motion of the means of groups of points; mean: makes (…, G, k) of any values (…, N, k) of the points."""

    @abstractmethod
    def converted(self, convert: Callable[[Array], Other]) -> "Motion[Other]":
        """The same motion with arrays of another library, precision or device."""


@dataclass(frozen=True, eq=False)
class StraightMotion(Motion[Array]):
    """Points on straight lines: x = rest + Σ q·v, with vectors v (M, N, 3) that leave the weighted centre in place."""

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
        """P (3 + 3M, N), of numpy's arrays: what a rotation R (k, 3) shows of a conformation, R·x (k, N), is
        view_weights @ P.

        One product then shows many conformations, without making them first: several times faster for the millions of
        places of a map.
        """
        return np.asarray(np.concatenate([self.rest_A, *self.vectors], axis=1).T)

    @staticmethod
    def view_weights(rotations: Floats, amplitudes_A: Floats) -> Floats:
        """Weights (n, k, 3 + 3M) of the parts for rotations (n, k, 3) and amplitudes (n, M)."""
        weights = np.concatenate([np.ones((len(amplitudes_A), 1)), amplitudes_A], axis=1)
        return np.einsum("nij,nm->nimj", rotations, weights).reshape(*rotations.shape[:2], -1)

    @property
    def _flat(self) -> Array:
        """The vectors as rows (M, 3N)."""
        return self.vectors.reshape(len(self.vectors), self.vectors.shape[1] * 3)


def motion_along(structure: Structure, modes: NormalModes) -> Motion[Floats]:
    """The motion of a structure along modes. Raises InputError for modes of another number of atoms.

    A mode's net translation is removed, so that the weighted centre stays where the structure's is, as Xmipp's
    --centerPDB does.
    """
    require_same_atoms(modes, len(structure))
    weights = structure.weights / structure.weights.sum()
    drift = np.einsum("n,mni->mi", weights, modes.vectors)
    return StraightMotion(structure.coords_A, np.asarray(modes.vectors - drift[:, None]))


def amplitude_of_rmsd(rmsd_A: float, n_atoms: int) -> float:
    """The amplitude q in Å of a motion of this RMSD along one mode, whose norm over all atoms is 1
    (docs/conventions.md)."""
    return float(rmsd_A * np.sqrt(n_atoms))
