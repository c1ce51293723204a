"""Cheap works for tests of who computes a stage: what is done with rows, and what goes wrong."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Rows
from continuousflex_deep.errors import InputError
from continuousflex_deep.messages import note
from continuousflex_deep.runs.attempts import GivenUpError
from continuousflex_deep.runs.part_rows import concatenated_parts, part_of_rows
from continuousflex_deep.runs.parts import Arrays
from continuousflex_deep.runs.smaller_batches import Halving


@dataclass
class Squares:
    """Of the rows, by processes that say which they are."""

    def __call__(self, rows: Rows) -> Arrays:
        nothing = rows[:0], np.zeros(0, "U1")
        return part_of_rows(rows, *nothing) | {"squares": rows**2, "process": np.full(len(rows), os.getpid())}


@dataclass
class DeadlySquares(Squares):
    """Kills its process, as kill -9 does, at one row; at the first of so many times, which a folder remembers."""

    row: int
    times: int
    folder: Path

    def __call__(self, rows: Rows) -> Arrays:
        died = len(list(self.folder.iterdir()))
        if self.row in rows and died < self.times:
            (self.folder / str(died)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(rows)


@dataclass
class WrongSquares(Squares):
    """Refuses one row."""

    row: int

    def __call__(self, rows: Rows) -> Arrays:
        if self.row in rows:
            raise InputError(f"row {self.row} is wrong; leave it out")
        return super().__call__(rows)


@dataclass
class GivenUpSquares(Squares):
    """Is not tried at one row, as if it had killed enough processes."""

    row: int

    def __call__(self, rows: Rows) -> Arrays:
        if self.row in rows:
            raise GivenUpError
        return super().__call__(rows)


class SquaresOfFew(Squares):
    """Has memory for so many rows, and halves what is more."""

    def __init__(self, most: int) -> None:
        self.most, self._halving = most, Halving("squaring")

    def __call__(self, rows: Rows) -> Arrays:
        return concatenated_parts(self._halving.pieces(self._few, rows))

    def _few(self, rows: Rows) -> Arrays:
        if len(rows) > self.most:
            raise MemoryError("too many")
        return super().__call__(rows)


@dataclass
class NotedSquares(Squares):
    """Tells the user."""

    def __call__(self, rows: Rows) -> Arrays:
        note("these are squares")
        return super().__call__(rows)
