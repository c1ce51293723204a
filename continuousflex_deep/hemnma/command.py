"""The align command: reads, checks, aligns with an engine, writes."""

import dataclasses
import sys
from pathlib import Path

import numpy as np

from continuousflex_deep._version import __version__
from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.parts import PartStore
from continuousflex_deep.io.modes import parse_mode_list, read_modes, require_same_atoms
from continuousflex_deep.io.particle_files import read_particles, require_particle_suffix, write_particles
from continuousflex_deep.io.records import write_record
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles

# options that do not change the result, so that a resumed run may differ in them
_FREE = ("output", "device", "threads", "particles", "structure", "modes")


def run(options: AlignOptions) -> None:
    """Align the particles and write them to options.output, with a record beside it; resumes what a killed run left."""
    output = require_particle_suffix(options.output)
    if output.exists() and output.samefile(options.particles):
        raise InputError(f"'{output}' is the input; give another name for the output")
    mode_ids = parse_mode_list(options.mode_list)
    structure, modes = read_structure(options.structure), read_modes(options.modes, mode_ids)
    require_same_atoms(modes, len(structure), options.structure, options.modes)
    particles = read_particles(options.particles, options.pixel_size_A or None, mode_ids)
    engine = EmbeddedEngine(structure, modes, options)
    store = PartStore(output.with_suffix(".parts"), _determining(options, particles, structure.coords_A, modes.vectors))
    aligned = engine.align(particles, store)
    write_particles(aligned, output)
    facts = engine.facts(aligned, engine.calibration(particles, store))
    write_record(output.with_suffix(".json"), "align", options, **facts)
    store.remove()
    told = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in facts.items())
    print(f"{output}: {len(aligned)} particles aligned; {told}", file=sys.stderr)


def _determining(options: AlignOptions, particles: Particles, *arrays: np.ndarray) -> list[object]:
    """What a part's content depends on."""
    settings = {k: v for k, v in dataclasses.asdict(options).items() if k not in _FREE}
    poses = [] if particles.euler_deg is None else particles.euler_deg.tolist()
    images = [f"{i}@{Path(s).absolute()}" for i, s in zip(particles.indices, particles.stacks, strict=True)]
    sums = [float(np.abs(a).sum()) for a in arrays]
    return [__version__, settings, particles.ids.tolist(), images, particles.pixel_size_A, poses, sums]
