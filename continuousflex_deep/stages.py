"""Where the time of a computation goes: named stages, timed, and their arithmetic counted, only while someone asks.

Stages nest; a stage's seconds do not include those of stages within it. On a GPU the queue is drained at each border,
so that a stage is charged for its own work; that makes the whole a little slower than it is without a clock.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class StageClock:
    """Per path of stage names, outermost first: seconds, CPU seconds of this process, arithmetic operations, calls."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self.cpu_seconds: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self.operations: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self.calls: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._path: tuple[str, ...] = ()
        self._since = (0.0, 0.0)

    def enter(self, name: str, operations: float) -> None:
        """Go into a stage."""
        self._charge()
        self._path += (name,)
        self.operations[self._path] += operations
        self.calls[self._path] += 1

    def leave(self) -> None:
        """Go back to the stage around."""
        self._charge()
        self._path = self._path[:-1]

    def _charge(self) -> None:
        """Give the time since the last border to the stage that we are in."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter(), time.process_time()
        if self._path:
            self.seconds[self._path] += now[0] - self._since[0]
            self.cpu_seconds[self._path] += now[1] - self._since[1]
        self._since = now


_clock: StageClock | None = None


@contextmanager
def stages_timed(device: torch.device) -> Iterator[StageClock]:
    """A clock that runs while the block lasts."""
    global _clock
    _clock = StageClock(device)
    try:
        yield _clock
    finally:
        _clock = None


@contextmanager
def stage(name: str, operations: float = 0.0) -> Iterator[None]:
    """This block is a stage; operations: floating-point additions and multiplications of its matrix products."""
    clock = _clock
    if clock is None:
        yield
        return
    clock.enter(name, operations)
    try:
        yield
    finally:
        clock.leave()
