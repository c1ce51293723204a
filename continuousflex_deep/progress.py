"""Progress bars with an estimate of the time left, on stderr so that they never mix with results."""

from tqdm import tqdm


def progress_bar(description: str, total: int, unit: str = "particle") -> "tqdm[None]":
    """A bar for loops that finish items in batches: call update(n); use as a context manager."""
    return tqdm(desc=description, total=total, unit=unit, mininterval=1.0, dynamic_ncols=True)
