"""Rigid blocks on helices: each block moves by the screw of its twist, so that nothing within it is stretched.

A mode moves the atoms of a block, at arms s from its centre c, by τ + ω × s (+ r, where it bends the block). At
amplitudes q the block's twist is Σ q·(τ, ω), and its atoms are at c + R·(s + Σ q·r) + t, with the rotation R and the
translation t of this twist (screws.py). The first derivative at rest is the mode. (Hoffmann & Grudinin, J Chem Theory
Comput 2017, 13:2123.) With joints (joints.py) the blocks are also translated, so that neighbours stay together.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from scipy import sparse

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.motion.base import Array, Motion, Other
from continuousflex_deep.motion.blocks import block_sums
from continuousflex_deep.motion.joints import joints_of
from continuousflex_deep.motion.screws import cross_matrix, library_of, screw, screw_derivative

_BLOCKS_AT_ONCE = 64  # of the shares of groups of points
_VALUES_AT_ONCE = 4_000_000
_PLANE = 1e-9  # relative moment of inertia, below which a block does not turn about an axis


@dataclass(frozen=True, eq=False)
class HelicalMotion(Motion[Array]):
    """N points in B rigid blocks. A point that is the mean of several atoms may share K blocks; an atom has one.

    twists (M, B, 6): τ in Å and ω in rad of each block along each mode, per Å of amplitude. block (N, K); arms
    (N, K, 4): the arm in Å from the block's centre times the block's share of the point, and the share. weights (B,):
    of the blocks, with a sum of 1; arms have a weighted mean of 0 in each block. bends (M, N, K, 3): what the modes
    move the points within their blocks, times the share; None for rigid ones. joints (4·B, B): see joints.py, or None.
    """

    rest_A: Array
    twists: Array
    block: Array
    arms: Array
    weights: Array
    bends: Array | None = None
    joints: Array | None = None

    @property
    def n_modes(self) -> int:
        return len(self.twists)

    @property
    def parameters(self) -> dict[str, Array]:
        known = {"twists": self.twists, "block": self.block, "arms": self.arms, "weights": self.weights}
        further = {"bends": self.bends, "joints": self.joints}
        return known | {name: array for name, array in further.items() if array is not None}

    @cached_property
    def gram(self) -> Array:
        flat = self.derivative(0 * self.twists[:, 0, 0]).reshape(self.n_modes, len(self.rest_A) * 3)
        return flat @ flat.T / len(self.rest_A)

    def displacements(self, amplitudes_A: Array) -> Array:
        turn, shift_A = self._screws(amplitudes_A)
        moved = self._of_points(_beside(turn, shift_A))
        if self.bends is None:
            return moved
        bent = self._bent(amplitudes_A)
        return moved + bent.sum(-2) + self._turned(turn, bent)

    def derivative(self, amplitudes_A: Array) -> Array:
        turn, turns, shifts_A = self._screw_derivatives(amplitudes_A)
        along = self._of_points(_beside(turns, shifts_A))
        if self.bends is None:
            return along
        return along + self._bend_derivative(turn, turns, amplitudes_A)

    def seen(self, rotations: Array, amplitudes_A: Array) -> Array:
        if self.bends is not None:
            return super().seen(rotations, amplitudes_A)
        # blocks are few: they are rotated rather than the points
        moving = rotations[..., None, :, :] @ _beside(*self._screws(amplitudes_A))
        return self.rest_A @ rotations.swapaxes(-1, -2) + self._of_points(moving)

    def seen_derivative(self, rotations: Array, amplitudes_A: Array) -> Array:
        if self.bends is not None:
            return super().seen_derivative(rotations, amplitudes_A)
        _, turns, shifts_A = self._screw_derivatives(amplitudes_A)
        moving = library_of(rotations).moveaxis(rotations[:, None, None] @ _beside(turns, shifts_A), 1, 2)
        count, blocks, modes, rows, _ = moving.shape
        return self._of_points(moving.reshape(count, blocks, modes * rows, 4))

    def rmsd_A(self, first_A: Floats, second_A: Floats) -> Floats:
        first_A, second_A = np.broadcast_arrays(first_A, second_A)
        both: list[Any] = [q.reshape(-1, self.n_modes) for q in (first_A, second_A)]
        step = max(1, _VALUES_AT_ONCE // max(1, self.rest_A.size * self.block.shape[1]))
        result = np.empty(len(both[0]))
        for start in range(0, len(both[0]), step):
            part = slice(start, start + step)
            moved = [np.asarray(self.displacements(q[part])) for q in both]
            result[part] = np.sqrt(np.square(moved[0] - moved[1]).sum(-1).mean(-1))
        return result.reshape(first_A.shape[:-1])

    def select(self, points: Any) -> "HelicalMotion[Array]":
        bends = None if self.bends is None else self.bends[:, points]
        return dataclasses.replace(
            self, rest_A=self.rest_A[points], block=self.block[points], arms=self.arms[points], bends=bends
        )

    def averaged(self, mean: Callable[[Array], Array]) -> "HelicalMotion[Array]":
        library, rest_A = library_of(self.rest_A), mean(self.rest_A)
        arms = self._means(mean, self.arms)  # (G, B, 4)
        shares = arms[..., 3]
        slots = int((shares > 0).sum(-1).max())
        row, block = library.arange(len(rest_A))[:, None], library.argsort(-shares, -1)[:, :slots]
        used = shares[row, block] > 0
        # a group of fewer blocks repeats its first with nothing: in any one block all these would be its points
        block = library.where(used, block, block[:, :1])
        arms = arms[row, block] * used[..., None]
        bends = None if self.bends is None else self._means(mean, self.bends)[:, row, block] * used[..., None]
        return dataclasses.replace(self, rest_A=rest_A, block=block, arms=arms, bends=bends)

    def _means(self, mean: Callable[[Array], Array], values: Array) -> Array:
        """The means (…, G, B, k) over groups of points, of values (…, N, K, k) in each block."""
        library, count, width = library_of(values), len(self.weights), values.shape[-1]
        parts = []
        for start in range(0, count, _BLOCKS_AT_ONCE):
            numbers = range(start, min(start + _BLOCKS_AT_ONCE, count))
            inside = library.stack([self.block == number for number in numbers], -1)[..., None]
            spread = (inside * values[..., None, :]).sum(-3)  # (…, N, blocks, k)
            means = mean(spread.reshape(*spread.shape[:-2], len(numbers) * width))
            parts.append(means.reshape(*means.shape[:-1], len(numbers), width))
        return library.concatenate(parts, -2)

    def view_parts(self) -> sparse.csr_matrix:
        points, slots = self.block.shape
        row = np.repeat(np.arange(points), slots)
        columns, values = [3 + 4 * self.block.reshape(-1, 1) + np.arange(4)], [self.arms.reshape(-1, 4)]
        width = 3 + 4 * len(self.weights)
        for bend in () if self.bends is None else self.bends:
            columns.append(width + 3 * self.block.reshape(-1, 1) + np.arange(3))
            values.append(bend.reshape(-1, 3))
            width += 3 * len(self.weights)
        column, value = np.concatenate(columns, axis=1), np.concatenate(values, axis=1)
        row = np.broadcast_to(row[:, None], column.shape)
        moving = sparse.csr_matrix((value.ravel(), (row.ravel(), column.ravel())), shape=(points, width))
        rest = sparse.csr_matrix((self.rest_A.ravel(), np.tile(np.arange(3), points), 3 * np.arange(points + 1)),
                                 shape=(points, width))  # fmt: skip
        return (rest + moving).T

    def view_weights(self, rotations: Floats, amplitudes_A: Floats) -> Floats:
        turn, shift_A = self._screws(cast(Any, amplitudes_A))
        blocks = np.einsum("nki,nbij->nkbj", rotations, _beside(turn, shift_A))
        seen = [rotations, blocks.reshape(*rotations.shape[:2], -1)]
        if self.bends is not None:
            whole = np.einsum("nki,nbij,nm->nkmbj", rotations, turn + np.eye(3), amplitudes_A)
            seen.append(whole.reshape(*rotations.shape[:2], -1))
        return np.concatenate(seen, axis=-1)

    def spread(self, places_A: Floats, nearest: Integers, shares: Floats) -> "HelicalMotion[Floats]":
        """The motion of other places (v, 3), each of which moves with the blocks of its nearest points (v, s), with
        these shares (v, s) of a sum of 1. For points that belong to one block each, in numpy's arrays."""
        owner = np.asarray(self.block)[:, 0]
        counts = np.bincount(owner, minlength=len(self.weights))
        centres = block_sums(owner, self.rest_A - self.arms[:, 0, :3], len(counts)) / np.maximum(counts, 1)[:, None]
        block = owner[nearest]
        arms = np.empty((*block.shape, 4))
        arms[..., :3] = (places_A[:, None] - centres[block]) * shares[..., None]
        arms[..., 3] = shares
        bends = None if self.bends is None else self.bends[:, :, 0][:, nearest] * shares[..., None]
        joints = None if self.joints is None else np.asarray(self.joints)
        return HelicalMotion(places_A, np.asarray(self.twists), block, arms, np.asarray(self.weights), bends, joints)

    def converted(self, convert: Callable[[Array], Other]) -> "HelicalMotion[Other]":
        bends, joints = (None if array is None else convert(array) for array in (self.bends, self.joints))
        index = convert(self.block)
        library = library_of(index)
        return HelicalMotion(
            convert(self.rest_A), convert(self.twists), library.asarray(index, dtype=library.int64),
            convert(self.arms), convert(self.weights), bends, joints,
        )  # fmt: skip

    def of_rigid_blocks(self) -> "HelicalMotion[Array]":
        """The same motion, without what the modes move the points within their blocks."""
        return dataclasses.replace(self, bends=None)

    def _twist(self, amplitudes_A: Array) -> Array:
        """Twists (…, B, 6) of the blocks."""
        flat = amplitudes_A @ self.twists.reshape(self.n_modes, len(self.weights) * 6)
        return flat.reshape(*amplitudes_A.shape[:-1], len(self.weights), 6)

    def _screws(self, amplitudes_A: Array) -> tuple[Array, Array]:
        """R − 1 (…, B, 3, 3) and t (…, B, 3) of the blocks; the weighted centre stays in place."""
        twist = self._twist(amplitudes_A)
        turn, shift_A = screw(twist[..., 3:], twist[..., :3])
        if self.joints is not None:
            shift_A = shift_A - self._opened(turn, shift_A, twist)
        return turn, shift_A - self._drift(shift_A)

    def _screw_derivatives(self, amplitudes_A: Array) -> tuple[Array, Array, Array]:
        """R − 1 (…, B, 3, 3), ∂R/∂q (…, M, B, 3, 3) and ∂t/∂q (…, M, B, 3) of the blocks."""
        twist, library = self._twist(amplitudes_A), library_of(amplitudes_A)
        turn, _ = screw(twist[..., 3:], twist[..., :3])
        # modes stand first for the screws, then beside the blocks
        each = self.twists.reshape(self.n_modes, *(1,) * (twist.ndim - 2), *self.twists.shape[1:])
        each = library.broadcast_to(each, (self.n_modes, *twist.shape))
        further, shifts_A = screw_derivative(twist[..., 3:], twist[..., :3], each[..., 3:], each[..., :3])
        across = cross_matrix(further)
        turns = across + across @ turn
        if self.joints is not None:
            shifts_A = shifts_A - self._opened(turns, shifts_A, each)
        shifts_A = shifts_A - self._drift(shifts_A)
        return turn, library.moveaxis(turns, 0, -4), library.moveaxis(shifts_A, 0, -3)

    def _opened(self, turn: Array, shift_A: Array, twist: Array) -> Array:
        """Minus the translations (…, B, 3) that close what screws, or their derivatives, open at joints beyond first
        order, for R − 1 (…, B, 3, 3) and t (…, B, 3) of twists (…, B, 6)."""
        assert self.joints is not None
        beyond = _beside(turn - cross_matrix(twist[..., 3:]), shift_A - twist[..., :3])
        wide = library_of(turn).moveaxis(beyond, -3, -2)  # (…, 3, B, 4)
        return (wide.reshape(*wide.shape[:-2], len(self.joints)) @ self.joints).swapaxes(-1, -2)

    def _bend_derivative(self, turn: Array, turns: Array, amplitudes_A: Array) -> Array:
        """The part of ∂x/∂q (…, M, N, 3) of what the modes move points within their blocks."""
        assert self.bends is not None
        within = self.bends.sum(-2) + self._turned(turn[..., None, :, :, :], self.bends)
        return within + self._turned(turns, self._bent(amplitudes_A)[..., None, :, :, :])

    def _drift(self, shift_A: Array) -> Array:
        """Of the weighted centre (…, 1, 3), for shifts (…, B, 3) of the blocks."""
        return (self.weights[:, None] * shift_A).sum(-2)[..., None, :]

    def _of_points(self, matrices: Array) -> Array:
        """Sums (…, N, k) over the blocks of each point of their matrices (…, B, k, 4) times its arms and shares.

        One product for each block, of all its points with the matrices of all conformations: several times faster than
        a small product for each point.
        """
        library, (padded, place) = library_of(matrices), self._by_block
        lead, k = matrices.shape[:-3], matrices.shape[-2]
        wide = library.moveaxis(matrices, -3, 0).reshape(len(self.weights), -1, 4).swapaxes(1, 2)
        products = (padded @ wide).reshape(padded.shape[0] * padded.shape[1], -1)
        moved = products[place[:, 0]]
        for slot in range(1, place.shape[1]):
            moved = moved + products[place[:, slot]]
        return moved.swapaxes(0, 1).reshape(*lead, k, len(place)).swapaxes(-1, -2)

    @cached_property
    def _by_block(self) -> tuple[Array, Array]:
        """The arms of each block's points (B, S, 4), filled up by zeros, and the place (N, K) of each point's in them
        when they stand in one row."""
        library, flat = library_of(self.arms), self.block.reshape(-1)
        order = library.argsort(flat)
        sizes = library.bincount(flat, None, len(self.weights))
        starts = library.cumsum(sizes, 0) - sizes
        largest = int(sizes.max())
        place = library.empty_like(flat)
        row = library.zeros_like(flat) + 1
        place[order] = library.cumsum(row, 0) - 1 - starts[flat[order]] + largest * flat[order]
        padded = 0 * self.arms.reshape(-1)[:1]
        padded = library.broadcast_to(padded, (len(self.weights) * largest * 4,)).reshape(-1, 4) + 0
        padded[place] = self.arms.reshape(-1, 4)
        return padded.reshape(len(self.weights), largest, 4), place.reshape(self.block.shape)

    def _turned(self, turn: Array, vectors: Array) -> Array:
        """Vectors (…, N, K, 3) turned by R − 1 (…, B, 3, 3) of their blocks, summed to (…, N, 3)."""
        x, y, z = (turn[..., i][..., self.block, :] * vectors[..., i, None] for i in range(3))
        return (x + y + z).sum(-2)

    def _bent(self, amplitudes_A: Array) -> Array:
        """Σ q·r (…, N, K, 3)."""
        assert self.bends is not None
        flat = self.bends.reshape(self.n_modes, self.arms.shape[0] * self.arms.shape[1] * 3)
        return (amplitudes_A @ flat).reshape(*amplitudes_A.shape[:-1], *self.arms.shape[:2], 3)


