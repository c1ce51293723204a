"""Commands as processes of their own, and waiting for what they do."""

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess

from continuousflex_deep import cli

_PRELOADED = [f"continuousflex_deep.commands.{name}" for name in ("align", "infer", "train")]
HANG_S = 300  # what takes longer hangs, on the busiest of machines


class Running:
    """A command as a process of its own, forked from one that has imported everything and has a single thread. The
    tests' own process may have threads, such as those of a Dask client, whose locks a fork of it would inherit.

    patched: fork the tests' process all the same, with what the test has changed in it; for commands without workers.
    """

    def __init__(self, arguments: list[str], environ: dict[str, str], patched: bool = False) -> None:
        self._log = tempfile.NamedTemporaryFile()  # noqa: SIM115
        arguments_of_run = (arguments, os.environ | environ, self._log.name)
        self._process: BaseProcess
        if patched:
            self._process = multiprocessing.get_context("fork").Process(target=_run, args=arguments_of_run)
        else:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(_PRELOADED)
            self._process = context.Process(target=_run, args=arguments_of_run)
        self._process.start()
        self.pid: int = self._process.pid or 0

    def kill(self) -> None:
        """Kill it, as kill -9 does."""
        self._process.kill()

    def wait(self, seconds: float = HANG_S) -> int:
        """Its exit status; minus the signal's number when it was killed."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, "it did not end in time"
        return self._process.exitcode

    def said(self) -> str:
        """What it has written to stderr."""
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode()


def _run(arguments: list[str], environ: dict[str, str], log: str) -> None:
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    os.environ.clear()
    os.environ.update(environ)
    sys.exit(cli.main(arguments))


def ended_well(*processes: Running) -> list[str]:
    """What the processes said on stderr, all having ended with status 0."""
    statuses = [process.wait() for process in processes]
    said = [process.said() for process in processes]
    assert statuses == [0] * len(processes), said
    return said


def until(condition: Callable[[], object], seconds: float = HANG_S, every_s: float = 0.005) -> None:
    """Wait until a condition holds; an assertion fails when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(every_s)
