"""The descent: its gradient, where it ends, and the error bars it reports."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from continuousflex_deep.geometry import rotation_distance_deg
from continuousflex_deep.hemnma.levels import Kept, keep_best
from continuousflex_deep.hemnma.refine import Descent, Quadratic, Refiner, State, Whitened
from continuousflex_deep.hemnma.starts import joined
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel, project
from continuousflex_deep.tests.helpers.engine_data import in_double, toy_modes, toy_structure
from continuousflex_deep.tests.helpers.fits import FIELD_A, images_of, perturbed, states


@pytest.fixture(scope="module")
def model() -> PointModel:
    structure = toy_structure()
    return PointModel.from_structure(structure, toy_modes(structure))


def angle_deg(a: State, b: State) -> np.ndarray:
    return rotation_distance_deg(a.rotation.numpy(), b.rotation.numpy())


@pytest.mark.parametrize("angle", [0.0, 1e-6, 0.37, 3.1, 7.0])
def test_step_turns_from_the_left(angle):
    start, vector = states(3), angle * np.array([2, -1, 2]) / 3
    step = torch.zeros(3, 7)
    step[:, :3] = torch.as_tensor(vector)
    expected = Rotation.from_rotvec(vector).as_matrix() @ start.rotation.numpy()
    np.testing.assert_allclose(start.moved(step).rotation.numpy(), expected, atol=1e-6)


def test_gradient_is_that_of_the_cost(model):
    disc = FrequencyDisc(10)
    double = in_double(model)
    truth = states(2)
    images = images_of(model, disc, truth, 40.0)
    refiner = Refiner(double, disc, FIELD_A, prior_sd_A=30.0)
    refiner.prior = refiner.prior.double()
    start = perturbed(truth, 5, 1, 5)
    start = State(start.rotation.double(), start.displacement_A.double(), start.amplitudes.double(), start.particle)
    images = Whitened(images.data.to(torch.complex128), images.filter.double())
    gradient = refiner.evaluate(images, start).gradient
    for i in range(7):
        step = torch.zeros(2, 7, dtype=torch.float64)
        step[:, i] = 1e-5
        numeric = (
            refiner.evaluate(images, start.moved(step)).cost - refiner.evaluate(images, start.moved(-step)).cost
        ) / 2e-5
        torch.testing.assert_close(-2 * gradient[:, i], numeric, rtol=1e-4, atol=1e-4 * float(gradient.abs().max()))


def test_descends_to_the_truth_without_noise(model):
    disc, truth = FrequencyDisc(12), states(8)
    images = images_of(model, disc, truth, 1000.0, noise=0.0)
    refiner = Refiner(model, disc, FIELD_A, prior_sd_A=1e4)
    found, _ = refiner.descend(images, perturbed(truth, 6, 1, 5), Descent(40, 0.01, 1e-4))
    assert angle_deg(found, truth).max() < 0.05
    assert (found.amplitudes - truth.amplitudes).abs().max() < 0.1
    assert (found.displacement_A - truth.displacement_A).abs().max() < 0.01


def test_error_bars_are_the_spread_of_errors(model):
    """One image, 300 draws of noise: the reported deviations are those of the estimates (5%: four deviations of a
    deviation)."""
    disc, one = FrequencyDisc(12), states(1)
    rotation, displacement, amplitudes = (
        v.expand(300, *v.shape[1:]) for v in (one.rotation, one.displacement_A, one.amplitudes)
    )
    truth = State(rotation, displacement, amplitudes, torch.arange(300))
    images = images_of(model, disc, truth, 60.0, seed=2)
    refiner = Refiner(model, disc, FIELD_A, prior_sd_A=1e4)
    found, quadratic = refiner.descend(images, truth, Descent(20, 0.01, 1e-3))
    reported = quadratic.covariance().diagonal(dim1=1, dim2=2).sqrt().mean(dim=0)
    errors = torch.cat([found.displacement_A - truth.displacement_A, found.amplitudes - truth.amplitudes], dim=1)
    ratio = errors.std(dim=0) / reported[3:]
    assert ((ratio > 0.84) & (ratio < 1.16)).all(), ratio
    turned = torch.as_tensor(angle_deg(found, truth)).square().mean().sqrt()
    assert 0.84 < float(turned / torch.rad2deg(reported[:3].square().sum().sqrt())) < 1.16


def test_scale_and_chunks_do_not_matter(model):
    disc, truth = FrequencyDisc(8), states(5)
    images = images_of(model, disc, truth, 40.0)
    start = perturbed(truth, 4, 1, 3)
    whole, small = (Refiner(model, disc, FIELD_A, 1e4, memory_bytes=m) for m in (1 << 28, 1))
    assert small.chunk == 1
    a, b = (r.evaluate(images, start) for r in (whole, small))
    torch.testing.assert_close(a.gain, b.gain, rtol=1e-4, atol=1e-3)
    weaker = Whitened(images.data, images.filter * 0.3)  # another contrast of the model is taken up by the scale
    torch.testing.assert_close(whole.evaluate(weaker, start).gain, a.gain, rtol=1e-4, atol=1e-3)


def test_hypotheses_without_prospect_are_given_up_and_the_others_not(model, monkeypatch):
    disc, one = FrequencyDisc(8), states(2)
    images = images_of(model, disc, one, 60.0)
    near, far = perturbed(one, 4, 1, 3), perturbed(one, 80, 1, 3)
    both = joined(near, far)
    refiner, descent = Refiner(model, disc, FIELD_A, 1e4), Descent(20, 0.1, 0.5)
    evaluate, seen = refiner.evaluate, []

    def counted(images, state):
        seen.append(len(state))
        return evaluate(images, state)

    monkeypatch.setattr(refiner, "evaluate", counted)
    found, quadratic = refiner.descend(images, both, descent)
    all_the_way, lead = sum(seen), quadratic.cost[1::2] - quadratic.cost[::2]
    assert (lead > 100).all()
    seen.clear()
    again, given_up = refiner.descend(images, both, descent, behind=40.0)
    assert sum(seen) < 0.7 * all_the_way
    torch.testing.assert_close(again[::2].rotation, found[::2].rotation)
    torch.testing.assert_close(given_up.cost[::2], quadratic.cost[::2])
    assert (given_up.cost[1::2] - given_up.cost[::2] > 40).all()


def test_keeps_the_best_distinct_hypotheses():
    turn = torch.as_tensor(
        Rotation.from_euler("z", np.array([0, 1, 40, 80, 0])[:, None], degrees=True).as_matrix(), dtype=torch.float32
    )
    state = State(turn, torch.zeros(5, 2), torch.zeros(5, 2), torch.tensor([0, 0, 0, 0, 1]))
    cost = torch.tensor([5.0, 4.0, 6.0, 90.0, 1.0])
    sharp = 1e4 * torch.eye(7).expand(5, 7, 7)
    quadratic = Quadratic(-cost, cost, torch.zeros(5, 7), sharp, *(torch.zeros(5),) * 2)
    kept, q, gap = keep_best(state, quadratic, Kept(count=3, behind=10.0))
    assert kept.particle.tolist() == [0, 0, 1]  # the repetition 1° away and the one far behind are gone
    assert q.cost.tolist() == [4.0, 6.0, 1.0]
    assert gap.tolist() == [1.0, float("inf")]  # the repetition is no rival


def test_hypotheses_within_each_others_error_bars_are_one():
    turn = torch.as_tensor(
        Rotation.from_euler("z", np.array([0, 8, 60])[:, None], degrees=True).as_matrix(), dtype=torch.float32
    )
    cost = torch.tensor([4.0, 4.1, 4.2])
    for deviation_deg, distinct in ((10.0, 2), (1.0, 3)):
        matrix = torch.eye(7).expand(3, 7, 7) / np.radians(deviation_deg) ** 2
        quadratic = Quadratic(-cost, cost, torch.zeros(3, 7), matrix, *(torch.zeros(3),) * 2)
        state = State(turn, torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, dtype=torch.long))
        assert len(keep_best(state, quadratic, Kept(count=3, behind=10.0))[0]) == distinct


def test_a_rival_dropped_for_being_far_behind_leaves_no_doubt():
    turn = torch.as_tensor(
        Rotation.from_euler("z", np.array([0, 60])[:, None], degrees=True).as_matrix(), dtype=torch.float32
    )
    cost = torch.tensor([4.0, 104.0])
    quadratic = Quadratic(-cost, cost, torch.zeros(2, 7), torch.eye(7).expand(2, 7, 7), *(torch.zeros(2),) * 2)
    state = State(turn, torch.zeros(2, 2), torch.zeros(2, 2), torch.zeros(2, dtype=torch.long))
    kept, _, gap = keep_best(state, quadratic, Kept(count=2, behind=10.0))
    assert len(kept) == 1
    assert gap.tolist() == [50.0]


def test_leverage_is_the_noise_that_a_fit_follows(model):
    """Σ over coefficients is the number of parameters, and so is the mean product of noise and the model's change."""
    disc, truth = FrequencyDisc(10), states(300)
    refiner = Refiner(model, disc, FIELD_A, prior_sd_A=1e4)
    images = images_of(model, disc, truth, 400.0)
    leverage = refiner.leverage(images, truth)
    assert abs(float(leverage.sum()) - 7) < 0.05
    found, _ = refiner.descend(images, truth, Descent(20, 0.01, 1e-3))
    before, after = (
        images.filter * project(model, disc, FIELD_A, s.rotation, s.displacement_A, s.amplitudes)
        for s in (truth, found)
    )
    noise = images.data - before
    product = ((after - before) * noise.conj()).real.mean(dim=0)
    assert abs(float(product.sum()) / 7 - 1) < 0.1
    inner = disc.ring <= 5
    assert abs(float(product[inner].sum() / leverage[inner].sum()) - 1) < 0.2
    fixed = Refiner(model, disc, FIELD_A, prior_sd_A=1e4, fit="pose")
    assert abs(float(fixed.leverage(images, truth).sum()) - 5) < 0.05


