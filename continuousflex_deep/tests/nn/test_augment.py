"""Augmentation against physics: a moved image is the projection at the transported label."""

import numpy as np
import pytest
import torch

from continuousflex_deep.geometry import matrix_to_quaternion, quaternion_to_matrix, random_rotations
from continuousflex_deep.nn.augment import ImageMotion, draw_motion, move_images, move_labels
from continuousflex_deep.nn.labels import Labels
from continuousflex_deep.nn.labels import quaternion_to_matrix as tensor_quaternion_to_matrix
from continuousflex_deep.tests.helpers.nn_toy import PIXEL_A, render


def truth(n, seed=0):
    rng = np.random.default_rng(seed)
    return random_rotations(n, rng), rng.uniform(-8, 8, size=(n, 2)), rng.uniform(-30, 30, size=(n, 2))


def labels_from(rotation, shift, amplitudes):
    tensors = (torch.as_tensor(a, dtype=torch.float64) for a in (amplitudes, matrix_to_quaternion(rotation), shift))
    return Labels(*tensors)


def motions(n):
    """Every kind of motion: alone, and all at once."""
    zero, none = torch.zeros(n, dtype=torch.float64), torch.zeros(n, dtype=torch.bool)
    still = torch.zeros(n, 2, dtype=torch.float64)
    everything = draw_motion(n, 5.0, torch.Generator().manual_seed(1))
    return {
        "nothing": ImageMotion(none, zero, still),
        "mirror": ImageMotion(~none, zero, still),
        "quarter": ImageMotion(none, zero + np.pi / 2, still),
        "small angle": ImageMotion(none, zero + 0.3, still),
        "negative angle": ImageMotion(none, zero - 2.0, still),
        "displacement": ImageMotion(none, zero, still + torch.tensor([0.06, -0.04])),
        "all": ImageMotion(everything.mirrored, everything.angle_rad.double(), everything.displacement.double()),
    }


@pytest.mark.parametrize("box_px", [64, 63])
@pytest.mark.parametrize("kind", list(motions(1)))
def test_moved_image_is_the_projection_at_the_moved_label(kind, box_px):
    rotation, shift, amplitudes = truth(12)
    motion, pixel = motions(12)[kind], PIXEL_A * 32 / box_px
    images = torch.from_numpy(render(rotation, shift, amplitudes, box_px, pixel)).double().unsqueeze(1)
    moved = move_images(images, motion).squeeze(1).numpy()
    labels = move_labels(labels_from(rotation, shift, amplitudes), motion, box_px * pixel)
    expected = render(
        quaternion_to_matrix(labels.quaternion.numpy()),
        labels.shift_A.numpy(),
        labels.amplitudes.numpy(),
        box_px,
        pixel,
    )
    assert np.abs(moved - expected).max() < 2e-3 * expected.max()
    if kind != "nothing":  # the test can fail: the untransported label does not describe the moved image
        assert np.abs(moved - images.squeeze(1).numpy()).max() > 0.2 * expected.max()


def test_mirror_is_not_another_pose_in_the_plane():
    """A mirrored view cannot be had by turning the image: without transport of the mirror the label would be wrong."""
    rotation, shift, amplitudes = truth(4)
    mirrored = render(rotation, shift * 0, amplitudes, 64, PIXEL_A / 2)[:, :, ::-1]
    mirrored = np.roll(mirrored, 1, axis=2)
    for angle in np.linspace(0, 2 * np.pi, 90, endpoint=False):
        c, s = np.cos(angle), np.sin(angle)
        turned = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ rotation
        plain = render(turned, shift * 0, amplitudes, 64, PIXEL_A / 2)
        assert (np.abs(plain - mirrored).max(axis=(1, 2)) > 0.1 * plain.max(axis=(1, 2))).all()


def test_noise_keeps_its_spectrum():
    """Copies must not be recognisable by softened noise, as after linear or cubic interpolation."""
    noise = torch.randn(64, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    motion = draw_motion(64, 5.0, torch.Generator().manual_seed(1))
    moved = move_images(noise, motion)
    assert moved.std() == pytest.approx(1.0, abs=0.02)
    power = torch.fft.rfft2(moved.squeeze(1)).abs().square().mean(dim=0) / 64**2
    k = torch.hypot(torch.fft.fftfreq(64)[:, None], torch.fft.rfftfreq(64)[None])
    rings = [power[(k >= low) & (k < low + 0.1)].mean().item() for low in (0.05, 0.15, 0.25, 0.35)]
    assert rings == pytest.approx([1.0] * 4, abs=0.05)


def test_motion_is_reproducible_and_covers_the_circle():
    first = draw_motion(2000, 3.0, torch.Generator().manual_seed(3))
    again = draw_motion(2000, 3.0, torch.Generator().manual_seed(3))
    assert torch.equal(first.angle_rad, again.angle_rad)
    assert torch.equal(first.mirrored, again.mirrored)
    share = torch.histc(first.angle_rad, 8, -np.pi, np.pi) / 2000
    assert (share - 1 / 8).abs().max() < 0.03
    assert 0.45 < first.mirrored.float().mean() < 0.55
    assert 0.025 < first.displacement.abs().max() <= 0.03


def test_motion_of_what_is_not_learned_stays_absent():
    motion = draw_motion(3, 3.0, torch.Generator().manual_seed(0))
    moved = move_labels(Labels(amplitudes=torch.ones(3, 2)), motion, 100.0)
    assert moved.quaternion is None
    assert moved.shift_A is None
    assert torch.equal(moved.amplitudes, torch.ones(3, 2))


def test_tensor_quaternions_agree_with_geometry():
    q = np.random.default_rng(0).normal(size=(20, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    assert tensor_quaternion_to_matrix(torch.from_numpy(q)).numpy() == pytest.approx(quaternion_to_matrix(q), abs=1e-12)
