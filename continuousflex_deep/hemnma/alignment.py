"""Alignment of a set of particles batch by batch, by this process or by many workers that share a folder of parts.

The batches are independent of the workers, and each worker takes the next free one. The result is therefore the same
for any number of workers, whichever of them dies, and however often the run is killed and restarted.
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
from continuousflex_deep.runs.parts import Arrays, MemoryParts, Parts
from continuousflex_deep.runs.pieces import concatenated_parts, joined_parts, part_of_rows, pieces_to_do
from continuousflex_deep.runs.smaller_batches import Halving

_CALIBRATION = "calibration"


def align(engine: Engine[L], particles: Particles, store: Parts | None = None) -> Particles:
    """Align particles: the same particles with euler_deg, shift_A, amplitudes and scores (and error bars if the engine
    gives them). Particles whose image cannot be used (constant, not finite, unreadable) are left out and reported on
    stderr.

    With a store, finished batches are kept there and not repeated, and other processes may work on the same store.
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
    """The alignment of a set of particles by an engine, with its parts in a store."""

    def __init__(self, engine: Engine[L], particles: Particles, store: Parts | None = None) -> None:
        self.engine, self.particles = engine, particles
        self.store: Parts = MemoryParts() if store is None else store
        self._halving = Halving("aligning")
        self._given: Arrays | None = None  # a calibration that is not learned here

    def run(self) -> tuple[Particles, LeftOut]:
        """The aligned particles, and those left out because their images cannot be used."""
        while True:
            self.complete()
            if (found := self.result()) is not None:
                return found

    def complete(self) -> None:
        """Compute the parts that no other worker computes, until all parts exist."""
        self._calibrated()
        batches = self._batches()
        if set(batches) <= self.store.finished():
            return
        calibration, screen = self.calibration()
        for name in pieces_to_do(self.store, {name: len(rows) for name, rows in batches.items()}, "aligning"):
            self.store.save(name, self._align(batches[name], calibration, screen))

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
        for name in [_CALIBRATION, *self._batches()]:
            part = self.store.load(name)
            if part is None:
                return None
            parts.append(part)
        return self._merged(parts[1:])

    def _merged(self, parts: list[Arrays]) -> tuple[Particles, LeftOut]:
        rows, arrays, left_out = joined_parts(self.particles, parts)
        good = self.particles if len(rows) == len(self.particles) else self.particles.select(rows)
        good = good.replace(phase_flipped=self.calibration()[0].phase_flipped)
        engine, found = self.engine, [BatchResult(**arrays)]
        return merged_results(good, engine.mode_ids, engine.motion, found, engine.options.fit), left_out

    def _batches(self) -> dict[str, Rows]:
        """The rows of each batch by the name of its part. The batch size is that of the worker that calibrated, so that
        workers on other devices use the same batches."""
        batches = self.engine.batches(self.particles, self.batch_size())
        return {f"part-{rows[0]:08d}-{len(rows)}": rows for rows in batches}

    def _kept(self) -> Arrays:
        while (kept := self.store.load(_CALIBRATION)) is None:  # damaged
            self._calibrated()
        return kept

    def _calibrated(self) -> None:
        """Calibrate, unless the calibration exists."""
        for _ in pieces_to_do(self.store, {_CALIBRATION: 0}):
            if self._given is not None:
                self.store.save(_CALIBRATION, self._given)
                continue
            calibration, screen = calibrated(self.engine, self.particles)
            of_images = {"image_range": np.array([screen.lowest, screen.highest])}
            size = {"batch_size": np.array(self.engine.batch_size(self.particles))}
            self.store.save(_CALIBRATION, calibration.arrays() | of_images | size)

    def _align(self, rows: Rows, calibration: L, screen: ImageScreen) -> Arrays:
        """The part for some rows: results of those with usable images, and for the others the reason why not."""

        def part_of(piece: Rows) -> Arrays:
            batch, bad, reasons = screen.read(self.particles, piece)
            arrays = part_of_rows(batch.rows, bad, reasons)
            return arrays | self.engine.align_batch(batch, calibration).arrays() if len(batch) else arrays

        return concatenated_parts(self._halving.pieces(part_of, rows))


def calibrated(engine: Engine[L], particles: Particles) -> tuple[L, ImageScreen]:
    """A calibration from usable images, evenly spread over the set, and the limits for usable images."""
    rows, screen = calibration_rows(particles, engine.options.calibration_particles)
    learn = lambda some: engine.calibrate(Batch.read(particles, some))  # noqa: E731
    return Halving("calibrating with").subset(learn, rows), screen
