"""Results and notes for the user. Of the workers that a launcher started together, only the first prints them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from continuousflex_deep.launch import current_launch

_HEARERS: list[Callable[[str], None]] = []


def say(text: str) -> None:
    """Print a result on stdout."""
    if current_launch().speaks:
        print(text)


def note(text: str) -> None:
    """Print a note on stderr, so that it does not mix with results; or tell it to whom `heard_by` names."""
    if _HEARERS:
        _HEARERS[-1](text)
    elif current_launch().speaks:
        print(f"note: {text}", file=sys.stderr)


@contextmanager
def heard_by(hear: Callable[[str], None]) -> Iterator[None]:
    """Within the block, notes are given to a function: in a worker process, whose user is elsewhere."""
    _HEARERS.append(hear)
    try:
        yield
    finally:
        _HEARERS.pop()


@lru_cache(maxsize=4096)
def note_once(text: str) -> None:
    """Print a note on stderr, the same text once only: of a file that a run reads several times."""
    note(text)
