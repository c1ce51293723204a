"""Fourier shell correlation, thresholds, masks and phase randomisation."""

import numpy as np
import pytest
import torch

from continuousflex_deep.errors import InputError
from continuousflex_deep.reconstruction.fsc import (
    fourier_shell_correlation,
    masked_fsc,
    randomise_phases,
    resolution_A,
    shell_frequencies,
    signal_to_noise,
    spherical_mask,
)
from continuousflex_deep.tests.helpers import needs
from continuousflex_deep.tests.helpers.gaussian_particles import true_map


def noise(box: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(box,) * 3).astype(np.float32)


@pytest.mark.parametrize("box", [16, 17])
def test_agrees_with_the_definition_on_the_full_transform(box: int) -> None:
    first, second = noise(box, 1), noise(box, 2) + 0.5 * noise(box, 1)
    a, b = np.fft.fftn(first), np.fft.fftn(second)
    k = np.fft.fftfreq(box, 1 / box)
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None, :] ** 2)).astype(int)
    expected = [
        (a[shell == s] * b[shell == s].conj()).sum().real
        / np.sqrt((abs(a[shell == s]) ** 2).sum() * (abs(b[shell == s]) ** 2).sum())
        for s in range(box // 2 + 1)
    ]
    np.testing.assert_allclose(fourier_shell_correlation(first, second), expected, atol=1e-5)


def test_agrees_with_torch_fourier_shell_correlation() -> None:
    peer = needs.library("torch_fourier_shell_correlation", "torch-fourier-shell-correlation")
    volume = true_map(48, 2.0)
    first, second = (torch.as_tensor(volume + 0.3 * noise(48, s), dtype=torch.float32) for s in (1, 2))
    theirs = peer.fourier_shell_correlation(first, second).numpy()
    ours = fourier_shell_correlation(first.numpy(), second.numpy())
    # the peer shares cells between neighbouring shells, so single shells differ a little
    np.testing.assert_allclose(ours[1:-1], theirs[1:-1], atol=0.06)


def test_expected_value_for_signal_in_noise() -> None:
    # white signal and noise of the same power: FSC = 1/2 in every shell
    signal = noise(40, 0)
    curve = fourier_shell_correlation(signal + noise(40, 1), signal + noise(40, 2))
    assert curve[5:].mean() == pytest.approx(0.5, abs=0.03)
    assert np.abs(fourier_shell_correlation(noise(40, 1), noise(40, 2))[5:]).max() < 0.25
    np.testing.assert_allclose(fourier_shell_correlation(signal, 3 * signal), 1, atol=1e-6)
    np.testing.assert_allclose(fourier_shell_correlation(signal, -signal), -1, atol=1e-6)


def test_shells_without_power_are_uncorrelated() -> None:
    flat = np.ones((8, 8, 8), dtype=np.float32)
    assert fourier_shell_correlation(flat, flat).tolist() == [1, 0, 0, 0, 0]


def test_shapes_are_checked() -> None:
    with pytest.raises(InputError, match=r"\(8, 8, 8\) and \(9, 9, 9\)"):
        fourier_shell_correlation(noise(8, 0), noise(9, 0))
    with pytest.raises(InputError, match="cubic"):
        fourier_shell_correlation(noise(8, 0)[:4], noise(8, 0)[:4])


def test_resolution_is_interpolated_linearly() -> None:
    frequency = shell_frequencies(10, 2.0)
    np.testing.assert_allclose(frequency, [0, 0.05, 0.1, 0.15, 0.2, 0.25])
    curve = np.array([1, 0.9, 0.7, 0.3, 0.6, 0.0])
    assert resolution_A(frequency, curve, 0.5) == pytest.approx(
        1 / 0.125
    )  # the first crossing, half way between shells
    assert resolution_A(frequency, curve, 0.143) == pytest.approx(1 / (0.2 + 0.05 * (0.6 - 0.143) / 0.6))
    assert resolution_A(frequency, curve, 0.7) == pytest.approx(10)  # touching is not crossing
    assert resolution_A(frequency, np.ones(6), 0.5) == pytest.approx(4.0)  # never: Nyquist
    assert resolution_A(frequency, np.array([1, 0.2, 0.9, 0.9, 0.9, 0.9]), 0.5) == np.inf


def test_mask_has_the_size_asked_for() -> None:
    mask = spherical_mask(41, 20, 4)
    line = mask[20, 20]
    assert (line[10:31] == 1).all()
    assert (line[:6] == 0).all()
    assert 0 < line[8] < 1
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.05)  # half height lies half an edge outside
    np.testing.assert_array_equal(mask, mask[::-1, ::-1, ::-1])


def test_phases_are_randomised_from_the_shell_on() -> None:
    volume = (true_map(24, 3.0) + 0.1 * noise(24, 5)).astype(np.float32)
    changed = randomise_phases(volume, 5, np.random.default_rng(1))
    curve = fourier_shell_correlation(volume, changed)
    np.testing.assert_allclose(curve[:5], 1, atol=1e-4)
    assert np.abs(curve[6:]).max() < 0.4
    np.testing.assert_allclose(np.abs(np.fft.fftn(changed)), np.abs(np.fft.fftn(volume)), atol=0.02)


def test_correction_removes_what_the_mask_makes() -> None:
    # common density only at low resolution; a hard mask spreads it to all shells
    k = np.fft.fftfreq(48, 1 / 48)
    low = np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None, :] ** 2) < 6
    common = np.fft.ifftn(np.fft.fftn(noise(48, 0)) * low).real * 30
    halves = [(common + 0.5 * noise(48, s)).astype(np.float32) for s in (1, 2)]
    result = masked_fsc(halves[0], halves[1], spherical_mask(48, 24, 0))
    far = slice(12, 22)
    assert abs(result.unmasked[far].mean()) < 0.1
    assert result.masked[far].mean() > 0.6
    assert abs(result.corrected[far].mean()) < 0.25
    np.testing.assert_array_equal(result.corrected[:6], result.masked[:6])


def test_signal_to_noise_of_the_whole_set() -> None:
    ratio = signal_to_noise(np.array([1.0, 0.5, 0.2, -0.1, 0.3]))
    assert ratio[1] == pytest.approx(2.0)
    assert ratio[2] == pytest.approx(0.5)
    assert ratio[3:].tolist() == [0, 0]
    assert np.isfinite(ratio[0])
