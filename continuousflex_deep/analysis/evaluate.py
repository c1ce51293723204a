"""How far poses and amplitudes are from the truth, as in Tables 1 and 2 of Hamitouche & Jonić 2022 (DeepHEMNMA).

Amplitudes and shifts: mean absolute error. Orientation: mean angle between the three rotated coordinate axes. RMSD:
between the atoms displaced with the estimated and with the true parameters, one type of parameter at a time, then
averaged over particles. Beside the figures over all particles stand those over the particles that are not lost, since
one failed search among hundreds can carry a mean.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.analysis.tables import format_rows
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix, rotation_distance_deg
from continuousflex_deep.io.modes import NormalModes, parse_mode_list, require_same_atoms
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.records import write_record
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.options import AlignOptions, EvaluateOptions
from continuousflex_deep.particles import Particles, join

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """Mean, standard deviation (population) and median of one kind of error; None where there is no particle."""

    mean: float | None
    sd: float | None
    median: float | None

    @classmethod
    def of(cls, errors: Floats) -> "Figure":
        """The figures of errors (n,)."""
        if len(errors) == 0:
            return cls(None, None, None)
        return cls(float(errors.mean()), float(errors.std()), float(np.median(errors)))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Errors of n particles; n_lost of them are farther than lost_deg from their true orientation.

    errors: particle by particle (n,), by name: amplitude (mean over the modes) and amplitude_7, … in Å along unit
    modes; angle_deg; shift_A (mean over x and y), shift_x_A, shift_y_A; rmsd_amplitude_A, rmsd_angle_A, rmsd_shift_A.
    overall and found: their Figure over all particles and over those not lost. Parameter types that the particles or
    the truth lack are absent. spread: ratio of the actual error to the reported standard deviation over the particles
    not lost, 1 where error bars are right: amplitude_7, … and shift as root mean square of error/deviation, angle_rms
    as root mean square rotation error over root mean square deviation.
    """

    ids: NDArray[np.int64]
    lost: NDArray[np.bool_]
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
    def overall(self) -> dict[str, Figure]:
        """Figures over all particles."""
        return {name: Figure.of(values) for name, values in self.errors.items()}

    @property
    def found(self) -> dict[str, Figure]:
        """Figures over the particles that are not lost."""
        return {name: Figure.of(values[~self.lost]) for name, values in self.errors.items()}

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
    particles: Particles, truth: Particles, structure: Structure, modes: NormalModes, lost_deg: float = 5.0
) -> Evaluation:
    """Errors of `particles` against `truth`, matched by id, for the given modes.

    truth may hold more particles and more modes. Raises InputError for ids that the truth lacks, modes that one of the
    two lacks, modes of another structure, and when the two have no type of parameter in common.
    """
    require_same_atoms(modes, len(structure))
    true = truth.select(truth.rows_of(particles.ids))
    errors: dict[str, Floats] = {}
    if particles.amplitudes is not None and true.amplitudes is not None:
        errors |= _amplitude_errors(particles, true, modes)
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
        mode_ids=modes.mode_ids if "amplitude" in errors else (),
        errors=errors,
        spread=_spread(particles.select(~lost), true.select(~lost), modes.mode_ids),
    )


def _columns(particles: Particles, values: Floats, mode_ids: tuple[int, ...], what: str) -> Floats:
    missing = [m for m in mode_ids if m not in particles.mode_ids]
    if missing:
        raise InputError(
            f"{what}: no amplitudes of modes {missing}, it has modes {list(particles.mode_ids)}; "
            "name those that were estimated with --mode-list"
        )
    return values[:, [particles.mode_ids.index(m) for m in mode_ids]]


def _amplitude_errors(particles: Particles, true: Particles, modes: NormalModes) -> dict[str, Floats]:
    difference = _amplitude_difference(particles, true, modes.mode_ids)
    size = np.abs(difference)
    errors = {"amplitude": size.mean(axis=1)}
    errors |= {f"amplitude_{m}": size[:, i] for i, m in enumerate(modes.mode_ids)}
    # mean over atoms of |Σ Δq·v|² is a quadratic form in Δq, so no coordinates need to be displaced
    flat = modes.vectors.reshape(len(modes), -1)
    gram = flat @ flat.T / modes.vectors.shape[1]
    errors["rmsd_amplitude_A"] = np.sqrt(np.einsum("ni,ij,nj->n", difference, gram, difference))
    return errors


