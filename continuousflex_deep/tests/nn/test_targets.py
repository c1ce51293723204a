"""Targets: round trips, statistics, doubts in physical units, and a loss that knows what a rotation is."""

import numpy as np
import pytest
import torch

from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import euler_to_matrix, quaternion_to_matrix, rotation_distance_deg
from continuousflex_deep.nn.doubt import DEVIATION_OF_MEAN, ROOT_MEAN_SQUARE_OF_MEAN_ANGLE
from continuousflex_deep.nn.labels import Labels, labels_of
from continuousflex_deep.nn.loss import Loss
from continuousflex_deep.nn.targets import TargetCoder, fit_coder
from continuousflex_deep.tests.helpers.nn_toy import MODE_IDS, toy_particles


@pytest.fixture(scope="module")
def particles(tmp_path_factory):
    return toy_particles(tmp_path_factory.mktemp("toy"), n=30)[1]


def coder_for(particles, targets="all", rotation="matrix", sign_free=True):
    labels = labels_of(particles, targets)
    return fit_coder(labels, targets, particles.mode_ids, rotation, sign_free, particles.pixel_size_A), labels


def loss(coder, outputs, labels, kind="absolute"):
    return Loss(coder, kind)(outputs, labels)


def outputs_of(coder, labels):
    return torch.cat(list(coder.encode(labels).values()), dim=1)


@pytest.mark.parametrize("rotation", ["euler", "quaternion", "matrix"])
def test_round_trip(particles, rotation):
    coder, labels = coder_for(particles, rotation=rotation)
    outputs = outputs_of(coder, labels)
    assert outputs.shape == (30, coder.outputs)
    prediction = coder.decode(outputs)
    assert prediction.amplitudes == pytest.approx(particles.amplitudes, abs=1e-4)
    assert prediction.shift_A == pytest.approx(particles.shift_A, abs=1e-4)
    assert rotation_distance_deg(prediction.rotation, euler_to_matrix(particles.euler_deg)).max() < 1e-3
    assert prediction.amplitudes_sd is None, "it tells no doubts"
    assert loss(coder, outputs, labels).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("targets", "sizes"), [("amplitudes", (2,)), ("angles", (4,)), ("shifts", (2,)), ("all", (2, 4, 2))]
)
def test_each_type_alone_or_all(particles, targets, sizes):
    coder, labels = coder_for(particles, targets, rotation="quaternion")
    assert tuple(coder.sizes.values()) == sizes
    prediction = coder.decode(outputs_of(coder, labels))
    present = {name for name in ("amplitudes", "rotation", "shift_A") if getattr(prediction, name) is not None}
    expected = {"amplitudes": {"amplitudes"}, "angles": {"rotation"}, "shifts": {"shift_A"}}
    assert present == expected.get(targets, {"amplitudes", "rotation", "shift_A"})
    assert coder.mode_ids == (MODE_IDS if targets in ("all", "amplitudes") else ())


def test_amplitude_targets_are_standardised(particles):
    coder, labels = coder_for(particles, "amplitudes")
    encoded = coder.encode(labels)["amplitudes"]
    assert encoded.mean(dim=0).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert encoded.std(dim=0, unbiased=False).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_constant_labels_give_finite_targets_and_come_back():
    labels = Labels(amplitudes=torch.tensor([[5.0, 1.0], [5.0, 3.0]]), shift_A=torch.zeros(2, 2))
    coder = fit_coder(Labels(labels.amplitudes), "amplitudes", (7, 8), "matrix", True, 2.0)
    assert torch.isfinite(coder.encode(labels)["amplitudes"]).all()
    assert coder.decode(torch.zeros(1, 2)).amplitudes.tolist() == [[5.0, 2.0]]
    shifts = fit_coder(Labels(shift_A=labels.shift_A), "shifts", (), "matrix", True, 2.0)
    assert torch.isfinite(shifts.encode(Labels(shift_A=labels.shift_A))["shifts"]).all()


