"""Radial spectra of noise and transfer, estimated from the particles.

noise (K+1,): standard deviation of each real component of a particle's Fourier coefficient, by ring, where the CTF is
zero. Noise from before the microscope's optics (ice, other matter) passes through the CTF like the particle, so it is
stronger where the particle has contrast: its variance, relative to that of the other noise, is through_ctf · CTF².
transfer (K+1,): τ, the factor from point-atom model times CTF to data; it contains atomic shape, blur, B-factor, the
intensity scale, and the contrast's sign (negative if the data's contrast is opposite to the CTF's).
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from continuousflex_deep.imaging.projector import FrequencyDisc

# the least share of the box outside the particle from which the noise can be estimated
_ENOUGH_OUTSIDE = 0.15


@dataclass(frozen=True, eq=False)
class Spectra:
    """noise and transfer by ring (K+1,); rings above `limit` have no measurable signal."""

    noise: Tensor
    transfer: Tensor
    limit: int
    through_ctf: float = 0.0

    def within(self, radius_px: int) -> "Spectra":
        """The spectra on the rings of a disc: truncated, or extended by the noise of the last ring without signal."""
        missing = max(0, radius_px + 1 - len(self.noise))
        noise = torch.cat([self.noise, self.noise[-1:].expand(missing)])[: radius_px + 1]
        transfer = torch.cat([self.transfer, self.transfer.new_zeros(missing)])[: radius_px + 1]
        return Spectra(noise, transfer, min(self.limit, radius_px), self.through_ctf)

    def deviation(self, ctf: Tensor, disc: FrequencyDisc) -> Tensor:
        """The noise (k, n) of coefficients with CTF values (k, n)."""
        return self.noise[disc.ring] * (1 + self.through_ctf * ctf**2).sqrt()

    def cost(self, ctf: Tensor, disc: FrequencyDisc) -> float:
        """Twice the negative log-likelihood, up to a constant, of the data from which these spectra were estimated; ctf
        (k, n): the particles' CTF."""
        return 4 * float(self.deviation(ctf, disc).log().double().sum())

    def filter(self, ctf: Tensor, disc: FrequencyDisc) -> Tensor:
        """The whitening filter of a model's coefficients: W = CTF·τ/σ (k, n)."""
        return ctf * self.transfer[disc.ring] / self.deviation(ctf, disc)

    def whitened(self, coefficients: Tensor, ctf: Tensor, disc: FrequencyDisc) -> Tensor:
        """Data (k, n) complex divided by the noise."""
        return coefficients / self.deviation(ctf, disc)


def noise_levels(data: Tensor, disc: FrequencyDisc) -> Tensor:
    """Noise level of each image (k,): root mean square of its coefficients (k, n) in the outer half of the disc, where
    noise exceeds signal. Division by it removes the normalisation of the images."""
    outer = disc.ring > disc.radius_px // 2
    return data[:, outer].abs().square().mean(dim=1).sqrt().clamp(min=1e-30)


