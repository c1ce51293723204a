"""The reconstruct command: 3D reconstructions of groups, with half maps and FSC."""

from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.devices import choose_device
from continuousflex_deep.io.file_names import PARTICLES_STAR, RECORD_JSON
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.records import begin_results, write_record
from continuousflex_deep.options import ReconstructOptions
from continuousflex_deep.reconstruction.external import MapProgram, map_program
from continuousflex_deep.reconstruction.fsc import cross_power
from continuousflex_deep.reconstruction.groups import Group, group_folder, groups_to_reconstruct
from continuousflex_deep.reconstruction.maps import read_reference_map
from continuousflex_deep.reconstruction.reconstruct import (
    CORRECTED,
    Reconstruction,
    finite_resolutions,
    format_reconstruction,
    reconstruct,
    write_reconstruction,
)
from continuousflex_deep.reconstruction.series import Member, finish_series
from continuousflex_deep.runs.sole_writer import sole_writer


@sole_writer
def run(options: ReconstructOptions) -> None:
    """The `reconstruct` command."""
    require_writable_folder(options.output)
    program = program_of(options)
    groups = groups_to_reconstruct(options)
    first = groups[0].particles
    reference = read_reference_map(options.reference, first.box_px, first.pixel_size_A) if options.reference else None
    device = choose_device(options.device, options.threads)
    folder = Path(options.output)
    window_A = options.local_window_A if options.local_filter else None
    several, done = len(groups) > 1, []
    begin_results(folder)
    for number, group in enumerate(groups, start=1):
        result = reconstruct(
            group.particles, options.ctf, options.symmetry, options.mask_diameter_A, reference, options.batch, device,
            program, window_A,
        )  # fmt: skip
        place = folder / group_folder(number) if several else folder
        begin_results(place)
        write_reconstruction(place, result, reference)
        write_particles(group.particles, place / PARTICLES_STAR)
        if several:
            print(f"group {number} of {len(groups)}: {group.title}")
        print(format_reconstruction(result, len(group.particles)), flush=True)
        done.append(_member(place, group, result))
        write_record(place / RECORD_JSON, "reconstruct", options, **_facts(result, group))
    if several:
        factors = finish_series(folder, done, None if reference is not None else result.mask)
        facts = [
            {"folder": m.folder.name, "particles": m.particles, **g.facts, "multiplied_by": factor}
            for m, g, factor in zip(done, groups, factors, strict=True)
        ]
        write_record(folder / RECORD_JSON, "reconstruct", options, groups=facts)
    print(f"written: {folder}")


def _member(folder: Path, group: Group, result: Reconstruction) -> Member:
    mask = np.float32(1) if result.mask is None else result.mask
    power = cross_power(result.half1 * mask, result.half2 * mask)
    return Member(folder, group.title, len(group.particles), result.sign, power, result.curves[CORRECTED])


def _facts(result: Reconstruction, group: Group) -> dict[str, Any]:
    return {
        "particles": len(group.particles),
        **group.facts,
        "half_sets": result.half_sets,
        "maps_inverted": result.sign < 0,
        "contrast_found_by": result.sign_rule,
        "resolution_A": finite_resolutions(result.resolutions_A()),
    }


def program_of(options: ReconstructOptions) -> MapProgram | None:
    """The program of the requested engine; None for the embedded one. Its output goes to a log in the folder.

    Raises MissingDependencyError if it is not installed.
    """
    if options.engine == "embedded":
        return None
    home = {"relion": options.relion_home, "xmipp": options.xmipp_home}[options.engine]
    return map_program(options.engine, home, Path(options.output) / f"{options.engine}.log", options.threads)
