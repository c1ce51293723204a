"""Copies of image stacks that other programs would read otherwise, or not at all."""

from pathlib import Path

import numpy as np

from continuousflex_deep.io.stacks import read_images, stack_info, stack_writer
from continuousflex_deep.messages import note_once
from continuousflex_deep.particles import Particles

_AT_ONCE = 256  # images


def with_plain_stacks(particles: Particles, path: str | Path) -> Particles:
    """The particles, of which those in unusual stacks are copied to an .mrcs file at `path`; a note says so.

    RELION takes bytes for signed whatever the header says, does not look at the order of axes, and reads 16-bit floats
    from version 4 on. Raises InputError for images that cannot be used.
    """
    unusual = sorted(stack for stack in set(particles.stacks) if not stack_info(stack).is_plain)
    rows = np.flatnonzero(np.isin(particles.stacks.astype(str), unusual))
    if not len(rows):
        return particles
    note_once(
        f"image stack '{unusual[0]}'{f' and {len(unusual) - 1} others' if len(unusual) > 1 else ''}: other programs "
        "read such a file in another way; they are given a copy"
    )
    with stack_writer(path, len(rows), particles.box_px, particles.pixel_size_A) as writer:
        for start in range(0, len(rows), _AT_ONCE):
            writer.write(read_images(particles, rows[start : start + _AT_ONCE]))
    stacks, indices = particles.stacks.copy(), particles.indices.copy()
    stacks[rows], indices[rows] = str(path), np.arange(len(rows))
    return particles.replace(stacks=stacks, indices=indices)
