"""Progress bars with the remaining time, on stderr so that they do not mix with results. Of the workers that a launcher
started together, only the first shows them."""

from tqdm import tqdm

from continuousflex_deep.launch import current_launch


def progress_bar(description: str, total: int, unit: str = "particle", initial: int = 0) -> "tqdm[None]":
    """A bar for loops over batches of items, used as a context manager: call update(n) for n finished items.

    initial: items that were finished earlier, which the remaining time does not take into account.
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
