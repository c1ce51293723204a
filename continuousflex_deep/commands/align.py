"""The align command: reads, checks, aligns with an engine, writes."""

import sys

from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma.alignment import Alignment
from continuousflex_deep.hemnma.engines.choice import make_engine
from continuousflex_deep.hemnma.learned_modes import learned_modes
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.modes import NormalModes, parse_mode_list
from continuousflex_deep.io.particle_files import read_particles, require_particle_suffix, write_particles
from continuousflex_deep.io.reference import read_reference, read_rigid_reference
from continuousflex_deep.io.stacks import check_images
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.messages import note
from continuousflex_deep.options import AUTO, AlignOptions, options_of, result_options
from continuousflex_deep.particles import STRAIGHT, Particles
from continuousflex_deep.runs.left_out import tell_left_out
from continuousflex_deep.runs.output import making, require_free_names, write_record_of
from continuousflex_deep.runs.parts import PartStore, parts_folder, store_for
from continuousflex_deep.runs.workers import Workers, with_workers


@with_workers
def run(options: AlignOptions, workers: Workers) -> None:
    """Align the particles and write them to options.output, with a record beside it; continues a run that was
    killed."""
    output = require_particle_suffix(options.output)
    require_writable_folder(output.parent)
    require_free_names(output, options.particles, options.structure)
    structure, modes = reference(options)
    known = () if learns(options) else modes.mode_ids
    particles = read_particles(options.particles, options.pixel_size_A or None, known or None)
    check_images(particles)
    if learns(options):
        modes = learned_modes(structure, modes, particles, options, workers)
    engine = make_engine(structure, modes, options, parts_folder(output))
    engine.check(particles)
    store = part_store(options, particles, structure, modes)
    with making(output, store) as unfinished:
        if unfinished:
            alignment = Alignment(engine, particles, store, workers)
            aligned, left_out = alignment.run()
            store.require_unchanged()
            facts = engine.facts(aligned, alignment.calibration()[0])
            write_particles(aligned, output)
            tell_left_out(left_out, output)
            write_record_of(output, store, "align", options, **facts, left_out=left_out.facts())
            told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
            print(f"{output}: {len(aligned)} particles aligned; {told}", file=sys.stderr)


def reference(options: AlignOptions) -> tuple[Structure, NormalModes]:
    """The structure and the modes to align with; no modes where only poses are to be found and none are given."""
    if not options.modes and options.fit == "pose":
        return read_rigid_reference(options.structure, options)
    if not options.modes:
        raise InputError(
            "option --modes is required: a folder of normal modes, as the nma command makes; "
            "without modes only poses can be found (--fit pose)"
        )
    motion = STRAIGHT if options.engine == "xmipp" else options.motion
    structure, modes = read_reference(options.structure, options.modes, listed(options), options, motion)
    if modes.prior_sd_A is not None and options.motion_prior_A != options_of(AlignOptions)["motion_prior_A"].default:
        note("--motion-prior-A is not used: these modes were learned from particles, with deviations of their own")
    return structure, modes


def listed(options: AlignOptions) -> tuple[int, ...] | None:
    """The modes that are named; None for all, of which the data choose."""
    return None if learns(options) else parse_mode_list(options.mode_list)


def learns(options: AlignOptions) -> bool:
    """Whether the modes are learned from the particles."""
    return options.mode_list.strip() == AUTO


def part_store(options: AlignOptions, particles: Particles, structure: Structure, modes: NormalModes) -> PartStore:
    """Where the finished parts of this alignment are kept until its output is written: the folder OUTPUT.parts."""
    settings = result_options(options)
    if options.modes:
        # however they are given
        settings |= {"mode_list": listed(options) or modes.mode_ids, "motion": modes.motion}
    reference = (structure.coords_A, structure.weights, structure.residue_index, modes.vectors, *modes.learned)
    return store_for(options.output, settings, particles, *reference)
