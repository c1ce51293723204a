"""The enabled items of a set."""

from typing import Any


def enabled_ids(item_set: Any) -> set[int]:
    """Ids of a set's enabled items, which become particles; getIdSet would include disabled items."""
    return {int(number) for number in item_set.getUniqueValues("id", where="enabled=1")}