def test_the_last_step_needs_no_derivatives(model, monkeypatch):
    """Where a start is near, the model alone tells where the last step led: the same place for fewer derivatives."""
    disc, truth = FrequencyDisc(12), states(16)
    images = images_of(model, disc, truth, 60.0)
    refiner, start = Refiner(model, disc, FIELD_A, prior_sd_A=100.0), perturbed(truth, 2, 0.5, 2)
    evaluated: list[int] = []
    evaluate = Refiner.evaluate

    def counted(self, images, state):
        evaluated.append(len(state))
        return evaluate(self, images, state)

    monkeypatch.setattr(Refiner, "evaluate", counted)
    slow, quadratic = refiner.descend(images, start, Descent(40, 0.01, 1e-3))
    many, evaluated[:] = sum(evaluated), []
    fast, found = refiner.descend(images, start, Descent(40, 0.01, 1e-3, near=0.5))
    assert sum(evaluated) <= many - len(start)
    sd = quadratic.covariance().diagonal(dim1=1, dim2=2).sqrt()
    assert ((fast.amplitudes - slow.amplitudes).abs() < 0.1 * sd[:, 5:]).all()
    assert ((fast.displacement_A - slow.displacement_A).abs() < 0.1 * sd[:, 3:5]).all()
    # costs of 80,000 have steps of 0.008 in float32
    rounding = 5e-7 * quadratic.cost.abs()
    assert ((found.cost - quadratic.cost).abs() < 0.02 + rounding).all(), "the cost told is that of where it ended"
    torch.testing.assert_close(found.scale, quadratic.scale, rtol=1e-3, atol=0)
    torch.testing.assert_close(found.covariance(), quadratic.covariance(), rtol=0.1, atol=1e-6)
