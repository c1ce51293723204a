"""The `simulate` command: images with known truth."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from continuousflex_deep.devices import choose_device
from continuousflex_deep.imaging.simulated_images import images_in_order, noise_level
from continuousflex_deep.imaging.simulation import draw_truth, prepare
from continuousflex_deep.io.file_names import PARTICLES_STAR, RECORD_JSON, TRUTH_STAR
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.records import begin_results, write_record
from continuousflex_deep.io.stacks import stack_writer
from continuousflex_deep.options import SimulateOptions
from continuousflex_deep.progress import progress_bar
from continuousflex_deep.runs.sole_writer import sole_writer


@sole_writer
def run(options: SimulateOptions) -> None:
    """Write particles.mrcs, particles.star (optics only), truth.star (with poses and amplitudes) and record.json."""
    require_writable_folder(options.output)
    device = choose_device(options.device, options.threads)
    simulator = prepare(options)
    folder = Path(os.path.abspath(options.output))
    truth = draw_truth(options, simulator, str(folder / "particles.mrcs"))
    begin_results(folder, PARTICLES_STAR, TRUTH_STAR)
    with (
        _one_thread_per_image(),
        stack_writer(folder / "particles.mrcs", options.count, truth.box_px, truth.pixel_size_A) as writer,
        progress_bar("simulate", options.count, unit="image") as bar,
    ):
        level = noise_level(simulator, options)
        for images in images_in_order(simulator, truth, level, options, device):
            writer.write(images.numpy())
            bar.update(len(images))
    unknown = truth.replace(euler_deg=None, shift_A=None, mode_ids=(), amplitudes=None, extra={})
    write_particles(unknown, folder / PARTICLES_STAR)
    write_particles(truth, folder / TRUTH_STAR)
    write_record(folder / RECORD_JSON, "simulate", options, noise_sd_per_px=level)


@contextmanager
def _one_thread_per_image() -> Iterator[None]:
    """One torch thread per image: the arrays of an image are too small to share between threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
