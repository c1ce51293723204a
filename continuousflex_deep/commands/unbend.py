"""The `unbend` command: deformation-corrected reconstruction from particles in all conformations.

Writes the files of `reconstruct` for the deformation-corrected map, and average.mrc: the plain reconstruction of the
same particles, whose curves are also in fsc.csv. reconstruction/bent_rays.py describes the method and the meaning of
its half maps.
"""

from continuousflex_deep.devices import choose_device
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.file_names import AVERAGE_MRC, RECORD_JSON
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.maps import write_volume
from continuousflex_deep.io.modes import parse_mode_list
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.records import begin_results, write_record
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.stacks import check_images
from continuousflex_deep.options import UnbendOptions
from continuousflex_deep.particles import with_images
from continuousflex_deep.reconstruction.bent_rays import VoxelMotion
from continuousflex_deep.reconstruction.deformation_corrected import unbend
from continuousflex_deep.reconstruction.maps import read_reference_map
from continuousflex_deep.reconstruction.reconstruct import (
    finite_resolutions,
    format_reconstruction,
    write_reconstruction,
)
from continuousflex_deep.runs.sole_writer import sole_writer


@sole_writer
def run(options: UnbendOptions) -> None:
    """The `unbend` command."""
    folder = require_writable_folder(options.output)
    particles = read_particles(options.particles)
    particles.require_poses("a reconstruction")
    particles.require_amplitudes("a deformation-corrected reconstruction")
    mode_ids = parse_mode_list(options.mode_list) if options.mode_list else particles.mode_ids
    if missing := [mode for mode in mode_ids if mode not in particles.mode_ids]:
        raise InputError(
            f"the particles have no amplitudes along modes {missing}; they have {list(particles.mode_ids)}"
        )
    if options.images:
        particles = with_images(particles, read_particles(options.images))
    structure, modes = read_reference(options.structure, options.modes, mode_ids, options, particles.motion)
    if options.ctf:
        particles.require_ctf("a reconstruction with CTF weighting (--no-ctf turns it off)")
    check_images(particles)
    reference = (
        read_reference_map(options.reference, particles.box_px, particles.pixel_size_A) if options.reference else None
    )
    device = choose_device(options.device, options.threads)
    motion = VoxelMotion(structure, modes, particles.box_px, particles.pixel_size_A, device)
    unbent = unbend(particles, motion, mode_ids, options.ctf, options.mask_diameter_A, reference, options.batch, device)
    begin_results(folder)
    write_reconstruction(folder, unbent.result, reference)
    write_volume(folder / AVERAGE_MRC, unbent.average, particles.pixel_size_A)
    facts = {
        "particles": len(particles),
        "modes": list(mode_ids),
        "half_sets": unbent.result.half_sets,
        "maps_inverted": unbent.result.sign < 0,
        "contrast_found_by": unbent.result.sign_rule,
        "resolution_A": finite_resolutions(unbent.result.resolutions_A()),
    }
    write_record(folder / RECORD_JSON, "unbend", options, **facts)
    print(format_reconstruction(unbent.result, len(particles)))
    print(f"written: {folder}")