def noise_outside_particle(images: Tensor, disc: FrequencyDisc, radius_px: float) -> Tensor:
    """First estimate of the noise (K+1,) from the region of images (k, d, d) farther than radius_px from the centre.

    If less than 15% of the box is outside the particle, the whole image is used: the noise then includes signal, which
    makes the first search more cautious at low resolution; later it is estimated from residuals.
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


def estimate_spectra(data: Tensor, model: Tensor, ctf: Tensor, disc: FrequencyDisc) -> Spectra:
    """Transfer and noise from data (k, n) and model coefficients (k, n) of aligned particles, and their CTF (k, n),
    which multiplies the model.

    Maximum likelihood for Gaussian noise: τ = Re⟨F·M*/u⟩ / ⟨|M|²/u⟩ on rings, smoothed over neighbouring rings, with
    u = 1 + through_ctf · CTF²; the noise is the mean square of the residuals divided by u. Above the last ring where τ
    exceeds twice its standard deviation it is zero.
    """
    model, spectra = model * ctf, None
    for _ in range(2):  # the first round estimates through_ctf, the second one uses it as weight
        spectra = _weighted_estimate(data, model, ctf, disc, spectra.through_ctf if spectra else 0.0)
    assert spectra is not None
    return spectra


def _weighted_estimate(data: Tensor, model: Tensor, ctf: Tensor, disc: FrequencyDisc, through_ctf: float) -> Spectra:
    weight = 1 / (1 + through_ctf * ctf**2)
    cross = disc.ring_mean((data * model.conj()).real * weight)
    power = disc.ring_mean(model.abs() ** 2 * weight)
    count = len(data) * disc.ring_count
    smooth_cross, smooth_power = _smoothed(cross, count), _smoothed(power, count)
    transfer = smooth_cross / smooth_power.clamp(min=1e-30)
    residual = (data - transfer[disc.ring] * model).abs() ** 2
    through_ctf = share_through_ctf(residual, ctf, disc)
    noise = _positive(disc.ring_mean(residual / (1 + through_ctf * ctf**2)) / 2).sqrt()
    deviation = noise / (smooth_power * _smoothed(torch.ones_like(cross), count, total=True)).clamp(min=1e-30).sqrt()
    clear = torch.nonzero(transfer.abs() > 2 * deviation).flatten()
    limit = int(clear[-1]) if len(clear) else 1
    # there is one contrast: the sign is that of all rings together, a ring with the opposite sign is noise
    sign = torch.sign((transfer * smooth_power * count).sum())
    transfer = sign * (sign * transfer).clamp(min=0)
    transfer[limit + 1 :] = 0
    return Spectra(noise=noise, transfer=transfer, limit=limit, through_ctf=through_ctf)


def share_through_ctf(squared: Tensor, ctf: Tensor, disc: FrequencyDisc) -> float:
    """Most likely ratio of the variances of noise from before and after the CTF, from squared residuals (k, n) and CTF
    (k, n); 0 if the CTF does not vary within rings, so that the ratio cannot be estimated."""
    squared_ctf = ctf**2
    if float(disc.ring_mean((squared_ctf - disc.ring_mean(squared_ctf)[disc.ring]) ** 2)[1:].max()) < 1e-4:
        return 0.0
    per_ring = disc.ring_count[1:]

    def cost(log_share: float) -> float:
        u = 1 + np.exp(log_share) * squared_ctf
        variance = disc.ring_mean(squared / u)[1:].clamp(min=1e-30)
        return float((per_ring * variance.log()).sum() + u.log().sum() / len(u))

    best = minimize_scalar(cost, bounds=(-6.0, 6.0), method="bounded", options={"xatol": 0.02})
    return float(np.exp(best.x)) if best.x > -5.5 else 0.0


def information_limit(information: Tensor, limit: int, share: float = 0.995) -> int:
    """The ring, at most `limit`, below which a share of the information on motions lies: Σ k²·|W P|², from the sum of
    |W P|² by ring (K+1,)."""
    rings = torch.arange(len(information), device=information.device)
    total = torch.cumsum(information * rings**2, dim=0)
    return min(int((total < share * total[-1]).sum()), limit)


def _smoothed(values: Tensor, count: Tensor, total: bool = False) -> Tensor:
    """Mean over rings, weighted by their coefficients and a Gaussian of one ring; with total, the sum of the
    weights."""
    rings = torch.arange(len(values), device=values.device, dtype=values.dtype)
    weight = torch.exp(-((rings[:, None] - rings[None, :]) ** 2) / 2) * count
    weight[:, 0] = 0
    weight[0, :] = 0
    weight[0, 1] = 1
    return weight.sum(dim=1) if total else (weight @ values) / weight.sum(dim=1)


def _positive(power: Tensor) -> Tensor:
    """Power with a lower limit far below its mean, so that noise-free data stay finite."""
    return power.clamp(min=float(power[1:].mean()) * 1e-6 + 1e-30)
