"""The prior on given poses: what it costs, its derivatives, and particles that are held to their poses by it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import random_rotations, rotation_distance_deg
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.pose_prior import GivenPoses, PosePrior
from continuousflex_deep.hemnma.refine import Descent, Refiner, State, Whitened
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel
from continuousflex_deep.motion import motion_along
from continuousflex_deep.nma.superposition import rigid_fit
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.tests.helpers.engine_data import (
    ARM,
    hinged_modes,
    hinged_particles,
    hinged_structure,
    in_double,
    rmsd_A,
)

SD_A = 1.5


@pytest.fixture(scope="module")
def model() -> PointModel:
    return in_double(PointModel.from_structure(hinged_structure(), hinged_modes()))


def given_poses(count: int, seed: int = 0) -> GivenPoses:
    rng = np.random.default_rng(seed)
    return GivenPoses(torch.as_tensor(random_rotations(count, rng)), torch.as_tensor(rng.normal(size=(count, 2))))


def hypotheses(given: GivenPoses, step: np.ndarray) -> State:
    """The given poses at rest, after steps (k, 5 + 3)."""
    count = len(given.rotation)
    still = torch.zeros(count, 3, dtype=torch.float64)
    start = State(given.rotation, given.displacement_A, still, torch.arange(count))
    return start.moved(torch.as_tensor(step))


def cost_of(prior: PosePrior, state: State, given: GivenPoses) -> torch.Tensor:
    return prior.cost(state.rotation, state.displacement_A, state.amplitudes, given)


def test_nothing_in_the_given_pose_and_one_on_average_for_each_number_of_it(model: PointModel) -> None:
    """For poses whose five numbers are normal deviates of the deviations with which they misplace the atoms by an RMS
    distance of SD_A in all."""
    count, rng = 4000, np.random.default_rng(1)
    given, prior = given_poses(count), PosePrior.of(model.motion, SD_A)
    assert cost_of(prior, hypotheses(given, np.zeros((count, 8))), given).max() < 1e-20
    x = model.motion.rest_A.numpy()
    across = given.rotation.numpy() @ (np.eye(3) * np.square(x).sum(axis=1).mean() - x.T @ x / len(x))
    # the mean square distance is ω·I·ω, which is σ²/5 for each axis
    inertia = across @ given.rotation.numpy().swapaxes(1, 2)
    root = np.linalg.cholesky(np.linalg.inv(inertia))
    step = np.zeros((count, 8))
    step[:, :3] = SD_A / np.sqrt(5) * np.einsum("kij,kj->ki", root, rng.normal(size=(count, 3)))
    step[:, 3:5] = rng.normal(scale=SD_A / np.sqrt(5), size=(count, 2))
    assert float(cost_of(prior, hypotheses(given, step), given).mean()) == pytest.approx(5, rel=0.15)


def test_derivatives_are_those_of_the_cost(model: PointModel) -> None:
    count, rng = 6, np.random.default_rng(2)
    given, prior = given_poses(count), PosePrior.of(model.motion, SD_A)
    scale = np.array([0.05] * 3 + [1.0] * 2 + [20.0] * 3)
    state = hypotheses(given, rng.normal(size=(count, 8)) * scale)
    cost, gradient, matrix = prior.terms(state.rotation, state.displacement_A, state.amplitudes, given)
    torch.testing.assert_close(cost, cost_of(prior, state, given))
    numeric = []
    for i in range(8):
        step = torch.zeros(count, 8, dtype=torch.float64)
        step[:, i] = 1e-6 * scale[i]
        apart = cost_of(prior, state.moved(step), given) - cost_of(prior, state.moved(-step), given)
        numeric.append(apart / (2e-6 * scale[i]))
    expected = torch.stack(numeric, dim=1)
    torch.testing.assert_close(-2 * gradient * scale, expected * scale, rtol=1e-5, atol=1e-5 * float(cost.max()))
    assert (torch.linalg.eigvalsh(matrix) > -1e-9 * matrix.abs().max()).all()
    # at the given pose at rest the residuals are 0, and the Gauss–Newton matrix is half the second derivative
    rest = hypotheses(given, np.zeros((count, 8)))
    _, _, at_rest = prior.terms(rest.rotation, rest.displacement_A, rest.amplitudes, given)
    step = torch.as_tensor(1e-4 * rng.normal(size=(count, 8)) * scale)
    quadratic = torch.einsum("ki,kij,kj->k", step, at_rest, step)
    core = cost_of(prior, rest.moved(step), given)
    assert (core <= quadratic * (1 + 1e-6)).all()  # the nearest half is that of the step, at rest any half is


def test_the_depth_is_free_and_the_arm_may_turn(model: PointModel) -> None:
    """Conformations with the arm turned cost nothing in the pose of the body, wherever the molecule's centre goes."""
    given, prior = given_poses(5), PosePrior.of(model.motion, SD_A)
    structure, motion = hinged_structure(), motion_along(hinged_structure(), hinged_modes())
    for q in ([60.0, 0.0, 0.0], [0.0, -50.0, 20.0]):
        body = np.ones(len(structure), bool)
        body[ARM] = False
        moved = motion.coordinates(np.array(q))
        turn, shift_A = rigid_fit(moved[body], motion.rest_A[body])  # moved @ turn + shift lies on the body
        off = np.sqrt(np.square(moved[body] @ turn + shift_A - motion.rest_A[body]).sum(axis=1).mean())
        as_given = given.rotation @ torch.as_tensor(turn.T)
        shift = given.displacement_A + (given.rotation[:, :2] @ torch.as_tensor(shift_A))
        amplitudes = torch.tensor(q, dtype=torch.float64).expand(5, 3)
        core = prior.cost(as_given, shift, amplitudes, given)
        free = prior.cost(given.rotation, given.displacement_A, amplitudes, given)
        assert core.max() < 5 / 0.45 * (off / SD_A) ** 2 + 1e-6
        assert free.min() > 4 * core.max(), (free, core)


