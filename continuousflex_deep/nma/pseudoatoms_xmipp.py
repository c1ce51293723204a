"""Pseudoatoms by Xmipp's program, with the same map, mask, units and errors as those of the embedded engine."""

import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Booleans, Singles
from continuousflex_deep.errors import DeepError
from continuousflex_deep.io.maps import write_volume
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.messages import note
from continuousflex_deep.nma.gaussians import GaussianSum, VoxelFit
from continuousflex_deep.nma.pseudoatoms import Pseudoatoms, as_pseudoatoms
from continuousflex_deep.programs import XMIPP, XMIPP_PSEUDOATOMS, run_program

_MOST_SEEDS = 300  # Xmipp's default
_SEED_SPACING = 3.0  # in σ; with more seeds in a small particle the sum is too high, and Xmipp removes them all


def xmipp_pseudoatoms(
    volume: Singles,
    inside: Booleans,
    voxel_A: float,
    sigma_A: float,
    target_percent: float,
    home: str,
    log: Path,
    threads: int = 0,
    noise: float = 0.0,
) -> Pseudoatoms:
    """Pseudoatoms of a map (d, d, d) whose solvent is 0, within a mask (d, d, d); the program's output goes to a log.

    Xmipp adds them until its error, `mean_error_percent`, is target_percent, or does not decrease; then a note says so.
    Raises MissingDependencyError if the program is not installed, DeepError if it fails.
    """
    program = XMIPP.require([XMIPP_PSEUDOATOMS], home)[XMIPP_PSEUDOATOMS]
    seeds = int(np.clip(inside.sum() / (_SEED_SPACING * sigma_A / voxel_A) ** 3, 4, _MOST_SEEDS))
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="cfd_pseudoatoms_") as folder:
        write_volume(Path(folder) / "map.mrc", volume, voxel_A)
        write_volume(Path(folder) / "mask.mrc", inside.astype(np.float32), voxel_A)
        words = f"-i map.mrc -o found --mask binary_file mask.mrc --sigma {sigma_A:.6f} --sampling_rate {voxel_A:.6f}"
        words += f" --targetError {target_percent:.6f} --initialSeeds {seeds} --intensityColumn Bfactor -v 1"
        words += f" --thr {threads or len(os.sched_getaffinity(0))}"
        run_program([str(program), *words.split()], XMIPP.environment(program), Path(folder), log.absolute())
        found = Path(folder) / "found.pdb"
        if not found.is_file() or "\nATOM" not in found.read_text():
            raise DeepError(f"{program.name} found no pseudoatoms; see its log '{log}', and try a smaller --sigma-A")
        structure = read_structure(found)
    fit, box_px = VoxelFit(volume, inside, noise), len(volume)
    result = as_pseudoatoms(_gaussians(structure, fit, box_px, sigma_A / voxel_A, voxel_A), fit, box_px, voxel_A)
    said = re.findall(r"Error with \d+ pseudo-atoms (\S+)", log.read_text())
    if said and 100 * float(said[-1]) > target_percent:
        note(
            f"Xmipp's error is {100 * float(said[-1]):.2f}%, not the requested {target_percent:g}%: it could not "
            "reduce the error further, try a smaller --sigma-A"
        )
    return result


def _gaussians(structure: Structure, fit: VoxelFit, box_px: int, sigma_px: float, voxel_A: float) -> GaussianSum:
    """Xmipp's pseudoatoms with the weights of its program.

    Its file contains 0.01 + 0.99·(weight − least)/(greatest − least) instead; the least weight and the scale are
    recovered by a fit of the Gaussians to the map.
    """
    places_px = structure.coords_A[:, ::-1] / voxel_A + box_px // 2
    unit = GaussianSum(places_px, np.zeros(len(structure)), sigma_px)
    columns = [
        fit.target - fit.residual(replace(unit, weights=weights))
        for weights in (structure.weights - 0.01, np.ones(len(structure)))
    ]
    scale, least = np.linalg.lstsq(np.stack(columns, axis=1), fit.target, rcond=1e-9)[0]
    weights = scale * (structure.weights - 0.01) + least
    if not np.isfinite(weights).all() or weights.max() <= 0:
        raise DeepError(
            f"{XMIPP_PSEUDOATOMS} wrote weights from {structure.weights.min():g} to {structure.weights.max():g} that "
            "do not reproduce the map; try another --sigma-A or the embedded engine"
        )
    return replace(unit, weights=weights)
