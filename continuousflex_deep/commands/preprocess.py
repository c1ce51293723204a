"""The `preprocess` command: phase flipping, resampling, normalisation and inversion of particle images."""

import os
from pathlib import Path

import numpy as np

from continuousflex_deep.errors import InputError
from continuousflex_deep.imaging.preprocessing import Steps, describe_result, planned_steps, preprocess_images
from continuousflex_deep.io.file_names import PARTICLES_STAR, RECORD_JSON
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.records import begin_results, write_record
from continuousflex_deep.io.stacks import check_images, read_images, stack_writer
from continuousflex_deep.options import PreprocessOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.progress import progress_bar
from continuousflex_deep.runs.sole_writer import sole_writer

_BATCH_PIXELS = 2**23  # 32 MiB


@sole_writer
def run(options: PreprocessOptions) -> None:
    """Write particles.mrcs, particles.star (same ids, poses and other columns) and record.json to options.output."""
    particles = read_particles(options.particles, pixel_size_A=options.pixel_size_A or None)
    require_writable_folder(options.output)
    check_images(particles)
    steps = planned_steps(particles, options)
    folder = Path(os.path.abspath(options.output))
    stack = folder / "particles.mrcs"
    if str(stack) in set(particles.stacks):
        raise InputError(f"'{stack}' is the input stack; select another output folder")
    if (folder / PARTICLES_STAR).resolve() == Path(options.particles).resolve():
        raise InputError(f"'{options.particles}' is the input file; select another output folder")
    done = describe_result(particles, steps, str(stack))
    begin_results(folder, PARTICLES_STAR)
    write_preprocessed(particles, steps, done)
    write_particles(done, folder / PARTICLES_STAR)
    write_record(folder / RECORD_JSON, "preprocess", options, n_particles=len(particles))


def write_preprocessed(
    particles: Particles, steps: Steps, done: Particles, batch_pixels: int = _BATCH_PIXELS
) -> None:
    """Write the preprocessed images of particles to the stack of `done` (see describe_result).

    batch_pixels: number of pixels in memory at a time; at least one image.
    """
    batch = max(1, batch_pixels // particles.box_px**2)
    with (
        stack_writer(Path(done.stacks[0]), len(particles), done.box_px, done.pixel_size_A) as writer,
        progress_bar("preprocess", len(particles)) as bar,
    ):
        for start in range(0, len(particles), batch):
            part = particles.select(np.arange(start, min(start + batch, len(particles))))
            writer.write(preprocess_images(read_images(part), part, steps))
            bar.update(len(part))
