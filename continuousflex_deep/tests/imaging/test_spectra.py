"""Noise and transfer are recovered from data of known noise and transfer."""

import pytest
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
    got = estimate_spectra(data, model, torch.ones(400, len(disc)), disc)
    assert got.through_ctf == 0
    assert ((got.noise - noise)[1:].abs() / noise[1:]).max() < 0.08
    # 5%: smoothing over neighbouring rings, which hold more coefficients outwards, bends the first ones
    assert (got.transfer - transfer)[2:12].abs().max() < 0.25
    assert got.limit >= 14


def test_no_signal_gives_no_band():
    disc = FrequencyDisc(20)
    data, model = complex_normal(50, len(disc), seed=0), complex_normal(50, len(disc), seed=1)
    got = estimate_spectra(data, model, torch.ones(50, len(disc)), disc)
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


@pytest.mark.parametrize("share", [0.0, 1.0, 8.0])
def test_noise_from_before_the_optics_is_told_from_noise_after_it(share):
    """Noise of variance n²·(1 + share·CTF²), with a CTF that oscillates within rings, as at high defocus."""
    disc = FrequencyDisc(20)
    ctf = torch.cos(torch.hypot(disc.kx, disc.ky) * 3.7 + torch.arange(400.0)[:, None] / 60)
    model, noise = complex_normal(400, len(disc), seed=0), 1 + torch.arange(21) / 20
    sigma = noise[disc.ring] * (1 + share * ctf**2).sqrt()
    data = 0.5 * ctf * model + sigma * complex_normal(400, len(disc), seed=1)
    got = estimate_spectra(data, model, ctf, disc)
    assert abs(got.through_ctf - share) < 0.05 * (1 + share)
    assert ((got.noise - noise)[1:].abs() / noise[1:]).max() < 0.08
    whitened = got.whitened(data, ctf, disc) - got.filter(ctf, disc) * model
    strong, weak = (whitened[mask].abs().square().mean() / 2 for mask in (ctf**2 > 0.8, ctf**2 < 0.2))
    assert abs(float(strong / weak) - 1) < 0.03


def test_information_limit_follows_the_signal():
    """k²·|W P|² summed to a share of the whole; and never beyond what is measurable."""
    information = torch.ones(31)
    information[11:] = 0
    assert information_limit(information, 30) == 10
    assert information_limit(information, 6) == 6
