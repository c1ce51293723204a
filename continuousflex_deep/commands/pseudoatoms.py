"""The `pseudoatoms` command: an EM map as pseudoatoms."""

from pathlib import Path

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.records import write_record
from continuousflex_deep.io.structure_files import STRUCTURE_SUFFIXES
from continuousflex_deep.io.structures import write_structure
from continuousflex_deep.nma.particle_mask import particle_mask, read_particle, solvent_of
from continuousflex_deep.nma.pseudoatoms import map_to_pseudoatoms
from continuousflex_deep.nma.pseudoatoms_xmipp import xmipp_pseudoatoms
from continuousflex_deep.options import PseudoatomsOptions
from continuousflex_deep.programs import XMIPP, XMIPP_PSEUDOATOMS

_SIGMA_PX = 1.5
_SIGMA_RANGE_PX = (0.7, 12.0)  # narrower Gaussians fit between voxels, wider ones are not local


def run(options: PseudoatomsOptions) -> None:
    """Write the pseudoatoms to options.output, with a record beside them."""
    output = Path(options.output)
    if output.suffix.lower() not in STRUCTURE_SUFFIXES:
        raise InputError(f"--output: got '{output}', expected a file name that ends in .pdb or .cif")
    require_writable_folder(output.parent)
    if options.engine == "xmipp":
        XMIPP.require([XMIPP_PSEUDOATOMS], options.xmipp_home)
    volume, voxel_A = read_particle(options)
    sigma_A = options.sigma_A or _SIGMA_PX * voxel_A
    low, high = (s * voxel_A for s in _SIGMA_RANGE_PX)
    if not low <= sigma_A <= high:
        raise InputError(
            f"--sigma-A: got {sigma_A:g} Å, expected {low:.3g} to {high:.3g} Å for voxels of {voxel_A:g} Å; "
            "resample the map for other values"
        )
    inside, how = particle_mask(volume, options, sigma_A / voxel_A)
    solvent, noise = solvent_of(volume, inside, sigma_A / voxel_A)
    print(
        f"{int(inside.sum())} voxels of {voxel_A:g} Å ({how}), solvent {solvent:.4g} ± {noise:.2g}, σ {sigma_A:.2f} Å",
        flush=True,
    )
    target = options.target_error_percent
    if options.engine == "xmipp":
        log = output.with_name(f"{output.stem}_xmipp.log")
        found = xmipp_pseudoatoms(
            volume - solvent, inside, voxel_A, sigma_A, target, options.xmipp_home, log, options.threads, noise
        )
    else:
        found = map_to_pseudoatoms(volume - solvent, inside, voxel_A, sigma_A, target, options.max_pseudoatoms, noise)
    write_structure(output, found.structure, remarks=found.remarks())
    center_A = [round(float(c), 3) for c in found.structure.center_A]
    facts = {
        "pseudoatoms": len(found.structure),
        "sigma_A": sigma_A,
        "mask": how,
        "solvent": solvent,
        "noise": noise,
        "peak_density_of_weight_1": found.peak,
        "error_percent": found.error_percent,
        "xmipp_error_percent": found.mean_error_percent,
        "center_A": center_A,
    }
    write_record(output.with_suffix(".json"), "pseudoatoms", options, **facts)
    print(
        f"{output}: {len(found.structure)} pseudoatoms, error {found.error_percent:.2f}% (Xmipp's "
        f"definition: {found.mean_error_percent:.2f}%); their centre, at {center_A} Å from voxel d//2, is the origin "
        "of poses from align"
    )
