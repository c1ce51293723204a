"""Commands that are killed at any moment, and what then lies in the folder of their output."""

import csv
import importlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from PIL import Image

from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.nn.checkpoint import load_checkpoint
from continuousflex_deep.tests.helpers.processes import Running, ended_well

# what a command does to names of files; between any two of these calls it can be killed
STEPS = ("replace", "rename", "link", "unlink", "rmdir")
# of its own in each run: times, where it writes, and curves for TensorBoard
_OWN = {"finished", "seconds", "output", "resume", "stack_names"}
_NOT_COMPARED = ("tensorboard/",)


@dataclass
class Command:
    """A command line with an output (the value of --output), and words with which it is run again after a kill."""

    words: list[str]
    output: Path
    again: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)

    def start(self, *more: str, patched: bool = True) -> Running:
        importlib.import_module(f"continuousflex_deep.commands.{self.words[0]}")
        return Running([*self.words, "--output", str(self.output), *more], self.environ, patched)

    def run_again(self) -> None:
        ended_well(self.start(*self.again))

    def to(self, output: Path) -> "Command":
        """The same into another output."""
        return Command(self.words, output, self.again, self.environ)


@dataclass(frozen=True)
class Whole:
    """A run that was not disturbed: the files of its folder, its seconds, and its steps on names of files."""

    files: dict[str, Any]
    seconds: float
    steps: int


def run_whole(command: Command, count_in: Path) -> Whole:
    """Run a command to its end."""
    started = time.monotonic()
    with _at_each_step(partial(_counted, count_in)):
        process = command.start()
    ended_well(process)
    return Whole(content_of(command.output.parent), time.monotonic() - started, count_in.stat().st_size)


def killed_after(command: Command, seconds: float) -> None:
    """Start a command and kill it, unless it ends before."""
    process = command.start()
    time.sleep(seconds)
    process.kill()
    assert process.wait() in (0, -signal.SIGKILL), process.said()


def killed_at_step(command: Command, number: int, after: bool) -> None:
    """Start a command, which is killed right before or after a step on names of files, counted from 1."""
    made = 0

    def counting(step: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        nonlocal made
        made += 1
        if made == number and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return step(*arguments, **named)
        finally:
            if made == number:
                os.kill(os.getpid(), signal.SIGKILL)

    with _at_each_step(counting):
        process = command.start()
    assert process.wait() in (0, -signal.SIGKILL), process.said()


@contextmanager
def _at_each_step(instead: Callable[..., Any]) -> Iterator[None]:
    """In processes forked within the block, each step is made by a function that is given it and its arguments."""
    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, partial(instead, getattr(os, name)))
        yield


def _counted(file: Path, step: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    with open(file, "ab") as count:
        count.write(b".")
    return step(*arguments, **named)


def content_of(folder: Path, hidden: bool = True) -> dict[str, Any]:
    """The content of every file of a folder by its name, without times and the folder's name.

    hidden: those whose names begin with a dot, or are in such a folder, included.
    """
    names = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    if not hidden:
        names = {name: path for name, path in names.items() if not any(p.startswith(".") for p in Path(name).parts)}
    files = {name: _content(path) for name, path in names.items() if not any(part in name for part in _NOT_COMPARED)}
    here = os.fsencode(folder)
    return {name: found.replace(here, b"") if isinstance(found, bytes) else found for name, found in files.items()}


def _content(path: Path) -> Any:
    """What is in a file; raises what its reader raises if it is not whole."""
    if path.suffix == ".json":
        return _without_own(json.loads(path.read_text()))
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return [_without_own(row) for row in csv.DictReader(file, strict=True)]
    if path.suffix in (".mrc", ".mrcs"):
        with mrcfile.open(path) as mrc:  # which warns of a file that is cut off; the header has a time
            return mrc.voxel_size.tobytes() + mrc.data.tobytes()
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: array.tobytes() for name, array in arrays.items() if name not in _OWN}
    if path.suffix == ".pt":
        last = load_checkpoint(path)
        history = [{k: v for k, v in row.items() if k not in _OWN} for row in last.history]
        return history, {name: tensor.numpy().tobytes() for name, tensor in last.weights.items()}
    if path.suffix == ".star":
        read_particles(path)
    if path.suffix in (".png", ".gif"):
        Image.open(path).load()
    return path.read_bytes()


def _without_own(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _without_own(value) for name, value in content.items() if name not in _OWN}
    return [_without_own(value) for value in content] if isinstance(content, list) else content


def require_no_half_files(folder: Path) -> None:
    """Every file that has its final name is whole, whatever lies beside it that has none."""
    for path in folder.rglob("*"):
        temporary = any(part.startswith(".") or ".parts" in part for part in path.relative_to(folder).parts)
        if path.is_file() and not temporary and not any(part in str(path) for part in _NOT_COMPARED):
            _content(path)