def test_more_points_than_enough_change_little() -> None:
    structure, modes = hinged_structure(), hinged_modes()
    few = motion_along(structure, modes)
    repeated = few.select(np.repeat(np.arange(len(structure)), 5)).converted(torch.as_tensor)
    given, rng = given_poses(8), np.random.default_rng(3)
    state = hypotheses(given, rng.normal(size=(8, 8)) * np.array([0.05] * 3 + [1.0] * 2 + [20.0] * 3))
    first, second = (
        cost_of(PosePrior.of(m, SD_A), state, given) for m in (few.converted(torch.as_tensor), repeated)
    )
    torch.testing.assert_close(first, second, rtol=0.1, atol=0)


def test_a_descent_without_images_ends_in_the_given_pose(model: PointModel) -> None:
    """And its error bars are those of the given pose."""
    count, disc = 16, FrequencyDisc(8)
    single = PointModel(model.weights.float(), model.motion.converted(torch.Tensor.float))
    given = given_poses(count)
    given = GivenPoses(given.rotation.float(), given.displacement_A.float())
    blank, faint = torch.zeros(count, len(disc), dtype=torch.complex64), torch.full((count, len(disc)), 1e-3)
    nothing = Whitened(blank, faint, given)
    refiner = Refiner(single, disc, 160.0, prior_sd_A=20.0, pose_prior=PosePrior.of(single.motion, SD_A))
    step = np.random.default_rng(4).normal(size=(count, 8)) * np.array([0.1] * 3 + [3.0] * 2 + [5.0] * 3)
    start = State(given.rotation, given.displacement_A, torch.zeros(count, 3), torch.arange(count))
    found, quadratic = refiner.descend(nothing, start.moved(torch.as_tensor(step).float()), Descent(60, 0.01, 1e-3))
    angle = rotation_distance_deg(found.rotation.numpy(), given.rotation.numpy())
    assert angle.max() < 1, angle
    assert (found.displacement_A - given.displacement_A).abs().max() < 0.1
    deviation = quadratic.covariance()[:, 3:5, 3:5].diagonal(dim1=1, dim2=2).sqrt()
    assert (deviation >= 0.6 * SD_A / np.sqrt(5)).all()


def test_particles_are_held_to_given_poses_in_noise(tmp_path: Path) -> None:
    """A domain that turns far, in images so noisy that poses alone are uncertain: conformations are nearer to the truth
    where the poses, which are good, are held."""
    given, coords_A = hinged_particles(tmp_path, angle_deg=80.0, count=24, snr=0.08)
    structure, modes, batch = hinged_structure(), hinged_modes(), Batch.read(given, np.arange(24))
    motion, off_A, calibration = motion_along(structure, modes), [], None
    for sd_A in (0.0, 0.75):
        options = AlignOptions(
            device="cpu", threads=1, init="local", local_step_deg=0.0, motion_prior_A=8.0, given_pose_sd_A=sd_A
        )
        engine = EmbeddedEngine(structure, modes, options)
        calibration = calibration or engine.calibrate(batch)
        amplitudes = engine.align_batch(batch, calibration).amplitudes
        off_A.append([rmsd_A(motion.coordinates(q), true_A) for q, true_A in zip(amplitudes, coords_A, strict=True)])
    free, held = np.median(off_A, axis=1)
    assert held < 0.85 * free, (free, held)


def test_what_it_does_not_go_with(tmp_path: Path) -> None:
    given, _ = hinged_particles(tmp_path, angle_deg=20.0, count=2)
    for other, message in (
        ({"init": "global"}, "needs --init local"),
        ({"init": "local", "fit": "conformation"}, "needs --init local"),
        ({"init": "local", "search_above_deg": 10.0}, "--search-above-deg searches others"),
    ):
        options = AlignOptions(device="cpu", threads=1, given_pose_sd_A=1.0, **other)
        with pytest.raises(InputError, match=message):
            EmbeddedEngine(hinged_structure(), hinged_modes(), options).check(given)
