"""Rotations against Xmipp's own matrices, and their algebra."""

import numpy as np
import pytest

from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import (
    axes_distance_deg,
    euler_to_matrix,
    fibonacci_directions,
    matrix_to_euler,
    matrix_to_quaternion,
    quaternion_to_matrix,
    random_rotations,
    rotation_distance_deg,
    so3_grid,
)
from continuousflex_deep.tests.helpers import needs


def random_euler(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.uniform(-360, 360, n), rng.uniform(-180, 180, n), rng.uniform(-360, 360, n)], axis=1)


def test_matrices_are_xmipps() -> None:
    xmipp = needs.xmipp_library()
    special = np.array([[0, 0, 0], [10, 0, 20], [10, 180, 20], [90, 90, 90], [-30, -40, -50]], dtype=float)
    for euler in np.concatenate([special, random_euler(50)]):
        expected = np.asarray(xmipp.Euler_angles2matrix(*(float(a) for a in euler)))
        np.testing.assert_allclose(euler_to_matrix(euler), expected[:3, :3], atol=1e-6)


def test_an_atom_on_z_is_seen_where_the_conventions_say() -> None:
    # R = Rz(psi)·Ry(tilt)·Rz(rot), passive: tilt turns z towards −x, psi turns that clockwise
    assert euler_to_matrix([0, 90, 0])[:, 2] == pytest.approx([-1, 0, 0])
    assert euler_to_matrix([0, 90, 90])[:, 2] == pytest.approx([0, 1, 0])
    assert euler_to_matrix([90, 0, 0])[:, 0] == pytest.approx([0, -1, 0])


def test_euler_angles_come_back_as_the_same_rotation() -> None:
    euler = np.concatenate([random_euler(500), [[20, 0, 30], [20, 180, 30], [-170, 180, 5], [0, 0, 0], [20, 1e-7, 30]]])
    matrix = euler_to_matrix(euler)
    back = matrix_to_euler(matrix)
    np.testing.assert_allclose(euler_to_matrix(back), matrix, atol=1e-7)
    assert (back[:, 1] >= 0).all()
    assert (back[:, 1] <= 180).all()
    assert (np.abs(back[:, [0, 2]]) <= 180).all()


def test_two_names_of_one_rotation_are_at_distance_zero() -> None:
    euler = random_euler(20)
    other = euler * [1, -1, 1] + [180, 0, 180]
    assert rotation_distance_deg(euler_to_matrix(euler), euler_to_matrix(other)).max() < 1e-5
    assert axes_distance_deg(euler_to_matrix(euler), euler_to_matrix(other)).max() < 1e-5


def test_quaternions_round_trip_with_one_sign() -> None:
    matrix = euler_to_matrix(random_euler(500))
    q = matrix_to_quaternion(matrix)
    assert (q[:, 0] >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1)
    np.testing.assert_allclose(quaternion_to_matrix(q), matrix, atol=1e-12)
    np.testing.assert_allclose(quaternion_to_matrix(-3 * q), matrix, atol=1e-12)
    # 90° about z as an active rotation of column vectors: w = z = √½
    np.testing.assert_allclose(matrix_to_quaternion([[0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.sqrt([0.5, 0, 0, 0.5]))


def test_batches_keep_their_shape() -> None:
    euler = random_euler(12).reshape(3, 4, 3)
    matrix = euler_to_matrix(euler)
    assert matrix.shape == (3, 4, 3, 3)
    assert matrix_to_euler(matrix).shape == (3, 4, 3)
    assert matrix_to_quaternion(matrix).shape == (3, 4, 4)
    assert matrix_to_quaternion(matrix[0, 0]).shape == (4,)
    np.testing.assert_allclose(matrix[1, 2], euler_to_matrix(euler[1, 2]))


def test_distance_is_the_angle_turned() -> None:
    base = euler_to_matrix(random_euler(1)[0])
    for angle in (1e-5, 0.1, 5.0, 90.0, 179.99, 180.0):
        for axis_turn in (euler_to_matrix([angle, 0, 0]), euler_to_matrix([0, angle, 0])):
            assert rotation_distance_deg(axis_turn @ base, base) == pytest.approx(angle, rel=1e-6, abs=1e-9)


def test_axes_distance_of_a_turn_about_an_axis() -> None:
    # two axes move by the angle, the third stays: the mean is two thirds of it
    assert axes_distance_deg(euler_to_matrix([0, 0, 0]), euler_to_matrix([9, 0, 0])) == pytest.approx(6.0)


def test_random_rotations_are_uniform() -> None:
    rotations = random_rotations(20_000, np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    assert np.abs(rotations.mean(axis=0)).max() < 0.02
    # the angle of uniform rotations has density (1 − cos a)/π on 0 to π: its mean is π/2 + 2/π
    angle = np.radians(rotation_distance_deg(rotations, np.eye(3)))
    assert angle.mean() == pytest.approx(np.pi / 2 + 2 / np.pi, abs=0.02)
    below_90 = np.mean(angle < np.pi / 2)
    assert below_90 == pytest.approx(0.5 - 1 / np.pi, abs=0.01)


def test_grid_covers_all_rotations() -> None:
    step = 15.0
    grid = so3_grid(step)
    probes = random_rotations(200, np.random.default_rng(2))
    nearest = np.array([rotation_distance_deg(grid, p).min() for p in probes])
    assert nearest.max() < 1.1 * step
    counts = len(grid) * (np.radians(step) ** 3) / (8 * np.pi**2)
    assert counts == pytest.approx(1, rel=0.1)


def test_fibonacci_directions_are_even() -> None:
    directions = fibonacci_directions(1000)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    np.testing.assert_allclose(directions.T @ directions / 1000, np.eye(3) / 3, atol=2e-3)


def test_wrong_shapes_and_values_are_refused() -> None:
    with pytest.raises(InputError, match="rot, tilt, psi"):
        euler_to_matrix([1, 2])
    with pytest.raises(InputError, match="length zero"):
        quaternion_to_matrix([0, 0, 0, 0])
    with pytest.raises(InputError, match="between 1° and 90°"):
        so3_grid(0.1)
