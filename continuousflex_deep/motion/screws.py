"""Screw motions: the rigid motion that a twist generates, and its derivative, in closed form.

A twist is a velocity τ of a body's centre and a rotation vector ω, which act for one unit of time: the body turns by R
about its centre, which moves by t = V·τ, on a helix about a fixed axis. R is Rodrigues' formula, and V the left
Jacobian of the rotations (Murray, Li & Sastry, A Mathematical Introduction to Robotic Manipulation, 1994, ch. 2;
Hoffmann & Grudinin, J Chem Theory Comput 2017, 13:2123, use them for blocks of atoms).
"""

import math
import sys
from types import ModuleType
from typing import Any, cast

import numpy as np

from continuousflex_deep.motion.base import Array

_SMALL = 0.5  # squared angle below which the factors are summed as series
_TERMS = 8


def screw(rotation: Array, velocity: Array) -> tuple[Array, Array]:
    """R − 1 (…, 3, 3) and t (…, 3) in Å of twists: rotation vectors ω (…, 3) in rad, velocities τ (…, 3) in Å."""
    a, b, c = _factors(rotation)
    across = cross_matrix(rotation)
    twice = across @ across
    turn = a[..., None] * across + b[..., None] * twice
    along = b[..., None] * across + c[..., None] * twice
    return turn, velocity + (along @ velocity[..., None])[..., 0]


def screw_derivative(rotation: Array, velocity: Array, rotations: Array, velocities: Array) -> tuple[Array, Array]:
    """How the screws of twists (…, 3) change with M others (M, …, 3) that are added to them: the rotation vectors
    (M, …, 3) in rad that turn a body further, from the left, and ∂t (M, …, 3) in Å."""
    library = library_of(rotation)
    _, b, c = _factors(rotation)
    db, dc = _slopes(rotation)
    across = cross_matrix(rotation)
    jacobian = b[..., None] * across + c[..., None] * (across @ across)
    turned = rotations + (jacobian @ rotations[..., None])[..., 0]
    first = (across @ velocity[..., None])[..., 0]
    second = (across @ first[..., None])[..., 0]
    along = (rotation * rotations).sum(-1)[..., None]
    others = cross_matrix(rotations)
    change = (others @ velocity[..., None])[..., 0]
    again = (others @ library.broadcast_to(first, rotations.shape)[..., None])[..., 0]
    again = again + (across @ change[..., None])[..., 0]
    moved = velocities + (jacobian @ velocities[..., None])[..., 0] + b * change + c * again
    return turned, moved + along * (db * first + dc * second)


def cross_matrix(vectors: Array) -> Array:
    """The matrices (…, 3, 3) of the products v × with vectors (…, 3)."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    zero = 0 * x
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return library_of(vectors).stack(rows, -1).reshape(*vectors.shape, 3)


def library_of(array: Any) -> ModuleType:
    """numpy or torch, whichever made this array."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def _factors(rotation: Array) -> tuple[Array, Array, Array]:
    """sin θ / θ, (1 − cos θ) / θ² and (θ − sin θ) / θ³ (…, 1) of rotation vectors (…, 3) of angle θ."""
    library = library_of(rotation)
    squared = (rotation * rotation).sum(-1)[..., None]
    small = squared < _SMALL
    large = library.where(small, library.ones_like(squared), squared)
    angle = large**0.5
    a = library.sin(angle) / angle
    b = (1 - library.cos(angle)) / large
    exact = a, b, (1 - a) / large
    near = (_series(squared, power) for power in (1, 2, 3))
    return tuple(library.where(small, x, y) for x, y in zip(near, exact, strict=True))


def _slopes(rotation: Array) -> tuple[Array, Array]:
    """The derivatives of the second and third factor by θ, divided by θ (…, 1)."""
    library = library_of(rotation)
    squared = (rotation * rotation).sum(-1)[..., None]
    small = squared < _SMALL
    large = library.where(small, library.ones_like(squared), squared)
    a, b, c = _factors(rotation)
    db = library.where(small, _series_slope(squared, 2), (a - 2 * b) / large)
    dc = library.where(small, _series_slope(squared, 3), (b - 3 * c) / large)
    return db, dc


def _series(squared: Array, power: int) -> Array:
    """Σ (−x)ⁿ / (2n + power)! for x = θ²: the factor whose denominator is θ to this power."""
    terms = [(-1) ** n / math.factorial(2 * n + power) for n in range(_TERMS)]
    return _polynomial(terms, squared)


def _series_slope(squared: Array, power: int) -> Array:
    """The derivative of such a series by θ, divided by θ."""
    terms = [2 * n * (-1) ** n / math.factorial(2 * n + power) for n in range(1, _TERMS + 1)]
    return _polynomial(terms, squared)


def _polynomial(coefficients: list[float], x: Array) -> Array:
    total: Any = 0 * x
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return cast(Array, total)
