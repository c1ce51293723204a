"""Results and notes for the user, each printed once for all the workers of a run.

Of the workers that a launcher started together, the first prints what concerns the whole run.
"""

import sys

from continuousflex_deep.launch import current_launch


def say(text: str) -> None:
    """Print a result on stdout."""
    if current_launch().speaks:
        print(text)


def note(text: str) -> None:
    """Print a note on stderr, so that it does not mix with results."""
    if current_launch().speaks:
        print(f"note: {text}", file=sys.stderr)
