"""Real particles: our poses against RELION's, by the maps that they give.

    python benchmarks/real_particles.py [--data ../shared/data] [--output real_particles.json]

133 β-galactosidase particles of one micrograph (betagal133), with the poses that RELION 3.1.3 found, and a map of the
protein. Pseudoatoms of the map are the reference; poses are found from nothing, and from RELION's.

within_15     share of particles within 15° of RELION's pose modulo D2
unmarked      the same of those that we do not mark as ambiguous
sure          the same of the third about which RELION is surest (rlnMaxValueProbDistribution)
median_deg    median angle from RELION's pose
map           resolution in Å where the FSC of the D2 reconstruction with the map falls to 0.5
map_masked    the same in a spherical mask
halves_0.143  where that of the half maps (masked, corrected) falls to 0.143
halves_0.5    and to 0.5
ambiguous     share marked so
cpu_s         CPU seconds a particle, calibration included

All reconstructions are compared with one map, and ours come from poses that were found with its help, in both halves:
noise that follows the reference counts as signal there. How much, the last rows tell: the same images with their
phases randomised, which hold no particle. Where no detail finer than 20 Å is used for alignment, an FSC beyond 20 Å
owes nothing to this. Needs the folder of data.

Fills "Real particles" of docs/results.md. The default size takes about 4 minutes on one core (estimated from the times
there).
"""

import argparse
import dataclasses
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from cases import ARTICLE, TINY
from command_line import FULL, SMALLEST, add_data, add_hardware, benchmark_parser, parse, require_folder
from measuring import Figures, Table, run_command, write_figures

from continuousflex_deep.arrays import Map
from continuousflex_deep.geometry import euler_to_matrix, rotation_distance_deg
from continuousflex_deep.io.maps import write_volume
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.reconstruction.maps import read_reference_map
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.symmetry import point_group

SYMMETRY, LIMIT_A, CLOSE_DEG = "d2", 20.0, 15.0
SIZES = {
    FULL: {"particles": 133, "box": 96, "setting": ARTICLE},
    SMALLEST: {"particles": 12, "box": 32, "setting": TINY},
}


def main() -> None:
    """Print a row for each set of poses and write the figures."""
    parser = benchmark_parser(__doc__, "real_particles.json")
    parser.add_argument("--particles", type=int, help="the first particles")
    parser.add_argument("--box", type=int, help="box in pixels to which images and map are reduced")
    add_data(parser)
    add_hardware(parser)
    arguments = parse(parser, SIZES)
    table, poses = Table("poses", 32), dict[str, Figures]()

    def show(name: str, particles: Particles, cpu_s: float | None = None) -> None:
        poses[name] = figures(particles, theirs, reference, cpu_s)
        table.row(name, poses[name])

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theirs, reference = inputs(arguments, folder)
        structure = pseudoatoms_of(folder)
        empty = without_particles(theirs, folder)
        print("FSC with one and the same map for all rows; see --help for what biases ours, and by how much")
        show("RELION", theirs)
        for name, options in runs(arguments).items():
            aligned, control, cpu_s = aligned_with_control(structure, theirs, empty, options)
            show(name, aligned, cpu_s)
            show(f"{name}, no particle", control)
    write_figures(arguments.output, {"pseudoatoms": len(structure), "poses": poses})


def inputs(arguments: argparse.Namespace, folder: Path) -> tuple[Particles, Map]:
    """The particles with RELION's poses, and the map, which is written to the folder as well."""
    data, source = require_folder(arguments.data / "betagal133"), folder / "first.star"
    write_particles(read_particles(data / "particles.star").select(np.arange(arguments.particles)), source)
    run_command("preprocess", {"particles": source, "output": folder, "box": arguments.box})
    particles = read_particles(folder / "particles.star")
    volume = read_reference_map(data / "betaGal_ref_2.561A_96.mrc", particles.box_px, particles.pixel_size_A)
    write_volume(folder / "map.mrc", volume, particles.pixel_size_A)
    return particles, volume


