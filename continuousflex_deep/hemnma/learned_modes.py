"""The folder of modes that an alignment learns from its particles, and continues from."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma.mode_learning import LearnedModes, ModeLearning
from continuousflex_deep.io.file_names import RECORD_JSON
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.modes import NormalModes, read_modes, write_modes
from continuousflex_deep.io.motion_table import (
    MOTIONS_CSV,
    MotionTable,
    holds_normal_modes,
    motion_numbers,
    write_motion_tables,
)
from continuousflex_deep.io.records import begin_results
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.messages import note
from continuousflex_deep.nma.network import collectivity
from continuousflex_deep.options import AlignOptions, result_options
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.output import making, require_free_names, write_record_of
from continuousflex_deep.runs.parts import store_for
from continuousflex_deep.runs.workers import ALONE, Workers


def modes_folder_of(output: Path) -> Path:
    """Where the modes are written that are learned for the particle file `output`."""
    return output.with_name(f"{output.stem}_modes")


def learned_modes(
    structure: Structure, modes: NormalModes, particles: Particles, options: AlignOptions, workers: Workers = ALONE
) -> NormalModes:
    """The motions that the particles show, as modes, from the folder OUTPUT_modes: learned now by the workers, or by a
    run before.

    Raises InputError if the options are not those of an alignment that learns, or the particles do not suffice.
    """
    if options.engine != "embedded" or options.fit == "pose":
        raise InputError(
            "--mode-list auto learns the modes by the embedded engine, which finds amplitudes; name the modes, for "
            "example --mode-list 7-9, for --engine xmipp or --fit pose"
        )
    folder = modes_folder_of(Path(options.output))
    table = folder / MOTIONS_CSV
    if any(folder.glob("vec.*")) and (holds_normal_modes(folder) or folder.samefile(options.modes)):
        raise InputError(
            f"'{folder}' has modes already, which those that --mode-list auto learns would replace; give another "
            "--output"
        )
    require_writable_folder(folder)
    require_free_names(table, options.particles, options.structure)
    settings = result_options(options) | {"mode_list": modes.mode_ids, "motion": modes.motion}
    known = [*([] if modes.eigenvalues is None else [modes.eigenvalues]), *modes.learned]
    reference = (structure.coords_A, structure.weights, structure.residue_index, modes.vectors, *known)
    store = store_for(table, settings, particles, *reference)
    with making(table, store) as unfinished:
        if unfinished:
            learned = ModeLearning(structure, modes, options, store, workers).run(particles)
            store.require_unchanged()
            _write(folder, Path(options.modes), modes, learned, len(structure))
            write_record_of(table, store, "align", options, learned_from=learned.motions.particles)
    return read_modes(folder)


def _write(folder: Path, source: Path, modes: NormalModes, found: LearnedModes, n_atoms: int) -> None:
    """The used motions as modes, their tables, and the record of the atoms that they move. Nothing of an earlier
    run counts as complete from here on, so that its files are never taken for those of this one."""
    table = folder / MOTIONS_CSV
    begin_results(folder, table.name, table.with_suffix(".json").name)
    motions, used = found.motions, found.used
    if not used.any():
        note("the images show no motion along these modes; the one with the most evidence is kept, which is noise")
        used = motions.evidence == motions.evidence.max()
    described = MotionTable(
        motions.axes,
        motions.sd_A / np.sqrt(n_atoms),
        motions.share,
        motions.noise,
        motions.evidence,
        used,
        motion_numbers(modes.combined(motions.axes, tuple(range(len(modes))), motions.sd_A).vectors),
        modes.mode_ids,
        motions.mode_share,
        motions.mode_evidence,
    )
    learned = modes.combined(motions.axes[used], described.used_ids, motions.sd_A[used])
    write_modes(folder, replace(learned, collectivity=collectivity(learned.vectors), density=found.density))
    if (source / RECORD_JSON).is_file():
        shutil.copyfile(source / RECORD_JSON, folder / RECORD_JSON)
    write_motion_tables(folder, described)
    places = "" if found.density is None else f", and a density of {len(found.density)} Gaussians along them"
    print(
        f"{folder}: {used.sum()} motions learned from {motions.particles} particles along {len(modes)} modes{places}; "
        f"this folder has them as modes for the commands that follow\n{described.text()}",
        file=sys.stderr,
    )
