"""Labels: rotations that agree with the conventions, and weights that follow the error bars."""

import numpy as np
import pytest
import torch

from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.nn.labels import (
    euler_to_quaternion,
    labels_of,
    quaternion_product,
    quaternion_to_euler,
    quaternion_to_matrix,
)
from continuousflex_deep.tests.helpers.nn_toy import toy_particles


@pytest.fixture(scope="module")
def particles(tmp_path_factory):
    return toy_particles(tmp_path_factory.mktemp("toy"), n=12)[1]


def angles(n=200):
    rng = np.random.default_rng(0)
    return rng.uniform([-180, 0, -180], [180, 180, 180], size=(n, 3))


def test_angles_become_the_rotation_of_the_conventions():
    euler = np.concatenate([angles(), [[0, 0, 0], [30, 0, 40], [30, 180, 40], [180, 90, -180]]])
    q = euler_to_quaternion(torch.from_numpy(np.radians(euler)))
    assert quaternion_to_matrix(q).numpy() == pytest.approx(euler_to_matrix(euler), abs=1e-12)


def test_angles_come_back_from_quaternions():
    euler = torch.from_numpy(np.radians(angles()))
    assert torch.allclose(quaternion_to_euler(euler_to_quaternion(euler)), euler, atol=1e-10)
    assert torch.allclose(quaternion_to_euler(-euler_to_quaternion(euler)), euler, atol=1e-10)


def test_product_of_quaternions_is_the_product_of_rotations():
    q = torch.nn.functional.normalize(torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(0)).double(), dim=2)
    first, second = quaternion_to_matrix(q)
    assert torch.allclose(quaternion_to_matrix(quaternion_product(*q)), first @ second, atol=1e-12)


def test_labels_are_those_of_the_particles(particles):
    labels = labels_of(particles, "all")
    assert quaternion_to_matrix(labels.quaternion).numpy() == pytest.approx(
        euler_to_matrix(particles.euler_deg), abs=1e-5
    )
    some = labels.select(torch.tensor([3, 1]))
    assert some.shift_A.numpy() == pytest.approx(particles.shift_A[[3, 1]], abs=1e-5)
    assert some.amplitudes.numpy() == pytest.approx(particles.amplitudes[[3, 1]], abs=1e-5)


def with_error_bars(particles):
    sd = np.full(12, 2.0)
    sd[:6] = [0.5, 1.0, 2.0, 8.0, np.nan, np.inf]
    return particles.replace(amplitudes_sd=np.stack([sd, sd], axis=1), angle_sd_deg=3 * sd, shift_sd_A=sd[::-1].copy())


def test_uncertain_labels_count_less(particles):
    weights = labels_of(with_error_bars(particles), "all", weighted=True).weights
    assert set(weights) == {"amplitudes", "angles", "shifts"}
    for weight in (weights["amplitudes"], weights["angles"], weights["shifts"].flip(0)):
        assert weight.mean() == pytest.approx(1)
        assert sorted(weight[:4].tolist(), reverse=True) == weight[:4].tolist()
        assert weight[0] / weight[2] == pytest.approx(2 / (1 + 1 / 16)), "1 / (1 + (deviation / median)²)"
        assert weight[3] / weight[2] == pytest.approx(2 / 17)
        assert weight[4:6].tolist() == [0, 0], "not a number, infinite"


def test_weights_stay_with_their_particles(particles):
    labels = labels_of(with_error_bars(particles), "angles", weighted=True)
    assert torch.equal(labels.select(torch.tensor([3, 0])).weights["angles"], labels.weights["angles"][[3, 0]])


def test_without_error_bars_all_labels_count_alike(particles):
    assert labels_of(particles, "all", weighted=True).weights == {}
    assert labels_of(with_error_bars(particles), "all").weights == {}, "not asked for"
    some = with_error_bars(particles).replace(angle_sd_deg=None)
    assert set(labels_of(some, "all", weighted=True).weights) == {"amplitudes", "shifts"}


@pytest.mark.parametrize("useless", [0.0, np.nan])
def test_error_bars_that_say_nothing_are_not_used(particles, useless):
    assert labels_of(particles.replace(angle_sd_deg=np.full(12, useless)), "angles", weighted=True).weights == {}


@pytest.mark.filterwarnings("error")
def test_mostly_infinite_error_bars_leave_the_others_to_count(particles):
    sd = np.full(12, np.inf)
    sd[[2, 5]] = 1.0
    weight = labels_of(particles.replace(angle_sd_deg=sd), "angles", weighted=True).weights["angles"]
    assert torch.nonzero(weight).flatten().tolist() == [2, 5]
    assert weight.mean() == pytest.approx(1)
