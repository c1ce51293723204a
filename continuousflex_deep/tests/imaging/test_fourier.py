"""Change of box, filters and their exactness for even and odd boxes."""

import numpy as np
import pytest
import torch

from continuousflex_deep.errors import InputError
from continuousflex_deep.imaging.fourier import filter_images, radius_px, resize

BOXES = [(32, 16), (32, 17), (33, 16), (33, 17), (16, 32), (17, 33), (16, 33), (100, 37)]


def gaussian(
    box: int, field_A: float = 64.0, at_A: tuple[float, float] = (0.0, 0.0), sigma_A: float = 5.0
) -> torch.Tensor:
    """A blob at_A (x, y) from the centre pixel box//2 in a field of view of field_A."""
    axis = (torch.arange(box, dtype=torch.float64) - box // 2) * field_A / box
    x, y = axis[None, :] - at_A[0], axis[:, None] - at_A[1]
    return torch.exp(-(x**2 + y**2) / (2 * sigma_A**2)).float()


@pytest.mark.parametrize(("old", "new"), BOXES)
def test_resize_keeps_values_and_the_centre(old: int, new: int) -> None:
    image = gaussian(old, at_A=(4.0, -6.0))
    np.testing.assert_allclose(resize(image[None], new)[0], gaussian(new, at_A=(4.0, -6.0)), atol=2e-3)


@pytest.mark.parametrize(("old", "new"), BOXES)
def test_resize_keeps_the_mean(old: int, new: int) -> None:
    images = torch.as_tensor(np.random.default_rng(0).normal(size=(3, old, old)), dtype=torch.float32) + 2
    np.testing.assert_allclose(resize(images, new).mean(dim=(1, 2)), images.mean(dim=(1, 2)), atol=1e-5)


@pytest.mark.parametrize("old", [16, 17, 24])
def test_growing_and_shrinking_back_is_the_identity_on_band_limited_images(old: int) -> None:
    images = torch.as_tensor(np.random.default_rng(0).normal(size=(2, old, old)), dtype=torch.float32)
    limited = resize(resize(images, old + 9), old)  # leaves out the Nyquist line of even boxes
    np.testing.assert_allclose(resize(resize(limited, 2 * old + 1), old), limited, atol=1e-5)
    if old % 2:
        np.testing.assert_allclose(limited, images, atol=1e-5)


def test_shrinking_removes_what_the_new_grid_cannot_hold() -> None:
    box = 64
    x = torch.arange(box)
    fine, coarse = torch.cos(2 * torch.pi * 20 * x / box), torch.cos(2 * torch.pi * 5 * x / box)
    image = (fine + coarse).expand(box, box)[None]
    small = resize(image, 32)[0, 0]
    expected = torch.cos(2 * torch.pi * 5 * (torch.arange(32) - 16) / 32 + 2 * torch.pi * 5 * 32 / box)
    np.testing.assert_allclose(small, expected, atol=1e-5)


def test_white_noise_stays_white_at_lower_variance() -> None:
    noise = torch.as_tensor(np.random.default_rng(0).normal(size=(20, 64, 64)), dtype=torch.float32)
    assert resize(noise, 31).var().item() == pytest.approx((31 / 64) ** 2, rel=0.05)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="square images"):
        resize(torch.zeros(2, 8, 9), 4)
    with pytest.raises(InputError, match="box of 2 or more"):
        resize(torch.zeros(2, 8, 8), 1)


@pytest.mark.parametrize("box", [16, 17])
def test_radius_counts_fourier_pixels(box: int) -> None:
    r = radius_px(box)
    assert r.shape == (box, box // 2 + 1)
    assert r[0, 0] == 0
    assert r[3, 4] == pytest.approx(5)
    assert r[-3, 4] == pytest.approx(5)


@pytest.mark.parametrize("box", [16, 17])
def test_filter_multiplies_the_transform(box: int) -> None:
    images = torch.as_tensor(np.random.default_rng(0).normal(size=(2, box, box)), dtype=torch.float32)
    transfer = torch.exp(-radius_px(box) / 4)
    got = torch.fft.rfft2(filter_images(images, transfer))
    np.testing.assert_allclose(got, torch.fft.rfft2(images) * transfer, atol=1e-4)
    np.testing.assert_allclose(filter_images(images, torch.ones_like(transfer)), images, atol=1e-5)
