"""Predictions averaged over copies: a copy is what its label says, and its prediction is transported back exactly."""

import numpy as np
import pytest
import torch

from continuousflex_deep.geometry import matrix_to_quaternion, random_rotations, rotation_distance_deg
from continuousflex_deep.nn.augment import ImageMotion, move_labels
from continuousflex_deep.nn.copies import COPIES, Copy, outputs_for_copies
from continuousflex_deep.nn.doubt import DEVIATION_OF_MEAN
from continuousflex_deep.nn.labels import Labels
from continuousflex_deep.nn.targets import TargetCoder
from continuousflex_deep.tests.helpers.nn_toy import PIXEL_A, render

ROTATIONS = ["euler", "quaternion", "matrix"]
N = 7


def truth(n=N, seed=0):
    rng = np.random.default_rng(seed)
    return random_rotations(n, rng), rng.uniform(-8, 8, size=(n, 2)), rng.uniform(-30, 30, size=(n, 2))


def labels_from(rotation, shift, amplitudes):
    return Labels(*(torch.as_tensor(a).double() for a in (amplitudes, matrix_to_quaternion(rotation), shift)))


def coder_for(rotation="matrix", doubts=False):
    return TargetCoder("all", (7, 8), rotation, True, (3.0, -2.0), (10.0, 5.0), 4.0, doubts)


def label_of_copy(labels, copy):
    """By the code that moves labels in training."""
    n = len(labels.quaternion)
    angle = torch.full((n,), copy.quarters * np.pi / 2, dtype=torch.float64)
    return move_labels(labels, ImageMotion(torch.full((n,), copy.mirrored), angle, torch.zeros(n, 2).double()), 1.0)


def outputs_of(coder, labels):
    return torch.cat(list(coder.encode(labels).values()), dim=1)


def outputs_for(coder, labels, kind):
    """What a network without error predicts for every copy."""
    return torch.stack([outputs_of(coder, label_of_copy(labels, copy)) for copy in COPIES[kind]], dim=1)


@pytest.mark.parametrize("copy", COPIES["mirrored"], ids=str)
def test_a_copy_is_the_projection_at_its_label(copy):
    """Drawn anew at the pose whose transport back is the pose of the image."""
    rotation, shift, amplitudes = truth()
    images = torch.from_numpy(render(rotation, shift, amplitudes, 64, PIXEL_A / 2)).unsqueeze(1)
    seen = copy.rotations_back(torch.eye(3).double()[None]).transpose(1, 2)[0].numpy() @ rotation
    back = copy.shifts_back(torch.eye(2).double()).T.numpy()  # shift = back @ shift of the copy
    expected = render(seen, shift @ back, amplitudes, 64, PIXEL_A / 2)
    inside = np.s_[:, 1:, 1:]  # the first row and column have no counterpart on the other side of the centre
    assert np.abs(copy.of(images).squeeze(1).numpy() - expected)[inside].max() < 1e-5 * expected.max()
    assert copy == Copy() or np.abs(images.squeeze(1).numpy() - expected).max() > 0.2 * expected.max()


