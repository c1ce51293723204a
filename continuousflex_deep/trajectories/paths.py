"""Trajectories through a landscape: along an axis, through drawn points, through maxima of the density, or along a
minimum-energy path."""

from typing import Any

import numpy as np

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.texts import read_text
from continuousflex_deep.io.trajectories import SAMPLE, Trajectory, barrier_text, require_of_landscape, sample_of
from continuousflex_deep.landscape.landscape import Landscape
from continuousflex_deep.landscape.reduction import Embedding
from continuousflex_deep.messages import note
from continuousflex_deep.options import TrajectoryOptions
from continuousflex_deep.trajectories.deconvolved_density import DeconvolvedDensity, landscape_density
from continuousflex_deep.trajectories.energy_path import minimum_energy_path
from continuousflex_deep.trajectories.frames import equal_steps
from continuousflex_deep.trajectories.free_energy import Density, density_maxima, estimate_density


def make_trajectory(landscape: Landscape, options: TrajectoryOptions) -> tuple[Trajectory, Density]:
    """The trajectory that the options describe, and the density of the particles, without outliers, in its coordinates.

    Raises InputError for points outside the particles' range, and for fewer than two points.
    """
    kept = landscape.coordinates[~landscape.outlier]
    dimensions = _dimensions(options, kept.shape[1])
    density = landscape_density(landscape, dimensions, options.density, options.bandwidth)
    if options.kind == "axis":
        points, made = _axis_points(kept, options)
    elif options.kind == "points":
        drawn = read_points(options)
        points, made = _drawn_points(drawn, kept), {"drawn": drawn.tolist()}
    elif options.kind == "density":
        points, made = _density_points(density, kept, options)
    else:
        points, made = _energy_points(density, kept, options)
    steps = equal_steps(points, options.n_frames)
    if len(steps) < 2:
        raise InputError("the trajectory has no length: all its points are the same; give two that differ")
    return _trajectory(landscape, density, steps, options.kind, dimensions, made), density


def density_of(landscape: Landscape, trajectory: Trajectory, factor: float = 0.0) -> Density:
    """The density of the particles, without outliers, in the coordinates of a trajectory. InputError where the
    trajectory belongs to another landscape."""
    require_of_landscape(landscape.table(), trajectory)
    return estimate_density(landscape.coordinates[~landscape.outlier][:, trajectory.dimensions], factor)


def read_points(options: TrajectoryOptions) -> Floats:
    """The points (P, c) from --points or --points-file: numbers separated by spaces or commas, points by ';' or lines.

    In a file, blank lines, lines that start with #, and a first line of names are skipped.
    """
    if bool(options.points) == bool(options.points_file):
        raise InputError("give points either by --points or by --points-file")
    where = "--points"
    if options.points_file:
        where = f"'{options.points_file}'"
        text = read_text(options.points_file, "list of points")
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        if lines and lines[0].lower().lstrip("\ufeff\"'").startswith("pc"):
            lines = lines[1:]
    else:
        lines = [part.strip() for part in options.points.split(";") if part.strip()]
    places = [_numbers(line, where) for line in lines]
    if len(places) < 2:
        raise InputError(f"{where}: got {len(places)} points, expected at least 2")
    if len({len(place) for place in places}) > 1:
        numbers = sorted({len(place) for place in places})
        raise InputError(f"{where}: points have {numbers} coordinates; give the same number for each")
    return np.array(places)


def _numbers(text: str, where: str) -> list[float]:
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if not numbers or not np.isfinite(numbers).all():
        raise InputError(f"{where}: got '{text[:40]}', expected the coordinates of a point, such as '-120.5 30'")
    return numbers


def _dimensions(options: TrajectoryOptions, k: int) -> tuple[int, ...]:
    if options.kind == "axis":
        if options.axis > k:
            raise InputError(f"--axis: got {options.axis}, expected 1 to {k}, as many as the landscape has coordinates")
        return (options.axis - 1,)
    return tuple(range(min(options.dimensions, k)))


