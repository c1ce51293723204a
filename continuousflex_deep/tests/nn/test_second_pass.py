"""A second pass: images are upright and centred for it, and what it predicts is transported back exactly."""

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from continuousflex_deep.commands import infer, train
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import (
    euler_to_matrix,
    matrix_to_quaternion,
    quaternion_to_matrix,
    random_rotations,
    rotation_distance_deg,
)
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.nn.augment import move_images, move_labels
from continuousflex_deep.nn.checkpoint import BEST, LAST, load_checkpoint
from continuousflex_deep.nn.labels import Labels, quaternion_to_euler
from continuousflex_deep.nn.predict import load_models
from continuousflex_deep.nn.second_pass import TwoPasses, moved_back, upright_motion
from continuousflex_deep.nn.targets import TargetCoder
from continuousflex_deep.options import InferOptions, TrainOptions
from continuousflex_deep.tests.helpers.nn_toy import PIXEL_A, render, toy_model_files, toy_particles

pytestmark = pytest.mark.usefixtures("quick")
N, BOX = 9, 64
FIELD_A = BOX * PIXEL_A / 2


def truth(seed=0):
    rng = np.random.default_rng(seed)
    return random_rotations(N, rng), rng.uniform(-6, 6, size=(N, 2)), rng.uniform(-30, 30, size=(N, 2))


def labels_from(rotation, shift, amplitudes):
    return Labels(*(torch.as_tensor(a).double() for a in (amplitudes, matrix_to_quaternion(rotation), shift)))


def coder_for(doubts=False):
    return TargetCoder("all", (7, 8), "matrix", True, (3.0, -2.0), (10.0, 5.0), 4.0, doubts)


def outputs_of(coder, labels):
    return torch.cat(list(coder.encode(labels).values()), dim=1)


def columns_of(coder, labels):
    columns = coder.encode(labels)
    return columns | {"angles": columns["angles"].unflatten(1, (3, 3))}


def test_a_right_prediction_makes_images_upright_and_centred():
    rotation, shift, amplitudes = truth()
    labels, coder = labels_from(rotation, shift, amplitudes), coder_for()
    motion = upright_motion(coder, columns_of(coder, labels), FIELD_A)
    moved = move_labels(labels, motion, FIELD_A)
    assert quaternion_to_euler(moved.quaternion)[:, 2].abs().max() < 1e-6
    assert moved.shift_A.abs().max() < 1e-6
    images = torch.from_numpy(render(rotation, shift, amplitudes, BOX, PIXEL_A / 2)).double().unsqueeze(1)
    seen, place = quaternion_to_matrix(moved.quaternion.numpy()), moved.shift_A.numpy()
    expected = render(seen, place, amplitudes, BOX, PIXEL_A / 2)
    assert np.abs(move_images(images, motion).squeeze(1).numpy() - expected).max() < 2e-3 * expected.max()
    assert np.abs(images.squeeze(1).numpy() - expected).max() > 0.2 * expected.max()


def test_what_is_right_for_moved_images_is_right_for_the_images_before():
    """Whatever the first network predicted; and uncertainties stay."""
    labels, coder = labels_from(*truth()), coder_for(doubts=True)
    motion = upright_motion(coder, columns_of(coder, labels_from(*truth(seed=1))), FIELD_A)
    logs = torch.arange(N * 4).reshape(N, 4).double()
    of_moved = torch.cat([outputs_of(coder, move_labels(labels, motion, FIELD_A)), logs], dim=1)
    found = moved_back(coder, of_moved, motion, FIELD_A)
    assert torch.allclose(found, torch.cat([outputs_of(coder, labels), logs], dim=1), atol=1e-9)
    assert not torch.allclose(found, of_moved, atol=0.1)


class Looks(nn.Module):
    """Outputs that depend on the image alone."""

    def __init__(self, coder):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = torch.randn(BOX * BOX, coder.outputs, generator=generator).double() / BOX

    def forward(self, images):
        return (images.flatten(1) @ self.weights).sin()


