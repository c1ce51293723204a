"""Reconstruction from projections of Gaussians that no code of the project made."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import matrix_to_euler, random_rotations
from continuousflex_deep.imaging.ctf import ctf_2d
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.particles import Ctf, Particles
from continuousflex_deep.programs import RELION
from continuousflex_deep.reconstruction.fourier import SliceAccumulator, background
from continuousflex_deep.reconstruction.fsc import fourier_shell_correlation, signal_to_noise, spherical_mask
from continuousflex_deep.symmetry import point_group
from continuousflex_deep.tests.helpers import needs
from continuousflex_deep.tests.helpers.gaussian_particles import true_images, true_map

PIXEL_A = 3.0


def views(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return random_rotations(n, rng), rng.normal(size=(n, 2)) * 3


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def as_tensor(images: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(images.copy(), dtype=torch.float32)


def ctfs(n: int) -> Ctf:
    u = np.linspace(6000, 14000, n)
    return Ctf(u, u - 500, np.linspace(0, 170, n), np.full(n, 300.0), np.full(n, 2.7), np.full(n, 0.1), np.zeros(n))


def with_ctf(rotations: np.ndarray, shift_A: np.ndarray, ctf: Ctf, box: int) -> np.ndarray:
    """Images with the CTF applied in a field twice as wide, so that what leaves the box does not come back in."""
    wide = as_tensor(true_images(rotations, shift_A, 2 * box, PIXEL_A))
    centred = torch.fft.ifftshift(wide, dim=(-2, -1))
    seen = torch.fft.irfft2(torch.fft.rfft2(centred) * ctf_2d(ctf, 2 * box, PIXEL_A), s=wide.shape[-2:])
    low = box - box // 2
    return torch.fft.fftshift(seen, dim=(-2, -1))[:, low : low + box, low : low + box].numpy()


@pytest.mark.parametrize("box", [32, 33, 30])
def test_known_density_comes_back(box: int) -> None:
    rotations, shift_A = views(200)
    sums = SliceAccumulator(box, PIXEL_A)
    sums.add(as_tensor(true_images(rotations, shift_A, box, PIXEL_A)), rotations, shift_A, None)
    found, true = sums.volume(), true_map(box, PIXEL_A)
    assert fourier_shell_correlation(found, true)[: box // 3].min() > 0.998
    assert correlation(found, true) > 0.999
    assert (found * true).sum() / (true**2).sum() == pytest.approx(1, abs=0.02)
    assert sums.images == 200


def test_centre_axes_and_hand_are_right() -> None:
    rotations, shift_A = views(150, seed=2)
    sums = SliceAccumulator(32, PIXEL_A)
    sums.add(as_tensor(true_images(rotations, shift_A, 32, PIXEL_A)), rotations, shift_A, None)
    found, true = sums.volume(), true_map(32, PIXEL_A)
    index = np.arange(32) - 16
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        centres = [(v * (v > 0.1)).sum(axis=others) @ index / (v * (v > 0.1)).sum() for v in (found, true)]
        assert centres[0] == pytest.approx(centres[1], abs=0.03)
    roll = [np.roll(np.flip(true, axis), 1, axis) for axis in range(3)]  # mirrored about voxel d//2
    for wrong in (*roll, true.transpose(2, 1, 0), true.transpose(1, 0, 2), true.transpose(1, 2, 0)):
        assert correlation(found, wrong) < 0.8


def test_shift_of_the_wrong_sign_is_seen() -> None:
    rotations, shift_A = views(100, seed=3)
    sums = SliceAccumulator(32, PIXEL_A)
    sums.add(as_tensor(true_images(rotations, shift_A, 32, PIXEL_A)), rotations, -shift_A, None)
    assert correlation(sums.volume(), true_map(32, PIXEL_A)) < 0.97


@pytest.mark.parametrize("flipped", [False, True])
def test_ctf_is_undone(flipped: bool) -> None:
    box, n = 40, 250
    rotations, shift_A = views(n, seed=4)
    ctf = ctfs(n)
    images = as_tensor(with_ctf(rotations, shift_A, ctf, box))
    if flipped:
        sign = torch.sign(ctf_2d(ctf, box, PIXEL_A))
        images = torch.fft.irfft2(torch.fft.rfft2(images) * sign, s=images.shape[-2:])
    true = true_map(box, PIXEL_A)
    weighted, plain = SliceAccumulator(box, PIXEL_A), SliceAccumulator(box, PIXEL_A)
    weighted.add(images, rotations, shift_A, ctf, flipped)
    plain.add(images, rotations, shift_A, None)
    assert fourier_shell_correlation(weighted.volume(), true)[1:15].min() > 0.99
    assert correlation(weighted.volume(), true) > 0.999
    # without weighting the contrast is inverted, or, with corrected phases, shells keep their wrong weights
    assert correlation(plain.volume(), true) < 0.95


def noise_map(images: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    sums = SliceAccumulator(images.shape[-1], PIXEL_A)
    sums.add(as_tensor(images), rotations, np.zeros((len(images), 2)), None)
    return sums.volume()


def test_half_space_storage_prefers_no_axis() -> None:
    # noise and few views, so that every cell counts: turning the model by 90° must turn the map, cell by cell
    images = np.random.default_rng(5).normal(size=(6, 15, 15))
    rotations = random_rotations(6, np.random.default_rng(6))
    expected = noise_map(images, rotations)
    cyclic = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])  # (x, y, z) -> (y, z, x)
    turned = noise_map(images, rotations @ cyclic)
    # density at X of the turned model is that at cyclic·X: turned[x, y, z] = expected[y, z, x]
    np.testing.assert_allclose(turned, expected.transpose(1, 2, 0), atol=1e-4)


def test_turning_image_and_pose_together_changes_nothing() -> None:
    images = np.random.default_rng(7).normal(size=(6, 15, 15))
    rotations = random_rotations(6, np.random.default_rng(8))
    quarter = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # what numpy's rot90 does to x, y
    turned = noise_map(np.rot90(images, axes=(1, 2)), quarter @ rotations)
    np.testing.assert_allclose(turned, noise_map(images, rotations), atol=1e-4)


def test_batches_and_sums_do_not_matter() -> None:
    rotations, shift_A = views(40)
    ctf = ctfs(40)
    images = as_tensor(with_ctf(rotations, shift_A, ctf, 24))
    whole = SliceAccumulator(24, PIXEL_A)
    whole.add(images, rotations, shift_A, ctf)
    parts = [SliceAccumulator(24, PIXEL_A) for _ in range(2)]
    for i in range(0, 40, 7):
        rows = np.arange(i, min(i + 7, 40))
        parts[i % 2].add(images[rows], rotations[rows], shift_A[rows], ctf.select(rows))
    together = parts[0].plus(parts[1])
    np.testing.assert_allclose(together.volume(), whole.volume(), atol=1e-4)
    assert together.images == 40


def test_background_level_makes_no_difference() -> None:
    rotations, shift_A = views(30)
    images = as_tensor(true_images(rotations, shift_A * 0, 40, PIXEL_A))
    assert background(images + 5).numpy() == pytest.approx(5, abs=0.01)
    maps = []
    for level in (0, 5):
        sums = SliceAccumulator(40, PIXEL_A)
        sums.add(images + level, rotations, shift_A * 0, None)
        maps.append(sums.volume())
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-3)


@pytest.mark.parametrize(("name", "flips"), [("c2", [(1, 2)]), ("d2", [(1, 2), (0, 1), (0, 2)])])
def test_symmetry_averages_the_rotated_density(name: str, flips: list[tuple[int, int]]) -> None:
    box = 31  # odd, so that flipping an axis is a rotation about the centre voxel
    rotations, shift_A = views(150, seed=6)
    sums = SliceAccumulator(box, PIXEL_A, point_group(name))
    sums.add(as_tensor(true_images(rotations, shift_A, box, PIXEL_A)), rotations, shift_A, None)
    true = true_map(box, PIXEL_A)
    # each copy weighs what its own slices weigh, so the average is exact only for infinitely many views
    assert correlation(sums.volume(), true + sum(np.flip(true, axes) for axes in flips)) > 0.98
    for axes in flips:
        assert correlation(sums.volume(), np.flip(sums.volume(), axes)) > 0.999


@pytest.mark.parametrize(("name", "order"), [("c1", 1), ("C3", 3), ("d2", 4), ("D7", 14)])
def test_point_groups_are_groups(name: str, order: int) -> None:
    group = point_group(name)
    assert group.shape == (order, 3, 3)
    products = np.einsum("aij,bjk->abik", group, group).reshape(-1, 3, 3)
    distance = np.linalg.norm(products[:, None] - group[None], axis=(2, 3)).min(axis=1)
    assert distance.max() < 1e-9
    np.testing.assert_allclose(np.linalg.det(group), 1)


@pytest.mark.parametrize("name", ["", "c0", "x2", "o", "c2v", "d"])
def test_unknown_point_groups_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="expected c1"):
        point_group(name)


def test_wiener_filter_beats_least_squares_in_noise() -> None:
    box, n = 32, 60
    rotations, shift_A = views(n, seed=7)
    clean = true_images(rotations, shift_A, box, PIXEL_A)
    noisy = as_tensor(clean + np.random.default_rng(1).normal(size=clean.shape) * clean.std() * 3)
    halves = [SliceAccumulator(box, PIXEL_A) for _ in range(2)]
    for i, half in enumerate(halves):
        half.add(noisy[i::2], rotations[i::2], shift_A[i::2], None)
    ratio = signal_to_noise(fourier_shell_correlation(halves[0].volume(), halves[1].volume()))
    whole, true = halves[0].plus(halves[1]), true_map(box, PIXEL_A)
    errors = [((v - true) ** 2).mean() for v in (whole.volume(ratio), whole.volume())]
    assert errors[0] < 0.7 * errors[1]
    assert correlation(whole.volume(ratio), true) > 0.8


def test_agrees_with_torch_fourier_slice() -> None:
    peer = needs.library("torch_fourier_slice", "torch-fourier-slice")
    rotations, _ = views(200, seed=8)
    images = as_tensor(true_images(rotations, np.zeros((200, 2)), 32, PIXEL_A))
    inverse = torch.as_tensor(
        rotations.transpose(0, 2, 1).copy(), dtype=torch.float32
    )  # it turns slices, not the model
    theirs = peer.backproject_2d_to_3d(images, inverse).numpy()
    sums = SliceAccumulator(32, PIXEL_A)
    sums.add(images, rotations, np.zeros((200, 2)), None)
    assert correlation(sums.volume(), theirs) > 0.998


def test_agrees_with_relion(tmp_path: Path) -> None:
    program = needs.program(RELION, "relion_reconstruct")
    box, n = 32, 300
    rotations, shift_A = views(n, seed=9)
    ctf = ctfs(n)
    images = with_ctf(rotations, shift_A, ctf, box)
    images = (images + np.random.default_rng(2).normal(size=images.shape) * images.std() / 3).astype(np.float32)
    write_stack(tmp_path / "images.mrcs", images, PIXEL_A)
    particles = Particles(
        ids=np.arange(1, n + 1),
        stacks=np.full(n, str(tmp_path / "images.mrcs"), dtype=object),
        indices=np.arange(n),
        pixel_size_A=PIXEL_A,
        box_px=box,
        ctf=ctf,
        euler_deg=matrix_to_euler(rotations),
        shift_A=shift_A,
    )
    write_particles(particles, tmp_path / "p.star")
    command = [str(program), "--i", "p.star", "--o", "relion.mrc", "--ctf"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    theirs, _ = read_volume(tmp_path / "relion.mrc")
    sums = SliceAccumulator(box, PIXEL_A)
    sums.add(as_tensor(images), rotations, shift_A, ctf)
    ours = sums.volume()
    mask = spherical_mask(box, 24, 3)
    assert correlation(ours * mask, theirs * mask) > 0.98
    assert fourier_shell_correlation(ours, theirs)[1:9].min() > 0.98
    # and neither is farther from the truth than the other would allow
    true = true_map(box, PIXEL_A)
    assert correlation(ours * mask, true * mask) > correlation(theirs * mask, true * mask) - 0.005
