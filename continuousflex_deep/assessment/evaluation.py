"""Errors of poses and amplitudes against the truth, or differences between results, as in Tables 1 to 4 of Hamitouche
& Jonić 2022 (DeepHEMNMA).

Amplitudes and shifts: mean absolute error. Orientation: mean angle between the three rotated coordinate axes. RMSD:
between the atoms displaced by the estimated and by the true parameters, one type of parameter at a time, averaged over
particles; displaced structures are re-centred as everywhere (docs/conventions.md). Results are given over all particles
and over those that are not misaligned, since one failed search among hundreds can dominate a mean. A symmetric particle
is compared with the nearest of its equivalent orientations.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Booleans, Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix, matrix_to_euler, rotation_distance_deg
from continuousflex_deep.io.error_table import AMPLITUDES, LABELS, amplitude_kind, error_label
from continuousflex_deep.io.modes import NormalModes, require_same_atoms
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.io.tables import format_rows
from continuousflex_deep.motion import motion_along
from continuousflex_deep.particles import Particles, require_same_motion, require_same_particles
from continuousflex_deep.symmetry import nearest_mates, point_group


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (of the population) and median of one kind of error; None without particles."""

    mean: float | None
    sd: float | None
    median: float | None

    @classmethod
    def of(cls, errors: Floats) -> "Summary":
        """The summary of errors (n,)."""
        if len(errors) == 0:
            return cls(None, None, None)
        return cls(float(errors.mean()), float(errors.std()), float(np.median(errors)))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Errors of n particles, of which n_lost are misaligned: more than lost_deg from their true orientation.

    errors: of each particle (n,), by kind: amplitude (mean over the modes) and amplitude_7, … in Å along unit modes;
    angle_deg; shift_A (mean over x and y), shift_x_A, shift_y_A; rmsd_amplitude_A, rmsd_angle_A, rmsd_shift_A. Types of
    parameters that the particles or the truth lack are absent. overall and found: summaries of the errors over all
    particles and over those that are not misaligned. spread: ratio of the error to the reported standard deviation over
    the particles that are not misaligned, 1 for correct error bars: amplitude_7, … and shift as the root mean square of
    error/deviation, angle_rms as root mean square rotation error over root mean square deviation.
    """

    ids: Integers
    lost: Booleans
    lost_deg: float
    mode_ids: tuple[int, ...]
    errors: dict[str, Floats]
    spread: dict[str, float]

    @property
    def n(self) -> int:
        """Number of particles."""
        return len(self.ids)

    @property
    def n_lost(self) -> int:
        """Number of misaligned particles."""
        return int(self.lost.sum())

    @property
    def overall(self) -> dict[str, Summary]:
        """Summaries over all particles, by kind of error."""
        return {name: Summary.of(values) for name, values in self.errors.items()}

    @property
    def found(self) -> dict[str, Summary]:
        """Summaries over the particles that are not misaligned, by kind of error."""
        return {name: Summary.of(values[~self.lost]) for name, values in self.errors.items()}

    def as_dict(self) -> dict[str, Any]:
        """All results as numbers for JSON."""
        return {
            "particles": self.n,
            "lost": self.n_lost,
            "lost_deg": self.lost_deg,
            "lost_ids": self.ids[self.lost].tolist(),
            "modes": list(self.mode_ids),
            "all": {name: dataclasses.asdict(f) for name, f in self.overall.items()},
            "not_lost": {name: dataclasses.asdict(f) for name, f in self.found.items()},
            "error_over_reported_deviation": self.spread,
        }


def evaluate(
    particles: Particles,
    truth: Particles,
    structure: Structure,
    modes: NormalModes,
    lost_deg: float = 5.0,
    symmetry: str = "c1",
) -> Evaluation:
    """Errors of `particles` against `truth`, matched by id, for the given modes.

    truth: may contain more particles and modes. symmetry: the point group of the structure, for rigid particles only.
    Raises InputError for ids that the truth lacks or gives to other particles, for modes that one of the two lacks, for
    modes of another structure, for symmetry of particles with amplitudes, and where the two have no type of parameter
    in common.
    """
    require_same_atoms(modes, len(structure))
    true = truth.select(truth.rows_of(particles.ids))
    require_same_particles(particles, true)
    if len(group := point_group(symmetry)) > 1:
        true = _nearest_equivalents(true, particles, group)
    errors: dict[str, Floats] = {}
    if particles.amplitudes is not None and true.amplitudes is not None:
        errors |= _amplitude_errors(particles, true, structure, modes)
    if particles.euler_deg is not None and true.euler_deg is not None:
        errors |= _angle_errors(particles.euler_deg, true.euler_deg, structure)
    if particles.shift_A is not None and true.shift_A is not None:
        errors |= _shift_errors(particles.shift_A - true.shift_A)
    if not errors or len(particles) == 0:
        raise InputError(
            "nothing to compare: particles and truth share neither amplitudes nor angles nor shifts; "
            "give the output of align or infer, and the truth from simulate"
        )
    lost = errors["angle_deg"] > lost_deg if "angle_deg" in errors else np.zeros(len(particles), dtype=bool)
    return Evaluation(
        ids=particles.ids,
        lost=lost,
        lost_deg=lost_deg,
        mode_ids=modes.mode_ids if AMPLITUDES in errors else (),
        errors=errors,
        spread=_spread(particles.select(~lost), true.select(~lost), modes.mode_ids),
    )


def _nearest_equivalents(true: Particles, particles: Particles, group: Floats) -> Particles:
    """The truth in the equivalent orientations, by the group's rotations (g, 3, 3), nearest to those of `particles`."""
    for flexible in (true, particles):
        if flexible.amplitudes is not None and flexible.amplitudes.any():
            raise InputError(
                "--symmetry is for rigid particles, and these have amplitudes: motions along modes break the symmetry, "
                "so that orientations are no longer equivalent; omit --symmetry"
            )
    if particles.euler_deg is None or true.euler_deg is None:
        return true
    found, known = euler_to_matrix(particles.euler_deg), euler_to_matrix(true.euler_deg)
    return true.replace(euler_deg=matrix_to_euler(nearest_mates(known, found, group)))


