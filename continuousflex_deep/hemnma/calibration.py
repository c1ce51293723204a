"""Noise spectrum, transfer from model to data, and contrast sign, learned by aligning some of the particles.

No input is required: the first noise spectrum is that outside the particle, the first transfer a generic blur of either
sign. A coarse alignment improves both estimates, and finer alignments improve them further.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.hemnma.levels import Level
from continuousflex_deep.hemnma.refine import Refiner, State
from continuousflex_deep.hemnma.schedule import Band, ScheduleMaker
from continuousflex_deep.imaging.projector import FrequencyDisc, project
from continuousflex_deep.imaging.spectra import Spectra, estimate_spectra, information_limit
from continuousflex_deep.progress import progress_bar
from continuousflex_deep.runs.parts import Arrays

# assumed blur (Gaussian deviation) of a coarse-grained model before its transfer is known
_GENERIC_BLUR_A = 1.5
# spectra are estimated from particles whose correlation is at most this many deviations below the median. (Selecting
# the best of a good set would select noise that resembles the model, and make error bars too small.)
_TRUSTED_DEVIATIONS = 2.5
# particles that decide the contrast sign and whether phases are flipped
_CONTRAST_PARTICLES = 32
# evidence needed from the images to contradict the file about phase flipping: this log-likelihood, from this many
# particles, and this many standard errors of the particles' individual evidence
_AGAINST_FILE, _WITNESSES, _STANDARD_ERRORS = 20.0, 8, 4.0
# fewer particles do not determine the spread of a set's intensities
_ENOUGH_FOR_SPREAD = 20
# conformations per independent motion that the search takes from the calibration particles
_CONFORMATIONS = 8

Start = Callable[[Band, Spectra], State]


@dataclass(frozen=True)
class Intensity:
    """How strongly particles appear in their images, in units of the transfer: median and deviation of the logarithm.

    A particle that is fitted in a wrong pose or conformation explains less of its image, so that its contrast is low.
    """

    median: float
    deviation: float

    @staticmethod
    def of(scales: Tensor) -> "Intensity":
        """From fitted scales (k,). The deviation is that of the upper half, since the lower half contains the
        misaligned particles."""
        logs = scales.clamp(min=1e-6).log()
        median, upper = torch.quantile(logs, logs.new_tensor([0.5, 0.84])).tolist()
        return Intensity(median, max(upper - median, 0.01 if len(logs) >= _ENOUGH_FOR_SPREAD else 0.1))

    def weakness(self, scales: Tensor) -> Tensor:
        """By how many deviations (k,) the contrast of particles with these scales is below that of others."""
        return (self.median - scales.clamp(min=1e-6).log()) / self.deviation


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is learned once for a set of particles and shared by all its batches. conformations (C, M): a selection of
    those that occur in the set, evenly spread."""

    spectra: Spectra
    phase_flipped: bool
    fine_px: int
    intensity: Intensity
    conformations: Tensor

    def arrays(self) -> Arrays:
        """As arrays for a file."""
        s = self.spectra
        return {
            "noise": s.noise.cpu().numpy(),
            "transfer": s.transfer.cpu().numpy(),
            "limits": np.array([s.limit, self.fine_px]),
            "through_ctf": np.array(s.through_ctf),
            "phase_flipped": np.array(self.phase_flipped),
            "intensity": np.array([self.intensity.median, self.intensity.deviation]),
            "conformations": self.conformations.cpu().numpy(),
        }

    @staticmethod
    def of(arrays: Arrays, device: torch.device) -> "Calibration":
        """The calibration from what `arrays` returned."""
        limit, fine_px = (int(v) for v in arrays["limits"])
        noise, transfer, conformations = (
            torch.from_numpy(arrays[k]).to(device) for k in ("noise", "transfer", "conformations")
        )
        intensity = Intensity(*(float(v) for v in arrays["intensity"]))
        spectra = Spectra(noise, transfer, limit, float(arrays["through_ctf"]))
        return Calibration(spectra, bool(arrays["phase_flipped"]), fine_px, intensity, conformations)


