"""The `convert` command: particles from the file of one program to that of another.

Writes the particle file and, beside it as .json, its record. With --images the particles keep their poses, amplitudes
and half sets; everything else (images, CTF, optics groups, other columns) is taken from the other file.
"""

from typing import Any

import numpy as np

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.modes import parse_mode_list
from continuousflex_deep.io.particle_files import read_particles, require_particle_suffix, write_particles
from continuousflex_deep.io.records import require_record, write_record
from continuousflex_deep.io.relion import optics_groups
from continuousflex_deep.messages import note, say
from continuousflex_deep.options import ConvertOptions
from continuousflex_deep.particles import Particles, with_images


def run(options: ConvertOptions) -> None:
    """The `convert` command."""
    output = require_particle_suffix(options.output)
    record = output.with_suffix(".json")
    require_record(record)
    for source in (options.particles, options.images):
        if source and output.exists() and output.samefile(source):
            raise InputError(f"--output '{output}' is an input file; give another name")
    mode_ids = parse_mode_list(options.xmd_modes) if options.xmd_modes else None
    particles = read_particles(options.particles, options.pixel_size_A or None, mode_ids)
    if options.images:
        particles = with_original(particles, read_particles(options.images))
    write_particles(particles, output)
    facts = describe(particles)
    write_record(record, "convert", options, **facts)
    if output.suffix == ".xmd" and (facts["half_sets"] or facts["optics_groups"] > 1):
        note(f"'{output}': Xmipp's format has no half sets and optics groups; a .star file keeps them")
    say(format_facts(facts))
    say(f"written: {output}")


def with_original(particles: Particles, original: Particles) -> Particles:
    """The particles with the images and columns of `original`; our own columns that it lacks are kept."""
    joined = with_images(particles, original)
    ours = {k: v for k, v in particles.extra.items() if k.startswith("cfd") and k not in joined.extra}
    return joined.replace(extra=joined.extra | ours)


def describe(particles: Particles) -> dict[str, Any]:
    """The content of the file, for the record; half_sets: number of particles by half."""
    halves = np.array([], dtype=np.int64) if particles.half is None else particles.half
    values, counts = np.unique(halves, return_counts=True)
    return {
        "particles": len(particles),
        "box_px": particles.box_px,
        "pixel_size_A": particles.pixel_size_A,
        "ctf": particles.ctf is not None,
        "poses": particles.euler_deg is not None and particles.shift_A is not None,
        "mode_ids": list(particles.mode_ids),
        "optics_groups": len(set(optics_groups(particles))),
        "half_sets": {str(v): int(c) for v, c in zip(values, counts, strict=True)},
    }


def format_facts(facts: dict[str, Any]) -> str:
    """The summary that the command prints."""
    parts = [
        f"{facts['particles']} particles of {facts['box_px']} px, {facts['pixel_size_A']:.4g} Å/px",
        "CTF" if facts["ctf"] else "no CTF",
        "poses" if facts["poses"] else "no poses",
        f"amplitudes of modes {' '.join(map(str, facts['mode_ids']))}" if facts["mode_ids"] else "no amplitudes",
        f"optics groups: {facts['optics_groups']}",
    ]
    halves = " + ".join(str(count) for count in facts["half_sets"].values())
    parts.append(f"half sets: {halves}" if halves else "no half sets")
    return ", ".join(parts)