def _amplitude_difference(particles: Particles, true: Particles, mode_ids: tuple[int, ...]) -> Floats:
    estimated = _columns(particles, particles.require_amplitudes("the comparison"), mode_ids, "the particle file")
    return estimated - _columns(true, true.require_amplitudes("the comparison"), mode_ids, "the truth")


def _angle_errors(euler_deg: Floats, true_euler_deg: Floats, structure: Structure) -> dict[str, Floats]:
    first, second = euler_to_matrix(euler_deg), euler_to_matrix(true_euler_deg)
    centred = structure.coords_A - structure.center_A
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
        difference = _amplitude_difference(found, true, mode_ids)
        deviation = _columns(found, found.amplitudes_sd, mode_ids, "the particle file")
        for i, m in enumerate(mode_ids):
            spread |= _ratio(f"amplitude_{m}", difference[:, i], deviation[:, i])
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
    labels = {
        "amplitude": "q mean [Å]",
        "angle_deg": "angle [°]",
        "shift_x_A": "shift x [Å]",
        "shift_y_A": "shift y [Å]",
    }
    labels |= {"rmsd_amplitude_A": "RMSD q [Å]", "rmsd_angle_A": "RMSD angle [Å]", "rmsd_shift_A": "RMSD shift [Å]"}
    modes = sorted({m for e in evaluations.values() for m in e.mode_ids})
    order = ["amplitude", *(f"amplitude_{m}" for m in modes), *list(labels)[1:]]
    present = [name for name in order if any(name in e.errors for e in evaluations.values())]
    head = ["", "particles", "lost", *(labels.get(name, f"q{name.removeprefix('amplitude_')}") for name in present)]
    rows = []
    for name, evaluation in evaluations.items():
        figures = evaluation.found if found_only else evaluation.overall
        cells = [_cell(figures.get(column)) for column in present]
        rows.append([name, str(evaluation.n), str(evaluation.n_lost), *cells])
    if bound is not None:
        rows.append(["Cramér-Rao bound", "", "", *(f"{bound[c]:.3g}" if c in bound else "–" for c in present)])
    return format_rows(head, rows)


def _cell(figure: Figure | None) -> str:
    return "–" if figure is None or figure.mean is None else f"{figure.mean:.3g} ± {figure.sd:.2g}"


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


def run(options: EvaluateOptions) -> None:
    """The `evaluate` command: print the table and, if asked, write it as JSON."""
    mode_ids = parse_mode_list(options.mode_list)
    structure, modes = read_reference(options.structure, options.modes, mode_ids)
    truth = read_particles(options.truth, mode_ids=mode_ids)
    sets = {name: read_particles(path, mode_ids=mode_ids) for name, path in _named(options.particles).items()}
    results = {name: evaluate(p, truth, structure, modes, options.lost_deg) for name, p in sets.items()}
    first = next(iter(sets.values()))
    bound = _bound(join(first, truth), structure, modes, options) if options.bound else None
    _print_results(results, bound)
    if options.output:
        facts = {name: result.as_dict() for name, result in results.items()}
        write_record(options.output, "evaluate", options, results=facts, bound=bound)
        print(f"written: {options.output}")


def _print_results(results: dict[str, Evaluation], bound: dict[str, float] | None) -> None:
    if len(results) == 1 and bound is None:
        print(format_evaluation(next(iter(results.values()))))
        return
    lost_deg = next(iter(results.values())).lost_deg
    print(f"all particles:\n{format_comparison(results, bound=bound)}")
    print(f"\nparticles within {lost_deg:g}° of their true orientation:")
    print(format_comparison(results, found_only=True, bound=bound))


def _named(paths: tuple[str, ...]) -> dict[str, str]:
    """The files by their names without suffix, or by their paths where names repeat."""
    stems = [Path(p).stem for p in paths]
    return dict(zip(stems if len(set(stems)) == len(stems) else paths, paths, strict=True))


def _bound(truth: Particles, structure: Structure, modes: NormalModes, options: EvaluateOptions) -> dict[str, float]:
    """Expected absolute errors at the Cramér–Rao bound, by the names of errors."""
    # the only part of this module that needs torch and images
    from continuousflex_deep.hemnma.bound import cramer_rao_bound
    from continuousflex_deep.hemnma.embedded import EmbeddedEngine

    settings = AlignOptions(init="local", device=options.device, threads=options.threads)
    engine = EmbeddedEngine(structure, modes, settings)
    return cramer_rao_bound(engine, truth, engine.calibration(truth)).as_errors()
