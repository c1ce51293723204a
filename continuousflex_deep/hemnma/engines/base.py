"""The interface of every HEMNMA engine: the same inputs, outputs and errors."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic

import numpy as np

from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma.learned import L
from continuousflex_deep.hemnma.results import BatchResult
from continuousflex_deep.messages import note
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles, require_same_motion
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.runs.parts import Arrays

# part of the structure's radius that must lie inside the box
_SEEN = 0.75


class Engine(ABC, Generic[L]):
    """Finds pose and normal-mode amplitudes of particles. An engine is made from a structure, its modes and the options
    of `align`. It works in batches, which are independent of each other.

    An engine is pickled for workers on other devices and hosts, as what it was made from."""

    options: AlignOptions
    mode_ids: tuple[int, ...]
    motion: str  # that the amplitudes are of
    radius_A: float  # of the structure's farthest atom from its centre

    def check(self, particles: Particles) -> None:
        """Find input that the engine cannot work with before long work starts, for example a box that is too small.
        InputError for amplitudes of another motion. Reports that no CTF is known. `check_images` checks that the images
        exist."""
        field_A = particles.box_px * particles.pixel_size_A
        if field_A < 2 * _SEEN * self.radius_A:
            raise InputError(
                f"the box of {particles.box_px} px × {particles.pixel_size_A:g} Å = {field_A:.0f} Å does not hold the "
                f"structure, whose farthest atom is {self.radius_A:.0f} Å from its centre; check the pixel size "
                "or extract a larger box"
            )
        require_same_motion(particles, self.motion, "the alignment")
        if not particles.phase_flipped and particles.ctf is None:
            note("the particles have no CTF; their images are assumed to be free of it")

    def batches(self, particles: Particles) -> Iterator[np.ndarray]:
        """Row numbers of one batch after another."""
        step = self.batch_size(particles)
        for start in range(0, len(particles), step):
            yield np.arange(start, min(start + step, len(particles)))

    @abstractmethod
    def batch_size(self, particles: Particles, workers: int = 1) -> int:
        """Number of particles, of those given, that are aligned together by one of several workers."""

    @abstractmethod
    def calibrate(self, batch: Batch) -> L:
        """Learn from all particles of a batch."""

    @abstractmethod
    def calibration_of(self, arrays: Arrays) -> L:
        """The calibration that gave these arrays."""

    @abstractmethod
    def align_batch(self, batch: Batch, calibration: L) -> BatchResult:
        """Results of a batch's particles, in their order."""

    @abstractmethod
    def facts(self, aligned: Particles, calibration: L) -> dict[str, object]:
        """What the record of a run reports."""
