"""Options of the commands about particle images: simulate, preprocess, convert."""

from dataclasses import dataclass
from typing import Literal

from continuousflex_deep.options.schema import option, required
from continuousflex_deep.options.shared import ParticleFile, StructureAndModes


@dataclass(frozen=True)
class SimulateOptions(StructureAndModes):
    """Images with known truth: conformations along modes, poses, CTF and noise before and after it."""

    output: str = required("folder for images and truth")
    count: int = option(1000, "number of images", low=1)
    conformations: Literal["trajectory", "uniform", "gaussian", "linear"] = option(
        "trajectory",
        "how amplitudes are drawn: the paper's Eq. 1 (three modes), or uniform, Gaussian or linear (one path) over the "
        "range",
    )
    amplitude_range: float = option(
        200.0, "largest amplitude (uniform, linear, trajectory) or two standard deviations (gaussian)", "Å"
    )
    box_px: int = option(256, "box of the images as simulated", "px", low=16)
    pixel_size_A: float = option(0.325, "pixel size of the images as simulated", "Å", low=0.05)
    shift_range_px: float = option(
        5.0, "shifts are uniform between minus and plus this, in pixels of the simulated box", "px", low=0.0
    )
    rot_range_deg: tuple[float, float] = option((0.0, 360.0), "range of rot", "°")
    tilt_range_deg: tuple[float, float] = option((0.0, 180.0), "range of tilt", "°")
    psi_range_deg: tuple[float, float] = option((0.0, 360.0), "range of psi", "°")
    tilt_sampling: Literal["uniform-angle", "uniform-sphere"] = option(
        "uniform-angle", "tilt uniform in angle, as in the paper, or uniform on the sphere"
    )
    voltage_kV: float = option(200.0, "acceleration voltage", "kV", low=10.0)
    cs_mm: float = option(2.0, "spherical aberration", "mm", low=0.0)
    amplitude_contrast: float = option(0.1, "amplitude contrast", low=0.0, high=1.0)
    defocus_A: tuple[float, float] = option((5000.0, 5000.0), "range of defocus, positive for underfocus", "Å")
    astigmatism_A: float = option(0.0, "largest difference of the two defoci", "Å", low=0.0)
    ctf: bool = option(True, "apply the CTF")
    b_factor_A2: float = option(
        50.0, "B-factor that blurs the atoms; 50 gives the sharpness of images that Xmipp simulates", "Å²", low=0.0
    )
    snr: float = option(
        0.1,
        "signal-to-noise ratio: variance of the signal after the CTF over that of all noise; 0 for no noise",
        low=0.0,
    )
    noise_before_ctf: float = option(
        0.5, "share of the added noise's variance that is added before the CTF", low=0.0, high=1.0
    )
    phase_flip: bool = option(True, "phase flip the images")
    final_box_px: int = option(
        128, "box after low-pass filtering and reduction; 0 keeps the simulated one", "px", low=0
    )
    seed: int = option(0, "random seed")
    threads: int = option(0, "CPU threads; 0 takes all cores that this process may use", low=0)


@dataclass(frozen=True)
class PreprocessOptions(ParticleFile):
    """Phase flip, reduce and normalise particle images."""

    output: str = required("folder for the new stack and its STAR file")
    pixel_size_A: float = option(0.0, "pixel size of the images where their file does not say", "Å", low=0.0)
    box: int = option(0, "new box; the field of view stays, the pixel size grows; 0 keeps the box", "px", low=0)
    phase_flip: bool = option(False, "phase flip (only where the images are not flipped yet)")
    normalize: bool = option(
        False, "mean 0 and deviation 1 of the pixels outside the particle (a centred disc of radius 0.45 boxes)"
    )
    invert: bool = option(False, "invert the contrast")


@dataclass(frozen=True)
class ConvertOptions(ParticleFile):
    """Particles from one program's file to another's: .star, .xmd or .cs in, .star (RELION 3.1) or .xmd out."""

    output: str = required("particle file to write (.star for RELION, .xmd for Xmipp)")
    images: str = option(
        "",
        "particle file with the same ids whose images, optics groups and other columns are taken (say, the original "
        "one, for results that were found on reduced images)",
    )
    xmd_modes: str = option(
        "", "modes of the amplitudes in an .xmd file that does not name them, for example 7-9; by default 7, 8, …"
    )
    pixel_size_A: float = option(0.0, "pixel size of the images where their file does not say", "Å", low=0.0)
