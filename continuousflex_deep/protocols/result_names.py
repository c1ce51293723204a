"""What results are called in files and pictures: as users called them, or the runs that made them."""

import re
from collections.abc import Iterable
from typing import Any

from continuousflex_deep.io.names import distinct

_UNWANTED = re.compile(r"[^\w .()-]+")


def result_names(pointers: Iterable[Any]) -> list[str]:
    """A name that a file may have for what each pointer names: the result's own label, as of a named group, otherwise
    the label of the run that made it; those that repeat are numbered."""
    return distinct([result_name(pointer) for pointer in pointers])


def result_name(pointer: Any) -> str:
    """See result_names; two pointers may get the same name."""
    run, result = pointer.getObjValue(), pointer.get()
    label = result.getObjLabel() or (run.getRunName() if hasattr(run, "getRunName") else "")
    return _UNWANTED.sub("_", label).strip(" .") or "result"
