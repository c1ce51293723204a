"""A set of particles aligned batch by batch, by this process or by many workers that share a folder of parts.

The batches do not depend on the workers, and each worker takes the next one that nobody has: so the result is the same
however many there are, whichever dies, and however often the run is killed and started again.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Generic

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.hemnma.learned import L
from continuousflex_deep.hemnma.memory import Halving
from continuousflex_deep.hemnma.parts import Arrays, MemoryParts, Parts
from continuousflex_deep.hemnma.results import BatchResult, concatenated, merged_results
from continuousflex_deep.hemnma.screen import ImageScreen, LeftOut, calibration_rows, no_usable_image
from continuousflex_deep.particles import Particles
from continuousflex_deep.progress import note, progress_bar

if TYPE_CHECKING:
    from continuousflex_deep.hemnma.engine import Engine

Rows = NDArray[np.int64]
_CALIBRATION = "calibration"
# of a part, beside the results: rows that have them, rows that have none, and why
_OF_ROWS = ("rows", "bad_rows", "bad_reasons")
_POLL_S, _SAID_AFTER_S = (0.05, 2.0), 3.0


class Alignment(Generic[L]):
    """The alignment of some particles by an engine, its parts kept in a store."""

    def __init__(self, engine: "Engine[L]", particles: Particles, store: Parts | None = None) -> None:
        self.engine, self.particles = engine, particles
        self.store: Parts = MemoryParts() if store is None else store
        self._halving = Halving("aligning")

    def run(self) -> tuple[Particles, LeftOut]:
        """The aligned particles, and those left out because their images cannot be used."""
        while True:
            self.complete()
            if (found := self.result()) is not None:
                return found

    def complete(self) -> None:
        """Do what nobody else does until all parts are there."""
        do_pieces(self.store, {_CALIBRATION: self._calibrate})
        batches = self._batches()
        if set(batches) <= self.store.finished():
            return
        calibration, screen = self.calibration()
        work = {name: lambda rows=rows: self._align(rows, calibration, screen) for name, rows in batches.items()}
        sizes = {name: len(rows) for name, rows in batches.items()}
        do_pieces(self.store, work, sizes, "aligning")

    def calibration(self) -> tuple[L, ImageScreen]:
        """What the parts were made with."""
        return self.engine.calibration_of(self._kept()), ImageScreen(*map(float, self._kept()["image_range"]))

    def result(self) -> tuple[Particles, LeftOut] | None:
        """The aligned particles, and those left out, from all parts; None when a part turns out damaged, and is to be
        done again."""
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
        return merged_results(good, self.engine.mode_ids, [BatchResult(**arrays)], self.engine.options.fit), left_out

    def _batches(self) -> dict[str, Rows]:
        """The rows of each batch by the name of its part. Their size is that of whoever calibrated, so that workers on
        other devices take the same ones."""
        batches = self.engine.batches(self.particles, int(self._kept()["batch_size"]))
        return {f"part-{rows[0]:08d}-{len(rows)}": rows for rows in batches}

    def _kept(self) -> Arrays:
        while (kept := self.store.load(_CALIBRATION)) is None:  # damaged
            do_pieces(self.store, {_CALIBRATION: self._calibrate})
        return kept

    def _calibrate(self) -> Arrays:
        calibration, screen = calibrated(self.engine, self.particles)
        of_images = {"image_range": np.array([screen.lowest, screen.highest])}
        return calibration.arrays() | of_images | {"batch_size": np.array(self.engine.batch_size())}

    def _align(self, rows: Rows, calibration: L, screen: ImageScreen) -> Arrays:
        align = lambda piece: self.engine.align_batch(self.particles, piece, calibration)  # noqa: E731
        return screened(screen, self.particles, rows, lambda r: concatenated(self._halving.pieces(align, r)).arrays())


def screened(
    screen: ImageScreen, particles: Particles, rows: Rows, compute: Callable[[Rows], Mapping[str, np.ndarray]]
) -> Arrays:
    """A part: what `compute` gives for those of some rows whose images can be used, and why not for the others."""
    good, bad, reasons = screen.usable(particles, rows)
    arrays = part_of_rows(good, bad, reasons)
    return arrays | dict(compute(good)) if len(good) else arrays


def part_of_rows(rows: Rows, bad_rows: Rows, bad_reasons: NDArray[np.str_]) -> Arrays:
    """What a part tells besides the results: the rows that have them, and why others have none."""
    return dict(zip(_OF_ROWS, (rows, bad_rows, bad_reasons), strict=True))


def joined_parts(particles: Particles, parts: list[Arrays]) -> tuple[Rows, Arrays, LeftOut]:
    """Rows that have results, the results as arrays, and the particles that have none, from all parts. InputError where
    there is no result at all."""
    rows, bad, reasons = (np.concatenate([part[key] for part in parts]) for key in _OF_ROWS)
    left_out = LeftOut(particles.select(bad), reasons)
    if not len(rows):
        raise no_usable_image(reasons)
    whole = [part for part in parts if len(part["rows"])]
    return rows, {k: np.concatenate([part[k] for part in whole]) for k in whole[0] if k not in _OF_ROWS}, left_out


def calibrated(engine: "Engine[L]", particles: Particles) -> tuple[L, ImageScreen]:
    """A calibration from usable images, evenly spread over the set, and what these are like."""
    rows, screen = calibration_rows(particles, engine.options.calibration_particles)
    learn = lambda chosen: engine.calibrate(particles.select(chosen))  # noqa: E731
    return Halving("calibrating with").subset(learn, rows), screen


def do_pieces(
    store: Parts,
    work: Mapping[str, Callable[[], Arrays]],
    sizes: Mapping[str, int] | None = None,
    description: str = "",
) -> None:
    """Do pieces of work, by name, that nobody else does, until all are kept in the store.

    With their sizes in particles and a description, shows a bar with the progress of all workers.
    """
    counted = sizes or {}
    progress = lambda finished: sum(counted[name] for name in counted.keys() & finished)  # noqa: E731
    finished, patience = store.finished(), Patience(store)
    if work.keys() <= finished:
        return
    if not sizes:
        _until_all_are_done(store, work, patience, lambda finished: None)
        return
    with progress_bar(description, sum(sizes.values()), initial=progress(finished)) as bar:
        _until_all_are_done(store, work, patience, lambda finished: bar.update(progress(finished) - bar.n))


def _until_all_are_done(
    store: Parts,
    work: Mapping[str, Callable[[], Arrays]],
    patience: "Patience",
    show: Callable[[set[str]], object],
) -> None:
    while True:
        finished = store.finished()
        show(finished)
        todo = [name for name in work if name not in finished]
        if not todo:
            return
        with store.claimed(todo) as name:
            if name is not None:
                store.save(name, work[name]())
        if name is None:
            patience.wait()
        else:
            patience = Patience(store)


class Patience:
    """Waiting for other workers, first for short and then for longer times; after a while the user is told for whom."""

    def __init__(self, store: Parts) -> None:
        self._store, self._since, self._pause_s, self._said = store, time.monotonic(), _POLL_S[0], False

    def wait(self) -> None:
        if not self._said and time.monotonic() - self._since > _SAID_AFTER_S:
            note(f"waiting for {', '.join(self._store.holders()) or 'another worker'}")
            self._said = True
        time.sleep(self._pause_s)
        self._pause_s = min(1.5 * self._pause_s, _POLL_S[1])
