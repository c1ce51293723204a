"""Trajectories (.dcd) in every dialect."""

import struct

import numpy as np

FRAMES_A = np.random.default_rng(0).normal(scale=20, size=(3, 5, 3)).astype(np.float32)


def _record(order: str, content: bytes) -> bytes:
    length = struct.pack(f"{order}i", len(content))
    return length + content + length


def dcd(
    order: str = "<", cell: bool = False, version: int = 24, announced: int = 3, frames_A: np.ndarray = FRAMES_A,
    **numbers: int,
) -> bytes:  # fmt: skip
    """A trajectory of frames (F, N, 3); numbers: of the header, by n and their place."""
    header = np.zeros(20, f"{order}i4")
    header[[0, 10, 19]] = announced, cell, version
    for name, value in numbers.items():
        header[int(name[1:])] = value
    title, n_atoms = struct.pack(f"{order}i", 1) + b"title".ljust(80), struct.pack(f"{order}i", frames_A.shape[1])
    parts = [b"CORD" + header.tobytes(), title, n_atoms]
    for frame in frames_A:
        parts += [np.arange(6, dtype=f"{order}f8").tobytes()] * cell
        parts += [frame[:, axis].astype(f"{order}f4").tobytes() for axis in range(3)]
    return b"".join(_record(order, part) for part in parts)
