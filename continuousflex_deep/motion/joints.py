"""Joints between rigid blocks: what keeps a molecule whole where its blocks turn far.

The screws of two neighbouring blocks have different axes, so that large turns tear the blocks apart or push them into
each other, although the mode itself does neither. Each pair of near atoms of two blocks is therefore a joint at the
middle between them. Where both blocks are to first order, the joint may open as the mode says; what the screws add to
that is a gap g. The blocks are moved by the translations d that close these gaps best: those of the least
Σ w·|g + d_a − d_b|² over the joints of blocks a and b, as springs between the atoms would. They are linear in what the
screws add, R − 1 − [ω]× and t − τ, and of second order in the amplitudes: the derivative at rest stays the mode.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial import cKDTree

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import InputError

# atoms are near within so many times the usual distance of an atom from its nearest one: of bonded neighbours and of
# atoms in contact, of Cα atoms as of all. Springs weaken with the fourth power of the distance; of powers from 2 to 6
# any is as good
_NEAR, _POWER = 4.0, 4
_CLOSEST = 0.5  # of the usual distance: nearer ones are not stronger
# of the stiffness of the joints, a spring to each block's place on its screw: of parts that nothing joins
_LOOSE = 1e-6
MOST_BLOCKS = 4000  # whose joints take half a gigabyte


def joints_of(coords_A: Floats, block: Integers, centres_A: Floats, weights: Floats) -> Floats:
    """The matrix (4·B, B) that takes what the screws of B blocks add to first order, (…, 3, 4·B) with R − 1 − [ω]×
    beside t − τ for each block, to minus the translations (…, 3, B) of the blocks.

    coords_A (N, 3); block (N,); centres_A (B, 3), about which the blocks turn; weights (B,) of the blocks, whose
    weighted centre stays in place. Raises InputError for more than 4,000 blocks.
    """
    count = len(weights)
    require_joinable(count)
    first, second, stiffness = _pairs(coords_A, block)
    middle_A = (coords_A[first] + coords_A[second]) / 2
    a, b = block[first], block[second]
    pulls = np.zeros((count, count, 4))  # on a block, by what another one adds
    for one, other in ((a, b), (b, a)):
        arm = np.concatenate([middle_A - centres_A[one], np.ones((len(one), 1))], axis=1) * stiffness[:, None]
        for axis in range(4):
            pulls[:, :, axis] += _counted(one, one, arm[:, axis], count) - _counted(other, one, arm[:, axis], count)
    springs = pulls[:, :, 3]
    loose = _LOOSE * (float(np.diagonal(springs).mean()) or 1.0) * count * np.diag(weights)
    moved = cho_solve(cho_factor(springs + loose), pulls.reshape(count, count * 4))
    return np.ascontiguousarray((moved - weights @ moved).T)


def require_joinable(blocks: int) -> None:
    """InputError for more blocks than jointed motion takes."""
    if blocks > MOST_BLOCKS:
        raise InputError(
            f"jointed motion: got {blocks:,} rigid blocks, expected at most {MOST_BLOCKS:,}; compute the modes "
            "with larger blocks (nma --block-size), or give --motion helical"
        )


def _pairs(coords_A: Floats, block: Integers) -> tuple[Integers, Integers, Floats]:
    """Near atoms (j,) and (j,) of two blocks, and the stiffness (j,) of their joints."""
    tree = cKDTree(coords_A)
    nearest_A = tree.query(coords_A, min(2, len(coords_A)))[0]
    apart_A = nearest_A[nearest_A > 0]  # atoms may lie upon each other
    if not len(apart_A):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)
    usual_A = float(np.median(apart_A))
    pairs = tree.query_pairs(_NEAR * usual_A, output_type="ndarray")
    first, second = pairs[block[pairs[:, 0]] != block[pairs[:, 1]]].T
    apart_A = np.linalg.norm(coords_A[first] - coords_A[second], axis=1)
    return first, second, (usual_A / np.maximum(apart_A, _CLOSEST * usual_A)) ** _POWER


def _counted(row: Integers, column: Integers, values: Floats, count: int) -> Floats:
    """Sums (count, count) of values at these rows and columns."""
    sums = np.bincount(row * count + column, values, count * count)
    return np.asarray(sums.reshape(count, count), dtype=np.float64)
