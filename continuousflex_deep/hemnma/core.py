"""The rigid core of a molecule that moves, and how a conformation lies on the structure with its core in place.

The core of a conformation is the half of the points that moves least once it is superposed: the least trimmed squares
fit, found by concentration steps, each of which superposes the points that the one before it left nearest (Rousseeuw &
Van Driessen 2006; Kabsch 1976). The steps start from all points and from each piece of the chain, and the best is kept.
"""

import torch
from torch import Tensor

from continuousflex_deep.rotations import nearest_rotation

_STEPS = 10
_PIECES = 8
_ENOUGH_POINTS = 256  # of a larger molecule, evenly along the chain


def core_superposition(coords_A: Tensor, onto_A: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations R (C, 3, 3) and shifts t (C, 3) in Å that move conformations (C, N, 3) onto a structure (N, 3) so that
    half of the points, chosen for each conformation, lie nearest: x·Rᵀ + t."""
    every = -(-len(onto_A) // _ENOUGH_POINTS)
    coords_A, onto_A = coords_A[:, ::every], onto_A[::every]
    points = torch.arange(len(onto_A), device=onto_A.device)
    starts = [points, *(piece for piece in points.tensor_split(_PIECES) if len(piece) >= 3)]
    found = [_concentrated(coords_A, onto_A, start) for start in starts]
    turn, shift_A, apart = (torch.stack(parts) for parts in zip(*found, strict=True))
    best = apart.argmin(dim=0), torch.arange(len(coords_A), device=onto_A.device)
    return turn[best], shift_A[best]


def _concentrated(coords_A: Tensor, onto_A: Tensor, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations and shifts found from some points, and the sum (C,) of the squared distances of the nearest half."""
    half = min(len(onto_A), max(3, len(onto_A) // 2))
    nearest = start.expand(len(coords_A), -1)
    for _ in range(_STEPS):
        turn, shift_A = _superposition(_taken(coords_A, nearest), onto_A[nearest])
        apart = (coords_A @ turn.transpose(1, 2) + shift_A[:, None] - onto_A).square().sum(dim=2)
        least, nearest = apart.topk(half, dim=1, largest=False, sorted=False)
    return turn, shift_A, least.sum(dim=1)


def _superposition(coords_A: Tensor, onto_A: Tensor) -> tuple[Tensor, Tensor]:
    """The rotations (C, 3, 3), never reflections, and shifts (C, 3) with the smallest RMSD between (C, n, 3) each."""
    centre, onto = coords_A.mean(dim=1, keepdim=True), onto_A.mean(dim=1, keepdim=True)
    turn = nearest_rotation((onto_A - onto).transpose(1, 2) @ (coords_A - centre))
    return turn, (onto - centre @ turn.transpose(1, 2))[:, 0]


def _taken(points: Tensor, rows: Tensor) -> Tensor:
    """Of points (C, N, 3), rows (C, n) of each: (C, n, 3)."""
    return points.gather(1, rows[:, :, None].expand(-1, -1, 3))
