"""Rotations of tensors; those of arrays are in geometry.py."""

import torch
from torch import Tensor


def nearest_rotation(matrices: Tensor) -> Tensor:
    """The rotations (n, 3, 3), never reflections, nearest to matrices (n, 3, 3) in the Frobenius norm (Umeyama 1991,
    IEEE Transactions on Pattern Analysis and Machine Intelligence 13, 376)."""
    u, _, vh = torch.linalg.svd(matrices)
    handed = torch.linalg.det(u @ vh).sign()  # constant, but for rounding
    return torch.cat([u[:, :, :2], u[:, :, 2:] * handed[:, None, None]], dim=2) @ vh
