"""Losses against closed forms and finite differences, and doubts that are least costly where they are right."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from continuousflex_deep.geometry import random_rotations
from continuousflex_deep.nn.doubt import DEVIATION_OF_MEAN, ROOT_MEAN_SQUARE_OF_MEAN_ANGLE, doubt_loss, expected_errors
from continuousflex_deep.nn.labels import Labels, euler_to_quaternion, quaternion_product
from continuousflex_deep.nn.loss import Loss, absolute_errors
from continuousflex_deep.nn.targets import TargetCoder
from continuousflex_deep.nn.validate import doubt_ratios

N = 12
KINDS = ["absolute", "squared"]
ROTATIONS = ["euler", "quaternion", "matrix"]


def coder_for(rotation="matrix", sign_free=True, doubts=False, targets="all"):
    return TargetCoder(targets, (7, 8), rotation, sign_free, (3.0, -2.0), (10.0, 5.0), 4.0, doubts)


def labels(n=N, seed=0, **changes):
    """In double precision, so that finite differences can be trusted."""
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator).double()  # noqa: E731
    quaternion = torch.nn.functional.normalize(normal(n, 4), dim=1)
    return Labels(**{"amplitudes": 10 * normal(n, 2), "quaternion": quaternion, "shift_A": 4 * normal(n, 2), **changes})


def outputs_of(coder, of):
    return torch.cat(list(coder.encode(of).values()), dim=1)


def turned(quaternion, angle_rad, seed=1):
    """Quaternions turned about random axes."""
    axis = torch.nn.functional.normalize(torch.randn(len(quaternion), 3, generator=torch.Generator().manual_seed(seed)))
    half = torch.full((len(quaternion), 1), angle_rad / 2, dtype=torch.float64)
    return quaternion_product(torch.cat([half.cos(), half.sin() * axis.double()], dim=1), quaternion)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rotation", ROTATIONS)
def test_no_loss_at_the_truth_and_more_with_every_error(kind, rotation):
    coder, truth = coder_for(rotation), labels()
    loss = Loss(coder, kind)
    right = outputs_of(coder, truth)
    assert loss(right, truth).item() == pytest.approx(0, abs=1e-6)
    way = torch.randn(right.shape, generator=torch.Generator().manual_seed(2))
    costs = [loss(right + step * way, truth).item() for step in (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)]
    assert costs == sorted(costs)
    assert costs[1] > 0
    growth = costs[-1] / costs[-2]
    assert growth == pytest.approx({"absolute": 0.3**-1, "squared": 0.3**-2}[kind], rel=0.1)


def test_a_wrong_rotation_costs_its_chord():
    """√2·sin(angle/2) absolutely; squared 4·sin²(angle/2), half the squared Frobenius distance."""
    truth, coder = labels(), coder_for("matrix", targets="angles")
    for angle in (0.3, 1.0, 3.0):
        wrong = outputs_of(coder, Labels(quaternion=turned(truth.quaternion, angle)))
        only = Labels(quaternion=truth.quaternion)
        chord = 2**0.5 * np.sin(angle / 2)
        assert Loss(coder, "absolute")(wrong, only).item() == pytest.approx(chord, abs=0.006)
        assert Loss(coder, "squared")(wrong, only).item() == pytest.approx(2 * chord**2, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_one_wrong_number_costs_its_share(kind):
    """Of two amplitudes one, and of twelve particles all, are off by half a deviation; of shifts both, by 1/4."""
    coder, truth = coder_for(), labels()
    wrong = outputs_of(coder, truth)
    wrong[:, 0] += 0.5
    wrong[:, -2:] += 0.25
    expected = {"absolute": 0.25 + 0.25, "squared": (0.125 + 0.0625) / 2}[kind]
    assert Loss(coder, kind)(wrong, truth).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_quaternions_of_either_sign_are_one_rotation(kind):
    truth = Labels(quaternion=labels().quaternion)
    free, strict = (coder_for("quaternion", sign_free, targets="angles") for sign_free in (True, False))
    other = -outputs_of(free, truth)
    assert Loss(free, kind)(other, truth).item() == pytest.approx(0, abs=1e-6)
    assert Loss(strict, kind)(other, truth).item() > 0.3
    mixed = other * torch.tensor([1.0, -1.0]).repeat(N // 2)[:, None]
    assert Loss(free, kind)(mixed, truth).item() == pytest.approx(0, abs=1e-6), "each particle for itself"


@pytest.mark.parametrize("kind", KINDS)
def test_particles_count_by_their_weights(kind):
    """Of two particles that are wrong the one that counts nothing costs nothing; only its own type is meant."""
    coder = coder_for()
    weight = torch.ones(N).double()
    weight[0], weight[1] = 0, 2
    plain, weighted = labels(), labels(weights={"amplitudes": weight})
    loss = Loss(coder, kind)

    def cost(row, column, of):
        wrong = outputs_of(coder, of)
        wrong[row, column] += 1
        return loss(wrong, of).item()

    amplitude, shift = 0, -1
    assert cost(0, amplitude, weighted) == pytest.approx(0, abs=1e-6)
    assert cost(1, amplitude, weighted) == pytest.approx(2 * cost(1, amplitude, plain), rel=1e-5)
    assert cost(0, shift, weighted) == pytest.approx(cost(0, shift, plain), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rotation", ROTATIONS)
def test_gradients_match_finite_differences(kind, rotation, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "float", lambda self: self)  # float32 has no digits left to differ in
    coder, truth = coder_for(rotation), labels(weights={"angles": torch.linspace(0, 2, N).double()})
    loss = Loss(coder, kind)
    outputs = torch.randn(N, coder.outputs, generator=torch.Generator().manual_seed(3)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, truth), outputs, eps=1e-6, atol=1e-7)


def test_a_matrix_near_the_truth_has_a_finite_gradient():
    """The chord itself has a kink at zero, where its gradient would not be a number."""
    coder, truth = coder_for(targets="angles"), Labels(quaternion=labels().quaternion)
    outputs = outputs_of(coder, truth).requires_grad_()
    Loss(coder, "absolute")(outputs, truth).backward()
    assert torch.isfinite(outputs.grad).all()


def test_where_nothing_is_known_the_squared_error_points_to_the_mean():
    """Targets at both ends of what is possible: half the squared error is least at their mean."""
    coder = coder_for("matrix", targets="angles")
    truth = Labels(quaternion=labels(200).quaternion)
    mean = outputs_of(coder, truth).mean(dim=0, keepdim=True)
    loss = Loss(coder, "squared")
    best = loss(mean.expand(200, 9), truth).item()
    for i in range(9):
        for step in (-0.1, 0.1):
            assert loss((mean + step * torch.eye(9)[i]).expand(200, 9), truth).item() > best


def test_angular_error_is_the_angle_of_the_rotation_between():
    truth = labels()
    for rotation in ROTATIONS:
        coder = coder_for(rotation)
        for angle in (0.02, 0.5, 3.1):
            wrong = outputs_of(coder, Labels(truth.amplitudes, turned(truth.quaternion, angle), truth.shift_A))
            errors = absolute_errors(coder, wrong, truth)["angles"]
            assert errors.shape == (N, 1)
            assert errors.numpy() == pytest.approx(angle, rel=1e-3)


def test_errors_of_a_shift_are_one_number():
    coder, truth = coder_for(), labels()
    wrong = outputs_of(coder, truth)
    wrong[:, -2] += 0.2
    wrong[:, -1] -= 0.4
    errors = absolute_errors(coder, wrong, truth)
    assert errors["shifts"].numpy() == pytest.approx(np.full((N, 1), 0.3), rel=1e-4)
    assert errors["amplitudes"].shape == (N, 2)


def test_doubt_costs_least_where_it_is_the_mean_error():
    errors = torch.from_numpy(np.random.default_rng(0).exponential(0.7, size=(1000, 1)))
    logs = torch.linspace(-4, 4, 801).double()
    costs = torch.stack([doubt_loss(log.expand(1000, 1), errors) for log in logs])
    assert logs[costs.argmin()].exp() == pytest.approx(float(errors.mean()), rel=0.01)
    wide = torch.tensor([[-500.0], [500.0]], requires_grad=True)
    assert torch.isfinite(doubt_loss(wide, torch.ones(2, 1))), "whatever the network says at first"
    assert torch.isfinite(expected_errors(wide)).all()


def test_doubts_teach_the_outputs_nothing():
    coder, truth = coder_for(doubts=True), labels()
    outputs = torch.randn(N, coder.outputs + 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    Loss(coder, "squared").of_doubts(outputs, truth).backward()
    assert not outputs.grad[:, : coder.outputs].any()
    assert (outputs.grad[:, coder.outputs :] != 0).all()
    errors, logs = torch.ones(3, 1, requires_grad=True), torch.zeros(3, 1, requires_grad=True)
    doubt_loss(logs, errors).backward()
    assert errors.grad is None
    silent = coder_for()
    assert Loss(silent, "squared").of_doubts(outputs[:, : silent.outputs], truth).item() == 0


def test_learned_doubts_are_the_mean_errors():
    """Gradient descent on doubts that are the same for all: each becomes the mean error of its type."""
    coder, truth = coder_for(doubts=True), labels(500)
    rng = np.random.default_rng(0)
    wrong = outputs_of(coder, truth) + torch.from_numpy(rng.normal(size=(500, 13))) * 0.1
    logs = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logs], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        Loss(coder, "squared").of_doubts(torch.cat([wrong, logs.expand(500, 4)], dim=1), truth).backward()
        optimizer.step()
    errors = absolute_errors(coder, wrong, truth)
    means = torch.cat([errors[name].mean(dim=0) for name in ("amplitudes", "angles", "shifts")])
    assert logs.exp().tolist() == pytest.approx(means.tolist(), rel=0.02)
    logs = (2 * means).log().expand(500, 4)
    predicted, true = (coder.decode(torch.cat([of, logs], dim=1)) for of in (wrong, outputs_of(coder, truth)))
    told = doubt_ratios(coder, predicted, true)
    assert told == pytest.approx({"amplitudes": 0.5, "angles": 0.5, "shifts": 0.5}, rel=1e-3)


def test_doubts_about_gaussian_errors_become_their_deviation():
    """Of numbers, and of rotations by small random vectors: decoded from mean sizes of errors, as doubts are."""
    rng, n = np.random.default_rng(0), 40_000
    assert DEVIATION_OF_MEAN * np.abs(rng.normal(scale=3.0, size=n)).mean() == pytest.approx(3.0, rel=0.02)
    truth = random_rotations(n, rng)
    vector = rng.normal(scale=0.05, size=(n, 3))
    euler = Rotation.from_matrix(Rotation.from_rotvec(vector).as_matrix() @ truth).as_matrix()
    coder = coder_for("matrix", targets="angles")
    quaternion = torch.from_numpy(Rotation.from_matrix(truth).as_quat()[:, [3, 0, 1, 2]])
    errors = absolute_errors(coder, torch.from_numpy(euler.reshape(n, 9)), Labels(quaternion=quaternion))["angles"]
    rms = np.sqrt((vector**2).sum(axis=1).mean())
    assert ROOT_MEAN_SQUARE_OF_MEAN_ANGLE * float(errors.mean()) == pytest.approx(rms, rel=0.01)


def test_euler_angles_jump_where_rotations_do_not():
    """What the article's Supplementary B compares with: nearly equal rotations, far apart as angles."""
    euler = torch.tensor([[179.9, 60.0, 10.0], [-179.9, 60.0, 10.0]]).double().deg2rad()
    truth, near = (Labels(quaternion=euler_to_quaternion(e)[None]) for e in euler)
    coders = [coder_for(rotation, targets="angles") for rotation in ("euler", "matrix")]
    jump, smooth = (Loss(c, "absolute")(outputs_of(c, near), truth).item() for c in coders)
    assert jump > 0.6
    assert smooth < 0.01
