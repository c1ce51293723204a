"""Progress bars with an estimate of the time left, on stderr so that they never mix with results."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], description: str, total: int | None = None, unit: str = "it") -> Iterator[T]:
    """Iterate over `items` while showing how far it is, at most once a second; plain lines when stderr is a file."""
    yield from tqdm(items, desc=description, total=total, unit=unit, mininterval=1.0, dynamic_ncols=True)


def progress_bar(description: str, total: int, unit: str = "particle") -> "tqdm[None]":
    """A bar for loops that finish items in batches: call update(n); use as a context manager."""
    return tqdm(desc=description, total=total, unit=unit, mininterval=1.0, dynamic_ncols=True)
