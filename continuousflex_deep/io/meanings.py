"""What a reader does with the fields of a particle file: applied, carried along, not applied, or refused.

Each format has one list of its fields; a field that changes what an image or a pose means and that no command applies
is reported, and a field that is in no list is reported, too: both once in a run.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.errors import InputError
from continuousflex_deep.messages import note_once

_NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?|[-+]?\.\d+")
MISSING = {"", "none", "null", "<na>", "nan", "."}  # how programs write that there is no value, in lower case
TRUTHS = {"true": 1.0, "yes": 1.0, "t": 1.0, "false": 0.0, "no": 0.0, "f": 0.0}  # how they write flags, in lower case


class Verdict(Enum):
    """What is done with a field."""

    APPLIED = "applied"
    CARRIED = "carried along"
    UNUSED = "not needed"
    NOT_APPLIED = "not applied"
    REFUSED = "refused"


@dataclass(frozen=True)
class Field:
    """What a field means, and what is done with it.

    neutral: the number at which it means nothing, so that it is neither reported nor refused; None if its presence is
    what counts. remedy: what to do about a refused one.
    """

    verdict: Verdict
    meaning: str
    neutral: float | None = None
    remedy: str = ""

    def speaks(self, values: NDArray[Any]) -> bool:
        """Whether one of the values (n, …) means something."""
        if self.neutral is None:
            return any(str(value).lower() not in MISSING for value in set(values.reshape(-1).tolist()))
        flat = values.reshape(-1)
        with np.errstate(invalid="ignore"):  # a NaN that signals
            try:
                numbers = flat.astype(np.float64)
            except ValueError:
                numbers = np.array([x for text in set(flat.tolist()) for x in _numbers_in(str(text))])
            return bool((~np.isclose(numbers[~np.isnan(numbers)], self.neutral, atol=1e-9)).any())


def _numbers_in(text: str) -> list[float]:
    """The numbers of a text, of which there may be several, [0.1,-0.2]; 1 or 0 for a word."""
    word = text.strip().lower()
    return [TRUTHS[word]] if word in TRUTHS else [float(found) for found in _NUMBER.findall(text)]


Fields = Mapping[str, Field]


def each(field: Field, names: str) -> dict[str, Field]:
    """The same for several fields, whose names stand between blanks."""
    return dict.fromkeys(names.split(), field)


def applied(meaning: str) -> Field:
    """A field that the commands use."""
    return Field(Verdict.APPLIED, meaning)


def carried(meaning: str) -> Field:
    """A field that changes neither an image nor a pose; it is written again where the format has it."""
    return Field(Verdict.CARRIED, meaning)


def unused(meaning: str) -> Field:
    """A field that changes neither an image nor a pose, of a format that is not written."""
    return Field(Verdict.UNUSED, meaning)


def not_applied(meaning: str, neutral: float | None) -> Field:
    """A field that would change images or poses, and is reported; it is written again where the format has it."""
    return Field(Verdict.NOT_APPLIED, meaning, neutral)


def refused(meaning: str, neutral: float | None, remedy: str) -> Field:
    """A field whose particles would be misread."""
    return Field(Verdict.REFUSED, meaning, neutral, remedy)


def check_fields(
    path: Path, table: Mapping[str, NDArray[Any]], fields: Fields, is_known: Callable[[str], bool], carried_along: bool
) -> None:
    """Refuse, or report once in a run, what the fields of a table mean beyond what the commands apply.

    is_known: whether a field that is not in the list means nothing more; carried_along: whether fields that are not
    applied are written again. Raises InputError with the field.
    """
    kept = "carried along" if carried_along else "left out"
    unknown = []
    for name, values in table.items():
        field = fields.get(name)
        if field is None:
            unknown += [] if is_known(name) else [name]
        elif field.verdict is Verdict.REFUSED and field.speaks(values):
            raise InputError(f"'{path}': {field.meaning} ({name}{_example(values)}); {field.remedy}")
    ignored = [
        f"{name} ({fields[name].meaning})"
        for name, values in table.items()
        if name in fields and fields[name].verdict is Verdict.NOT_APPLIED and fields[name].speaks(values)
    ]
    if ignored:
        note_once(f"'{path.name}': not applied by this program, and {kept}: {', '.join(ignored)}")
    if unknown:
        note_once(f"'{path.name}': unknown to this program, so not interpreted, and {kept}: {', '.join(unknown)}")


def _example(values: NDArray[Any]) -> str:
    first = values.reshape(-1)[:1].tolist()
    text = str(first[0]) if first else ""
    return f": {text[:40]}" if text else ""