@pytest.mark.parametrize("box_px", [32, 33])
@pytest.mark.parametrize("kind", list(COPIES))
def test_nothing_is_interpolated(kind, box_px):
    """Every copy has exactly the numbers of its image, in another order, and no two copies are the same."""
    images = torch.randn(3, 1, box_px, box_px, generator=torch.Generator().manual_seed(0))
    copies = [copy.of(images) for copy in COPIES[kind]]
    for copy in copies:
        assert torch.equal(copy.flatten(1).sort(dim=1).values, images.flatten(1).sort(dim=1).values)
        assert torch.equal(copy[:, :, box_px // 2, box_px // 2], images[:, :, box_px // 2, box_px // 2])
    assert len({copy.numpy().tobytes() for copy in copies}) == {"off": 1, "rotated": 4, "mirrored": 8}[kind]


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("kind", list(COPIES))
def test_right_predictions_for_all_copies_give_the_label(kind, rotation):
    labels, coder = labels_from(*truth()), coder_for(rotation)
    prediction = coder.decode_copies(outputs_for(coder, labels, kind), COPIES[kind])
    assert prediction.amplitudes == pytest.approx(labels.amplitudes.numpy(), abs=1e-6)
    assert prediction.shift_A == pytest.approx(labels.shift_A.numpy(), abs=1e-6)
    assert rotation_distance_deg(prediction.rotation, truth()[0]).max() < 1e-4


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_the_prediction_of_a_rotated_image_is_the_rotated_prediction(rotation):
    """Whatever the network: its averaged predictions for an image and for each copy of it agree exactly."""
    kind, coder = "mirrored", coder_for(rotation)
    weights = torch.randn(24 * 24, coder.outputs, generator=torch.Generator().manual_seed(1)).double() / 24

    def network(images):
        return (images.flatten(1) @ weights).sin()

    images = torch.randn(5, 1, 24, 24, generator=torch.Generator().manual_seed(2)).double()
    of_images = coder.decode_copies(outputs_for_copies(network, images, COPIES[kind]), COPIES[kind])
    alone = coder.decode(network(images))
    for copy in COPIES[kind]:
        found = coder.decode_copies(outputs_for_copies(network, copy.of(images), COPIES[kind]), COPIES[kind])
        back = copy.rotations_back(torch.from_numpy(found.rotation)).numpy()
        assert found.amplitudes == pytest.approx(of_images.amplitudes, abs=1e-9)
        assert copy.shifts_back(torch.from_numpy(found.shift_A)).numpy() == pytest.approx(of_images.shift_A, abs=1e-9)
        assert rotation_distance_deg(back, of_images.rotation).max() < 1e-4
    assert np.abs(alone.shift_A - of_images.shift_A).max() > 0.1, "a network alone does not know of rotations"


def test_the_mean_of_copies_with_independent_errors_has_half_their_error():
    labels, coder = labels_from(*truth(4000)), coder_for()
    right = outputs_for(coder, labels, "rotated")
    noisy = right + 0.02 * torch.randn(right.shape, generator=torch.Generator().manual_seed(0)).double()
    rotation, shift, amplitudes = truth(4000)
    single = coder.decode(noisy[:, 0])
    mean = coder.decode_copies(noisy, COPIES["rotated"])
    for error in (
        lambda p: np.abs(p.amplitudes - amplitudes).mean(),
        lambda p: np.abs(p.shift_A - shift).mean(),
        lambda p: rotation_distance_deg(p.rotation, rotation).mean(),
    ):
        assert error(mean) == pytest.approx(0.5 * error(single), rel=0.05)


def test_uncertain_copies_count_less_for_a_rotation():
    """A matrix of small numbers is the mean of poses between which the network cannot decide."""
    labels, coder = labels_from(*truth()), coder_for()
    columns = outputs_for(coder, labels, "rotated")
    other = outputs_for(coder, labels_from(*truth(seed=1)), "rotated")
    columns[:, 3] = 0.1 * other[:, 3]
    found = coder.decode_copies(columns, COPIES["rotated"])
    assert rotation_distance_deg(found.rotation, truth()[0]).max() < 5
    equal = columns.clone()
    equal[:, 3] = other[:, 3]
    assert rotation_distance_deg(coder.decode_copies(equal, COPIES["rotated"]).rotation, truth()[0]).max() > 10


def test_uncertainties_are_those_of_the_copies_on_average_and_scaled():
    labels, coder = labels_from(*truth()), coder_for(doubts=True)
    logs = torch.log(torch.tensor([1.0, 2.0, 3.0, 6.0])).double()[None, :, None].expand(N, 4, 4)
    columns = torch.cat([outputs_for(coder, labels, "rotated"), logs], dim=2)
    found = coder.decode_copies(columns, COPIES["rotated"], {"shifts": 0.5})
    assert found.amplitudes_sd == pytest.approx(np.tile(3.0 * DEVIATION_OF_MEAN * np.array([10.0, 5.0]), (N, 1)))
    assert found.shift_sd_A == pytest.approx(np.full(N, 0.5 * 3.0 * DEVIATION_OF_MEAN * 4.0))