def test_in_plane_rotations_and_shifts_change_nothing_once_the_first_network_is_right(monkeypatch):
    """Images that differ in them only look the same to the second network, so that its amplitudes are the same."""
    rotation, _, amplitudes = truth()
    coder, second, rng = coder_for(), Looks(coder_for()), np.random.default_rng(3)
    found = []
    for _ in range(2):
        angle = rng.uniform(-180, 180, size=N)
        turned = euler_to_matrix(np.stack([0 * angle, 0 * angle, angle], axis=1)) @ rotation
        place = rng.uniform(-6, 6, size=(N, 2))
        labels = labels_from(turned, place, amplitudes)
        images = torch.from_numpy(render(turned, place, amplitudes, BOX, PIXEL_A / 2)).double().unsqueeze(1)
        passes = TwoPasses(nn.Identity(), second, coder, FIELD_A)
        motion = upright_motion(coder, columns_of(coder, labels), FIELD_A)
        monkeypatch.setattr(passes, "motion", mock.Mock(return_value=motion))
        found.append((coder.decode(passes(images)), coder.decode(second(images)), turned))
    (first, alone, turned), (other, alone_other, turned_other) = found
    assert first.amplitudes == pytest.approx(other.amplitudes, abs=0.05)
    assert np.abs(alone.amplitudes - alone_other.amplitudes).max() > 1
    moved = turned_other @ turned.transpose(0, 2, 1) @ first.rotation
    assert rotation_distance_deg(moved, other.rotation).max() < 0.5


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A first network, and a second pass from it."""
    folder = tmp_path_factory.mktemp("passes")
    path, particles = toy_particles(folder, n=24, noise=0.3)
    train.run(small(path, folder / "first"))
    train.run(small(path, folder / "second", start_from=str(folder / "first"), second_pass=True))
    return folder, path, particles


def small(path, output, **changes):
    values = {
        "backbone": "resnet18", "epochs": 2, "batch": 8, "threads": 1, "device": "cpu", "particles": str(path),
        "output": str(output), "change": "mixed_precision=false",
    }  # fmt: skip
    return TrainOptions(**{**values, **changes})


def predicted(trained, tmp_path, model, **changes):
    folder, path, _ = trained
    output = tmp_path / f"{len(list(tmp_path.iterdir()))}.star"
    infer.run(InferOptions(
        particles=path, model=(str(folder / model),), output=str(output), threads=1, device="cpu", **changes
    ))  # fmt: skip
    return read_particles(output)


def test_one_folder_has_both_networks(trained, tmp_path):
    """The first one's weights are those of its training, the second one's are others; inference runs both, and does
    not depend on the batch."""
    folder = trained[0]
    first, second = (load_checkpoint(folder / name / BEST) for name in ("first", "second"))
    assert all(torch.equal(first.weights[name], second.first[name]) for name in first.weights)
    assert any(not torch.equal(first.weights[name], second.weights[name]) for name in first.weights)
    assert not first.first
    assert first.coder == second.coder
    alone, both = predicted(trained, tmp_path, "first"), predicted(trained, tmp_path, "second", batch=5)
    assert np.abs(alone.amplitudes - both.amplitudes).max() > 1e-3
    assert both.amplitudes == pytest.approx(predicted(trained, tmp_path, "second", batch=64).amplitudes, abs=1e-3)
    assert np.isfinite(both.angle_sd_deg).all()
    (model,), (other,) = load_models(folder / "second"), load_models(folder / "second")
    assert model.digest() == other.digest()
    changed = replace(model.checkpoint, first={k: v + 1 for k, v in model.checkpoint.first.items()})
    assert replace(model, checkpoint=changed).digest() != model.digest()


def test_an_interrupted_second_pass_goes_on_as_if_it_had_not_been(trained, tmp_path, monkeypatch):
    folder, path, _ = trained
    options = {"start_from": str(folder / "first"), "second_pass": True, "epochs": 3, "checkpoint_seconds": 0.0}
    train.run(small(path, tmp_path / "whole", **options))
    from continuousflex_deep.nn import training_loop

    real, calls = training_loop.validate, []

    def killed(*given):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(training_loop, "validate", killed)
    with pytest.raises(KeyboardInterrupt):
        train.run(small(path, tmp_path / "part", **options))
    monkeypatch.setattr(training_loop, "validate", real)
    train.run(small(path, tmp_path / "part", resume=True, **options))
    whole, part = (load_checkpoint(tmp_path / name / LAST) for name in ("whole", "part"))
    assert all(torch.equal(whole.weights[name], part.weights[name]) for name in whole.weights)


def test_simulated_images_are_made_upright_too(trained, tmp_path):
    folder, path, _ = trained
    options = {"start_from": str(folder / "first"), "second_pass": True, "epochs": 1, "simulated_images": 24}
    train.run(small(path, tmp_path / "m", **options, **toy_model_files(tmp_path)))
    history = load_checkpoint(tmp_path / "m" / BEST).history
    assert [row["simulated"] for row in load_checkpoint(tmp_path / "m" / LAST).history] == [1, 0]
    assert all(np.isfinite(row["validation_loss"]) for row in history)


def test_what_a_second_pass_needs(trained, tmp_path):
    folder, path, _ = trained
    with pytest.raises(InputError, match="name it by --start-from"):
        train.run(small(path, tmp_path / "m", second_pass=True))
    with pytest.raises(InputError, match="is a second pass itself"):
        train.run(small(path, tmp_path / "m", second_pass=True, start_from=str(folder / "second")))
    train.run(small(path, tmp_path / "quaternion", rotation="quaternion", epochs=1))
    with pytest.raises(InputError, match="needs a network of the default recipe"):
        train.run(small(
            path, tmp_path / "m", second_pass=True, rotation="quaternion", start_from=str(tmp_path / "quaternion")
        ))  # fmt: skip
