"""What a part contains besides the results: which rows have results, which have none, and why not."""

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Rows
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.left_out import LeftOut, no_usable_image
from continuousflex_deep.runs.parts import Arrays

_OF_ROWS = ("rows", "bad_rows", "bad_reasons")


def part_of_rows(rows: Rows, bad_rows: Rows, bad_reasons: NDArray[np.str_]) -> Arrays:
    """What a part contains besides the results: the rows that have results, the rows that have none, and the
    reasons."""
    return dict(zip(_OF_ROWS, (rows, bad_rows, bad_reasons), strict=True))


def part_without(rows: Rows, reason: str) -> Arrays:
    """The part of rows that have no result, all for one reason."""
    return part_of_rows(rows[:0], rows, np.full(len(rows), reason))


def concatenated_parts(parts: list[Arrays]) -> Arrays:
    """Consecutive parts as one: rows and reasons of all, results of those that have some."""
    of_rows = {key: np.concatenate([part[key] for part in parts]) for key in _OF_ROWS}
    whole = [part for part in parts if len(part["rows"])]
    results = [key for key in (whole[0] if whole else ()) if key not in _OF_ROWS]
    return of_rows | {key: np.concatenate([part[key] for part in whole]) for key in results}


def joined_parts(particles: Particles, parts: list[Arrays]) -> tuple[Rows, Arrays, LeftOut]:
    """From all parts: the rows that have results, the results as arrays, and the particles that have none. InputError
    if no particle has a result."""
    arrays = concatenated_parts(parts)
    rows, bad, reasons = (arrays.pop(key) for key in _OF_ROWS)
    if not len(rows):
        raise no_usable_image(reasons)
    return rows, arrays, LeftOut(particles.select(bad), reasons)
