"""Joints between rigid blocks: what keeps a molecule whole where its blocks turn far.

The screws of two neighbouring blocks have different axes, so that large turns tear the blocks apart or push them into
each other, although the mode itself does neither. Each pair of near atoms of two blocks is therefore a joint at the
middle between them. To first order the joint opens as the mode says, and may; what the screws add to that is a
gap g. The blocks are moved by the translations d that close these gaps best: those of the least
Σ w·|g + d_a − d_b|² over the joints of blocks a and b, as springs between the atoms would. They are linear in what the
screws add, R − 1 − [ω]× and t − τ, and of second order in the amplitudes: the derivative at rest stays the mode.
"""

import hashlib

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.motion.blocks import block_sums

# atoms are near within so many times the usual distance of an atom from its nearest one: of bonded neighbours and of
# atoms in contact, of Cα atoms as of all. Springs weaken with the fourth power of the distance; of powers from 2 to 6
# any is as good
_NEAR, _POWER = 4.0, 4
_CLOSEST = 0.5  # of the usual distance: nearer ones are not stronger
# of the stiffness of the joints, a spring to each block's place on its screw: of parts that nothing joins
_LOOSE = 1e-6
_LATEST: dict[bytes, Floats] = {}
MOST_BLOCKS = 2500  # whose joints take 0.2 gigabytes


def joints_of(coords_A: Floats, block: Integers, centres_A: Floats, weights: Floats) -> Floats:
    """The matrix (4·B, B) that takes what the screws of B blocks add to first order, (…, 3, 4·B) with R − 1 − [ω]×
    beside t − τ for each block, to minus the translations (…, 3, B) of the blocks.

    coords_A (N, 3); block (N,); centres_A (B, 3), about which the blocks turn; weights (B,) of the blocks, whose
    weighted centre stays in place. Raises InputError for more than 2,500 blocks.
    """
    require_joinable(len(weights))
    known = hashlib.sha256(b"".join(array.tobytes() for array in (coords_A, block, centres_A, weights))).digest()
    if known not in _LATEST:
        _LATEST.clear()  # those of one molecule are asked for again and again
        _LATEST[known] = _computed(coords_A, block, centres_A, weights)
    return _LATEST[known]


def _computed(coords_A: Floats, block: Integers, centres_A: Floats, weights: Floats) -> Floats:
    count = len(weights)
    first, second, stiffness, middle_A = _joined(coords_A, block)
    rows, columns, values = [], [], []
    for one, other in ((first, second), (second, first)):
        # what the first adds pulls on itself, and on the second the other way
        arm_A = np.concatenate([middle_A - centres_A[one], np.ones((len(one), 1))], axis=1)
        for on, sign in ((one, 1.0), (other, -1.0)):
            rows.append(np.repeat(on, 4))
            columns.append((4 * one[:, None] + np.arange(4)).ravel())
            values.append(sign * (arm_A * stiffness[:, None]).ravel())
    place = np.concatenate(rows), np.concatenate(columns)
    pulls = sparse.csc_matrix((np.concatenate(values), place), shape=(count, 4 * count))
    springs = pulls[:, 3::4]
    loose = _LOOSE * (float(springs.diagonal().mean()) or 1.0) * count * sparse.diags(weights)
    moved = splu(sparse.csc_matrix(springs + loose)).solve(np.eye(count))
    return np.asarray(pulls.T @ (moved - weights @ moved).T)


def require_joinable(blocks: int) -> None:
    """InputError for more blocks than jointed motion takes."""
    if blocks > MOST_BLOCKS:
        raise InputError(
            f"jointed motion: got {blocks:,} rigid blocks, expected at most {MOST_BLOCKS:,}; give --motion "
            "helical, or compute the modes by the nma command with a larger --block-size"
        )


def _joined(coords_A: Floats, block: Integers) -> tuple[Integers, Integers, Floats, Floats]:
    """Neighbouring blocks (j,) and (j,), the stiffness (j,) of all joints between them together, and their weighted
    middle (j, 3)."""
    tree = cKDTree(coords_A)
    nearest_A = tree.query(coords_A, min(2, len(coords_A)))[0]
    apart_A = nearest_A[nearest_A > 0]  # atoms may lie upon each other
    usual_A = float(np.median(apart_A)) if len(apart_A) else 0.0
    pairs = tree.query_pairs(_NEAR * usual_A, output_type="ndarray") if usual_A else np.empty((0, 2), dtype=np.int64)
    pairs = pairs[block[pairs[:, 0]] != block[pairs[:, 1]]]
    ends_A = coords_A[pairs]
    apart_A = np.linalg.norm(ends_A[:, 0] - ends_A[:, 1], axis=1)
    stiffness = (usual_A / np.maximum(apart_A, _CLOSEST * usual_A)) ** _POWER
    count = int(block.max()) + 1
    joined, which = np.unique(block[pairs].min(axis=1) * count + block[pairs].max(axis=1), return_inverse=True)
    total = np.asarray(np.bincount(which, stiffness, len(joined)), dtype=np.float64)
    middle_A = block_sums(which, stiffness[:, None] * ends_A.mean(axis=1), len(joined)) / total[:, None]
    return joined // count, joined % count, total, middle_A
