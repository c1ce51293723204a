"""Alignment of a set of particles: a calibration from some of them, then batch after batch by whichever workers.

The batches are independent of each other and of the workers. The result is therefore the same for any number of
workers, whichever of them dies, and however often the run is killed and restarted.
"""

from typing import Generic

import numpy as np

from continuousflex_deep.arrays import Rows
from continuousflex_deep.hemnma.engines.base import Engine
from continuousflex_deep.hemnma.learned import L
from continuousflex_deep.hemnma.results import BatchResult, merged_results
from continuousflex_deep.io.stacks import check_images
from continuousflex_deep.messages import note
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.runs.left_out import ImageScreen, LeftOut, calibration_rows
from continuousflex_deep.runs.part_rows import concatenated_parts, joined_parts, part_of_rows, part_without
from continuousflex_deep.runs.parts import Arrays, MemoryParts, Parts
from continuousflex_deep.runs.smaller_batches import Halving
from continuousflex_deep.runs.stage import Stage, pieces_of
from continuousflex_deep.runs.workers import ALONE, Workers

_CALIBRATION = "calibration"


def align(engine: Engine[L], particles: Particles, store: Parts | None = None) -> Particles:
    """Align particles: the same particles with euler_deg, shift_A, amplitudes and scores (and error bars if the engine
    gives them). Particles whose image cannot be used (constant, not finite, unreadable) are left out and reported on
    stderr.

    With a store, finished batches are kept there and not repeated.
    Raises InputError for particles that cannot be aligned: missing stacks, no poses for a local start, no usable image.
    """
    check_images(particles)
    engine.check(particles)
    aligned, left_out = Alignment(engine, particles, store).run()
    for line in left_out.lines(most=20):
        note(f"left out: {line}")
    return aligned


def calibration_for(engine: Engine[L], particles: Particles) -> L:
    """What an engine learns from the particles, using those with usable images."""
    return calibrated(engine, particles)[0]


class Alignment(Generic[L]):
    """The alignment of a set of particles by an engine, with its parts in a store, computed by workers."""

    def __init__(
        self, engine: Engine[L], particles: Particles, store: Parts | None = None, workers: Workers = ALONE
    ) -> None:
        self.engine, self.particles, self._workers = engine, particles, workers
        self.store: Parts = MemoryParts() if store is None else store
        self._given: Arrays | None = None  # a calibration that is not learned here

    def run(self) -> tuple[Particles, LeftOut]:
        """The aligned particles, and those left out because their images cannot be used."""
        while True:
            self.complete()
            if (found := self.result()) is not None:
                return found

    def complete(self) -> None:
        """Have the parts computed that do not exist."""
        learned = self._kept()
        aligning = Aligning(self.engine, self.particles, learned)
        pieces = pieces_of(len(self.particles), self.batch_size(), "part")
        self._workers.complete(Stage(aligning, pieces, "aligning", part_without), self.store)

    def calibration(self) -> tuple[L, ImageScreen]:
        """The calibration that the parts were made with."""
        return self.engine.calibration_of(self._kept()), ImageScreen(*map(float, self._kept()["image_range"]))

    def begin_with(self, calibration: L, earlier: "Alignment[L]") -> None:
        """Begin with a calibration instead of learning one, and with the batch size and the limits for usable images of
        an earlier alignment of these particles."""
        kept = {name: earlier._kept()[name] for name in ("image_range", "batch_size")}
        self._given = calibration.arrays() | kept

    def batch_size(self) -> int:
        """The size of the batches, that of the worker that calibrated."""
        return int(self._kept()["batch_size"])

    def result(self) -> tuple[Particles, LeftOut] | None:
        """The aligned particles and those left out, from all parts; None if a part turns out to be damaged and must be
        computed again."""
        parts = []
        for name in pieces_of(len(self.particles), self.batch_size(), "part"):
            if (part := self.store.load(name)) is None:
                return None
            parts.append(part)
        return self._merged(parts)

    def _merged(self, parts: list[Arrays]) -> tuple[Particles, LeftOut]:
        rows, arrays, left_out = joined_parts(self.particles, parts)
        good = self.particles if len(rows) == len(self.particles) else self.particles.select(rows)
        good = good.replace(phase_flipped=self.calibration()[0].phase_flipped)
        engine, found = self.engine, [BatchResult(**arrays)]
        return merged_results(good, engine.mode_ids, engine.motion, found, engine.options.fit), left_out

    def _kept(self) -> Arrays:
        """The calibration and the batch size, by whichever worker, on whichever device."""
        while (kept := self.store.load(_CALIBRATION)) is None:
            if self._given is not None:
                self.store.save(_CALIBRATION, self._given)
                continue
            learning = Calibrating(self.engine, self.particles, self._workers.count())
            self._workers.complete(Stage(learning, {_CALIBRATION: range(0)}), self.store)
        return kept


class Calibrating(Generic[L]):
    """Learns, for all batches, what they are aligned with: the work of a stage of one piece without rows."""

    def __init__(self, engine: Engine[L], particles: Particles, workers: int) -> None:
        self._made_from = engine, particles.bare(), workers

    def __call__(self, rows: Rows) -> Arrays:
        engine, particles, workers = self._made_from
        calibration, screen = calibrated(engine, particles)
        of_images = {"image_range": np.array([screen.lowest, screen.highest])}
        return calibration.arrays() | of_images | {"batch_size": np.array(engine.batch_size(particles, workers))}


class Aligning(Generic[L]):
    """Aligns batches with what was learned."""

    def __init__(self, engine: Engine[L], particles: Particles, learned: Arrays) -> None:
        self._made_from = engine, particles.bare(), learned
        self._engine, self._particles = self._made_from[:2]
        self._calibration = engine.calibration_of(learned)
        self._screen = ImageScreen(*map(float, learned["image_range"]))
        self._halving = Halving("aligning")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self._made_from

    def __call__(self, rows: Rows) -> Arrays:
        """The part of some rows: results of those with usable images, and for the others the reason why not."""
        return concatenated_parts(self._halving.pieces(self._aligned, rows))

    def _aligned(self, rows: Rows) -> Arrays:
        batch, bad, reasons = self._screen.read(self._particles, rows)
        arrays = part_of_rows(batch.rows, bad, reasons)
        return arrays | self._engine.align_batch(batch, self._calibration).arrays() if len(batch) else arrays


def calibrated(engine: Engine[L], particles: Particles) -> tuple[L, ImageScreen]:
    """A calibration from usable images, evenly spread over the set, and the limits for usable images."""
    rows, screen = calibration_rows(particles, engine.options.calibration_particles)
    learn = lambda some: engine.calibrate(Batch.read(particles, some))  # noqa: E731
    return Halving("calibrating with").subset(learn, rows), screen