def _beside(turn: Array, shift_A: Array) -> Array:
    """Matrices (…, 3, 4) of rotations (…, 3, 3) and translations (…, 3) of blocks."""
    return library_of(turn).concatenate([turn, shift_A[..., None]], -1)


def helical_motion(
    coords_A: Floats, weights: Floats, vectors: Floats, block: Integers, jointed: bool = False
) -> tuple[HelicalMotion[Floats], Floats]:
    """The helical motion of atoms (N, 3) along modes (M, N, 3), and the share (M,) of each mode's length that bends the
    blocks. jointed: whether neighbouring blocks stay together; InputError then as of `joints_of`.

    weights (N,): with a sum of 1; their centre does not move. block (N,): from 0. The twists are those that fit the
    mode best in each block.
    """
    count = int(block.max()) + 1
    total = np.asarray(np.bincount(block, weights, count), dtype=np.float64)
    centres_A = block_sums(block, weights[:, None] * coords_A, count) / total[:, None]
    arms = coords_A - centres_A[block]
    squared = np.square(arms).sum(axis=1)[:, None, None] * np.eye(3) - arms[:, :, None] * arms[:, None]
    inertia = block_sums(block, squared.reshape(-1, 9), count).reshape(-1, 3, 3)
    inverse = np.linalg.pinv(inertia, rcond=_PLANE, hermitian=True)
    twists, bends = np.empty((len(vectors), count, 6)), np.empty_like(vectors)
    for twist, bend, mode in zip(twists, bends, vectors, strict=True):
        twist[:, :3] = block_sums(block, weights[:, None] * mode, count) / total[:, None]
        within = mode - twist[block, :3]
        twist[:, 3:] = np.einsum("bij,bj->bi", inverse, block_sums(block, np.cross(arms, within), count))
        bend[:] = within - np.cross(twist[block, 3:], arms)
    share = np.sqrt(np.square(bends).sum(axis=(1, 2)) / np.square(vectors).sum(axis=(1, 2)))
    armed = np.concatenate([arms, np.ones((len(arms), 1))], axis=1)
    joints = joints_of(coords_A, block, centres_A, total) if jointed else None
    motion = HelicalMotion(coords_A, twists, block[:, None], armed[:, None], total, bends[:, :, None], joints)
    return motion, share