def runs(arguments: argparse.Namespace) -> dict[str, AlignOptions]:
    """What is aligned how."""
    hardware: dict[str, Any] = {"device": arguments.device, "threads": arguments.threads}
    rigid = AlignOptions(fit="pose", symmetry=SYMMETRY, **arguments.setting.align, **hardware)
    return {
        "ours": rigid,
        f"ours, to {LIMIT_A:g} Å": dataclasses.replace(rigid, finest_resolution_A=LIMIT_A),
        "ours, from RELION's": dataclasses.replace(rigid, init="local"),
    }


def pseudoatoms_of(folder: Path) -> Structure:
    """The map as pseudoatoms, with the command's defaults."""
    run_command("pseudoatoms", {"map": folder / "map.mrc", "output": folder / "pseudoatoms.pdb"})
    return read_structure(folder / "pseudoatoms.pdb")


def without_particles(particles: Particles, folder: Path) -> Particles:
    """The same images with random phases: their spectra without their content."""
    images = read_images(particles)
    noise = np.fft.rfft2(np.random.default_rng(0).standard_normal(images.shape))
    mixed = np.fft.irfft2(np.abs(np.fft.rfft2(images)) * noise / np.abs(noise), s=images.shape[1:])
    write_stack(folder / "empty.mrcs", mixed.astype(np.float32), particles.pixel_size_A)
    return particles.replace(stacks=np.full(len(particles), str(folder / "empty.mrcs"), dtype=object))


def aligned_with_control(
    structure: Structure, particles: Particles, empty: Particles, options: AlignOptions
) -> tuple[Particles, Particles, float]:
    """The particles aligned; images without particles aligned in the same way, with the former's calibration; and CPU
    seconds a particle."""
    from continuousflex_deep.hemnma.alignment import calibration_for
    from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
    from continuousflex_deep.hemnma.results import merged_results

    none = NormalModes(mode_ids=(), vectors=np.zeros((0, len(structure), 3)))
    engine, started = EmbeddedEngine(structure, none, options), time.process_time()
    engine.check(particles)
    calibration, rows = calibration_for(engine, particles), np.arange(len(particles))
    found = engine.align_batch(Batch.read(particles, rows), calibration)
    aligned = merged_results(particles, (), engine.motion, [found], options.fit)
    cpu_s = (time.process_time() - started) / len(particles)
    nothing = engine.align_batch(Batch.read(empty, rows), calibration)
    control = merged_results(empty, (), engine.motion, [nothing], options.fit)
    return aligned, control, cpu_s


def figures(ours: Particles, theirs: Particles, reference: Map, cpu_s: float | None) -> Figures:
    """One row; None for what there is not."""
    from continuousflex_deep.reconstruction.reconstruct import reconstruct

    mates = np.einsum("nij,sjk->nsik", euler_to_matrix(ours.euler_deg), point_group(SYMMETRY))
    angle = rotation_distance_deg(mates, euler_to_matrix(theirs.euler_deg)[:, None]).min(axis=1)
    close, certainty = angle < CLOSE_DEG, theirs.extra["rlnMaxValueProbDistribution"].astype(float)
    resolution = reconstruct(ours, symmetry=SYMMETRY, reference=reference).resolutions_A()
    return {
        "within_15": float(close.mean()),
        "unmarked": None if ours.ambiguous is None else share(close[~ours.ambiguous]),
        "sure": share(close[certainty >= np.quantile(certainty, 2 / 3)]),
        "median_deg": float(np.median(angle)),
        "map": finite(resolution["reference"]["0.5"]),
        "map_masked": finite(resolution["reference, masked"]["0.5"]),
        "halves_0.143": finite(resolution["half maps, corrected"]["0.143"]),
        "halves_0.5": finite(resolution["half maps, corrected"]["0.5"]),
        "ambiguous": None if ours.ambiguous is None else float(np.mean(ours.ambiguous)),
        "cpu_s": cpu_s,
    }


def share(which: np.ndarray) -> float | None:
    """Share that is true; None of nothing."""
    return float(which.mean()) if len(which) else None


def finite(value: float) -> float | None:
    """None where no resolution is reached."""
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    main()