def comparable(first: Particles, second: Particles) -> bool:
    """Whether two results have particles and a type of parameter in common."""
    kinds = ("amplitudes", "euler_deg", "shift_A")
    shared = any(getattr(first, kind) is not None and getattr(second, kind) is not None for kind in kinds)
    return shared and bool(np.isin(first.ids, second.ids).any())


def evaluate_between(
    second: Particles,
    first: Particles,
    structure: Structure,
    modes: NormalModes,
    lost_deg: float = 5.0,
    symmetry: str = "c1",
) -> Evaluation:
    """Differences between two results over the particles that both have, in the order of `second`. Error bars are not
    compared with them.

    Raises InputError where the results have no particle or no type of parameter in common, and as `evaluate` does.
    """
    both = np.isin(second.ids, first.ids)
    if not both.any():
        raise InputError("the results have no particle in common; give results of the same particles")
    bare = second.select(both).replace(amplitudes_sd=None, angle_sd_deg=None, shift_sd_A=None)
    return evaluate(bare, first, structure, modes, lost_deg, symmetry)


def mode_columns(particles: Particles, values: Floats, mode_ids: tuple[int, ...], what: str) -> Floats:
    """The columns of values (n, modes) for mode_ids. Raises InputError, naming `what`, where one is missing."""
    missing = [m for m in mode_ids if m not in particles.mode_ids]
    if missing:
        raise InputError(
            f"{what} has amplitudes along modes {list(particles.mode_ids)}, but not {missing}; select modes that it "
            "has by --mode-list"
        )
    return values[:, [particles.mode_ids.index(m) for m in mode_ids]]


def _amplitude_errors(
    particles: Particles, true: Particles, structure: Structure, modes: NormalModes
) -> dict[str, Floats]:
    q, true_q = _both_amplitudes(particles, true, modes.mode_ids)
    if true_q.any():
        require_same_motion(particles, true.motion, "those to compare with")
    motion = particles.motion if q.any() else true.motion
    size = np.abs(q - true_q)
    errors = {AMPLITUDES: size.mean(axis=1)}
    errors |= {amplitude_kind(mode): size[:, i] for i, mode in enumerate(modes.mode_ids)}
    errors["rmsd_amplitude_A"] = motion_along(structure, modes.moving(motion)).rmsd_A(q, true_q)
    return errors


def _both_amplitudes(particles: Particles, true: Particles, mode_ids: tuple[int, ...]) -> tuple[Floats, Floats]:
    estimated = mode_columns(particles, particles.require_amplitudes("the comparison"), mode_ids, "the particle file")
    return estimated, mode_columns(true, true.require_amplitudes("the comparison"), mode_ids, "the truth")


def _angle_errors(euler_deg: Floats, true_euler_deg: Floats, structure: Structure) -> dict[str, Floats]:
    first, second = euler_to_matrix(euler_deg), euler_to_matrix(true_euler_deg)
    centred = structure.centred().coords_A
    second_moment = centred.T @ centred / len(centred)
    difference = first - second
    squared = np.einsum("nij,jk,nik->n", difference, second_moment, difference)
    return {"angle_deg": axes_distance_deg(first, second), "rmsd_angle_A": np.sqrt(np.maximum(squared, 0))}


