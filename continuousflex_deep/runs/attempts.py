"""Marks of those who work on a piece: a process that dies leaves its mark behind, so that nobody tries for ever.

Dask notices that a worker has died, but not on which of its tasks it was at work.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from continuousflex_deep.io.files import disk_full_explained

_MARK = ".begun-"
MOST = 3  # the first time, and twice on another worker


class GivenUpError(Exception):
    """So many processes have died at a piece that no other one tries."""


@contextmanager
def attempt(folder: Path, piece: str) -> Iterator[None]:
    """Within the block, a mark in the folder says that this process is at work on a piece.

    Raises GivenUpError where as many died as are to try.
    """
    mark = _marked(folder, piece)
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def _marked(folder: Path, piece: str) -> Path:
    for number in range(MOST):
        mark = folder / f"{piece}{_MARK}{number}"
        try:
            with disk_full_explained(mark), open(mark, "x"):
                return mark
        except FileExistsError:
            continue
    raise GivenUpError(piece)


def forget_attempts(folder: Path) -> None:
    """Remove the marks that an earlier run left, which may have been killed as a whole."""
    for path in folder.iterdir():
        if _MARK in path.name:
            path.unlink(missing_ok=True)
