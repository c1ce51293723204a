"""The `reconstruct` command: half maps, the map of all particles, and their Fourier shell correlations.

Writes half1.mrc and half2.mrc (least squares, not filtered), map.mrc (all particles, Wiener filtered by the half maps'
FSC), particles.star, fsc.csv, fsc.json, fsc.png, slices.png and record.json; with --local-filter also local.mrc and
local_resolution.mrc (Å). The density of the particle is positive in all maps, whether the images show it bright or
dark; record.json says what was found.

Of several groups (particle files, or a landscape split along an axis) each has these files in a folder group_1, …;
all maps have one contrast and one grey scale, and series.gif and series.cxc (for ChimeraX)
show them one after the other.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from continuousflex_deep.arrays import Floats, Integers, Map
from continuousflex_deep.errors import InputError
from continuousflex_deep.figures.maps import save_fsc, save_slices
from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.io.file_names import FSC_CSV, FSC_JSON, LOCAL_MRC
from continuousflex_deep.io.fsc_table import THRESHOLDS, write_fsc
from continuousflex_deep.io.maps import write_volume
from continuousflex_deep.io.records import write_json
from continuousflex_deep.io.stacks import check_images, read_images
from continuousflex_deep.particles import Particles
from continuousflex_deep.progress import progress_bar
from continuousflex_deep.reconstruction.external import MapProgram, ProgramSums
from continuousflex_deep.reconstruction.fourier import SliceAccumulator
from continuousflex_deep.reconstruction.fsc import (
    fourier_shell_correlation,
    masked_fsc,
    resolution_A,
    shell_frequencies,
    signal_to_noise,
    spherical_mask,
)
from continuousflex_deep.reconstruction.halves import half_sets
from continuousflex_deep.reconstruction.local import LocalFilter, local_filter, window_width_A
from continuousflex_deep.reconstruction.maps import contrast_sign
from continuousflex_deep.symmetry import point_group

CORRECTED = "half maps, corrected"  # the curve that resolutions and filters are taken from


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Maps (d, d, d) of both halves and of all particles, the mask (d, d, d), and FSC curves (d//2 + 1,) by name.

    local: of the mean of both halves, where it was asked for.
    sign: −1 where the images show the particle dark after CTF correction, so that the maps were inverted, else +1.
    """

    half1: Map
    half2: Map
    map: Map
    pixel_size_A: float
    curves: dict[str, Floats]
    sign: int
    sign_rule: str
    half_sets: str
    mask: Map | None = None
    local: LocalFilter | None = None

    @property
    def frequency(self) -> Floats:
        """Spatial frequencies (d//2 + 1,) of the curves, in 1/Å."""
        return shell_frequencies(len(self.map), self.pixel_size_A)

    def resolutions_A(self) -> dict[str, dict[str, float]]:
        """Resolution in Å by curve and threshold; infinity where a curve is below it from the start."""
        return {
            name: {f"{t:g}": resolution_A(self.frequency, curve, t) for t in THRESHOLDS}
            for name, curve in self.curves.items()
        }


def reconstruct(
    particles: Particles,
    ctf: bool = True,
    symmetry: str = "c1",
    mask_diameter_A: float = 0.0,
    reference: Map | None = None,
    batch: int = 64,
    device: torch.device | str = "cpu",
    program: MapProgram | None = None,
    local_window_A: float | None = None,
) -> Reconstruction:
    """Reconstruct particles with poses; see the module's description. reference (d, d, d) is at the images' sampling.

    program: of another package, to reconstruct by instead of the embedded engine. local_window_A: None for no local
    filter, 0 for a window that follows from the resolution.

    Raises InputError without poses, without a CTF where it is asked for, for too few particles and unreadable images.
    """
    particles.require_poses("a reconstruction")
    if ctf:
        particles.require_ctf("a reconstruction with CTF weighting (--no-ctf turns it off)")
    first, second, how = half_sets(particles)
    operations = point_group(symmetry)
    check_images(particles)
    box, pixel = particles.box_px, particles.pixel_size_A
    mask = fsc_mask(box, pixel, mask_diameter_A)
    if local_window_A:
        window_width_A(local_window_A, 0.0, box, pixel)
    engine: _EmbeddedSums | ProgramSums = (
        _EmbeddedSums(particles, ctf, operations, batch, device)
        if program is None
        else ProgramSums(program, particles, ctf, symmetry)
    )
    half1, half2 = engine.half_maps(first, second)
    halves = masked_fsc(half1, half2, mask)
    whole = engine.whole(signal_to_noise(halves.corrected))
    sign, rule = contrast_sign(whole, mask, reference)
    curves = {
        "half maps": halves.unmasked,
        "half maps, masked": halves.masked,
        CORRECTED: halves.corrected,
    }
    if reference is not None:
        curves["reference"] = fourier_shell_correlation(sign * whole, reference)
        curves["reference, masked"] = fourier_shell_correlation(sign * whole * mask, reference * mask)
    half1, half2, whole, local = sign * half1, sign * half2, sign * whole, None
    if local_window_A is not None:
        found_A = resolution_A(shell_frequencies(box, pixel), halves.corrected, THRESHOLDS[0])
        local = local_filter(half1, half2, mask, pixel, window_width_A(local_window_A, found_A, box, pixel))
    return Reconstruction(half1, half2, whole, pixel, curves, sign, rule, how, mask, local)


