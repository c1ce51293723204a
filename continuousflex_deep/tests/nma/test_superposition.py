"""Superposition against Kabsch's formula, written out, and against rigid motions that are known."""

import warnings

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from continuousflex_deep.arrays import Floats
from continuousflex_deep.nma.superposition import rigid_fit, superpose

RNG = np.random.default_rng(5)


def kabsch(coords_A: Floats, onto_A: Floats, weights: Floats) -> Floats:
    """coords_A superposed on onto_A (Kabsch, Acta Cryst 1976, A32:922)."""
    w = weights / weights.sum()
    center, onto_center = w @ coords_A, w @ onto_A
    u, _, vt = np.linalg.svd((coords_A - center).T @ (w[:, None] * (onto_A - onto_center)))
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    return (coords_A - center) @ u @ vt + onto_center


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_superposition_is_kabschs(weighted: bool, mirrored: bool) -> None:
    onto = RNG.normal(size=(30, 3)) * [5, 10, 20] + 40
    weights = RNG.uniform(1, 10, 30) if weighted else np.ones(30)
    other = Rotation.random(random_state=1).apply(onto + RNG.normal(size=onto.shape)) * [-1 if mirrored else 1, 1, 1]
    found = superpose(other - 17, onto, weights if weighted else None)
    np.testing.assert_allclose(found, kabsch(other - 17, onto, weights), rtol=0, atol=1e-9)


def test_a_rigid_motion_is_undone() -> None:
    coords_A = RNG.normal(size=(25, 3)) * 30
    turn, shift_A = Rotation.random(random_state=2), np.array([5.0, -80.0, 3.0])
    rotation, back_A = rigid_fit(turn.apply(coords_A) + shift_A, coords_A)
    np.testing.assert_allclose(rotation, turn.as_matrix(), atol=1e-12)
    np.testing.assert_allclose((turn.apply(coords_A) + shift_A) @ rotation + back_A, coords_A, atol=1e-12)


def test_a_superposition_is_never_a_reflection() -> None:
    onto = RNG.normal(size=(20, 3))
    rotation, _ = rigid_fit(onto * [-1, 1, 1], onto)
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_points_on_a_line_are_superposed_without_a_warning() -> None:
    line = np.outer(np.arange(5.0), [1.0, 2.0, 2.0])
    turned = Rotation.random(random_state=3).apply(line) + 9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(superpose(turned, line), line, atol=1e-9)
