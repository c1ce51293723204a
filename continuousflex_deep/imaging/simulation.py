"""Simulated particle images with known truth, as in Figure 5 of the DeepHEMNMA article.

The steps: conformations along normal modes, centred on their weighted centre; projection of the atoms' electron
scattering at random poses; shift; white noise; CTF; white noise; phase flipping; ideal low-pass filter and resampling.

Choices that the article does not specify:
* Protein is bright, as in Xmipp's simulations: the CTF is positive at the origin.
* SNR is the variance of the signal after the CTF divided by that of all noise in the image, both over the whole image
  before resampling. The noise has the same level in all images, which gives the SNR on average over 32 pilot images.
* White noise is added before and after the CTF (Sorzano et al., J Struct Biol 2007, 160:249), by default with the same
  variance.
* Atoms are blurred by a B-factor of 50 Å² by default.
SNR, split of the noise and blur are those of images that Xmipp simulated from AK with the article's method at a nominal
SNR of 0.1.
Random numbers of an image follow from the seed and the image's number, so an image does not depend on how many there
are.
"""

from dataclasses import dataclass

import numpy as np

from continuousflex_deep.arrays import Floats, as_column
from continuousflex_deep.errors import InputError
from continuousflex_deep.imaging.density import require_fits
from continuousflex_deep.imaging.scattering import Scatterer, scatterers
from continuousflex_deep.io.conformations import read_conformations
from continuousflex_deep.io.modes import NormalModes, parse_mode_list
from continuousflex_deep.io.reference import read_reference, read_rigid_reference
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion import Motion, motion_along
from continuousflex_deep.options import SimulateOptions, options_of
from continuousflex_deep.particles import Ctf, Particles

CONFORMATION = "cfdConformation"  # column with the number of the conformation, from 1
_N_PILOT = 32  # images whose mean signal determines the noise level
_TRUTH, NOISE, _PILOT = 0, 1, 2  # streams of random numbers, so that truth does not depend on noise


@dataclass(frozen=True, eq=False)
class Simulator:
    """A structure prepared for deformation and projection; motion: about its weighted centre. frames_A (F, N, 3): the
    conformations, about their weighted centres, where they are not along modes."""

    structure: Structure
    modes: NormalModes
    motion: Motion[Floats]
    atoms: list[Scatterer]
    frames_A: Floats | None = None

    def coordinates(self, truth: Particles, row: int) -> Floats:
        """The atoms (N, 3) in Å that the image of a row shows."""
        if self.frames_A is not None:
            return np.asarray(self.frames_A[int(truth.extra[CONFORMATION][row]) - 1])
        return self.motion.coordinates(truth.require_amplitudes("simulation")[row])


def prepare(options: SimulateOptions) -> Simulator:
    """Read and check structure, modes and ranges. Raises InputError before any image is simulated."""
    structure, modes, frames_A = _conformations(options)
    for name in ("rot_range_deg", "tilt_range_deg", "psi_range_deg", "defocus_A"):
        low, high = getattr(options, name)
        if low > high:
            raise InputError(f"option --{name.replace('_', '-')}: got the range {low} to {high}, expected low to high")
    final = options.final_box_px
    if final and (final > options.box_px or final < 2):
        raise InputError(
            f"the final box is {final} px, expected 2 to {options.box_px} px, the box before resampling"
        )
    motion = motion_along(structure.centred(), modes)
    extent = max(np.linalg.norm(atoms_A, axis=-1).max() for atoms_A in (motion.rest_A, frames_A) if atoms_A is not None)
    require_fits(float(extent) + options.shift_range_px * options.pixel_size_A, options.box_px, options.pixel_size_A)
    return Simulator(structure, modes, motion, scatterers(structure, options.b_factor_A2), frames_A)


