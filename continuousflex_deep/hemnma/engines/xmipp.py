"""Xmipp's HEMNMA behind the engine interface: each batch is a run of its program, serial or under MPI."""

import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from continuousflex_deep.arrays import Images
from continuousflex_deep.errors import DeepError, InputError, MissingDependencyError
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler
from continuousflex_deep.hemnma.engines.base import Engine
from continuousflex_deep.hemnma.engines.xmipp_run import XmippRun
from continuousflex_deep.hemnma.results import BatchResult
from continuousflex_deep.imaging.preprocessing import phase_flip
from continuousflex_deep.io.modes import NormalModes, require_same_atoms
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.io.xmipp import score_of_cost
from continuousflex_deep.messages import note
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import STRAIGHT, Particles
from continuousflex_deep.programs import XMIPP, XMIPP_ALIGN, XMIPP_ALIGN_MPI, mpi_command, run_program
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.runs.parts import Arrays

# options that the program must have
_NEEDED = ("--modes", "--resume", "--centerPDB", "--discrAngStep", "--projMatch", "--trustradius_scale")
_IMAGES_PER_PROCESS = 16
_MOST_ATOMS = 99_999  # of a PDB file as its programs read it, with numbers in decimal digits
_DISC, _OUTSIDE = 0.25, 0.45  # of the box: within is the particle, beyond is background
_FARTHEST = 0.15  # of the box: its search covers 0.1, its descent is unlimited
_CLEAR = 4.0  # standard errors by which particles must be darker than the background to count as dark


@dataclass(frozen=True)
class XmippLearned:
    """dark: whether particles are darker than the background, so that images are inverted for Xmipp."""

    dark: bool
    phase_flipped: bool

    def arrays(self) -> Arrays:
        return {"dark": np.array(self.dark), "phase_flipped": np.array(self.phase_flipped)}


