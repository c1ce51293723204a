"""What every kind of motion offers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from continuousflex_deep.arrays import Floats

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

    def seen(self, rotations: Array, amplitudes_A: Array) -> Array:
        """Coordinates (…, N, k) in Å along the k rows of rotations (…, k, 3)."""
        return self.coordinates(amplitudes_A) @ rotations.swapaxes(-1, -2)

    def seen_derivative(self, rotations: Array, amplitudes_A: Array) -> Array:
        """∂x/∂q (n, N, M·k) along the k rows of rotations (n, k, 3), for amplitudes (n, M); modes first, then rows."""
        # a derivative that is the same for all conformations stays (N·M, 3); each rotation multiplies it
        along = self.derivative(amplitudes_A).swapaxes(-3, -2)
        along = along.reshape(*along.shape[:-3], len(self.rest_A) * self.n_modes, 3)
        return (along @ rotations.swapaxes(-1, -2)).reshape(len(rotations), len(self.rest_A), -1)

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
    def view_parts(self) -> Any:
        """P (W, N), dense or a scipy sparse matrix, by which many views are one product, and no coordinates are formed:
        coordinates x rotated by R (k, 3), R·x (k, N), are view_weights @ P, in numpy's arrays. For the millions of
        voxels of a map this is several times faster."""

    @abstractmethod
    def view_weights(self, rotations: Floats, amplitudes_A: Floats) -> Floats:
        """Weights (n, k, W) of the view_parts for rotations (n, k, 3) and amplitudes (n, M)."""

    @abstractmethod
    def converted(self, convert: Callable[[Array], Other]) -> "Motion[Other]":
        """The same motion with arrays of another library, precision or device."""
