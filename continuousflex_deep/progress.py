"""Progress bars with an estimate of the time left, on stderr so that they never mix with results.

Of the workers that a launcher started together, the first shows the bar of the whole run.
"""

from tqdm import tqdm

from continuousflex_deep.launch import current_launch


def progress_bar(description: str, total: int, unit: str = "particle", initial: int = 0) -> "tqdm[None]":
    """A bar for loops that finish items in batches: call update(n); use as a context manager.

    initial: items that were finished before, which the estimate of the time left does not count.
    """
    return tqdm(
        desc=description,
        total=total,
        unit=unit,
        initial=initial,
        mininterval=1.0,
        dynamic_ncols=True,
        disable=not current_launch().speaks,
    )