def _axis_points(kept: Floats, options: TrajectoryOptions) -> tuple[Floats, dict[str, Any]]:
    """Both ends (2, k) of a line along one axis through the mean of the particles."""
    low, high = options.percentiles
    if not 0 <= low < high <= 100:
        raise InputError(f"--percentiles: got {low:g} {high:g}, expected two increasing numbers from 0 to 100")
    ends = np.tile(kept.mean(axis=0), (2, 1))
    ends[:, options.axis - 1] = np.percentile(kept[:, options.axis - 1], options.percentiles)
    return ends, {"axis": options.axis, "percentiles": list(options.percentiles)}


def _drawn_points(drawn: Floats, kept: Floats) -> Floats:
    """Drawn points (P, c), all within the range of the particles, with the mean of the particles in the other
    coordinates."""
    c, k = drawn.shape[1], kept.shape[1]
    if c > k:
        raise InputError(f"the points have {c} coordinates, but the landscape has {k}; give {k} or fewer")
    low, high = kept[:, :c].min(axis=0), kept[:, :c].max(axis=0)
    outside = ((drawn < low) | (drawn > high)).any(axis=1)
    if outside.any():
        ranges = ", ".join(f"pc{i} from {a:.4g} to {b:.4g}" for i, (a, b) in enumerate(zip(low, high, strict=True), 1))
        first = " ".join(f"{x:g}" for x in drawn[outside][0])
        raise InputError(
            f"{int(outside.sum())} of {len(drawn)} points lie outside the particles, for example '{first}'; give "
            f"points within the range of the particles without outliers: {ranges}"
        )
    rest = np.tile(kept[:, c:].mean(axis=0), (len(drawn), 1))
    return np.concatenate([drawn, rest], axis=1)


def _density_points(density: Density, kept: Floats, options: TrajectoryOptions) -> tuple[Floats, dict[str, Any]]:
    """The maxima (m, k) of the density, in order along the first coordinate, or each followed by the nearest one."""
    maxima, prominences = density_maxima(density, options.min_prominence_kT)
    if len(maxima) < 2:
        raise InputError(
            f"the density has {len(maxima)} maximum in the first {density.d} coordinates, but a path through maxima "
            "needs 2; give a smaller --min-prominence-kT or --bandwidth, or another --kind"
        )
    order = np.argsort(maxima[:, 0])
    if options.order == "nearest":
        order = _by_nearest(maxima / density.bandwidth)
    found = [
        {"place": place, "prominence_kT": None if np.isinf(p) else p}
        for place, p in zip(maxima[order].tolist(), prominences[order].tolist(), strict=True)
    ]
    return _with_local_rest(density, kept, maxima[order]), {"maxima": found, "order": options.order}


def _by_nearest(places: Floats) -> Integers:
    """The order of places (m, d) in which each is followed by the nearest of the others, from the first place for which
    the path is shortest."""
    orders = []
    for first in range(len(places)):
        order, left = [first], set(range(len(places))) - {first}
        while left:
            order.append(min(left, key=lambda i: float(np.linalg.norm(places[i] - places[order[-1]]))))
            left.remove(order[-1])
        orders.append(order)
    best = np.array(min(orders, key=lambda order: np.linalg.norm(np.diff(places[order], axis=0), axis=1).sum()))
    return best if places[best[0], 0] <= places[best[-1], 0] else best[::-1]


