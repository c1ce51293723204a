"""Trajectories through a landscape: lines along its axes, drawn paths, and paths by density and by energy."""

from collections.abc import Callable
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import require_file
from continuousflex_deep.io.trajectories import SAMPLE, Trajectory, require_of_landscape, sample_of
from continuousflex_deep.landscape.landscape import Landscape
from continuousflex_deep.landscape.reduction import Embedding
from continuousflex_deep.messages import note
from continuousflex_deep.options import TrajectoryOptions
from continuousflex_deep.trajectories.energy_path import minimum_energy_path
from continuousflex_deep.trajectories.frames import equal_steps
from continuousflex_deep.trajectories.free_energy import Density, density_maxima, estimate_density


def make_trajectory(landscape: Landscape, options: TrajectoryOptions) -> tuple[Trajectory, Density]:
    """The trajectory that the options describe, and the density of the particles, without outliers, in its coordinates.

    Raises InputError for places outside the particles, fewer than two of them, and a landscape without a way back from
    coordinates to amplitudes.
    """
    inverse_of(landscape)
    kept = landscape.coordinates[~landscape.outlier]
    dimensions = _dimensions(options, kept.shape[1])
    density = estimate_density(kept[:, dimensions], options.bandwidth)
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
        raise InputError("the trajectory has no length: all its points are at the same place; give two that differ")
    return _trajectory(landscape, density, steps, options.kind, dimensions, made), density


def inverse_of(landscape: Landscape) -> Callable[[Floats], Floats]:
    """What turns coordinates (P, k) of the landscape into amplitudes (P, M). InputError where nothing does."""
    inverse: Callable[[Floats], Floats] | None = getattr(landscape.reduction, "inverse_transform", None)
    if inverse is None:
        raise InputError(
            "this landscape has no way back from its coordinates to amplitudes, which a trajectory needs; make one by "
            "PCA with the landscape command (--method pca)"
        )
    return inverse


def density_of(landscape: Landscape, trajectory: Trajectory, factor: float = 0.0) -> Density:
    """The density, without outliers, in a trajectory's coordinates. InputError where it is of another landscape."""
    require_of_landscape(landscape.table(), trajectory)
    return estimate_density(landscape.coordinates[~landscape.outlier][:, trajectory.dimensions], factor)


def read_points(options: TrajectoryOptions) -> Floats:
    """The places (P, c) that --points or --points-file give: numbers apart by spaces or commas, a place a line or ';'.

    In a file blank lines, those starting with # and a first line of names are skipped.
    """
    if bool(options.points) == bool(options.points_file):
        raise InputError("give places either by --points or by --points-file, one of them")
    where = "--points"
    if options.points_file:
        where = f"'{options.points_file}'"
        text = require_file(options.points_file, "list of points").read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        if lines and lines[0].lower().lstrip("\ufeff\"'").startswith("pc"):
            lines = lines[1:]
    else:
        lines = [part.strip() for part in options.points.split(";") if part.strip()]
    places = [_numbers(line, where) for line in lines]
    if len(places) < 2:
        raise InputError(f"{where}: got {len(places)} places, a path needs at least 2")
    if len({len(place) for place in places}) > 1:
        raise InputError(f"{where}: places have {sorted({len(p) for p in places})} coordinates; give as many for each")
    return np.array(places)


def _numbers(text: str, where: str) -> list[float]:
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if not numbers or not np.isfinite(numbers).all():
        raise InputError(f"{where}: got '{text[:40]}', expected a place's coordinates, such as '-120.5 30'")
    return numbers


def _dimensions(options: TrajectoryOptions, k: int) -> tuple[int, ...]:
    if options.kind == "axis":
        if options.axis > k:
            raise InputError(f"--axis: got {options.axis}, the landscape has {k} coordinates; give 1 to {k}")
        return (options.axis - 1,)
    return tuple(range(min(options.dimensions, k)))


def _axis_points(kept: Floats, options: TrajectoryOptions) -> tuple[Floats, dict[str, Any]]:
    """Both ends (2, k) of a line along one axis, through the particles' mean."""
    low, high = options.percentiles
    if not 0 <= low < high <= 100:
        raise InputError(f"--percentiles: got {low:g} {high:g}, expected two numbers from 0 to 100, the smaller first")
    ends = np.tile(kept.mean(axis=0), (2, 1))
    ends[:, options.axis - 1] = np.percentile(kept[:, options.axis - 1], options.percentiles)
    return ends, {"axis": options.axis, "percentiles": list(options.percentiles)}


