"""Options of the commands about particle images: simulate, preprocess, convert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Union

from continuousflex_deep.options.schema import Paths, Range, option, required, required_list
from continuousflex_deep.options.shared import (
    Hardware,
    Motion,
    ParticleFile,
    StructureAndModes,
    motion_option,
    pixel_size_option,
)

# of amplitudes, or where structures are read from
Conformations = Union[Literal["trajectory", "uniform", "gaussian", "linear"], str]  # noqa: UP007


@dataclass(frozen=True)
class SimulateOptions(StructureAndModes, Hardware):
    """Simulate images with known conformations and poses, with a CTF, and with noise before and after the CTF."""

    output: str = required("Folder for the images and their true parameters.", "output")
    modes: str = option(
        "", "Folder of normal modes (vec.7, vec.8, …). Leave it out only where conformations are files.", role="input"
    )
    count: int = option(1000, "Number of images.", low=1, label="Images")
    motion: Motion = motion_option()
    conformations: Conformations = option(
        "trajectory",
        "Distribution of the amplitudes over their range: trajectory (the article's Eq. 1, three modes), uniform, "
        "gaussian, or linear (one path). Give a folder of structures, a file of several models or a trajectory (.dcd) "
        "of the same atoms instead, for images that each show one of these, about its own centre.",
    )
    amplitude_range: float = option(
        200.0,
        "Largest amplitude (uniform, linear, trajectory), or two standard deviations (gaussian). The RMSD of the atoms "
        "is the amplitude divided by the square root of their number.",
        "Å",
    )
    box_px: int = option(256, "Box of the simulated images, before downsampling to the final box.", "px", low=16)
    pixel_size_A: float = option(0.325, "Pixel size of the simulated images, before downsampling.", "Å", low=0.05)
    shift_range_px: float = option(
        5.0, "Largest shift along x and y, in pixels of the simulated box; shifts are uniform.", "px", low=0.0
    )
    rot_range_deg: Range = option((0.0, 360.0), "Range of the angle rot.", "°")
    tilt_range_deg: Range = option((0.0, 180.0), "Range of the angle tilt. Narrow it for missing views.", "°")
    psi_range_deg: Range = option((0.0, 360.0), "Range of the in-plane angle psi.", "°")
    tilt_sampling: Literal["uniform-angle", "uniform-sphere"] = option(
        "uniform-angle",
        "Distribution of tilt: uniform in angle, as in the article, or uniform on the sphere, for evenly distributed "
        "views.",
    )
    voltage_kV: float = option(200.0, "Acceleration voltage.", "kV", low=10.0)
    cs_mm: float = option(2.0, "Spherical aberration.", "mm", low=0.0, label="Spherical aberration (mm)")
    amplitude_contrast: float = option(0.1, "Amplitude contrast, as a fraction.", low=0.0, high=1.0)
    defocus_A: Range = option((5000.0, 5000.0), "Range of the defocus, positive for underfocus.", "Å")
    astigmatism_A: float = option(0.0, "Largest difference between the two defoci.", "Å", low=0.0, level="advanced")
    ctf: bool = option(True, "Apply the CTF.", label="Apply the CTF")
    b_factor_A2: float = option(
        50.0,
        "B-factor that blurs the atoms. 50 gives images as sharp as those that Xmipp simulates.",
        "Å²",
        low=0.0,
        level="advanced",
        label="B-factor (Å²)",
    )
    snr: float = option(
        0.1,
        "Signal-to-noise ratio: variance of the signal after the CTF over that of all noise; 0 adds no noise.",
        low=0.0,
        label="Signal-to-noise ratio",
    )
    noise_before_ctf: float = option(
        0.5,
        "Share of the noise variance that is added before the CTF, and so is modulated by it.",
        low=0.0,
        high=1.0,
        level="advanced",
        label="Noise before the CTF (share)",
    )
    phase_flip: bool = option(True, "Flip the phases of the images.")
    final_box_px: int = option(128, "Box after downsampling; 0 keeps the simulated box.", "px", low=0)
    seed: int = option(0, "Random seed. Change it for other images.", level="advanced")


@dataclass(frozen=True)
class PreprocessOptions(ParticleFile):
    """Phase flip, downsample and normalise particle images."""

    output: str = required("Folder for the new stack and its STAR file.", "output")
    pixel_size_A: float = pixel_size_option()
    box: int = option(
        0,
        "New box over the same field of view, so that pixels become larger; 0 keeps the box. 128 pixels or fewer are "
        "usually enough for the alignment.",
        "px",
        low=0,
    )
    phase_flip: bool = option(False, "Flip the phases. Set it only if the images are not phase flipped yet.")
    normalize: bool = option(
        False,
        "Normalise each image to mean 0 and standard deviation 1 outside the particle (a centred disc of radius 0.45 "
        "boxes).",
    )
    invert: bool = option(False, "Invert the contrast.", label="Invert the contrast")


def _of_par(default: float, what: str, unit: str = "", high: float | None = None, label: str = "") -> Any:
    """What a parameter file of FREALIGN lacks; the default stands for no value."""
    text = f"{what} of the images of a .par file, which does not give it."
    return option(default, text, unit, low=default, high=high, label=label)


@dataclass(frozen=True)
class ConvertOptions:
    """Convert particles between programs: .star, .xmd, .cs or .par in, .star (RELION 3.1) or .xmd out; merge sets of
    particles, or divide a set."""

    particles: Paths = required_list(
        "Particle file (.star of RELION, .xmd of Xmipp, .cs of cryoSPARC, .par of FREALIGN and cisTEM). Repeat it to "
        "merge sets.",
        "input",
    )
    output: str = required("Particle file to write (.star for RELION, .xmd for Xmipp).", "output")
    images: str = option(
        "",
        "Particle file with the same ids, whose images, optics groups and other columns are taken. Give the original "
        "file where the results were found on downsampled images.",
        role="input",
    )
    stack: str = option("", "Image stack of a .par file, which does not name it.", role="input")
    voltage_kV: float = _of_par(0.0, "Acceleration voltage", "kV")
    cs_mm: float = _of_par(-1.0, "Spherical aberration", "mm", label="Spherical aberration (mm)")
    amplitude_contrast: float = _of_par(-1.0, "Amplitude contrast, as a fraction,", high=1.0)
    min_occupancy_percent: float = option(
        50.0,
        "Occupancy (OCC) below which a particle of a .par file is left out. Of a classification, each class has a file "
        "with all particles: with 50 each of them is in one class at most.",
        "%",
        low=0.0,
        high=100.0,
        label="Smallest occupancy (%)",
    )
    draw: int = option(
        0,
        "Number of particles to draw at random, of each file in proportion to its particles; 0 takes all. Give it, "
        "with --rest, to divide a set into particles to align and particles to predict.",
        low=0,
        level="hidden",
    )
    rest: str = option("", "Particle file to write for the particles that are not drawn.", role="output")
    seed: int = option(0, "Random seed. Change it to draw other particles.", low=0, level="hidden")
    xmd_modes: str = option(
        "",
        "Modes of the amplitudes in an .xmd file that does not name them, for example 7-9; by default from 7 on.",
        label="Modes of an .xmd file (optional)",
    )
    pixel_size_A: float = pixel_size_option("normal")
