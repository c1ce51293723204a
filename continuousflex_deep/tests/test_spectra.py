"""Noise and transfer are recovered from data of known noise and transfer."""

import torch

from continuousflex_deep.imaging.projector import FrequencyDisc
from continuousflex_deep.imaging.spectra import (
    estimate_spectra,
    information_limit,
    noise_levels,
    noise_outside_particle,
)


def complex_normal(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.complex(torch.randn(*shape, generator=generator), torch.randn(*shape, generator=generator))


def test_transfer_and_noise_are_recovered():
    disc = FrequencyDisc(20)
    rings = torch.arange(21.0)
    transfer, noise = -5 * torch.exp(-((rings / 10) ** 2)), 1 + rings / 20
    model = complex_normal(400, len(disc), seed=0)
    data = transfer[disc.ring] * model + noise[disc.ring] * complex_normal(400, len(disc), seed=1)
    got = estimate_spectra(data, model, disc)
    assert ((got.noise - noise)[1:].abs() / noise[1:]).max() < 0.08
    # 5%: smoothing over neighbouring rings, which hold more coefficients outwards, bends the first ones
    assert (got.transfer - transfer)[2:12].abs().max() < 0.25
    assert got.limit >= 14


def test_no_signal_gives_no_band():
    disc = FrequencyDisc(20)
    got = estimate_spectra(complex_normal(50, len(disc), seed=0), complex_normal(50, len(disc), seed=1), disc)
    assert got.transfer.abs().max() < 0.1


def test_noise_is_read_off_outside_the_particle():
    """White noise of deviation s has s²·d²/2 in each real component, whatever lies in the middle."""
    d, s = 64, 3.0
    images = s * torch.randn(50, d, d, generator=torch.Generator().manual_seed(0))
    images[:, 24:40, 24:40] += 100
    got = noise_outside_particle(images, FrequencyDisc(20), radius_px=16)
    assert ((got[2:] - s * d / 2**0.5).abs() / (s * d / 2**0.5)).max() < 0.1


def test_noise_levels_tell_each_images_own_gain():
    """Signal within the inner rings does not count."""
    disc, gain = FrequencyDisc(20), torch.tensor([0.01, 1.0, 300.0])
    data = complex_normal(3, len(disc), seed=0) + 50 * (disc.ring < 9)
    got = noise_levels(gain[:, None] * data, disc)
    assert (got / gain / 2**0.5 - 1).abs().max() < 0.1


def test_information_limit_follows_the_signal():
    disc = FrequencyDisc(20)
    model = complex_normal(200, len(disc), seed=0)
    transfer = (torch.arange(21) <= 9).float()[disc.ring]
    spectra = estimate_spectra(transfer * model + 0.3 * complex_normal(200, len(disc), seed=1), model, disc)
    assert 8 <= information_limit(spectra, disc.ring_mean(model.abs() ** 2), disc) <= 11