def generic_spectra(noise: Tensor, disc: FrequencyDisc, field_A: float, sign: float) -> Spectra:
    """The first estimate: measured noise, a Gaussian blur, and a sign to try."""
    frequency = torch.arange(disc.radius_px + 1, device=noise.device) / field_A
    transfer = sign * torch.exp(-2 * (torch.pi * _GENERIC_BLUR_A * frequency) ** 2)
    return Spectra(noise=noise, transfer=transfer, limit=disc.radius_px)


def calibrate(band: Band, noise: Tensor, maker: ScheduleMaker, start: Start, n_motions: int) -> Calibration:
    """Spectra from particles that are aligned from `start` at coarse, medium and twice at fine resolution, each time
    with the previous estimates; then the intensities of these particles, and the conformations, some for each of
    n_motions."""
    stages = ("contrast", "coarse", "medium", "fine", "finest")
    with progress_bar("estimating noise and transfer", len(stages), unit="stage") as bar:
        sign, flipped = contrast(band, noise, maker, start)
        band = replace(band, flipped=flipped)
        bar.update(1)
        spectra = generic_spectra(noise, maker.band, band.field_A, sign)
        state, *_ = maker.levels(maker.coarse_disc().radius_px).coarse.run(band.whitened(spectra), start(band, spectra))
        spectra = reestimated(band, state, maker, spectra)
        bar.update(1)
        for name in ("medium", "fine", "fine"):
            level: Level = getattr(maker.levels(fine_limit(band, state, maker, spectra)), name)
            state, *_ = level.run(band.whitened(spectra), state)
            band = rightly_flipped(band, state, maker, spectra)
            spectra = reestimated(band, state, maker, spectra)
            bar.update(1)
    fine_px = fine_limit(band, state, maker, spectra)
    refiner, best = maker.levels(fine_px).fine.refiner, state[state.first_rows()]
    spectra = without_fitted_noise(spectra, band, best, maker, refiner)
    scales = refiner.evaluate(band.whitened(spectra).prefix(len(refiner.disc)), best).scale
    conformations = farthest_points(best.amplitudes, _CONFORMATIONS * n_motions)
    return Calibration(spectra, band.flipped, fine_px, Intensity.of(scales), conformations)


def farthest_points(points: Tensor, count: int) -> Tensor:
    """At most `count` different points of (n, M), each as far as possible from those before it, so that they cover the
    range of all."""
    chosen = [int((points - points.mean(dim=0)).norm(dim=1).argmin())]
    distance = (points - points[chosen[0]]).norm(dim=1)
    while len(chosen) < count and float(distance.max()) > 0:
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (points - points[chosen[-1]]).norm(dim=1))
    return points[chosen]


def fine_limit(band: Band, state: State, maker: ScheduleMaker, spectra: Spectra) -> int:
    """The finest ring worth fitting, given the information in the particles and the allowed resolution."""
    best = state[state.first_rows()]
    model = _modelled(band, best, maker) * spectra.filter(band.ctf[best.particle], band.disc)
    limit = information_limit(band.disc.ring_mean(model.abs() ** 2) * band.disc.ring_count, spectra.limit)
    return max(min(limit, maker.finest_px()), maker.coarse_disc().radius_px)


def reestimated(band: Band, state: State, maker: ScheduleMaker, spectra: Spectra) -> Spectra:
    """Spectra from the residuals of the particles at their present poses, without those that do not correlate."""
    best = state[state.first_rows()]
    of_best, model = band[best.particle], _modelled(band, best, maker)
    whitened = of_best.whitened(spectra)
    y, m = whitened.data, whitened.filter * model
    correlation = (y * m.conj()).real.sum(dim=1) / (m.abs() ** 2).sum(dim=1).sqrt() / (y.abs() ** 2).sum(dim=1).sqrt()
    # the spread is that of the upper half: the lower half contains misaligned particles and images without one
    median, upper = torch.quantile(correlation, correlation.new_tensor([0.5, 0.84]))
    rows = torch.nonzero(correlation >= median - _TRUSTED_DEVIATIONS * (upper - median)).flatten()
    return estimate_spectra(of_best.data[rows], model[rows], of_best.ctf[rows], band.disc)