def fsc_mask(box_px: int, pixel_size_A: float, diameter_A: float = 0.0) -> Map:
    """The soft spherical mask (d, d, d) of that diameter, 0 for 0.9 of the box. InputError for one beyond the box."""
    diameter_px = (diameter_A or 0.9 * box_px * pixel_size_A) / pixel_size_A
    if diameter_px > box_px:
        wide_A = box_px * pixel_size_A
        raise InputError(f"--mask-diameter-A: got {diameter_A:g} Å, the box is only {wide_A:g} Å wide")
    return spherical_mask(box_px, diameter_px - box_px * 0.05, box_px * 0.05)


class _EmbeddedSums:
    """The embedded engine: each half's sums, from which the whole map follows without reading images again."""

    def __init__(
        self, particles: Particles, ctf: bool, operations: Floats, batch: int, device: torch.device | str
    ) -> None:
        self.particles, self.ctf, self.batch = particles, ctf, batch
        self.sums = [SliceAccumulator(particles.box_px, particles.pixel_size_A, operations, device) for _ in range(2)]

    def half_maps(self, first: Integers, second: Integers) -> tuple[Map, Map]:
        with progress_bar("reconstruction", len(self.particles)) as bar:
            for sums, rows in zip(self.sums, (first, second), strict=True):
                for start in range(0, len(rows), self.batch):
                    part = rows[start : start + self.batch]
                    _add(sums, self.particles.select(part), self.ctf)
                    bar.update(len(part))
        return self.sums[0].volume(), self.sums[1].volume()

    def whole(self, signal_to_noise: Floats) -> Map:
        return self.sums[0].plus(self.sums[1]).volume(signal_to_noise)


def _add(sums: SliceAccumulator, batch: Particles, ctf: bool) -> None:
    euler_deg, shift_A = batch.require_poses("a reconstruction")
    images = torch.from_numpy(read_images(batch))
    sums.add(images, euler_to_matrix(euler_deg), shift_A, batch.ctf if ctf else None, batch.phase_flipped)


def write_reconstruction(folder: Path, result: Reconstruction, reference: Map | None = None) -> None:
    """Write maps, curves and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, volume in (("half1", result.half1), ("half2", result.half2), ("map", result.map)):
        write_volume(folder / f"{name}.mrc", volume, result.pixel_size_A)
    write_fsc(folder / FSC_CSV, result.frequency, result.curves)
    write_json(
        folder / FSC_JSON,
        {"thresholds": list(THRESHOLDS), "resolution_A": finite_resolutions(result.resolutions_A())},
    )
    save_fsc(folder / "fsc.png", {name: (result.frequency, curve) for name, curve in result.curves.items()})
    maps = {"map": result.map} if reference is None else {"map": result.map, "reference": reference}
    if result.local is not None:
        write_volume(folder / LOCAL_MRC, result.local.map, result.pixel_size_A)
        write_volume(folder / "local_resolution.mrc", result.local.resolution_A, result.pixel_size_A)
        maps |= {"locally filtered": result.local.map}
    save_slices(folder / "slices.png", maps, result.pixel_size_A)


def format_reconstruction(result: Reconstruction, n: int) -> str:
    """Summary that the command prints."""
    nyquist = 2 * result.pixel_size_A
    contrast = "inverted" if result.sign < 0 else "kept"
    lines = [f"{n} particles, halves by {result.half_sets}, contrast {contrast} ({result.sign_rule})"]
    for name, values in result.resolutions_A().items():
        told = []
        for threshold, value in values.items():
            limit = "not reached" if math.isinf(value) else f"{value:.2f} Å"
            limit += " (Nyquist)" if value <= nyquist * 1.03 else ""
            told.append(f"FSC {threshold}: {limit}")
        lines.append(f"  {name}: {', '.join(told)}")
    if result.local is not None:
        inside = result.local.resolution_A[result.local.resolution_A > 0]
        best, middle, worst = np.percentile(inside, [5, 50, 95])
        lines.append(
            f"  local resolution: {middle:.2f} Å in the middle, {best:.2f} to {worst:.2f} Å in nine tenths of the mask "
            f"(window of {result.local.window_A:.0f} Å)"
        )
    return "\n".join(lines)


def finite_resolutions(resolutions: dict[str, dict[str, float]]) -> dict[str, dict[str, float | None]]:
    """The same with None for infinity, for which JSON has no word."""
    return {
        name: {t: v if math.isfinite(v) else None for t, v in values.items()} for name, values in resolutions.items()
    }