@pytest.mark.parametrize("rotation", ["quaternion", "matrix"])
def test_default_rotation_loss_is_free_of_the_sign(particles, rotation):
    coder, labels = coder_for(particles, "angles", rotation)
    outputs = torch.randn(30, coder.outputs, generator=torch.Generator().manual_seed(0))
    turned = Labels(quaternion=-labels.quaternion)
    assert loss(coder, outputs, labels).item() == pytest.approx(loss(coder, outputs, turned).item(), rel=1e-6)
    if rotation == "quaternion":
        assert loss(coder, -outputs, labels).item() == pytest.approx(loss(coder, outputs, labels).item(), rel=1e-6)
        assert loss(coder, -labels.quaternion, labels).item() == pytest.approx(0, abs=1e-6)


def test_published_rotation_loss_is_the_absolute_error_of_the_canonical_quaternion(particles):
    coder, labels = coder_for(particles, "angles", "quaternion", sign_free=False)
    q = labels.quaternion
    canonical = torch.where(q[:, :1] < 0, -q, q)
    outputs = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    assert loss(coder, outputs, Labels(quaternion=-q)).item() == pytest.approx(
        (outputs - canonical).abs().mean().item(), rel=1e-6
    )
    assert loss(coder, -canonical, labels).item() > 0.5


def test_predicted_quaternions_are_normalised(particles):
    """Without it a network's quaternion of norm 0.8 is many degrees off."""
    coder, labels = coder_for(particles, "angles", "quaternion")
    shrunk = coder.decode(0.8 * labels.quaternion).rotation
    assert rotation_distance_deg(shrunk, euler_to_matrix(particles.euler_deg)).max() < 1e-3
    assert np.linalg.det(shrunk) == pytest.approx(1.0)
    assert coder.decode(torch.zeros(1, 4)).rotation[0] == pytest.approx(np.eye(3))


def test_nine_numbers_become_the_nearest_proper_rotation():
    rng = np.random.default_rng(0)
    truth = quaternion_to_matrix(rng.normal(size=(50, 4)))
    coder = fit_coder(Labels(quaternion=torch.zeros(2, 4)), "angles", (), "matrix", True, 1.0)
    noisy = truth + 0.05 * rng.normal(size=truth.shape)
    found = coder.decode(torch.from_numpy(noisy.reshape(50, 9))).rotation
    assert np.linalg.det(found) == pytest.approx(1.0)
    assert (np.linalg.norm(found - noisy, axis=(1, 2)) <= np.linalg.norm(truth - noisy, axis=(1, 2))).all()
    wild = coder.decode(torch.from_numpy(-truth.reshape(50, 9))).rotation  # a reflection is never the answer
    assert np.linalg.det(wild) == pytest.approx(1.0)


@pytest.mark.parametrize("rotation", ["euler", "quaternion", "matrix"])
def test_outputs_that_are_no_numbers_do_not_stop_the_decoding(particles, rotation):
    """A diverging training must get as far as saying so; the others' rotations are not touched."""
    coder, labels = coder_for(particles, "angles", rotation)
    outputs = outputs_of(coder, labels)
    outputs[3] = torch.nan
    found = coder.decode(outputs).rotation
    good = np.delete(np.arange(30), 3)
    assert rotation_distance_deg(found[good], euler_to_matrix(particles.euler_deg)[good]).max() < 1e-3
    assert torch.isnan(loss(coder, outputs, labels))


def test_columns_stand_in_their_order(particles):
    """Every column is read once: amplitudes, rotation, shifts, then the doubts about each of them."""
    labels = labels_of(particles, "all")
    coder = fit_coder(labels, "all", MODE_IDS, "matrix", True, 4.0, doubts=True)
    assert coder.outputs == 13
    outputs = torch.arange(17.0)[None]
    assert {k: v[0].tolist() for k, v in coder.split(outputs).items()} == {
        "amplitudes": [0, 1], "angles": list(range(2, 11)), "shifts": [11, 12],
    }  # fmt: skip
    assert {k: v[0].tolist() for k, v in coder.split_doubts(outputs).items()} == {
        "amplitudes": [13, 14], "angles": [15], "shifts": [16],
    }  # fmt: skip
    alone = fit_coder(labels, "shifts", (), "matrix", True, 4.0, doubts=True)
    assert alone.split_doubts(torch.arange(3.0)[None])["shifts"].tolist() == [[2]]


