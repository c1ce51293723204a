"""Blocks of neighbouring points in space, for pseudoatoms, which have no sequence."""

import numpy as np

from continuousflex_deep.arrays import Floats, Integers


def spatial_blocks(coords_A: Floats, size: int) -> Integers:
    """(N,) compact blocks of `size` neighbouring points (the last block may be smaller), numbered in spatial order.

    The points are repeatedly divided in two across their longest side, each time at a whole number of blocks.
    """
    block = np.empty(len(coords_A), dtype=np.int64)
    waiting, number = [np.arange(len(coords_A))], 0
    while waiting:
        members = waiting.pop()
        blocks = -(-len(members) // size)
        if blocks <= 1:
            block[members] = number
            number += 1
            continue
        axis = int(np.argmax(np.ptp(coords_A[members], axis=0)))
        members = members[np.argsort(coords_A[members, axis], kind="stable")]
        waiting += [members[blocks // 2 * size :], members[: blocks // 2 * size]]
    return block