def _shift_errors(difference_A: Floats) -> dict[str, Floats]:
    size = np.abs(difference_A)
    length = np.hypot(difference_A[:, 0], difference_A[:, 1])
    return {"shift_A": size.mean(axis=1), "shift_x_A": size[:, 0], "shift_y_A": size[:, 1], "rmsd_shift_A": length}


def _spread(found: Particles, true: Particles, mode_ids: tuple[int, ...]) -> dict[str, float]:
    """Errors over reported deviations, for the parameters that both have, over particles with positive deviations."""
    spread: dict[str, float] = {}
    if found.amplitudes is not None and found.amplitudes_sd is not None and true.amplitudes is not None:
        q, true_q = _both_amplitudes(found, true, mode_ids)
        deviation = mode_columns(found, found.amplitudes_sd, mode_ids, "the particle file")
        for i, m in enumerate(mode_ids):
            spread |= _ratio(amplitude_kind(m), q[:, i] - true_q[:, i], deviation[:, i])
    if found.angle_sd_deg is not None and found.euler_deg is not None and true.euler_deg is not None:
        angle = rotation_distance_deg(euler_to_matrix(found.euler_deg), euler_to_matrix(true.euler_deg))
        known = found.angle_sd_deg > 0
        if known.any():
            spread["angle_rms"] = float(np.sqrt((angle[known] ** 2).mean() / (found.angle_sd_deg[known] ** 2).mean()))
    if found.shift_sd_A is not None and found.shift_A is not None and true.shift_A is not None:
        difference = found.shift_A - true.shift_A
        spread |= _ratio("shift", difference.ravel(), np.repeat(found.shift_sd_A, 2))
    return spread


def _ratio(name: str, error: Floats, deviation: Floats) -> dict[str, float]:
    known = deviation > 0
    return {name: float(np.sqrt(((error[known] / deviation[known]) ** 2).mean()))} if known.any() else {}


def format_comparison(
    evaluations: dict[str, Evaluation], found_only: bool = False, bound: dict[str, float] | None = None
) -> str:
    """Tables 1 and 2 of the article as text, one line per evaluation, by name: mean ± standard deviation.

    found_only: without misaligned particles. bound: errors expected at the Cramér-Rao bound, for a last line.
    """
    modes = sorted({m for e in evaluations.values() for m in e.mode_ids})
    others = [kind for kind in LABELS if kind not in (AMPLITUDES, "shift_A")]
    order = [AMPLITUDES, *(amplitude_kind(mode) for mode in modes), *others]
    present = [kind for kind in order if any(kind in e.errors for e in evaluations.values())]
    head = ["", "particles", "misaligned", *(error_label(kind) for kind in present)]
    rows = []
    for name, evaluation in evaluations.items():
        summaries = evaluation.found if found_only else evaluation.overall
        cells = [_cell(summaries.get(kind)) for kind in present]
        rows.append([name, str(evaluation.n), str(evaluation.n_lost), *cells])
    if bound is not None:
        rows.append(["Cramér-Rao bound", "", "", *(f"{bound[c]:.3g}" if c in bound else "–" for c in present)])
    return format_rows(head, rows)


def _cell(summary: Summary | None) -> str:
    return "–" if summary is None or summary.mean is None else f"{summary.mean:.3g} ± {summary.sd:.2g}"


def format_evaluation(evaluation: Evaluation) -> str:
    """The table of one evaluation, over all particles and without misaligned ones, and the check of the error bars."""
    found = dataclasses.replace(
        evaluation,
        ids=evaluation.ids[~evaluation.lost],
        lost=evaluation.lost[~evaluation.lost],
        errors={name: values[~evaluation.lost] for name, values in evaluation.errors.items()},
    )
    lines = [format_comparison({"all": evaluation, f"within {evaluation.lost_deg:g}°": found})]
    if evaluation.n_lost:
        shown = ", ".join(map(str, evaluation.ids[evaluation.lost][:10].tolist()))
        more = " …" if evaluation.n_lost > 10 else ""
        lines.append(f"misaligned (more than {evaluation.lost_deg:g}°): {evaluation.n_lost}, ids {shown}{more}")
    if evaluation.spread:
        ratios = ", ".join(f"{name} {value:.2f}" for name, value in evaluation.spread.items())
        lines.append(f"error over reported standard deviation (1 for correct error bars): {ratios}")
    return "\n".join(lines)
