"""Pieces of work that several workers share, and the parts that result from them."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Rows
from continuousflex_deep.messages import note
from continuousflex_deep.particles import Particles
from continuousflex_deep.progress import progress_bar
from continuousflex_deep.runs.left_out import LeftOut, no_usable_image
from continuousflex_deep.runs.parts import Arrays, Parts

# in a part, besides the results: rows that have results, rows that have none, and the reasons
_OF_ROWS = ("rows", "bad_rows", "bad_reasons")
_POLL_S, _SAID_AFTER_S = (0.05, 2.0), 3.0


def part_of_rows(rows: Rows, bad_rows: Rows, bad_reasons: NDArray[np.str_]) -> Arrays:
    """What a part contains besides the results: the rows that have results, the rows that have none, and the
    reasons."""
    return dict(zip(_OF_ROWS, (rows, bad_rows, bad_reasons), strict=True))


def concatenated_parts(parts: list[Arrays]) -> Arrays:
    """Consecutive parts as one: rows and reasons of all, results of those that have some."""
    of_rows = {key: np.concatenate([part[key] for part in parts]) for key in _OF_ROWS}
    whole = [part for part in parts if len(part["rows"])]
    results = [key for key in (whole[0] if whole else ()) if key not in _OF_ROWS]
    return of_rows | {key: np.concatenate([part[key] for part in whole]) for key in results}


def joined_parts(particles: Particles, parts: list[Arrays]) -> tuple[Rows, Arrays, LeftOut]:
    """From all parts: the rows that have results, the results as arrays, and the particles that have none. InputError
    if no particle has a result."""
    arrays = concatenated_parts(parts)
    rows, bad, reasons = (arrays.pop(key) for key in _OF_ROWS)
    if not len(rows):
        raise no_usable_image(reasons)
    return rows, arrays, LeftOut(particles.select(bad), reasons)


def pieces_to_do(store: Parts, sizes: Mapping[str, int], description: str = "") -> Iterator[str]:
    """Names of the pieces that this worker is to do, one after another, until all pieces are saved in the store.

    A piece is claimed while the caller works on it; the caller saves it before asking for the next one. sizes: number
    of particles of each piece. With a description, a bar shows the progress of all workers.
    """
    if sizes.keys() <= store.finished():
        return
    with _progress(sizes, store.finished(), description) as show:
        patience = Patience(store)
        while True:
            finished = store.finished()
            show(finished)
            todo = [name for name in sizes if name not in finished]
            if not todo:
                return
            with store.claimed(todo) as name:
                if name is not None:
                    yield name
            if name is None:
                patience.wait()
            else:
                patience = Patience(store)


@contextmanager
def _progress(sizes: Mapping[str, int], finished: set[str], description: str) -> Iterator[Callable[[set[str]], None]]:
    """A function that shows the number of particles in the finished pieces; without a description it does nothing."""
    if not description:
        yield lambda names: None
        return

    def done(names: set[str]) -> int:
        return sum(sizes[name] for name in sizes.keys() & names)

    def show(names: set[str]) -> None:
        bar.update(done(names) - bar.n)

    with progress_bar(description, sum(sizes.values()), initial=done(finished)) as bar:
        yield show


class Patience:
    """Waiting for other workers, first for short and then for longer times. After a few seconds it reports for whom."""

    def __init__(self, store: Parts) -> None:
        self._store, self._since, self._pause_s, self._said = store, time.monotonic(), _POLL_S[0], False

    def wait(self) -> None:
        if not self._said and time.monotonic() - self._since > _SAID_AFTER_S:
            note(f"waiting for {', '.join(self._store.holders()) or 'another worker'}")
            self._said = True
        time.sleep(self._pause_s)
        self._pause_s = min(1.5 * self._pause_s, _POLL_S[1])
