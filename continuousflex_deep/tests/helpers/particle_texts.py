"""A few particles with everything that a particle file can hold, for tests of files."""

from pathlib import Path

import numpy as np

from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.particles import Ctf, Particles

N, BOX_PX, PIXEL_A = 4, 8, 2.0


def write_stack_of(path: Path) -> None:
    """A stack of N noisy images."""
    write_stack(path, np.random.default_rng(0).normal(size=(N, BOX_PX, BOX_PX)).astype(np.float32), PIXEL_A)


def written_particles(folder: Path) -> Particles:
    """The particles of s.mrcs in a folder."""
    rng, some = np.random.default_rng(1), np.ones(N)
    ctf = Ctf(1e4 * some, 9e3 * some, 20 * some, 300 * some, 2.7 * some, 0.1 * some, 0 * some)
    names = np.array(["data_1.mrc", "two words.mrc", "frame 3.mrc", "m4.mrc"], dtype=object)
    return Particles(
        ids=np.arange(1, N + 1),
        stacks=np.array([str(folder / "s.mrcs")] * N, dtype=object),
        indices=np.arange(N),
        pixel_size_A=PIXEL_A,
        box_px=BOX_PX,
        ctf=ctf,
        euler_deg=rng.uniform(-180, 180, (N, 3)),
        shift_A=rng.normal(size=(N, 2)),
        mode_ids=(7, 8),
        amplitudes=rng.normal(size=(N, 2)),
        amplitudes_sd=some[:, None] * (1, 2),
        score=0.5 * some,
        half=np.array([1, 2, 1, 2]),
        extra={"rlnMicrographName": names, "rlnGroupNumber": np.array(["1", "1", "2", "2"], dtype=object)},
    )
