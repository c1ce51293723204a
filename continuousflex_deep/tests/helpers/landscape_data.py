"""A small particle set with amplitudes, for the tests of landscapes and groups."""

from pathlib import Path

import numpy as np

from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.particles import Ctf, Particles


def make_particles(folder: Path, n: int = 200, first_id: int = 1, seed: int = 0, name: str = "images") -> Particles:
    """n particles along a line in three modes (deviations 100, 10, 1 Å before mixing), with poses and CTF."""
    rng = np.random.default_rng(seed)
    stack = folder / f"{name}.mrcs"
    write_stack(stack, rng.normal(size=(n, 6, 6)).astype(np.float32), 2.0)
    mixing = np.linalg.qr(np.random.default_rng(42).normal(size=(3, 3)))[0]
    return Particles(
        ids=np.arange(first_id, first_id + n),
        stacks=np.full(n, str(stack), dtype=object),
        indices=np.arange(n),
        pixel_size_A=2.0,
        box_px=6,
        ctf=Ctf(*(np.full(n, v) for v in (10000.0, 12000.0, 30.0, 300.0, 2.7, 0.1, 0.0))),
        euler_deg=rng.uniform(0, 180, size=(n, 3)),
        shift_A=rng.normal(size=(n, 2)),
        mode_ids=(7, 8, 10),
        amplitudes=rng.normal(size=(n, 3)) * [100, 10, 1] @ mixing + [50, -20, 5],
        score=rng.uniform(size=n),
        extra={"rlnMicrographName": np.array([f"m{i % 3}.mrc" for i in range(n)], dtype=object)},
    )
