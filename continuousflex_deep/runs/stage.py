"""Batches in, finished parts out: one stage of a run over many particles, whoever computes it.

A stage is cut into pieces of consecutive rows. What is done with each is a `Work`, which gives the arrays of its part;
`Workers` have all of them done (runs/workers.py). The pieces do not depend on the workers, so that the result is the
same for any number of them, whichever of them dies, and however often the run is killed and restarted.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from continuousflex_deep.arrays import Rows
from continuousflex_deep.progress import progress_bar
from continuousflex_deep.runs.parts import Arrays, Parts


class Work(Protocol):
    """What is done with a piece. It is pickled, once for all pieces, where other processes do it: it travels as what
    it was made from, not as tensors of a device."""

    def __call__(self, rows: Rows) -> Arrays:
        """The part of some rows (k,)."""


@dataclass(frozen=True)
class Stage:
    """pieces: rows of each by the name of its part; description: of a progress bar, '' for none; without: the part of
    rows whose processes died, by the rows and the reason; None where the run cannot do without them."""

    work: Work
    pieces: Mapping[str, range]
    description: str = ""
    without: Callable[[Rows, str], Arrays] | None = None

    def do(self, name: str) -> Arrays:
        """The part of a piece."""
        return self.work(self.rows(name))

    def rows(self, name: str) -> Rows:
        """The rows (k,) of a piece."""
        return np.arange(self.pieces[name].start, self.pieces[name].stop)

    def missing(self, store: Parts) -> list[str]:
        """Names of the pieces that have no part yet, in their order."""
        finished = store.finished()
        return [name for name in self.pieces if name not in finished]

    @contextmanager
    def progress(self, missing: list[str]) -> Iterator[Callable[[str], None]]:
        """A function to call for each of the missing pieces that is finished."""
        if not self.description:
            yield lambda name: None
            return
        sizes = {name: len(rows) for name, rows in self.pieces.items()}
        todo = sum(sizes[name] for name in missing)
        with progress_bar(self.description, sum(sizes.values()), initial=sum(sizes.values()) - todo) as bar:
            yield lambda name: bar.update(sizes[name])


def pieces_of(count: int, size: int, name: str) -> dict[str, range]:
    """Pieces of so many of `count` rows, by names that begin with a name."""
    ranges = (range(start, min(start + size, count)) for start in range(0, count, size))
    return {f"{name}-{rows.start:08d}-{len(rows)}": rows for rows in ranges}
