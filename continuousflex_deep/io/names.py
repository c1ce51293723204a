"""Names of results that differ from each other."""

import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

_LONGEST_SLUG = 60  # letters; file systems allow 255 bytes


def distinct(names: Iterable[str], taken: Collection[str] = ()) -> list[str]:
    """The same names; those that repeat, or that are taken already, get a number: a, a (2)."""
    found: list[str] = []
    for name in names:
        new, number = name, 2
        while new in found or new in taken:
            new, number = f"{name} ({number})", number + 1
        found.append(new)
    return found


def telling_names(paths: Sequence[str | Path]) -> list[str]:
    """The shortest ends of paths that tell them apart: run1/model and run2/model, but maps. "." becomes the name of its
    folder, and a path that repeats gets a number."""
    parts = [Path(os.path.abspath(path)).parts for path in paths]
    names: list[str] = []
    for own in parts:
        others = [other for other in parts if other != own]
        length = next((n for n in range(1, len(own)) if all(o[-n:] != own[-n:] for o in others)), len(own))
        name = str(Path(*own[-length:]))
        again = parts[: len(names)].count(own)
        names.append(f"{name} ({again + 1})" if again else name)
    return names


def numbered_names(names: Sequence[str]) -> list[str]:
    """Names for files, from any names: 1_open, 2_in_between, and 3 where no letter of a name suits a file system."""
    slugs = (re.sub(r"[^\w-]+", "_", name, flags=re.ASCII).strip("_")[:_LONGEST_SLUG] for name in names)
    return [f"{number}_{slug}" if slug else str(number) for number, slug in enumerate(slugs, start=1)]
