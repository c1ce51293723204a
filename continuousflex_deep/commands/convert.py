"""The `convert` command: particles from the files of one program to that of another, sets merged or divided.

Writes the particle file and, beside it as .json, its record. With --images the particles keep their poses, amplitudes
and half sets; everything else (images, CTF, optics groups, other columns) is taken from the other file. With --draw
only some of the particles are written; --rest is the file of the others.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Booleans
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.frealign import Microscope, read_frealign
from continuousflex_deep.io.modes import parse_mode_list
from continuousflex_deep.io.particle_files import (
    FREALIGN,
    read_particles,
    require_particle_suffix,
    write_particles,
)
from continuousflex_deep.io.records import require_record, write_record
from continuousflex_deep.io.relion import optics_groups
from continuousflex_deep.messages import note, say
from continuousflex_deep.options import ConvertOptions
from continuousflex_deep.particles import Particles, concatenate, with_images


def run(options: ConvertOptions) -> None:
    """The `convert` command."""
    outputs = [require_particle_suffix(name) for name in (options.output, options.rest) if name]
    records = [output.with_suffix(".json") for output in outputs]
    for record in records:
        require_record(record)
    _require_other_files(options, outputs)
    parts = [_read(name, options) for name in options.particles]
    particles = concatenate(parts)
    if options.images:
        particles = with_original(particles, read_particles(options.images))
    sets = [particles]
    if options.draw:
        drawn = drawn_rows([len(part) for part in parts], options.draw, options.seed)
        if options.rest and drawn.all():
            raise InputError(f"--draw {options.draw} leaves no particles for --rest; draw fewer, or leave --rest out")
        sets = [particles.select(drawn), particles.select(~drawn)]
    for one, output, record in zip(sets, outputs, records, strict=False):  # without --rest, the others are not written
        write_particles(one, output)
        facts = describe(one)
        write_record(record, "convert", options, **facts)
        if output.suffix == ".xmd" and (facts["half_sets"] or facts["optics_groups"] > 1):
            note(f"'{output}': Xmipp's format has no half sets and optics groups; a .star file keeps them")
        say(format_facts(facts))
        say(f"written: {output}")


def _require_other_files(options: ConvertOptions, outputs: Sequence[Path]) -> None:
    """InputError where a file would be read and written, or written twice, or where --draw and --rest lack each
    other's meaning."""
    for output in outputs:
        for source in (*options.particles, options.images):
            if source and output.exists() and output.samefile(source):
                flag = "--output" if output is outputs[0] else "--rest"
                raise InputError(f"{flag} '{output}' is an input file; give another name")
    if options.rest and not options.draw:
        raise InputError(f"--rest '{options.rest}' is for the particles that are not drawn; give --draw, too")
    if options.rest and os.path.abspath(options.rest) == os.path.abspath(options.output):
        raise InputError(f"--output and --rest are both '{options.rest}'; give two names")


def _read(name: str, options: ConvertOptions) -> Particles:
    """The particles of one file."""
    pixel_size_A = options.pixel_size_A or None
    if Path(name).suffix.lower() != FREALIGN:
        mode_ids = parse_mode_list(options.xmd_modes) if options.xmd_modes else None
        return read_particles(name, pixel_size_A, mode_ids)
    given = {
        "--stack": bool(options.stack),
        "--voltage-kV": options.voltage_kV > 0,
        "--cs-mm": options.cs_mm >= 0,
        "--amplitude-contrast": options.amplitude_contrast >= 0,
    }
    if not all(given.values()):
        raise InputError(
            f"'{name}' is a parameter file of FREALIGN, which names neither its stack nor the microscope; give "
            f"{', '.join(flag for flag, there in given.items() if not there)}"
        )
    microscope = Microscope(options.voltage_kV, options.cs_mm, options.amplitude_contrast)
    stack = os.path.abspath(options.stack)
    return read_frealign(Path(name), stack, microscope, pixel_size_A, options.min_occupancy_percent)


def drawn_rows(sizes: Sequence[int], count: int, seed: int) -> Booleans:
    """(n,) which of the rows of several sets, one after another, are drawn: at random, of each in proportion to its
    size. InputError where there are not as many."""
    if count > sum(sizes):
        raise InputError(f"--draw: got {count}, but there are {sum(sizes)} particles; draw fewer")
    rng = np.random.default_rng(seed)
    # each set's particles, in a random order, spread evenly over 0 to 1: so each end has the same share of every set
    places = np.concatenate([(rng.permutation(size) + rng.random()) / size for size in sizes])
    drawn = np.zeros(len(places), dtype=bool)
    drawn[np.argsort(places, kind="stable")[:count]] = True
    return drawn


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
