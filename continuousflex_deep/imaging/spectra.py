"""Radial spectra of noise and transfer, estimated from the particles themselves.

noise (K+1,): standard deviation of each real component of a particle's Fourier coefficient, ring by ring.
transfer (K+1,): τ, the factor from point-atom model times CTF to data; it holds atomic shape, blur, B-factor, the
intensity scale, and the contrast's sign (negative where the data's contrast is opposite to the CTF's).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from continuousflex_deep.imaging.projector import FrequencyDisc

# the fraction of the box outside the particle below which its noise cannot be read off there
_ENOUGH_OUTSIDE = 0.15


@dataclass(frozen=True, eq=False)
class Spectra:
    """noise and transfer by ring (K+1,); rings above `limit` carry no measurable signal."""

    noise: Tensor
    transfer: Tensor
    limit: int

    def filter(self, ctf: Tensor, disc: FrequencyDisc) -> Tensor:
        """What whitens a model's coefficients: W = CTF·τ/σ (k, n) for CTF values (k, n)."""
        return ctf * (self.transfer / self.noise)[disc.ring]

    def whitened(self, coefficients: Tensor, disc: FrequencyDisc) -> Tensor:
        """Data (k, n) complex divided by the noise."""
        return coefficients / self.noise[disc.ring]

    def to(self, device: torch.device | str) -> "Spectra":
        """The same on another device."""
        return replace(self, noise=self.noise.to(device), transfer=self.transfer.to(device))


def noise_levels(data: Tensor, disc: FrequencyDisc) -> Tensor:
    """Each image's own noise (k,): root mean square of its coefficients (k, n) in the outer half of the disc, where
    there is more noise than signal. Dividing by it undoes whatever normalisation the images have."""
    outer = disc.ring > disc.radius_px // 2
    return data[:, outer].abs().square().mean(dim=1).sqrt().clamp(min=1e-30)


def noise_outside_particle(images: Tensor, disc: FrequencyDisc, radius_px: float) -> Tensor:
    """First estimate of the noise (K+1,) from the region of images (k, d, d) farther than radius_px from the centre.

    Where the particle leaves less than 15% of the box, the whole image is used: signal then adds to the noise, which
    makes the first search more cautious at low resolution and is mended by the residuals later.
    """
    d = images.shape[-1]
    axis = torch.arange(d, device=images.device) - d // 2
    distance = torch.hypot(axis[:, None].float(), axis[None, :].float())
    outside = torch.sigmoid(2 * (distance - radius_px))
    if outside.mean() < _ENOUGH_OUTSIDE:
        outside = torch.ones_like(distance)
    mean = (images * outside).sum(dim=(1, 2), keepdim=True) / outside.sum()
    masked = disc.gather((images - mean) * outside)
    power = disc.ring_mean(masked.abs() ** 2) * (d * d / (outside**2).sum()) / 2
    return _positive(power).sqrt()


def estimate_spectra(data: Tensor, model: Tensor, disc: FrequencyDisc) -> Spectra:
    """Transfer and noise from data (k, n) and CTF-weighted model coefficients (k, n) of aligned particles.

    τ = Re⟨F·M*⟩ / ⟨|M|²⟩ on rings, smoothed over neighbouring rings; σ² is half the residuals' mean square. Above the
    last ring where τ exceeds twice its own standard deviation it is set to zero.
    """
    cross, power = disc.ring_mean((data * model.conj()).real), disc.ring_mean(model.abs() ** 2)
    count = len(data) * torch.bincount(disc.ring, minlength=disc.radius_px + 1).clamp(min=1)
    smooth_cross, smooth_power = _smoothed(cross, count), _smoothed(power, count)
    transfer = smooth_cross / smooth_power.clamp(min=1e-30)
    residual = data - transfer[disc.ring] * model
    noise = _positive(disc.ring_mean(residual.abs() ** 2) / 2).sqrt()
    deviation = noise / (smooth_power * _smoothed(torch.ones_like(cross), count, total=True)).clamp(min=1e-30).sqrt()
    clear = torch.nonzero(transfer.abs() > 2 * deviation).flatten()
    limit = int(clear[-1]) if len(clear) else 1
    # one contrast: the sign is that of the whole, a ring of the other sign is noise
    sign = torch.sign((transfer * smooth_power * count).sum())
    transfer = sign * (sign * transfer).clamp(min=0)
    transfer[limit + 1 :] = 0
    return Spectra(noise=noise, transfer=transfer, limit=limit)


def information_limit(spectra: Spectra, model_power: Tensor, disc: FrequencyDisc, share: float = 0.995) -> int:
    """The ring below which lies `share` of the information on motions, Σ k²·|W P|² for ⟨|CTF·P|²⟩ by ring (K+1,)."""
    rings = torch.arange(disc.radius_px + 1, device=model_power.device)
    count = torch.bincount(disc.ring, minlength=disc.radius_px + 1)
    information = count * rings**2 * model_power * (spectra.transfer / spectra.noise) ** 2
    total = torch.cumsum(information, dim=0)
    return min(int((total < share * total[-1]).sum()), spectra.limit)


def _smoothed(values: Tensor, count: Tensor, total: bool = False) -> Tensor:
    """Mean over rings weighted by coefficients and a Gaussian of one ring; with total, the sum of the weights
    instead."""
    rings = torch.arange(len(values), device=values.device, dtype=values.dtype)
    weight = torch.exp(-((rings[:, None] - rings[None, :]) ** 2) / 2) * count
    weight[:, 0] = 0
    weight[0, :] = 0
    weight[0, 1] = 1
    return weight.sum(dim=1) if total else (weight @ values) / weight.sum(dim=1)


def _positive(power: Tensor) -> Tensor:
    """Power with a floor far below its mean, so that noise-free data stay finite."""
    return power.clamp(min=float(power[1:].mean()) * 1e-6 + 1e-30)
