"""The align command on the toy molecule, as processes: for tests of workers that share a run."""

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from continuousflex_deep import cli
from continuousflex_deep.io.modes import write_modes
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.structures import write_structure
from continuousflex_deep.particles import Particles, concatenate
from continuousflex_deep.tests.helpers.engine_data import toy_modes, toy_particles, toy_structure

COUNT, BATCH = 24, 2
# quick: one hypothesis from the pose that the particle file gives
_QUICK = ["--init", "local", "--local-step-deg", "0", "--calibration-particles", "8", "--threads", "1"]


def repeated(particles: Particles, times: int) -> Particles:
    """Many particles of few images, each with an id of its own."""
    return concatenate([particles.replace(ids=particles.ids + 10_000 * i) for i in range(times)])


class ToyRun:
    """The files of a toy alignment in a folder, and its command line."""

    def __init__(self, folder: Path, times: int = 1) -> None:
        self.folder = folder
        structure = toy_structure()
        write_structure(folder / "toy.pdb", structure)
        write_modes(folder / "modes", toy_modes(structure))
        self.particles = repeated(toy_particles(folder, count=COUNT), times)
        write_particles(self.particles, folder / "in.star")

    def arguments(self, output: str = "out.star", *more: str) -> list[str]:
        """Of the command, after the program."""
        files = {"particles": "in.star", "structure": "toy.pdb", "modes": "modes", "output": output}
        named = [word for name, file in files.items() for word in (f"--{name}", str(self.folder / file))]
        return ["align", *named, "--mode-list", "7-8", "--batch", str(BATCH), "--device", "cpu", *_QUICK, *more]

    def start(self, output: str = "out.star", *more: str, **environ: str) -> "Running":
        """The command as a process, in an environment with further variables."""
        return Running(self.arguments(output, *more), environ)

    def parts(self, output: str = "out.star") -> list[Path]:
        """The finished parts of a run."""
        return list((self.folder / output).with_suffix(".parts").glob("part-*.npz"))


class Running:
    """A command as a process of its own, forked from the tests' so that it need not import everything again."""

    def __init__(self, arguments: list[str], environ: dict[str, str]) -> None:
        self._log = tempfile.NamedTemporaryFile()  # noqa: SIM115
        arguments_of_run = (arguments, environ, self._log.fileno())
        self._process = multiprocessing.get_context("fork").Process(target=_run, args=arguments_of_run)
        self._process.start()
        self.pid: int = self._process.pid or 0

    def kill(self) -> None:
        """Kill it, as kill -9 does."""
        self._process.kill()

    def wait(self, seconds: float = 120) -> int:
        """Its exit status; minus the signal's number when it was killed."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, "it did not end in time"
        return self._process.exitcode

    def said(self) -> str:
        """What it has written to stderr."""
        return Path(self._log.name).read_text()


def _run(arguments: list[str], environ: dict[str, str], log: int) -> None:
    os.dup2(log, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    os.environ.update(environ)
    sys.exit(cli.main(arguments))


def ended_well(*processes: Running) -> list[str]:
    """What the processes said on stderr, all having ended with status 0."""
    statuses = [process.wait() for process in processes]
    said = [process.said() for process in processes]
    assert statuses == [0] * len(processes), said
    return said


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until a condition holds; an assertion fails when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)
