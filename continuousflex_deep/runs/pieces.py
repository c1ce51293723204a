"""Pieces of work that several workers share, and the parts that come out of them."""

import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Rows
from continuousflex_deep.particles import Particles
from continuousflex_deep.progress import note, progress_bar
from continuousflex_deep.runs.left_out import LeftOut, no_usable_image
from continuousflex_deep.runs.parts import Arrays, Parts

# of a part, beside the results: rows that have them, rows that have none, and why
_OF_ROWS = ("rows", "bad_rows", "bad_reasons")
_POLL_S, _SAID_AFTER_S = (0.05, 2.0), 3.0


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
