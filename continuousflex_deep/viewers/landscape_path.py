"""Paths in the axes of a landscape's view: conformations along them, and what the trajectory command takes of them."""

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.trajectories import Trajectory, require_of_landscape
from continuousflex_deep.particles import evenly_spread
from continuousflex_deep.trajectories.frames import equal_steps
from continuousflex_deep.viewers.landscape_data import LandscapeData

N_FRAMES = 40
_MOST = 50_000  # particles that means are taken over; more cost time and change nothing that one sees
_WIDTH = 0.15  # of the Gaussian that weighs them, in deviations of the particles along each axis


def local_means(data: LandscapeData, axes: tuple[str, str], places: Floats, values: Floats) -> Floats:
    """Mean of values (n, m) of the particles around places (P, 2) in two axes, outliers left out: (P, m).

    Particles are weighted by a Gaussian of their distance; where none is near, the nearest alone counts.
    """
    kept = np.flatnonzero(~data.table.outlier)
    rows = kept[evenly_spread(len(kept), _MOST)]
    xy = np.stack([data.column(name)[rows] for name in axes], axis=1)
    width = np.maximum(_WIDTH * xy.std(axis=0), 1e-12)
    means = []
    for place in np.asarray(places, dtype=np.float64):
        squared = np.square((xy - place) / width).sum(axis=1)
        weights = np.exp(-0.5 * (squared - squared.min()))  # the nearest has weight 1, however far it is
        means.append(weights @ values[rows] / weights.sum())
    return np.array(means)


def conformations_along(data: LandscapeData, axes: tuple[str, str], corners: Floats) -> tuple[Floats, Floats]:
    """N_FRAMES places (N_FRAMES, 2) at equal steps along a path with corners (P, 2), and the mean amplitudes
    (N_FRAMES, M) in Å of the particles around each. Raises InputError for a path without length."""
    places = equal_steps(corners, N_FRAMES) if len(corners) > 1 else np.asarray(corners)
    if len(places) < 2:
        raise InputError("the path has no length: click on at least two places of the landscape")
    return places, local_means(data, axes, places, data.table.amplitudes)


def points_text(data: LandscapeData, axes: tuple[str, ...], corners: Floats) -> str:
    """A path's corners (P, 2) as --points of the trajectory command takes them: coordinates from the first to the last
    one that is shown, those between as the particles around have them.

    Raises InputError in other axes than two coordinates of the landscape, and for fewer than two corners.
    """
    names = data.table.coordinate_names()
    if len(axes) != 2 or not set(axes) <= set(names) or axes[0] == axes[1]:
        raise InputError(
            f"a trajectory leads through the landscape's coordinates, so draw the path in two of {', '.join(names)}"
        )
    if len(corners) < 2:
        raise InputError("the path has no length: click on at least two places of the landscape")
    numbers = [names.index(name) for name in axes]
    last = max(numbers) + 1
    points = local_means(data, (axes[0], axes[1]), corners, data.table.coordinates[:, :last])
    points[:, numbers] = corners
    return "; ".join(" ".join(f"{x:.6g}" for x in point) for point in points)


def places_of(data: LandscapeData, trajectory: Trajectory, axes: tuple[str, ...]) -> Floats:
    """Where a saved trajectory's points are in two axes (P, 2). Raises InputError where it is of another landscape, and
    for axes that trajectories say nothing of."""
    require_of_landscape(data.table, trajectory)
    known = dict(zip(trajectory_axes(data), [*trajectory.points.T, *trajectory.amplitudes_A.T], strict=True))
    if len(axes) != 2 or not set(axes) <= set(known):
        raise InputError(f"a trajectory is shown in two of {', '.join(known)}")
    return np.stack([known[name] for name in axes], axis=1)


def trajectory_axes(data: LandscapeData) -> list[str]:
    """The columns in which a trajectory's points have a place: coordinates and amplitudes."""
    return [*data.table.coordinate_names(), *(f"q{mode}" for mode in data.table.mode_ids)]
