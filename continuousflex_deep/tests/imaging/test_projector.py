"""The forward model against closed forms and finite differences."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import random_rotations
from continuousflex_deep.imaging import projector
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel, project, project_with_jacobian
from continuousflex_deep.tests.helpers.engine_data import in_double, toy_modes, toy_structure

FIELD_A = 120.0


@pytest.fixture
def model() -> PointModel:
    structure = toy_structure()
    return in_double(PointModel.from_structure(structure, toy_modes(structure)))


@pytest.fixture
def pose() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rotation = torch.as_tensor(random_rotations(2, np.random.default_rng(1)))
    return (
        rotation,
        torch.tensor([[3.0, -2.0], [0.5, 7.0]]).double(),
        torch.tensor([[12.0, -30.0], [25.0, 4.0]]).double(),
    )


def test_is_the_sum_over_atoms(model, pose):
    rotation, shift, q = pose
    disc = FrequencyDisc(9)
    x = torch.einsum("bij,baj->bai", rotation, model.motion.coordinates(q))[..., :2] + shift[:, None]
    phase = x[:, None, :, 0] * disc.kx[:, None] + x[:, None, :, 1] * disc.ky[:, None]
    expected = (model.weights * torch.exp(-2j * np.pi / FIELD_A * phase)).sum(dim=-1)
    torch.testing.assert_close(project(model, disc, FIELD_A, *pose), expected, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(project_with_jacobian(model, disc, FIELD_A, *pose)[0], expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("parameter", range(7))
def test_derivatives_match_finite_differences(model, pose, parameter):
    disc, (rotation, shift, q) = FrequencyDisc(9), pose
    _, jacobian = project_with_jacobian(model, disc, FIELD_A, *pose)

    def moved(step: float) -> torch.Tensor:
        d = np.zeros(7)
        d[parameter] = step
        turn = torch.as_tensor(Rotation.from_rotvec(d[:3]).as_matrix())
        return project(
            model, disc, FIELD_A, turn @ rotation, shift + torch.as_tensor(d[3:5]), q + torch.as_tensor(d[5:])
        )

    h = 1e-5
    numeric = (moved(h) - moved(-h)) / (2 * h)
    assert (numeric - jacobian[:, parameter]).abs().max() < 1e-7 * numeric.abs().max()


@pytest.mark.parametrize("along_modes", [True, False])
def test_neither_tiles_nor_fast_products_change_the_result(model, pose, along_modes, monkeypatch):
    disc, (rotation, shift, q) = FrequencyDisc(9), pose

    def result() -> tuple[torch.Tensor, torch.Tensor]:
        return project_with_jacobian(model, disc, FIELD_A, rotation, shift, q, along_modes)

    expected = result()
    assert expected[1].shape == (2, 7 if along_modes else 5, len(disc))
    monkeypatch.setitem(projector._TILE, "cpu", 2 * 8 * 20 * 7)  # of a few atoms, the last one not full
    torch.testing.assert_close(result(), expected)
    monkeypatch.setattr(projector, "has_fast_products", lambda device: True)  # the model apart from its derivatives
    torch.testing.assert_close(result(), expected)


def test_shift_is_a_phase(model, pose):
    rotation, _, q = pose
    disc, t = FrequencyDisc(9), torch.tensor([[4.0, -9.0], [4.0, -9.0]]).double()
    still = project(model, disc, FIELD_A, rotation, torch.zeros_like(t), q)
    phase = torch.exp(-2j * torch.pi / FIELD_A * (disc.kx * 4.0 - disc.ky * 9.0))
    torch.testing.assert_close(project(model, disc, FIELD_A, rotation, t, q), still * phase, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("box_px", [40, 41])
def test_agrees_with_the_transform_of_a_picture(model, pose, box_px):
    """Gaussian atoms drawn in pixels, at column x and row y from pixel d//2: their transform is the model's times a
    Gaussian."""
    disc, sigma_A, pixel_A = FrequencyDisc(12), 5.0, FIELD_A / box_px
    rotation, shift, q = pose
    seen = torch.einsum("bij,baj->bai", rotation, model.motion.coordinates(q))[..., :2] + shift[:, None]
    axis = (torch.arange(box_px) - box_px // 2) * pixel_A
    gx, gy = (torch.exp(-((axis - seen[..., i, None]) ** 2) / (2 * sigma_A**2)) for i in (0, 1))
    images = torch.einsum("a,bay,bax->byx", model.weights, gy, gx)
    blur = (
        torch.exp(-2 * (np.pi * sigma_A / FIELD_A) ** 2 * (disc.kx**2 + disc.ky**2))
        * 2
        * np.pi
        * (sigma_A / pixel_A) ** 2
    )
    got, expected = disc.gather(images), project(model, disc, FIELD_A, *pose) * blur
    assert (got - expected).abs().max() < 1e-6 * expected.abs().max()


def test_smaller_disc_is_a_prefix():
    large, small = FrequencyDisc(15), FrequencyDisc(6)
    assert torch.equal(large.kx[: len(small)], small.kx)
    assert torch.equal(large.ky[: len(small)], small.ky)
    assert large.ring[len(small) - 1] <= 6


def test_disc_counts_each_friedel_pair_once():
    disc = FrequencyDisc(5)
    points = set(zip(disc.kx.tolist(), disc.ky.tolist(), strict=True))
    assert len(points) == len(disc)
    assert not any((-x, -y) in points for x, y in points)
    inside = sum(0 < x * x + y * y <= 25 for x in range(-5, 6) for y in range(-5, 6))
    assert 2 * len(disc) == inside


def test_disc_beyond_nyquist_is_refused():
    with pytest.raises(InputError, match="does not fit"):
        FrequencyDisc(20).gather(torch.zeros(1, 40, 40))


def test_deformed_model_stays_on_its_centre():
    """As Xmipp re-centres each deformed structure on its atomic-number-weighted centre."""
    structure = toy_structure()
    m = PointModel.from_structure(structure, toy_modes(structure))
    assert (m.weights @ m.motion.coordinates(torch.tensor([[40.0, -25.0]]))[0]).abs().max() < 1e-4


def test_coarse_graining_keeps_low_resolution(model, pose):
    pairs = torch.arange(len(model.weights)) // 2
    disc = FrequencyDisc(4)  # 30 Å
    fine, coarse = (project(m, disc, FIELD_A, *pose) for m in (model, model.coarse_grained(pairs)))
    assert (fine - coarse).abs().max() < 0.05 * fine.abs().max()


@pytest.mark.parametrize("box_px", [20, 21])
@pytest.mark.parametrize("rings_left_out", [0, 6])
def test_scattered_coefficients_are_gathered_again(box_px, rings_left_out):
    disc = FrequencyDisc((box_px - 1) // 2 - rings_left_out)
    coefficients = torch.randn(3, len(disc), dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    images = disc.scatter(coefficients, box_px)
    assert images.shape == (3, box_px, box_px)
    torch.testing.assert_close(disc.gather(images), coefficients, atol=1e-10, rtol=1e-10)
    power = (images**2).sum(dim=(1, 2)) * box_px**2
    torch.testing.assert_close(power, 2 * (coefficients.abs() ** 2).sum(dim=1))  # nothing is outside the disc


@pytest.mark.parametrize("box_px", [20, 21])
def test_scattered_image_is_the_sum_of_waves_about_the_centre(box_px):
    """Each coefficient F at (kx, ky) is 2·Re F·exp(2πi (kx x + ky y)/d)/d² about pixel d//2."""
    disc = FrequencyDisc(4)
    coefficients = torch.randn(1, len(disc), dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    axis = torch.arange(box_px) - box_px // 2
    phase = (
        2j
        * torch.pi
        / box_px
        * (disc.kx[:, None, None] * axis[None, None, :] + disc.ky[:, None, None] * axis[None, :, None])
    )
    expected = 2 * (coefficients[0, :, None, None] * torch.exp(phase)).real.sum(dim=0) / box_px**2
    torch.testing.assert_close(disc.scatter(coefficients, box_px)[0], expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("old", "new"), [(40, 24), (41, 24), (40, 25), (24, 40)])
def test_scattering_a_projection_into_another_box_shows_the_same_particle(model, pose, old, new):
    """Gathered from one box and scattered into another: the same waves, as from the model itself."""
    disc = FrequencyDisc(11)
    data = project(model, disc, FIELD_A, *pose)
    again = disc.gather(disc.scatter(disc.gather(disc.scatter(data, old)), new))
    torch.testing.assert_close(again, data, atol=1e-10, rtol=1e-10)


def test_scattering_beyond_nyquist_is_refused():
    disc = FrequencyDisc(10)
    with pytest.raises(InputError, match="does not fit"):
        disc.scatter(torch.zeros(1, len(disc), dtype=torch.complex64), 20)
