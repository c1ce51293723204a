"""Two halves of a particle set that are reconstructed independently."""

import numpy as np

from continuousflex_deep.arrays import Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.relion import HALF_SET
from continuousflex_deep.particles import Particles

_LEAST = 2  # particles per half


def half_sets(particles: Particles) -> tuple[Integers, Integers, str]:
    """Row numbers of both halves and how they were selected.

    By the particles' half sets if they have them, so that halves refined independently remain independent; otherwise
    every second particle in the order of ids, which is the same in every run. Raises InputError when a half has fewer
    than 2 particles, or some particles are in neither half.
    """
    if particles.half is not None:
        if (particles.half == 0).any():
            raise InputError(
                f"column {HALF_SET}: got values {np.unique(particles.half).tolist()}, expected 1 and 2; correct or "
                "remove the column"
            )
        first, second, how = np.flatnonzero(particles.half == 1), np.flatnonzero(particles.half == 2), HALF_SET
    else:
        order = np.argsort(particles.ids)
        first, second, how = np.sort(order[::2]), np.sort(order[1::2]), "every other id"
    if min(len(first), len(second)) < _LEAST:
        raise InputError(
            f"half maps need at least {_LEAST} particles each, got {len(first)} and {len(second)} of {len(particles)} "
            f"(by {how}); take a larger group"
        )
    return first, second, how
