"""Results and notes for the user. Of the workers that a launcher started together, only the first prints them."""

import sys
from functools import lru_cache

from continuousflex_deep.launch import current_launch


def say(text: str) -> None:
    """Print a result on stdout."""
    if current_launch().speaks:
        print(text)


def note(text: str) -> None:
    """Print a note on stderr, so that it does not mix with results."""
    if current_launch().speaks:
        print(f"note: {text}", file=sys.stderr)


@lru_cache(maxsize=4096)
def note_once(text: str) -> None:
    """Print a note on stderr, the same text once only: of a file that a run reads several times."""
    note(text)
