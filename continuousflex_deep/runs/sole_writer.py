"""A folder of results is written by one process at a time: the files of two would be a mixture.

The process holds a lock of the operating system on a file in the folder. It ends with the process, however that ends.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Protocol, TypeVar

from filelock import FileLock, Timeout

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import disk_full_explained, require_writable_folder

_LOCK, _WRITER = ".lock", ".writer"
_PATIENCE_S = 1.0  # for one that ends just now, and has removed the file


class WithOutput(Protocol):
    """Options of a command that writes a folder."""

    @property
    def output(self) -> str: ...


Options = TypeVar("Options", bound=WithOutput)


def sole_writer(run: Callable[[Options], None]) -> Callable[[Options], None]:
    """Decorator for `run` of a command whose output is a folder: see `writing_alone`."""

    @wraps(run)
    def alone(options: Options) -> None:
        with writing_alone(options.output):
            run(options)

    return alone


@contextmanager
def writing_alone(folder: str | Path) -> Iterator[None]:
    """Within the block, no other process writes into the folder. Leaves no folder in which nothing was written.

    Raises InputError while another process writes there, and DiskFullError.
    """
    place = require_writable_folder(folder)
    made = [path for path in (place, *place.parents) if not path.exists()]
    try:
        with _locked(place):
            yield
    finally:
        for path in made:
            _remove_if_empty(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The lock, with a file beside it that says whose it is."""
    lock, writer = folder / _LOCK, folder / _WRITER
    held = FileLock(lock, timeout=_PATIENCE_S)
    with disk_full_explained(lock):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire()
        except Timeout:
            raise InputError(
                f"'{folder}' is being written by {_named(writer)}; wait until it ends, stop it, or give another "
                "--output"
            ) from None
    try:
        with disk_full_explained(writer):
            writer.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:  # before the lock ends, for they are of the next one then
        writer.unlink(missing_ok=True)
        lock.unlink(missing_ok=True)
        held.release()


def _named(writer: Path) -> str:
    try:
        return writer.read_text() or "another process"
    except OSError:  # it began or ended just now
        return "another process"


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # something was written
        return