def without_fitted_noise(spectra: Spectra, band: Band, best: State, maker: ScheduleMaker, refiner: Refiner) -> Spectra:
    """Spectra whose transfer is corrected for the noise that poses and amplitudes have followed.

    A fit of p parameters makes the model resemble the noise: whitened, their product exceeds that at the truth by p.
    Half of this is lost again, because the model at a slightly wrong pose has the same power but resembles the signal
    less. Uncorrected, the rest would make the transfer too large, most at high resolution, where a weak signal
    determines much of the pose, and the error bars too small.
    """
    disc, images = refiner.disc, band.whitened(spectra).prefix(len(refiner.disc))
    power = (_modelled(band, best, maker) * band.whitened(spectra).filter[best.particle]).abs() ** 2
    followed = disc.ring_mean(refiner.leverage(images, best))
    share = followed / (2 * disc.ring_mean(power[:, : len(disc)])).clamp(min=1e-30)
    transfer = spectra.transfer.clone()
    transfer[: len(share)] *= (1 - share).clamp(0.5, 1)
    return replace(spectra, transfer=transfer)


def contrast(band: Band, noise: Tensor, maker: ScheduleMaker, start: Start) -> tuple[float, bool]:
    """The transfer's sign, +1 or −1, and whether phases are flipped: the combination with which a coarse alignment of a
    few particles explains most of the data. The file's statement about phases is kept unless the images clearly
    contradict it."""
    few = band[slice(0, _CONTRAST_PARTICLES)]
    sign, gains = _best_sign(few, noise, maker, start)
    if len(gains) < _WITNESSES or not bool((band.optics < 0).any()):
        return sign, band.flipped
    other_sign, other_gains = _best_sign(replace(few, flipped=not band.flipped), noise, maker, start)
    more = (other_gains - gains) / 2
    clearly = max(_AGAINST_FILE, _STANDARD_ERRORS * float(more.std()) * len(more) ** 0.5)
    return (other_sign, not band.flipped) if float(more.sum()) > clearly else (sign, band.flipped)


def _best_sign(band: Band, noise: Tensor, maker: ScheduleMaker, start: Start) -> tuple[float, Tensor]:
    """The sign that explains more of the data, and how much it explains of each particle (k,)."""
    coarse = maker.levels(maker.coarse_disc().radius_px).coarse
    found = []
    for sign in (1.0, -1.0):
        spectra = generic_spectra(noise, maker.band, band.field_A, sign)
        state, quadratic, _ = coarse.run(band.whitened(spectra), start(band, spectra))
        found.append((sign, quadratic.gain[state.first_rows()]))
    return max(found, key=lambda signed: float(signed[1].sum()))


def rightly_flipped(band: Band, state: State, maker: ScheduleMaker, spectra: Spectra) -> Band:
    """The band with phases taken as flipped or not, decided on the whole band: a coarse alignment covers few zeros of
    the CTF."""
    if len(band.data) < _WITNESSES or not bool((band.optics < 0).any()):
        return band
    other = replace(band, flipped=not band.flipped)
    costs = [reestimated(b, state, maker, spectra).cost(b.ctf, b.disc) for b in (band, other)]
    return other if costs[1] < costs[0] - 2 * _AGAINST_FILE else band


def _modelled(band: Band, state: State, maker: ScheduleMaker, chunk: int = 32) -> Tensor:
    """Model coefficients (h, n) of hypotheses on the whole band, before the CTF."""
    parts = []
    for i in range(0, len(state), chunk):
        s = state[i : i + chunk]
        parts.append(project(maker.model, band.disc, band.field_A, s.rotation, s.displacement_A, s.amplitudes))
    return torch.cat(parts)
