"""The pseudoatoms command: reads a map, finds where its particle is, writes pseudoatoms."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.records import write_record
from continuousflex_deep.io.stacks import read_volume
from continuousflex_deep.io.structures import write_structure
from continuousflex_deep.nma.pseudoatoms import map_to_pseudoatoms
from continuousflex_deep.nma.pseudoatoms_xmipp import PROGRAM, xmipp_pseudoatoms
from continuousflex_deep.options import PseudoatomsOptions
from continuousflex_deep.programs import XMIPP
from continuousflex_deep.progress import note

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]
_SIGMA_PX = 1.5
_SIGMA_RANGE_PX = (0.7, 12.0)  # narrower ones fall between voxels, wider ones are no longer local
_DUST = 0.05  # of the largest part's volume; smaller parts are noise, and would leave a network in pieces
_SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif")


def run(options: PseudoatomsOptions) -> None:
    """Write the pseudoatoms to options.output, with a record beside them."""
    output = Path(options.output)
    if output.suffix.lower() not in _SUFFIXES:
        raise InputError(f"--output: got '{output}', expected a file name that ends in .pdb or .cif")
    require_writable_folder(output.parent)
    _require_engine(options)
    volume, voxel_A = read_map(options)
    sigma_A = options.sigma_A or _SIGMA_PX * voxel_A
    low, high = (s * voxel_A for s in _SIGMA_RANGE_PX)
    if not low <= sigma_A <= high:
        raise InputError(
            f"--sigma-A: got {sigma_A:g} Å, expected {low:.3g} to {high:.3g} Å for voxels of {voxel_A:g} Å; "
            "resample the map for others"
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
        f"definition: {found.mean_error_percent:.2f}%); their centre is at {center_A} Å from voxel d//2 and becomes "
        "the origin of poses that align finds"
    )


def _require_engine(options: PseudoatomsOptions) -> None:
    """InputError for options that the engine cannot follow, MissingDependencyError where it is not installed."""
    if options.engine == "xmipp":
        if options.max_pseudoatoms != PseudoatomsOptions.max_pseudoatoms:
            raise InputError(
                f"--max-pseudoatoms: got {options.max_pseudoatoms}, but Xmipp's program has no such limit; leave it "
                "out, or use --engine embedded"
            )
        XMIPP.require([PROGRAM], options.xmipp_home)


def read_map(options: PseudoatomsOptions) -> tuple[Map, float]:
    """The map with its particle positive, and its voxel size in Å; InputError for what cannot be approximated."""
    volume, voxel_A = read_volume(options.map)
    where = f"map '{options.map}'"
    if len(set(volume.shape)) != 1:
        raise InputError(f"{where}: got a shape of {volume.shape}, expected a cubic one; pad it to a cube")
    if not np.isfinite(volume).all():
        raise InputError(f"{where}: {int((~np.isfinite(volume)).sum())} voxels are not finite; make the map anew")
    if np.ptp(volume) == 0:
        raise InputError(f"{where}: all voxels are {volume.flat[0]:g}; there is no particle in it")
    voxel_A = options.voxel_size_A or voxel_A
    if voxel_A <= 0:
        raise InputError(f"{where}: its header has no voxel size; give it by --voxel-size-A")
    volume = -volume if options.invert else volume
    # a particle stands out of its flat solvent to one side
    from_solvent = volume - np.median(volume)
    if float((from_solvent.astype(np.float64) ** 3).sum()) < 0 and not options.mask:
        raise InputError(
            f"{where}: its density appears to be {'positive' if options.invert else 'negative'} (the strongest values "
            f"lie below the solvent); {'leave out' if options.invert else 'use'} --invert, or say where the particle "
            "is by --mask"
        )
    return volume, voxel_A


def solvent_of(volume: Map, inside: Mask, sigma_px: float) -> tuple[float, float]:
    """Level and noise (standard deviation) of what is outside the particle; the noise is that part which Gaussians of
    this width cannot follow."""
    if inside.all():
        return 0.0, 0.0
    outside = ~ndimage.binary_dilation(inside, iterations=int(np.ceil(3 * sigma_px)))
    outside = outside if outside.any() else ~inside
    fine = (volume - ndimage.gaussian_filter(volume, sigma_px))[outside]
    deviation = 1.4826 * float(np.median(np.abs(fine - np.median(fine))))
    return float(np.median(volume[~inside])), deviation


def particle_mask(volume: Map, options: PseudoatomsOptions, sigma_px: float) -> tuple[Mask, str]:
    """The voxels (d, d, d) of the particle and how they were found, without specks of noise apart from it.

    Otsu's threshold is that of the map seen through the Gaussian, in which noise does not stand out.
    """
    if options.mask:
        mask, _ = read_volume(options.mask)
        if mask.shape != volume.shape:
            raise InputError(f"mask '{options.mask}': got a shape of {mask.shape}, expected the map's {volume.shape}")
        inside, how = mask > 0.5, "mask"
    elif options.threshold == "auto":
        smooth = ndimage.gaussian_filter(volume, sigma_px)
        threshold = otsu_threshold(smooth)
        inside, how = smooth >= threshold, f"Otsu's threshold {threshold:.4g} of the smoothed map"
    else:
        threshold = _number(options.threshold)
        inside, how = volume >= threshold, f"threshold {threshold:g}"
    if not inside.any():
        top = (
            "above 0.5"
            if options.mask
            else f"as high; the map's values go from {volume.min():.4g} to {volume.max():.4g}"
        )
        raise InputError(f"pseudoatoms: with the {how} no voxel is left: none is {top}; choose another")
    return _without_dust(inside), how


def otsu_threshold(volume: Map) -> float:
    """The density that parts the voxels into two classes of least variance within (Otsu 1979, IEEE Trans SMC 9:62)."""
    count, edges = np.histogram(volume, bins=1024)
    middle = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(count)[:-1]
    above = count.sum() - below
    total = np.cumsum(count * middle)
    mean_below = total[:-1] / np.maximum(below, 1)
    mean_above = (total[-1] - total[:-1]) / np.maximum(above, 1)
    between = below * above * (mean_above - mean_below) ** 2.0
    return float(edges[1 + int(np.argmax(between))])


def _without_dust(inside: Mask) -> Mask:
    """Parts of less than a twentieth of the largest part's volume are left out."""
    label, count = ndimage.label(inside, np.ones((3, 3, 3)))
    volume = np.bincount(label[inside], minlength=count + 1)
    left = inside & (volume >= _DUST * volume.max())[label]
    if (removed := int(inside.sum() - left.sum())) > 0:
        note(f"{removed} of {int(inside.sum())} voxels lie in small parts apart from the particle and are left out")
    return left


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"--threshold: got '{text}', expected a density or auto")
    return value