def _energy_points(density: Density, kept: Floats, options: TrajectoryOptions) -> tuple[Floats, dict[str, Any]]:
    """The minimum-energy path (P, k) between two points, or between the two most prominent maxima of the density."""
    if options.points or options.points_file:
        ends = read_points(options)
        if len(ends) != 2 or ends.shape[1] != density.d:
            raise InputError(
                f"a minimum-energy path needs 2 points in the first {density.d} coordinates; got {len(ends)} points of "
                f"{ends.shape[1]} coordinates; see --dimensions"
            )
        _drawn_points(ends, kept)
    else:
        maxima, prominences = density_maxima(density, options.min_prominence_kT)
        if len(maxima) < 2:
            raise InputError(
                "the density has one maximum only; give the ends of the path by --points, or a smaller "
                "--min-prominence-kT or --bandwidth"
            )
        ends = maxima[np.argsort(-prominences, kind="stable")[:2]]
        ends = ends[np.argsort(ends[:, 0])]
    path = minimum_energy_path(density, *ends)
    made = {
        "saddle": path.saddle.tolist(),
        "barrier_kT": path.barriers_kT[0],
        "barrier_sd_kT": path.barrier_sd_kT[0],
        "barrier_back_kT": path.barriers_kT[1],
        "barrier_back_sd_kT": path.barrier_sd_kT[1],
    }
    if path.barrier_blur_kT is not None:
        made |= dict(zip(("barrier_blur_kT", "barrier_back_blur_kT"), path.barrier_blur_kT, strict=True))
    if path.barrier_sd_kT[0] > 1:
        note("hardly any particles lie at the barrier: its height is a lower bound, which more particles would raise")
    return _with_local_rest(density, kept, path.points), made


def _with_local_rest(density: Density, kept: Floats, places: Floats) -> Floats:
    """Points (P, k): places (P, d), with the mean of the particles around them in the other coordinates."""
    return np.concatenate([places, density.local_mean(places, kept[:, density.d :])], axis=1)


def _trajectory(
    landscape: Landscape, density: Density, points: Floats, kind: str, dimensions: tuple[int, ...], made: dict[str, Any]
) -> Trajectory:
    places = points[:, dimensions]
    sample = sample_of(landscape.table())
    if isinstance(landscape.reduction, Embedding):
        made = made | {"inverse_error_A": landscape.reduction.errors.inverse_A}
    if isinstance(density, DeconvolvedDensity):
        made = made | {"error_sd": density.error_sd.tolist()}
    return Trajectory(
        points=points,
        amplitudes_A=landscape.reduction.inverse_transform(points),
        mode_ids=tuple(landscape.particles.mode_ids),
        kind=kind,
        dimensions=dimensions,
        energy_kT=density.energy(places),
        energy_sd_kT=density.energy_sd(places),
        particles_near=density.particles_near(places),
        made=made | {"bandwidth": density.bandwidth.tolist(), SAMPLE: sample},
        motion=landscape.particles.motion,
    )


def format_trajectory(trajectory: Trajectory) -> str:
    """A trajectory as text: kind, energies and, for a minimum-energy path, the barrier in both directions."""
    made, energy = trajectory.made, trajectory.energy_kT
    lines = [
        f"{len(trajectory)} frames, kind {trajectory.kind}, along modes {' '.join(map(str, trajectory.mode_ids))}; "
        f"energies from {max(energy.min(), 0.0):.2f} to {energy.max():.2f} kT, at least "
        f"{trajectory.particles_near.min()} particles near each frame"
    ]
    if "barrier_kT" in made:
        saddle = " ".join(f"{x:.4g}" for x in made["saddle"])
        blur = (
            f", lowered by smoothing by about {made['barrier_blur_kT']:.2f} and {made['barrier_back_blur_kT']:.2f} kT"
            if "barrier_blur_kT" in made else ""
        )  # fmt: skip
        lines.append(f"{barrier_text(made)}{blur}; saddle at {saddle}")
    if "error_sd" in made:
        sd = ", ".join(f"{x:.3g}" for x in made["error_sd"])
        lines.append(f"the density is deconvolved with the errors of the coordinates, on average {sd}")
    if "maxima" in made:
        places = "; ".join(" ".join(f"{x:.4g}" for x in m["place"]) for m in made["maxima"])
        lines.append(f"{len(made['maxima'])} maxima of the density, in this order: {places}")
    if "inverse_error_A" in made:
        lines.append(
            f"amplitudes are by a learned map, with an error of {made['inverse_error_A']:.1f} Å for held-out particles"
        )
    return "\n".join(lines)