class XmippEngine(Engine[XmippLearned]):
    """Xmipp's HEMNMA for one structure and its modes.

    keep_in: folder for unfinished batches, so that a killed run loses at most one image a process; without it, batches
    use temporary folders. Raises MissingDependencyError if Xmipp is not installed and InputError for options that it
    does not support.
    """

    def __init__(
        self, structure: Structure, modes: NormalModes, options: AlignOptions, keep_in: Path | None = None
    ) -> None:
        require_same_atoms(modes, len(structure))
        _require_options(options, structure)
        self.options, self.mode_ids, self.motion = options, modes.mode_ids, STRAIGHT
        self.structure, self.modes, self.keep_in = structure, modes, keep_in
        self.radius_A = float(np.linalg.norm(structure.coords_A - structure.center_A, axis=1).max())
        name = XMIPP_ALIGN_MPI if options.xmipp_processes > 1 else XMIPP_ALIGN
        self.program = XMIPP.require([name], options.xmipp_home)[name]
        self._require_abilities()

    def check(self, particles: Particles) -> None:
        super().check(particles)
        box = particles.box_px
        if self.options.xmipp_method == "wavelets" and box & (box - 1):
            raise InputError(
                f"Xmipp's wavelets need a box of a power of two, got {box} px; bring it to {_power_of_two(box)} px by "
                "preprocess --box, or use --xmipp-method projections"
            )
        if box % 2:
            raise InputError(
                f"Xmipp's HEMNMA halves the images and needs an even box, got {box} px; bring it to {box - 1} px by "
                "preprocess --box"
            )

    def batch_size(self, particles: Particles, workers: int = 1) -> int:
        return self.options.batch or _IMAGES_PER_PROCESS * self.options.xmipp_processes

    def calibrate(self, batch: Batch) -> XmippLearned:
        """The contrast's sign. Whether phases are flipped is taken from the particle file, and the images themselves
        are not changed: only the copies for Xmipp, which does not model a CTF, are phase flipped."""
        contrast = contrast_of(self._images(batch))
        standard_error = contrast.std() / np.sqrt(len(contrast))
        dark = bool(contrast.mean() < -_CLEAR * standard_error)
        return XmippLearned(dark, batch.particles.phase_flipped)

    def calibration_of(self, arrays: Arrays) -> XmippLearned:
        return XmippLearned(bool(arrays["dark"]), bool(arrays["phase_flipped"]))

    def align_batch(self, batch: Batch, calibration: XmippLearned) -> BatchResult:
        """Results of a batch as Xmipp gives them, in our units. Its cost (half the squared difference of normalised
        images under a Gaussian weight) becomes the score 1 - cost."""
        chosen, o = batch.particles, self.options
        with self._folder(batch.rows) as folder:
            run = XmippRun(folder, len(batch))
            if not run.is_done:
                images = self._images(batch)
                sign = np.float32(-1 if calibration.dark else 1)
                run.write_inputs(self.structure, self.modes, sign * images, chosen.pixel_size_A)
                run.clear_scratch()
                if not run.is_done:
                    command = run.command(
                        self.program,
                        chosen.pixel_size_A,
                        o.xmipp_step_deg,
                        o.xmipp_trust_region,
                        o.xmipp_method == "projections",
                        self.structure.sigma_A if self.structure.is_pseudoatomic else None,
                        o.finest_resolution_A,
                    )
                    self._launch(command, run, chosen.ids)
            found = run.found()
            run.drop_images()
        score, failed = score_of_cost(found.cost)
        astray = np.abs(found.shift_px).max(axis=1) > _FARTHEST * chosen.box_px
        return BatchResult(
            euler_deg=matrix_to_euler(euler_to_matrix(found.euler_deg)),
            shift_A=found.shift_px * chosen.pixel_size_A,
            amplitudes=found.amplitudes,
            score=score,
            gap=np.full(len(batch), np.inf),
            weakness=np.where(failed | astray, np.inf, 0.0),
        )

    def facts(self, aligned: Particles, calibration: XmippLearned) -> dict[str, object]:
        return {
            "contrast": "dark particles" if calibration.dark else "bright particles",
            "aligned_by": f"{self.program.name} {XMIPP.version(self.program) or '(version unknown)'}",
            "failed_fits": int(np.sum(aligned.score == 0)) if aligned.score is not None else 0,
        }

    def _images(self, batch: Batch) -> Images:
        """The images as Xmipp needs them, apart from their sign: phase flipped, with background 0 and deviation 1."""
        images, particles = batch.images, batch.particles
        if not particles.phase_flipped and particles.ctf is not None:
            images = np.asarray(phase_flip(torch.as_tensor(images), particles).numpy(), dtype=np.float32)
        return normalized(images)

    def _launch(self, command: list[str], run: XmippRun, ids: np.ndarray) -> None:
        """Run the program until all images have results. If the serial program dies twice at the same image, although
        it processed others, that image is marked as a failed fit and the run continues. DeepError for other
        failures."""
        tried = -1
        while True:
            finished = run.clear_scratch()
            if run.is_done:
                return
            with run.watched(finished) as watch:
                try:
                    run_program(self._on_all(command), XMIPP.environment(self.program), run.folder, run.log, watch)
                    return
                except DeepError as error:
                    stuck = run.first_unfinished()
                    if stuck is None or self.options.xmipp_processes > 1 or not run.clear_scratch():
                        raise
                    if stuck != tried:
                        tried = stuck
                        continue
                    run.give_up(stuck)
                    note(f"particle {ids[stuck]}: Xmipp fails at its image, which is marked as a failed fit ({error})")

    def _on_all(self, command: list[str]) -> list[str]:
        """The command on as many processes as the options request."""
        if self.options.xmipp_processes == 1:
            return command
        return mpi_command(self.options.xmipp_launcher, self.options.xmipp_processes, command)

    @contextmanager
    def _folder(self, rows: np.ndarray) -> Iterator[Path]:
        """The folder of a batch."""
        if self.keep_in is not None:
            yield self.keep_in / f"xmipp-{rows[0]:08d}-{len(rows)}"
            return
        with tempfile.TemporaryDirectory(prefix="xmipp-") as folder:
            yield Path(folder) / "batch"

    def _require_abilities(self) -> None:
        """MissingDependencyError if the program is of another version that lacks what is needed."""
        command = self._on_all([str(self.program), "--help"])
        try:
            said = subprocess.run(
                command, env=XMIPP.environment(self.program), capture_output=True, timeout=60, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise MissingDependencyError(f"'{shlex.join(command)}' does not respond; reinstall Xmipp") from error
        text = (said.stdout + said.stderr).decode(errors="replace").strip()
        last = text.splitlines()[-1] if text else "nothing"
        if said.returncode and self.options.xmipp_processes > 1:
            raise MissingDependencyError(
                f"Xmipp's program does not start on {self.options.xmipp_processes} processes ('{shlex.join(command)}', "
                f"exit {said.returncode}); give fewer or another --xmipp-launcher. Its message: {last}"
            )
        if missing := [name for name in _NEEDED if name not in text]:
            version = XMIPP.version(self.program) or "unknown"
            raise MissingDependencyError(
                f"'{self.program}' (version {version}) does not offer {', '.join(missing)}, which is needed; "
                f"Xmipp 3.25 does. Its message: {last}"
            )


def _require_options(options: AlignOptions, structure: Structure) -> None:
    if not options.modes:
        raise InputError("Xmipp's engine needs normal modes (--modes)")
    if len(structure) > _MOST_ATOMS:
        raise InputError(
            f"Xmipp's programs read PDB files of up to {_MOST_ATOMS} atoms, the structure has {len(structure)}; take "
            "its Cα and P atoms, or pseudoatoms of a map"
        )
    if structure.is_pseudoatomic and structure.sigma_A is None:
        raise InputError(
            "the pseudoatoms' file does not state the width of the Gaussians (REMARK fixedGaussian), which Xmipp "
            "needs; make them with the pseudoatoms command or Xmipp's program"
        )


def normalized(images: Images) -> Images:
    """Images (n, d, d) with a background of mean 0 and a deviation of 1. A constant in them would mislead Xmipp, whose
    Gaussian weight turns it into a blob."""
    ground = images[:, _radius(images) > _OUTSIDE].mean(axis=1, dtype=np.float64)
    deviation = images.std(axis=(1, 2), dtype=np.float64)
    return np.asarray((images - ground[:, None, None]) / deviation[:, None, None], dtype=np.float32)


def contrast_of(images: Images) -> np.ndarray:
    """By how much (n,) the centre of each normalised image (n, d, d) is brighter than its background."""
    return np.asarray(images[:, _radius(images) < _DISC].mean(axis=1, dtype=np.float64))


def _radius(images: Images) -> np.ndarray:
    """Distance (d, d) of the pixels from the centre, in boxes."""
    axis = np.arange(images.shape[-1]) - images.shape[-1] // 2
    return np.hypot(axis[:, None], axis[None, :]) / images.shape[-1]


def _power_of_two(box_px: int) -> int:
    """The power of two below the box size, or the one above if that is closer."""
    below = 1 << (box_px.bit_length() - 1)
    return below if box_px - below <= 2 * below - box_px else 2 * below
