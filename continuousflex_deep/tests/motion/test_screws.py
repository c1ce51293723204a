"""Screws against the exponential of their twists, as matrices."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from continuousflex_deep.motion.screws import cross_matrix, screw, screw_derivative

RNG = np.random.default_rng(5)
ANGLES_RAD = [0.0, 1e-9, 1e-3, 0.4, 0.70710, 0.70711, 1.0, 3.0, np.pi, 6.0]


def twist_of(angle_rad: float) -> tuple[np.ndarray, np.ndarray]:
    axis = RNG.normal(size=3)
    return angle_rad * axis / np.linalg.norm(axis), 5 * RNG.normal(size=3)


@pytest.mark.parametrize("angle_rad", ANGLES_RAD)
def test_a_screw_is_the_exponential_of_its_twist(angle_rad: float) -> None:
    rotation, velocity = twist_of(angle_rad)
    generator = np.zeros((4, 4))
    generator[:3, :3], generator[:3, 3] = cross_matrix(rotation), velocity
    expected = expm(generator)
    turn, shift_A = screw(rotation, velocity)
    np.testing.assert_allclose(turn + np.eye(3), expected[:3, :3], atol=1e-13)
    np.testing.assert_allclose(shift_A, expected[:3, 3], atol=1e-12)


@pytest.mark.parametrize("angle_rad", ANGLES_RAD)
def test_derivative_matches_finite_differences(angle_rad: float) -> None:
    rotation, velocity = twist_of(angle_rad)
    further, speeds = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3))
    turned, moved = screw_derivative(rotation, velocity, further, speeds)
    turn, _ = screw(rotation, velocity)
    step = 1e-6
    for m in range(2):
        ahead = screw(rotation + step * further[m], velocity + step * speeds[m])
        behind = screw(rotation - step * further[m], velocity - step * speeds[m])
        numeric = (ahead[0] - behind[0]) / (2 * step)
        np.testing.assert_allclose(cross_matrix(turned[m]) @ (turn + np.eye(3)), numeric, atol=1e-8)
        np.testing.assert_allclose(moved[m], (ahead[1] - behind[1]) / (2 * step), atol=1e-7)


@pytest.mark.parametrize("angle_rad", ANGLES_RAD)
def test_single_precision_loses_little(angle_rad: float) -> None:
    rotation, velocity = twist_of(angle_rad)
    single = screw(torch.tensor(rotation, dtype=torch.float32), torch.tensor(velocity, dtype=torch.float32))
    for found, expected in zip(single, screw(rotation, velocity), strict=True):
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
