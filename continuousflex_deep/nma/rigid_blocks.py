"""The Hessian of an elastic network of rigid blocks, without the Hessian of its atoms.

An atom of block I moves by B·y_I, where y_I are the block's rigid motions (six; five for two atoms, three for one). A
spring of direction u between atoms i and j of blocks I and J stretches by r·(y_I, y_J) with r = (−uᵀB_i, uᵀB_j), and
adds rᵀr to the Hessian. Springs within a block do not stretch. All springs between two blocks are added at once.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.motion.blocks import block_sums

_MOTIONS = 6  # of a rigid body
_CHUNK = 500_000  # springs that are treated at once
_NO_LENGTH = 1e-6  # relative length of a rotation that moves no atom


@dataclass(frozen=True, eq=False)
class RigidBlocks:
    """N atoms in blocks: block (N,), from 0; motions (N, 3, 6), which are orthonormal over a block's atoms, and zero
    where a block has fewer than six; widths (blocks,): their numbers."""

    block: Integers
    motions: Floats
    widths: Integers

    @property
    def n_unknowns(self) -> int:
        return int(self.widths.sum())

    @property
    def _is_unknown(self) -> Integers:
        """Indices of the motions that there are, among six for each block."""
        return np.flatnonzero((np.arange(_MOTIONS) < self.widths[:, None]).ravel())

    def hessian(self, coords_A: Floats, pairs: Integers) -> sparse.csc_matrix:
        """The Hessian of all motions, for springs between pairs (S, 2) of atoms at coords_A (N, 3)."""
        first, second = self._between_blocks(pairs)
        count = len(self.widths)
        key = self.block[first] * count + self.block[second]
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        sums = np.zeros((len(starts), 2 * _MOTIONS, 2 * _MOTIONS))
        ends = [*starts[1:].tolist(), len(key)]
        done = 0
        while done < len(starts):
            last = max(int(np.searchsorted(starts, starts[done] + _CHUNK)), done + 1)
            offset = int(starts[done])
            rows = self._stretches(coords_A, first[offset : ends[last - 1]], second[offset : ends[last - 1]])
            for k in range(done, last):
                part = rows[starts[k] - offset : ends[k] - offset]
                sums[k] = part.T @ part
            done = last
        return self._assembled(sums, key[starts] // count, key[starts] % count)

    def atoms(self, unknowns: Floats) -> Floats:
        """Displacements (M, 3N) of the atoms, for unknowns (n_unknowns, M)."""
        every = np.zeros((len(self.widths) * _MOTIONS, unknowns.shape[1]))
        every[self._is_unknown] = unknowns
        of_block = every.reshape(len(self.widths), _MOTIONS, -1)
        result = np.empty((unknowns.shape[1], len(self.block), 3))
        for mode in range(unknowns.shape[1]):
            np.einsum("nxk,nk->nx", self.motions, of_block[self.block, :, mode], out=result[mode])
        return result.reshape(unknowns.shape[1], -1)

    def _between_blocks(self, pairs: Integers) -> tuple[Integers, Integers]:
        """Both atoms of the springs that connect different blocks, sorted by blocks, the lower one first."""
        first, second = self.block[pairs[:, 0]], self.block[pairs[:, 1]]
        between = np.flatnonzero(first != second)
        swapped = (first > second)[between].astype(np.int64)
        low, high = pairs[between, swapped], pairs[between, 1 - swapped]
        order = np.argsort(self.block[low] * len(self.widths) + self.block[high])
        return low[order], high[order]

    def _stretches(self, coords_A: Floats, first: Integers, second: Integers) -> Floats:
        """r (S, 12) of each spring."""
        along = coords_A[second] - coords_A[first]
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        result = np.empty((len(first), 2 * _MOTIONS))
        np.einsum("sx,sxk->sk", -along, self.motions[first], out=result[:, :_MOTIONS])
        np.einsum("sx,sxk->sk", along, self.motions[second], out=result[:, _MOTIONS:])
        return result

    def _assembled(self, sums: Floats, first: Integers, second: Integers) -> sparse.csc_matrix:
        """The Hessian of blocks first and second (K,), whose springs have the sums (K, 12, 12)."""
        count = len(self.widths)
        parts = {  # by place of the part in a sum: rows and columns of the Hessian
            (0, 0): (first, first), (0, 1): (first, second), (1, 0): (second, first), (1, 1): (second, second),
        }  # fmt: skip
        whole = sparse.csc_matrix((count * _MOTIONS, count * _MOTIONS))
        step = np.arange(_MOTIONS)
        for (i, j), (row, column) in parts.items():
            values = sums[:, i * _MOTIONS : (i + 1) * _MOTIONS, j * _MOTIONS : (j + 1) * _MOTIONS]
            rows = np.broadcast_to(row[:, None, None] * _MOTIONS + step[:, None], values.shape)
            columns = np.broadcast_to(column[:, None, None] * _MOTIONS + step, values.shape)
            whole = whole + sparse.coo_matrix((values.ravel(), (rows.ravel(), columns.ravel())), whole.shape).tocsc()
        keep = self._is_unknown
        return whole[keep][:, keep].tocsc()


def make_rigid_blocks(coords_A: Floats, block: Integers) -> RigidBlocks:
    """The rigid motions of blocks of atoms: coords_A (N, 3), block (N,) from 0.

    They are the translations, and the rotations about the principal axes of inertia, which are orthogonal.
    """
    sizes = np.bincount(block)
    centred = coords_A - (block_sums(block, coords_A) / sizes[:, None])[block]
    products = block_sums(block, np.einsum("ni,nj->nij", centred, centred).reshape(-1, 9)).reshape(-1, 3, 3)
    inertia = np.trace(products, axis1=1, axis2=2)[:, None, None] * np.eye(3) - products
    moments, axes = np.linalg.eigh(inertia)
    moments, axes = moments[:, ::-1], axes[:, :, ::-1]  # those without a moment come last
    lengths = np.sqrt(np.maximum(moments, 0.0))
    rotates = lengths > _NO_LENGTH * np.maximum(lengths[:, :1], np.sqrt(sizes)[:, None])
    scaled = np.where(rotates[:, None], axes, 0.0) / np.where(rotates, lengths, 1.0)[:, None]
    motions = np.zeros((len(coords_A), 3, _MOTIONS))
    motions[:, :, :3] = np.eye(3) / np.sqrt(sizes)[block][:, None, None]
    motions[:, :, 3:] = np.cross(scaled[block], centred[:, :, None], axis=1)
    return RigidBlocks(np.asarray(block), motions, 3 + rotates.sum(axis=1))


def rigid_motions(coords_A: Floats) -> Floats:
    """Orthonormal translations and rotations (3n, 6 or fewer) of n atoms."""
    one = make_rigid_blocks(coords_A, np.zeros(len(coords_A), dtype=np.int64))
    return one.motions.reshape(-1, _MOTIONS)[:, : one.widths[0]]