def test_doubts_become_deviations_in_physical_units(particles):
    labels = labels_of(particles, "all")
    coder = fit_coder(labels, "all", MODE_IDS, "matrix", True, 4.0, doubts=True)
    expected = {"amplitudes": torch.tensor([0.1, 0.4]), "angles": torch.tensor([0.2]), "shifts": torch.tensor([0.3])}
    outputs = torch.cat([outputs_of(coder, labels), torch.cat(list(expected.values())).log().expand(30, 4)], dim=1)
    plain, scaled = coder.decode(outputs), coder.decode(outputs, {"amplitudes": 2.0, "angles": 3.0})
    assert plain.amplitudes == pytest.approx(particles.amplitudes, abs=1e-4), "they do not touch what is predicted"
    amplitudes_sd = DEVIATION_OF_MEAN * np.array([0.1, 0.4]) * particles.amplitudes.std(axis=0)
    assert plain.amplitudes_sd == pytest.approx(np.tile(amplitudes_sd, (30, 1)), rel=1e-4)
    assert plain.angle_sd_deg == pytest.approx(np.full(30, np.degrees(0.2) * ROOT_MEAN_SQUARE_OF_MEAN_ANGLE), rel=1e-5)
    assert plain.shift_sd_A == pytest.approx(np.full(30, DEVIATION_OF_MEAN * 0.3 * coder.shift_scale_A), rel=1e-5)
    assert scaled.amplitudes_sd == pytest.approx(2 * plain.amplitudes_sd)
    assert scaled.angle_sd_deg == pytest.approx(3 * plain.angle_sd_deg)
    assert scaled.shift_sd_A == pytest.approx(plain.shift_sd_A), "not named: as it is"


def test_added_displacements_widen_the_scale_of_shifts():
    """What augmentation adds, uniform between ± 9 Å, is in the deviation of what is to be predicted."""
    rng = np.random.default_rng(0)
    shift = rng.normal(scale=3, size=(20_000, 2))
    coder = fit_coder(Labels(shift_A=torch.from_numpy(shift)), "shifts", (), "matrix", True, 1.0, added_shift_A=9.0)
    moved = shift + rng.uniform(-9, 9, size=shift.shape)
    assert coder.shift_scale_A == pytest.approx(moved.std(), rel=0.01)


@pytest.mark.parametrize("rotation", ["euler", "matrix"])
def test_coder_survives_plain_values(particles, rotation):
    coder = fit_coder(labels_of(particles, "all"), "all", MODE_IDS, rotation, True, 4.0, doubts=rotation == "matrix")
    assert TargetCoder.from_dict(coder.to_dict()) == coder


@pytest.mark.parametrize(
    ("missing", "targets", "words"),
    [
        ({"amplitudes": None, "mode_ids": ()}, "all", "amplitudes"),
        ({"amplitudes": None, "mode_ids": ()}, "amplitudes", "amplitudes"),
        ({"euler_deg": None}, "angles", "angles and shifts"),
        ({"shift_A": None}, "shifts", "angles and shifts"),
    ],
)
def test_missing_labels_are_named(particles, missing, targets, words):
    with pytest.raises(InputError, match=words):
        labels_of(particles.replace(**missing), targets)


def test_labels_that_are_not_finite_are_named(particles):
    amplitudes = particles.amplitudes.copy()
    amplitudes[3, 1] = np.nan
    with pytest.raises(InputError, match=str(particles.ids[3])):
        labels_of(particles.replace(amplitudes=amplitudes), "all")