def _conformations(options: SimulateOptions) -> tuple[Structure, NormalModes, Floats | None]:
    """The structure with its modes, or with conformations (F, N, 3) from files, about their weighted centres."""
    if options.conformations not in options_of(SimulateOptions)["conformations"].choices:
        structure, modes = read_rigid_reference(options.structure, options)
        frames_A = read_conformations(
            options.conformations, structure, options.structure, options.select, options.models
        )
        weights = structure.weights / structure.weights.sum()
        return structure, modes, frames_A - np.einsum("n,fni->fi", weights, frames_A)[:, None]
    if not options.modes:
        raise InputError(
            "option --modes is required, a folder of normal modes as the nma command makes; only conformations of "
            "files need none (--conformations FOLDER)"
        )
    mode_ids = parse_mode_list(options.mode_list)
    structure, modes = read_reference(options.structure, options.modes, mode_ids, options, options.motion)
    if options.conformations == "trajectory" and len(mode_ids) != 3:
        raise InputError(
            f"the trajectory of the article's Eq. 1 needs three modes, got {list(mode_ids)}; give three modes, or "
            "select uniform, gaussian or linear conformations"
        )
    return structure, modes, None


def draw_truth(options: SimulateOptions, simulator: Simulator, stack: str, pilot: bool = False) -> Particles:
    """Poses, shifts, conformations and CTF of all images; pilot: of the images that determine the noise level.

    Conformations are amplitudes, or the column cfdConformation with the number of the conformation from files.
    """
    n = _N_PILOT if pilot else options.count
    mode_ids = simulator.modes.mode_ids
    euler, shift, amplitudes = np.empty((n, 3)), np.empty((n, 2)), np.empty((n, len(mode_ids)))
    frame = np.empty(n, dtype=np.int64)
    defocus, astigmatism, axis = np.empty(n), np.empty(n), np.empty(n)
    for row in range(n):
        rng = np.random.default_rng([options.seed, _PILOT if pilot else _TRUTH, row])
        if simulator.frames_A is None:
            amplitudes[row] = _draw_amplitudes(options, len(mode_ids), rng)
        else:
            frame[row] = rng.integers(len(simulator.frames_A))
        euler[row] = _draw_angles(options, rng)
        shift[row] = rng.uniform(-1, 1, size=2) * options.shift_range_px * options.pixel_size_A
        defocus[row], astigmatism[row], axis[row] = rng.uniform(*options.defocus_A), rng.uniform(), rng.uniform(0, 180)
    half = options.astigmatism_A * astigmatism / 2
    constants = {
        "voltage_kV": options.voltage_kV,
        "cs_mm": options.cs_mm,
        "amplitude_contrast": options.amplitude_contrast,
        "phase_shift_deg": 0.0,
    }
    ctf = Ctf(
        defocus_u_A=defocus + half,
        defocus_v_A=defocus - half,
        defocus_angle_deg=axis if options.astigmatism_A else np.zeros(n),
        **{name: np.full(n, value) for name, value in constants.items()},
    )
    box = options.final_box_px or options.box_px
    return Particles(
        ids=np.arange(1, n + 1, dtype=np.int64),
        stacks=np.array([stack] * n, dtype=object),
        indices=np.arange(n, dtype=np.int64),
        pixel_size_A=options.pixel_size_A * options.box_px / box,
        box_px=box,
        ctf=ctf if options.ctf else None,
        phase_flipped=options.ctf and options.phase_flip,
        euler_deg=euler,
        shift_A=shift,
        mode_ids=mode_ids,
        amplitudes=amplitudes if simulator.frames_A is None else None,
        motion=simulator.modes.motion,
        extra={} if simulator.frames_A is None else {CONFORMATION: as_column([str(f + 1) for f in frame])},
    )


def _draw_amplitudes(options: SimulateOptions, n_modes: int, rng: np.random.Generator) -> Floats:
    span = options.amplitude_range
    if options.conformations == "trajectory":  # Eq. 1 of the article
        r = rng.uniform()
        return np.array([-span * r, span * np.sin(np.pi * r), span * np.cos(np.pi * r)])
    if options.conformations == "linear":
        return np.full(n_modes, span * rng.uniform(-1, 1))
    if options.conformations == "gaussian":
        return rng.normal(scale=span / 2, size=n_modes)
    return rng.uniform(-span, span, size=n_modes)


def _draw_angles(options: SimulateOptions, rng: np.random.Generator) -> Floats:
    rot, psi = rng.uniform(*options.rot_range_deg), rng.uniform(*options.psi_range_deg)
    if options.tilt_sampling == "uniform-angle":
        return np.array([rot, rng.uniform(*options.tilt_range_deg), psi])
    low, high = np.cos(np.radians(options.tilt_range_deg))
    return np.array([rot, np.degrees(np.arccos(np.clip(rng.uniform(min(low, high), max(low, high)), -1, 1))), psi])
