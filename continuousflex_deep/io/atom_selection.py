"""Selection of atoms in gemmi's language (the syntax of MMDB), joined by the words and, or, not."""

import re

import gemmi
import numpy as np

from continuousflex_deep.arrays import Booleans
from continuousflex_deep.errors import InputError

_HINT = "expected selections of gemmi, such as A, A,B/10-80, //*//CA, (!SO4), [P] or ;polymer, joined by and, or, not"
_PART = re.compile(r"(?P<nots>(?:not\s+)*)(?P<words>(?!(?:and|or|not)$)\S+)")


def selected_atoms(model: gemmi.Model, count: int, select: str) -> Booleans:
    """(count,) whether the atoms of a model, whose serials are indices, are selected.

    A selection consists of terms joined by `or`, these of parts joined by `and`, each with or without `not`.
    Raises InputError for what gemmi does not understand.
    """
    result = np.zeros(count, dtype=bool)
    for term in re.split(r"\s+or\s+", select.strip()):
        both = np.ones(count, dtype=bool)
        for part in re.split(r"\s+and\s+", term):
            found = _PART.fullmatch(part.strip())
            if found is None:
                raise InputError(f"--select '{select}': cannot read '{part}'; {_HINT}")
            inverted = len(found["nots"].split()) % 2 == 1
            both &= _matches(model, count, found["words"], select) ^ inverted
        result |= both
    return result


def _matches(model: gemmi.Model, count: int, words: str, select: str) -> Booleans:
    try:
        part = gemmi.Selection(words).copy_model_selection(model)
    except (RuntimeError, ValueError, IndexError, OverflowError) as error:
        raise InputError(f"--select '{select}': cannot read '{words}' ({error}); {_HINT}") from error
    found = np.zeros(count, dtype=bool)
    found[[site.atom.serial for site in part.all()]] = True
    return found
