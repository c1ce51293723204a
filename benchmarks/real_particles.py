"""Real particles: our poses against RELION's, by the maps that they give.

    python benchmarks/real_particles.py [--data ../shared/data] [--threads N] [--output real_particles.json]

133 β-galactosidase particles of one micrograph (betagal133), with the poses that RELION 3.1.3 found, and a map of the
protein. Pseudoatoms of the map are the reference; poses are found from nothing, and from RELION's. Columns: share of
particles within 15° of RELION's pose modulo D2: of all, of those that we do not mark as ambiguous, and of the third
about which RELION is surest (rlnMaxValueProbDistribution); median angle; resolution of the D2 reconstruction in Å where
its FSC with the map falls to 0.5, plain and in a spherical mask, and where that of the half maps (masked, corrected)
falls to 0.143 and 0.5; share marked ambiguous; CPU seconds a particle, calibration included.

All reconstructions are compared with one map, and ours come from poses that were found with its help, in both halves:
noise that follows the reference counts as signal there. How much, the last rows tell: the same images with their
phases randomised, which hold no particle. Where no detail finer than 20 Å is used for alignment, an FSC beyond 20 Å
owes nothing to this.
"""

import argparse
import dataclasses
import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Map
from continuousflex_deep.commands.pseudoatoms import run as make_pseudoatoms
from continuousflex_deep.geometry import euler_to_matrix, rotation_distance_deg
from continuousflex_deep.hemnma.alignment import calibration_for
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.results import merged_results
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.options import AlignOptions, PseudoatomsOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.reconstruction.maps import read_reference_map
from continuousflex_deep.reconstruction.reconstruct import reconstruct
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.symmetry import point_group

SYMMETRY, LIMIT_A, CLOSE_DEG = "d2", 20.0, 15.0
COLUMNS = ("< 15°", "unmarked", "sure", "median", "map", "map masked", "halves .143", "halves .5", "ambiguous", "CPU-s")
Figures = dict[str, float | None]


def main() -> None:
    """Print a line per set of poses and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("real_particles.json"))
    arguments = parser.parse_args()
    data = arguments.data / "betagal133"
    theirs = read_particles(data / "particles.star")
    density = data / "betaGal_ref_2.561A_96.mrc"
    reference = read_reference_map(density, theirs.box_px, theirs.pixel_size_A)
    with tempfile.TemporaryDirectory() as folder:
        structure = pseudoatoms_of(density, Path(folder))
        empty = without_particles(theirs, Path(folder))
        print("\nFSC with one and the same map for all rows; see --help for what biases ours, and by how much\n")
        print(f"{'poses':<34}" + "".join(f"{c:>12}" for c in COLUMNS))
        table = {"RELION": figures(theirs, theirs, reference, None)}
        show("RELION", table["RELION"])
        for name, options in runs(arguments.threads).items():
            aligned, control, cpu_s = aligned_with_control(structure, theirs, empty, options)
            table[name] = figures(aligned, theirs, reference, cpu_s)
            show(name, table[name])
            table[f"{name}: no particle"] = figures(control, theirs, reference, None)
            show("   the same, no particle in it", table[f"{name}: no particle"])
    arguments.output.write_text(json.dumps({"pseudoatoms": len(structure), "poses": table}, indent=2) + "\n")
    print(f"written: {arguments.output}")


def runs(threads: int) -> dict[str, AlignOptions]:
    """What is aligned how."""
    rigid = AlignOptions(fit="pose", symmetry=SYMMETRY, threads=threads)
    return {
        "ours": rigid,
        f"ours, nothing finer than {LIMIT_A:g} Å": dataclasses.replace(rigid, finest_resolution_A=LIMIT_A),
        "ours, from RELION's": dataclasses.replace(rigid, init="local"),
    }


def pseudoatoms_of(density: Path, folder: Path) -> Structure:
    """The map as pseudoatoms, with the command's defaults."""
    make_pseudoatoms(PseudoatomsOptions(map=str(density), output=str(folder / "pseudoatoms.pdb")))
    return read_structure(folder / "pseudoatoms.pdb")


def without_particles(particles: Particles, folder: Path) -> Particles:
    """The same images with random phases: their spectra without their content."""
    images = read_images(particles)
    noise = np.fft.rfft2(np.random.default_rng(0).standard_normal(images.shape))
    mixed = np.fft.irfft2(np.abs(np.fft.rfft2(images)) * noise / np.abs(noise), s=images.shape[1:])
    write_stack(folder / "empty.mrcs", mixed.astype(np.float32), particles.pixel_size_A)
    return particles.replace(stacks=np.full(len(particles), str(folder / "empty.mrcs"), dtype=object))


def aligned_with_control(
    structure: Structure, particles: Particles, empty: Particles, options: AlignOptions
) -> tuple[Particles, Particles, float]:
    """The particles aligned; images without particles aligned in the same way, with the former's calibration; and CPU
    seconds a particle."""
    none = NormalModes(mode_ids=(), vectors=np.zeros((0, len(structure), 3)))
    engine, started = EmbeddedEngine(structure, none, options), time.process_time()
    engine.check(particles)
    calibration, rows = calibration_for(engine, particles), np.arange(len(particles))
    aligned = merged_results(particles, (), [engine.align_batch(Batch.read(particles, rows), calibration)], options.fit)
    cpu_s = (time.process_time() - started) / len(particles)
    control = merged_results(empty, (), [engine.align_batch(Batch.read(empty, rows), calibration)], options.fit)
    return aligned, control, cpu_s


def figures(ours: Particles, theirs: Particles, reference: Map, cpu_s: float | None) -> Figures:
    """One row, in the order of COLUMNS; None for what there is not."""
    mates = np.einsum("nij,sjk->nsik", euler_to_matrix(ours.euler_deg), point_group(SYMMETRY))
    angle = rotation_distance_deg(mates, euler_to_matrix(theirs.euler_deg)[:, None]).min(axis=1)
    close, certainty = angle < CLOSE_DEG, theirs.extra["rlnMaxValueProbDistribution"].astype(float)
    resolution = reconstruct(ours, symmetry=SYMMETRY, reference=reference).resolutions_A()
    return {
        "within_15_deg": float(close.mean()),
        "within_15_deg_of_unmarked": None if ours.ambiguous is None else share(close[~ours.ambiguous]),
        "within_15_deg_where_relion_is_sure": share(close[certainty >= np.quantile(certainty, 2 / 3)]),
        "median_deg": float(np.median(angle)),
        "map_fsc_0.5_A": finite(resolution["reference"]["0.5"]),
        "map_masked_fsc_0.5_A": finite(resolution["reference, masked"]["0.5"]),
        "halves_fsc_0.143_A": finite(resolution["half maps, corrected"]["0.143"]),
        "halves_fsc_0.5_A": finite(resolution["half maps, corrected"]["0.5"]),
        "ambiguous": None if ours.ambiguous is None else float(np.mean(ours.ambiguous)),
        "cpu_s": cpu_s,
    }


def share(which: np.ndarray) -> float | None:
    """Share that is true; None of nothing."""
    return float(which.mean()) if len(which) else None


def finite(value: float) -> float | None:
    """None for infinity, for which JSON has no word."""
    return value if math.isfinite(value) else None


def show(name: str, row: Figures) -> None:
    """Print a row."""
    print(f"{name:<34}" + "".join(f"{'–' if v is None else format(v, '.3g'):>12}" for v in row.values()), flush=True)


if __name__ == "__main__":
    main()
