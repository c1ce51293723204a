"""The align command: reads, checks, aligns with an engine, writes."""

import dataclasses
import hashlib
import sys
from pathlib import Path

import numpy as np

from continuousflex_deep._version import __version__
from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.parts import PartStore
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.modes import NormalModes, parse_mode_list, read_modes, require_same_atoms
from continuousflex_deep.io.particle_files import read_particles, require_particle_suffix, write_particles
from continuousflex_deep.io.records import write_record
from continuousflex_deep.io.stacks import check_images
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles

# options that do not change the result, so that a resumed run may differ in them
_FREE = ("output", "device", "threads", "particles", "structure", "modes")


def run(options: AlignOptions) -> None:
    """Align the particles and write them to options.output, with a record beside it; resumes what a killed run left."""
    output = require_particle_suffix(options.output)
    require_writable_folder(output.parent)
    if output.exists() and output.samefile(options.particles):
        raise InputError(f"'{output}' is the input; give another name for the output")
    structure = read_structure(options.structure)
    modes = chosen_modes(options, structure)
    particles = read_particles(options.particles, options.pixel_size_A or None, modes.mode_ids or None)
    engine = EmbeddedEngine(structure, modes, options)
    store = part_store(options, particles, structure, modes)
    aligned = engine.align(particles, store)
    write_particles(aligned, output)
    facts = engine.facts(aligned, engine.calibration(particles, store))
    write_record(output.with_suffix(".json"), "align", options, **facts)
    store.remove()
    told = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in facts.items())
    print(f"{output}: {len(aligned)} particles aligned; {told}", file=sys.stderr)


def chosen_modes(options: AlignOptions, structure: Structure) -> NormalModes:
    """The modes to align with; none where only poses are to be found and no modes are given."""
    if not options.modes and options.fit == "pose":
        return NormalModes(mode_ids=(), vectors=np.zeros((0, len(structure), 3)))
    if not options.modes:
        raise InputError(
            "option --modes is required: a folder of normal modes, as the nma command makes; "
            "without modes only poses can be found (--fit pose)"
        )
    modes = read_modes(options.modes, parse_mode_list(options.mode_list))
    require_same_atoms(modes, len(structure), options.structure, options.modes)
    return modes


def part_store(options: AlignOptions, particles: Particles, structure: Structure, modes: NormalModes) -> PartStore:
    """Where the finished parts of this alignment are kept until its output is written: the folder OUTPUT.parts."""
    check_images(particles)
    folder = Path(options.output).with_suffix(".parts")
    return PartStore(folder, _determining(options, particles, structure.coords_A, modes.vectors))


def _determining(options: AlignOptions, particles: Particles, *arrays: np.ndarray) -> list[object]:
    """What a part's content depends on: options, structure, modes, and all that is known of the particles and stacks.

    A stack is told by its path, size and time of change, so that its images need not be read for this.
    """
    settings = {k: v for k, v in dataclasses.asdict(options).items() if k not in _FREE}
    p, ctf = particles, () if particles.ctf is None else tuple(vars(particles.ctf).values())
    known = (p.ids, p.indices, p.euler_deg, p.shift_A, p.amplitudes, *ctf, *arrays)
    digests = [None if a is None else hashlib.sha256(a.tobytes()).hexdigest() for a in known]
    names, of_particle = np.unique(p.stacks.astype(str), return_inverse=True)
    files = [(str(Path(s).absolute()), Path(s).stat().st_size, Path(s).stat().st_mtime_ns) for s in names]
    images = [files, hashlib.sha256(of_particle.tobytes()).hexdigest()]
    return [__version__, settings, digests, p.mode_ids, p.pixel_size_A, p.box_px, p.phase_flipped, images]
