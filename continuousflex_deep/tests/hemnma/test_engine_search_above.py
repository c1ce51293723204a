"""A local start that searches where it must: where the given pose is uncertain, and where a particle shows weakly."""

import dataclasses

import numpy as np
import pytest
import torch

from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix, matrix_to_euler, random_rotations
from continuousflex_deep.hemnma.alignment import align, calibration_for
from continuousflex_deep.hemnma.descent import Found
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.refine import Quadratic, State
from continuousflex_deep.hemnma.search import ReferenceLibrary
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.tests.helpers.engine_data import toy_modes, toy_particles, toy_structure

OPTIONS = AlignOptions(
    device="cpu", threads=1, n_hypotheses=12, angular_step_deg=18.0, motion_prior_A=4.0, init="local",
    local_step_deg=0.0,
)  # fmt: skip
WRONG = np.array([2, 9, 17])


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    return toy_particles(tmp_path_factory.mktemp("toy"), snr=2.0)


def engine(**changes):
    structure = toy_structure()
    return EmbeddedEngine(structure, toy_modes(structure), dataclasses.replace(OPTIONS, **changes))


def given(truth, claimed_sd_deg):
    """The truth nearly, but for three particles, which are anywhere else, with the claimed deviations."""
    rng = np.random.default_rng(3)
    euler = truth.euler_deg + rng.normal(scale=2.0, size=truth.euler_deg.shape)
    away = euler_to_matrix(truth.euler_deg[WRONG])
    while axes_distance_deg(away, euler_to_matrix(truth.euler_deg[WRONG])).min() < 70:
        away = random_rotations(3, rng)
    euler[WRONG] = matrix_to_euler(away)
    sd = np.full(len(truth), 3.0)
    sd[WRONG] = claimed_sd_deg
    return truth.replace(euler_deg=euler, angle_sd_deg=sd)


def angle_deg(found, truth):
    return axes_distance_deg(euler_to_matrix(found.euler_deg), euler_to_matrix(truth.euler_deg))


def right(truth):
    return np.setdiff1d(np.arange(len(truth)), WRONG)


@pytest.fixture
def searched(monkeypatch):
    """How many particles each search was for."""
    counts, original = [], ReferenceLibrary.best

    def counted(self, images, *arguments):
        counts.append(len(images.data))
        return original(self, images, *arguments)

    monkeypatch.setattr(ReferenceLibrary, "best", counted)
    return counts


def test_particles_of_uncertain_poses_are_searched(truth, searched):
    found = align(engine(search_above_deg=20.0), given(truth, 40.0))
    angle = angle_deg(found, truth)
    assert found.ids.tolist() == truth.ids.tolist()
    assert angle[WRONG].max() < 10
    assert np.median(angle[right(truth)]) < 5
    assert searched[0] == 3
    assert sum(searched) < 3 + len(truth) // 2, "the others are not, but for those that show weakly"


def test_a_deviation_that_is_no_number_is_uncertain(truth):
    found = align(engine(search_above_deg=20.0), given(truth, np.nan))
    assert angle_deg(found, truth)[WRONG].max() < 10


def test_a_wrong_pose_that_claims_to_be_certain_shows_weakly_and_is_looked_for(truth, searched):
    """In known conformations; where these are free, too, a small molecule can be bent until it fits anywhere."""
    found = align(engine(search_above_deg=20.0, fit="pose"), given(truth, 3.0))
    assert angle_deg(found, truth)[WRONG].max() < 10
    assert 3 <= sum(searched) < len(truth) // 2, "by a second look, of few"
    searched.clear()
    believed = align(engine(search_above_deg=0.0, fit="pose"), given(truth, 3.0))
    assert not searched
    assert angle_deg(believed, truth)[WRONG].max() > 20


def test_without_it_nothing_is_searched(truth, searched):
    found = align(engine(search_above_deg=0.0), given(truth, 40.0))
    assert not searched
    assert angle_deg(found, truth)[WRONG].min() > 10, "so the others' success is the search's"


@pytest.mark.parametrize("fit", ["conformation", "pose"])
def test_a_conformation_at_given_poses_is_never_searched_for(truth, searched, fit):
    """Of poses alone the search is in each particle's own conformation."""
    found = align(engine(search_above_deg=20.0, fit=fit), given(truth, 40.0))
    angle = angle_deg(found, truth)[WRONG]
    if fit == "conformation":
        assert not searched
        assert angle.min() > 60
    else:
        assert angle.max() < 10


def test_poses_without_deviations_are_taken_as_certain(truth, searched):
    exact = truth.replace(angle_sd_deg=None)
    found = align(engine(search_above_deg=20.0), exact)
    assert angle_deg(found, truth).max() < 10
    assert sum(searched) < len(truth) // 2


def test_the_order_of_certain_and_uncertain_particles_does_not_matter(truth):
    """Each particle gets its own result, however they are mixed in a batch."""
    particles = given(truth, 40.0)
    shuffled = np.random.default_rng(0).permutation(len(truth))
    calibrated = engine(search_above_deg=20.0)
    calibration = calibration_for(calibrated, particles)
    straight = calibrated.align_batch(Batch.read(particles), calibration)
    mixed = calibrated.align_batch(Batch.read(particles, shuffled), calibration)
    for name, values in vars(straight).items():
        if isinstance(values, np.ndarray) and name.startswith("amplitudes"):
            np.testing.assert_allclose(vars(mixed)[name], values[shuffled], rtol=0.05, atol=0.5)


def made_found(ids):
    """What was found of particles, every number of which tells the particle and its place."""
    ids = torch.as_tensor(ids, dtype=torch.float32)

    def of(cls):
        shapes = {"rotation": (3, 3), "displacement_A": (2,), "amplitudes": (2,)}
        fields = dataclasses.fields(cls)
        return cls(*(
            (100 * ids + i).reshape(-1, *[1] * len(shapes.get(f.name, ()))).expand(-1, *shapes.get(f.name, ()))
            for i, f in enumerate(fields)
        ))  # fmt: skip

    return Found(of(State), of(Quadratic), ids)


def test_joined_finds_stand_one_after_another_and_are_taken_by_row():
    first, second = made_found([4, 0]), made_found([2, 3, 1])
    whole = Found.joined([first, second])
    assert whole.gap.tolist() == [4, 0, 2, 3, 1]
    ordered = whole[torch.argsort(whole.gap)]
    expected = made_found(range(5))
    for part in ("state", "quadratic"):
        for name, values in vars(getattr(expected, part)).items():
            if isinstance(values, torch.Tensor):
                assert torch.equal(getattr(getattr(ordered, part), name), values), name
    assert ordered.gap.tolist() == [0, 1, 2, 3, 4]
