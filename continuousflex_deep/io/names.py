"""Names that are apart from each other."""

from collections.abc import Collection, Iterable


def distinct(names: Iterable[str], taken: Collection[str] = ()) -> list[str]:
    """The same names, the later ones of those that repeat, and those that are taken already, numbered."""
    found: list[str] = []
    for name in names:
        new, number = name, 2
        while new in found or new in taken:
            new, number = f"{name} ({number})", number + 1
        found.append(new)
    return found
