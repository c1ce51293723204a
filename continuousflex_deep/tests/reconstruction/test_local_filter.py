"""Local resolution and filtering, on a map whose noise is known and differs between two regions."""

import numpy as np
import pytest
from scipy import ndimage

from continuousflex_deep.errors import InputError
from continuousflex_deep.reconstruction.fsc import (
    fourier_shell_correlation,
    shell_filter,
    signal_to_noise,
    spherical_mask,
)
from continuousflex_deep.reconstruction.local import LocalFilter, local_filter, window_width_A

BOX, PIXEL_A, WINDOW_A = 64, 2.0, 28.0
MASK = spherical_mask(BOX, 50, 6)
X = np.arange(BOX) - BOX // 2
LEFT, RIGHT = ((MASK > 0.9) & side[None, None, :] for side in (X < 3, X > 9))  # little and much noise


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """Structure of all sizes above 4 Å, of the same kind everywhere."""
    rng = np.random.default_rng(0)
    parts = [s**1.5 * ndimage.gaussian_filter(rng.normal(size=(BOX,) * 3), s) for s in (1.0, 2.0, 4.0)]
    return (sum(parts) * MASK).astype(np.float32)


@pytest.fixture(scope="module")
def halves(truth: np.ndarray) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    sd = truth[LEFT].std() * np.where(X < 6, 0.3, 3.0)
    return [(truth + rng.normal(size=truth.shape) * sd).astype(np.float32) for _ in range(2)]


@pytest.fixture(scope="module")
def local(halves: list[np.ndarray]) -> LocalFilter:
    return local_filter(halves[0], halves[1], MASK, PIXEL_A, WINDOW_A)


def error(volume: np.ndarray, truth: np.ndarray, region: np.ndarray) -> float:
    """Root mean square error in units of the truth's deviation there."""
    return float(np.sqrt(((volume - truth)[region] ** 2).mean()) / truth[region].std())


def test_noisy_region_gains_and_the_good_one_loses_nothing(
    truth: np.ndarray, halves: list[np.ndarray], local: LocalFilter
) -> None:
    plain = (halves[0] + halves[1]) / 2
    snr = signal_to_noise(fourier_shell_correlation(*(half * MASK for half in halves)))
    everywhere = shell_filter(plain * MASK, snr / (1 + snr))  # the same filter by one FSC for the whole map
    right, left = ([error(v, truth, side) for v in (plain, everywhere, local.map)] for side in (RIGHT, LEFT))
    assert right[2] < 0.3 * right[0]
    assert right[2] < 0.96 * right[1]
    assert left[2] < 0.8 * min(left[0], left[1])


def test_local_resolution_follows_the_noise(local: LocalFilter) -> None:
    good, bad = np.median(local.resolution_A[LEFT]), np.median(local.resolution_A[RIGHT])
    assert good < 0.6 * bad
    assert good >= 2 * PIXEL_A
    assert (local.resolution_A[MASK < 0.5] == 0).all()
    assert np.abs(local.map[MASK == 0]).max() == 0


def test_equal_halves_are_kept_and_noise_is_removed(truth: np.ndarray) -> None:
    same = local_filter(truth, truth, MASK, PIXEL_A, WINDOW_A)
    band_limited = shell_filter(truth * MASK, np.ones(BOX // 2 + 1)) * MASK
    assert error(same.map, band_limited, MASK > 0.9) < 0.05
    assert np.median(same.resolution_A[MASK > 0.9]) == pytest.approx(2 * PIXEL_A, rel=0.1)
    noise = [np.random.default_rng(s).normal(size=truth.shape).astype(np.float32) for s in (2, 3)]
    removed = local_filter(noise[0], noise[1], MASK, PIXEL_A, WINDOW_A)
    assert (removed.map**2).sum() < 0.02 * ((noise[0] + noise[1]) ** 2 / 4 * MASK).sum()


def test_width_of_the_window() -> None:
    assert window_width_A(30, 5, 64, 2.0) == 30
    assert window_width_A(0, 5, 64, 2.0) == 35
    assert window_width_A(0, 1, 64, 2.0) == 16
    assert window_width_A(0, float("inf"), 64, 2.0) == 64
    for wrong in (10, 70):
        with pytest.raises(InputError, match=f"got {wrong} Å, expected 16 to 64 Å"):
            window_width_A(wrong, 5, 64, 2.0)