def _drawn_points(drawn: Floats, kept: Floats) -> Floats:
    """Drawn places (P, c), all inside the particles' range, with the particles' mean in the coordinates not given."""
    c, k = drawn.shape[1], kept.shape[1]
    if c > k:
        raise InputError(f"the points have {c} coordinates, the landscape has {k}; give {k} or fewer of each")
    low, high = kept[:, :c].min(axis=0), kept[:, :c].max(axis=0)
    outside = ((drawn < low) | (drawn > high)).any(axis=1)
    if outside.any():
        ranges = ", ".join(f"pc{i} from {a:.4g} to {b:.4g}" for i, (a, b) in enumerate(zip(low, high, strict=True), 1))
        first = " ".join(f"{x:g}" for x in drawn[outside][0])
        raise InputError(
            f"{int(outside.sum())} of {len(drawn)} points lie outside the particles, for example '{first}'; the "
            f"particles, without outliers, have {ranges}"
        )
    rest = np.tile(kept[:, c:].mean(axis=0), (len(drawn), 1))
    return np.concatenate([drawn, rest], axis=1)


def _density_points(density: Density, kept: Floats, options: TrajectoryOptions) -> tuple[Floats, dict[str, Any]]:
    """The density's maxima (m, k), in order along the first coordinate or each time to the nearest."""
    maxima, prominences = density_maxima(density, options.min_prominence_kT)
    if len(maxima) < 2:
        raise InputError(
            f"the density has {len(maxima)} maximum in its first {density.d} coordinates, a path through maxima needs "
            "2; allow fainter ones by a smaller --min-prominence-kT or --bandwidth, or take another --kind"
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
    """The order of places (m, d) each time to the nearest one left, from where this makes the way shortest."""
    ways = []
    for first in range(len(places)):
        order, left = [first], set(range(len(places))) - {first}
        while left:
            order.append(min(left, key=lambda i: float(np.linalg.norm(places[i] - places[order[-1]]))))
            left.remove(order[-1])
        ways.append(order)
    best = np.array(min(ways, key=lambda way: np.linalg.norm(np.diff(places[way], axis=0), axis=1).sum()))
    return best if places[best[0], 0] <= places[best[-1], 0] else best[::-1]


def _energy_points(density: Density, kept: Floats, options: TrajectoryOptions) -> tuple[Floats, dict[str, Any]]:
    """The minimum-energy path (P, k) between two places, or between the two most prominent maxima of the density."""
    if options.points or options.points_file:
        ends = read_points(options)
        if len(ends) != 2 or ends.shape[1] != density.d:
            raise InputError(
                f"a minimum-energy path goes from one place to another in the first {density.d} coordinates; got "
                f"{len(ends)} places of {ends.shape[1]}; see --dimensions"
            )
        _drawn_points(ends, kept)
    else:
        maxima, prominences = density_maxima(density, options.min_prominence_kT)
        if len(maxima) < 2:
            raise InputError(
                "the density has one maximum only, so a path's ends are to be named by --points; or allow fainter ones "
                "by a smaller --min-prominence-kT or --bandwidth"
            )
        ends = maxima[np.argsort(-prominences, kind="stable")[:2]]
        ends = ends[np.argsort(ends[:, 0])]
    path = minimum_energy_path(density, *ends)
    made = {
        "saddle": path.saddle.tolist(),
        "barrier_kT": path.barriers_kT[0],
        "barrier_sd_kT": path.barrier_sd_kT[0],
        "barrier_blur_kT": path.barrier_blur_kT[0],
        "barrier_back_kT": path.barriers_kT[1],
        "barrier_back_sd_kT": path.barrier_sd_kT[1],
        "barrier_back_blur_kT": path.barrier_blur_kT[1],
    }
    if path.barrier_sd_kT[0] > 1:
        note("hardly any particle lies at the barrier: its height is a lower bound, which more particles would raise")
    return _with_local_rest(density, kept, path.points), made


def _with_local_rest(density: Density, kept: Floats, places: Floats) -> Floats:
    """Places (P, d), with the mean of the particles around them in the landscape's other coordinates: (P, k)."""
    return np.concatenate([places, density.local_mean(places, kept[:, density.d :])], axis=1)


def _trajectory(
    landscape: Landscape, density: Density, points: Floats, kind: str, dimensions: tuple[int, ...], made: dict[str, Any]
) -> Trajectory:
    places = points[:, dimensions]
    sample = sample_of(landscape.table())
    if isinstance(landscape.reduction, Embedding):
        made = made | {"inverse_error_A": landscape.reduction.errors.inverse_A}
    return Trajectory(
        points=points,
        amplitudes_A=inverse_of(landscape)(points),
        mode_ids=tuple(landscape.particles.mode_ids),
        kind=kind,
        dimensions=dimensions,
        energy_kT=density.energy(places),
        energy_sd_kT=density.energy_sd(places),
        particles_near=density.particles_near(places),
        made=made | {"bandwidth": density.bandwidth.tolist(), SAMPLE: sample},
    )
