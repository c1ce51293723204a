"""How far poses and amplitudes are from the truth, or results from each other, as in Tables 1 to 4 of Hamitouche &
Jonić 2022 (DeepHEMNMA).

Amplitudes and shifts: mean absolute error. Orientation: mean angle between the three rotated coordinate axes. RMSD:
between the atoms displaced with the estimated and with the true parameters, one type of parameter at a time, then
averaged over particles; displaced structures are re-centred, as they are everywhere (docs/conventions.md). Beside the
figures over all particles stand those over the particles that are not lost, since one failed search among hundreds can
carry a mean. Of a symmetric particle the nearest of the orientations that look the same is compared with.
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
from continuousflex_deep.particles import Particles
from continuousflex_deep.symmetry import nearest_mates, point_group


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (population) and median of one kind of error; None where there is no particle."""

    mean: float | None
    sd: float | None
    median: float | None

    @classmethod
    def of(cls, errors: Floats) -> "Summary":
        """The figures of errors (n,)."""
        if len(errors) == 0:
            return cls(None, None, None)
        return cls(float(errors.mean()), float(errors.std()), float(np.median(errors)))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Errors of n particles; n_lost of them are farther than lost_deg from their true orientation.

    errors: particle by particle (n,), by name: amplitude (mean over the modes) and amplitude_7, … in Å along unit
    modes; angle_deg; shift_A (mean over x and y), shift_x_A, shift_y_A; rmsd_amplitude_A, rmsd_angle_A, rmsd_shift_A.
    overall and found: their Summary over all particles and over those not lost. Parameter types that the particles or
    the truth lack are absent. spread: ratio of the actual error to the reported standard deviation over the particles
    not lost, 1 where error bars are right: amplitude_7, … and shift as root mean square of error/deviation, angle_rms
    as root mean square rotation error over root mean square deviation.
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
        """Number of particles far from their true orientation."""
        return int(self.lost.sum())

    @property
    def overall(self) -> dict[str, Summary]:
        """Figures over all particles."""
        return {name: Summary.of(values) for name, values in self.errors.items()}

    @property
    def found(self) -> dict[str, Summary]:
        """Figures over the particles that are not lost."""
        return {name: Summary.of(values[~self.lost]) for name, values in self.errors.items()}

    def as_dict(self) -> dict[str, Any]:
        """All figures as numbers that JSON can hold."""
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

    truth may hold more particles and more modes. symmetry: the structure's point group; particles that are bent have
    none. Raises InputError for ids that the truth lacks, modes that one of the two lacks, modes of another structure,
    symmetry of bent particles, and when the two have no type of parameter in common.
    """
    require_same_atoms(modes, len(structure))
    true = truth.select(truth.rows_of(particles.ids))
    if len(group := point_group(symmetry)) > 1:
        true = _turned_alike(true, particles, group)
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
            "give the file that align or infer wrote, and the truth that simulate wrote"
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


def _turned_alike(true: Particles, particles: Particles, group: Floats) -> Particles:
    """The truth in those of its orientations, which all look the same, that are nearest to the particles'."""
    for bent in (true, particles):
        if bent.amplitudes is not None and bent.amplitudes.any():
            raise InputError(
                "--symmetry is for rigid particles, and these have amplitudes: motions along modes break the symmetry, "
                "and orientations that look the same in the structure differ then; leave it out"
            )
    if particles.euler_deg is None or true.euler_deg is None:
        return true
    found, known = euler_to_matrix(particles.euler_deg), euler_to_matrix(true.euler_deg)
    return true.replace(euler_deg=matrix_to_euler(nearest_mates(known, found, group)))


def comparable(first: Particles, second: Particles) -> bool:
    """Whether two results share particles, and a type of parameter."""
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
    """Differences of two results over the particles that both have, in `second`'s order, without error bars, which are
    not about them.

    Raises InputError where they share no particle or no type of parameter, and as `evaluate` does.
    """
    both = np.isin(second.ids, first.ids)
    if not both.any():
        raise InputError("no particle is in both results, so that they cannot be compared")
    bare = second.select(both).replace(amplitudes_sd=None, angle_sd_deg=None, shift_sd_A=None)
    return evaluate(bare, first, structure, modes, lost_deg, symmetry)


def mode_columns(particles: Particles, values: Floats, mode_ids: tuple[int, ...], what: str) -> Floats:
    """Columns of values (n, modes) that belong to mode_ids. Raises InputError, naming `what`, where there are none."""
    missing = [m for m in mode_ids if m not in particles.mode_ids]
    if missing:
        raise InputError(
            f"{what}: no amplitudes of modes {missing}, it has modes {list(particles.mode_ids)}; "
            "name those that were estimated with --mode-list"
        )
    return values[:, [particles.mode_ids.index(m) for m in mode_ids]]


def _amplitude_errors(
    particles: Particles, true: Particles, structure: Structure, modes: NormalModes
) -> dict[str, Floats]:
    q, true_q = _both_amplitudes(particles, true, modes.mode_ids)
    size = np.abs(q - true_q)
    errors = {AMPLITUDES: size.mean(axis=1)}
    errors |= {amplitude_kind(mode): size[:, i] for i, mode in enumerate(modes.mode_ids)}
    errors["rmsd_amplitude_A"] = motion_along(structure, modes).rmsd_A(q, true_q)
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
    """Errors over reported deviations, for what both sides have; particles without a positive one are left out."""
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
    """The article's Tables 1 and 2 as text, one line per named evaluation: mean ± standard deviation.

    found_only: over the particles that are not lost, rather than all. bound: a last line of expected errors by name.
    """
    modes = sorted({m for e in evaluations.values() for m in e.mode_ids})
    others = [kind for kind in LABELS if kind not in (AMPLITUDES, "shift_A")]
    order = [AMPLITUDES, *(amplitude_kind(mode) for mode in modes), *others]
    present = [kind for kind in order if any(kind in e.errors for e in evaluations.values())]
    head = ["", "particles", "lost", *(error_label(kind) for kind in present)]
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
    """The table of one evaluation: all particles and those not lost, then how error bars compare with errors."""
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
        lines.append(f"lost (more than {evaluation.lost_deg:g}° away): {evaluation.n_lost}, ids {shown}{more}")
    if evaluation.spread:
        told = ", ".join(f"{name} {value:.2f}" for name, value in evaluation.spread.items())
        lines.append(f"error over reported deviation (1 is right): {told}")
    return "\n".join(lines)
