"""Half maps, map and FSC curves of particles in all conformations, corrected for their deformation."""

import dataclasses

import torch

from continuousflex_deep.arrays import Map, Rows
from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.io.stacks import read_images
from continuousflex_deep.particles import Particles
from continuousflex_deep.progress import progress_bar
from continuousflex_deep.reconstruction.bent_rays import MotionCorrected, VoxelMotion
from continuousflex_deep.reconstruction.fourier import SliceAccumulator
from continuousflex_deep.reconstruction.fsc import fourier_shell_correlation, masked_fsc, shell_filter, signal_to_noise
from continuousflex_deep.reconstruction.halves import half_sets
from continuousflex_deep.reconstruction.maps import contrast_sign
from continuousflex_deep.reconstruction.reconstruct import Reconstruction, fsc_mask


@dataclasses.dataclass(frozen=True, eq=False)
class Unbent:
    """The deformation-corrected reconstruction, and the plain map (d, d, d) of the same particles."""

    result: Reconstruction
    average: Map


def unbend(
    particles: Particles,
    motion: VoxelMotion,
    mode_ids: tuple[int, ...],
    ctf: bool = True,
    mask_diameter_A: float = 0.0,
    reference: Map | None = None,
    batch: int = 64,
    device: torch.device | str = "cpu",
) -> Unbent:
    """The map of the reference's conformation from particles with poses and amplitudes along the motion's modes.

    reference (d, d, d) is at the images' sampling. Raises InputError for too few particles and unreadable images.
    """
    first, second, how = half_sets(particles)
    box, pixel = particles.box_px, particles.pixel_size_A
    mask = fsc_mask(box, pixel, mask_diameter_A)
    amplitudes = particles.require_amplitudes("a deformation-corrected reconstruction")
    amplitudes = amplitudes[:, [particles.mode_ids.index(mode) for mode in mode_ids]]
    plain, halves = [], []
    with progress_bar("reconstruction", 2 * len(particles)) as bar:
        for rows in (first, second):
            sums = SliceAccumulator(box, pixel, None, device)
            for part in _batches(rows, batch):
                some = particles.select(part)
                euler_deg, shift_A = some.require_poses("a reconstruction")
                images = torch.from_numpy(read_images(some))
                sums.add(images, euler_to_matrix(euler_deg), shift_A, some.ctf if ctf else None, some.phase_flipped)
                bar.update(len(part))
            corrected = MotionCorrected(sums, motion)
            for part in _batches(rows, batch):
                corrected.add(particles.select(part), amplitudes[part], ctf)
                bar.update(len(part))
            plain.append(sums)
            halves.append(corrected.volume())
    agreement = masked_fsc(halves[0], halves[1], mask)
    ratio = signal_to_noise(agreement.corrected)
    whole = shell_filter((halves[0] + halves[1]) / 2, ratio / (1 + ratio))
    before = masked_fsc(plain[0].volume(), plain[1].volume(), mask)
    average = plain[0].plus(plain[1]).volume(signal_to_noise(before.corrected))
    sign, rule = contrast_sign(whole, mask, reference)
    curves = {
        "half maps": agreement.unmasked,
        "half maps, masked": agreement.masked,
        "half maps, corrected": agreement.corrected,
        "half maps of the average, corrected": before.corrected,
    }
    if reference is not None:
        inside = reference * mask
        curves["reference, masked"] = fourier_shell_correlation(sign * whole * mask, inside)
        curves["average and reference, masked"] = fourier_shell_correlation(sign * average * mask, inside)
    half1, half2 = (sign * half for half in halves)
    return Unbent(Reconstruction(half1, half2, sign * whole, pixel, curves, sign, rule, how), sign * average)


def _batches(rows: Rows, size: int) -> list[Rows]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
