"""Which items of a set take part."""

from typing import Any


def enabled_ids(item_set: Any) -> set[int]:
    """Ids of a set's enabled items, which are those that become particles; getIdSet would name disabled ones, too."""
    return {int(number) for number in item_set.getUniqueValues("id", where="enabled=1")}
