"""Minimum-energy paths on the free-energy surface of a landscape: the most likely path between two conformations."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError
from continuousflex_deep.messages import note
from continuousflex_deep.trajectories.frames import equal_steps
from continuousflex_deep.trajectories.free_energy import Density

_STEP = 0.5  # in units of a step of mean shift; up to two of these units are stable
_ROUNDS, _ROUND = 200, 100  # rounds at most, and steps in each
_CONVERGED = 0.01  # bandwidths by which the path may still move in a round
_FEWEST, _MOST = 30, 200  # images of the string
_BETWEEN = 20  # places between two images at which the saddle is searched
_STEEPEST_KT = 50.0  # energies above this count as this: the path avoids them in any case


@dataclass(frozen=True, eq=False)
class EnergyPath:
    """The points (P, d) of a path; its saddle (d,), the highest point; and the barriers, the energies in kT of the
    saddle above the first and the last point.

    barrier_sd_kT: standard deviations of the barriers due to the number of particles. barrier_blur_kT: estimates of how
    much the smoothing of the density lowers the barriers, None where no kernel smooths it. A kernel of twice the
    variance lowers them by as much again, since the bias of a kernel estimate is proportional to the variance.
    """

    points: Floats
    saddle: Floats
    barriers_kT: tuple[float, float]
    barrier_sd_kT: tuple[float, float]
    barrier_blur_kT: tuple[float, float] | None


def minimum_energy_path(density: Density, start: Floats, end: Floats) -> EnergyPath:
    """The minimum-energy path from start (d,) to end (d,), both fixed, on the surface −kT·ln p.

    By the simplified string method (E, Ren and Vanden-Eijnden 2007, J. Chem. Phys. 126, 164103): the images of the
    string descend the energy and are redistributed at equal distances along the path. The initial path is that of the
    largest flux over the grid (Huo and Straub 1997, J. Chem. Phys. 107, 5000), which minimises ∫exp(E/kT) ds, so that
    the most likely of several valleys is found. Lengths are in bandwidths along each axis; maxima, saddles and barriers
    do not depend on the unit of length. InputError where the ends are closer than one bandwidth.
    """
    h = density.bandwidth
    if np.linalg.norm((end - start) / h) < 1:
        raise InputError("a minimum-energy path needs ends at least one bandwidth apart; give ends farther apart")
    string = _largest_flux(density, start, end) / h
    length = np.linalg.norm(np.diff(string, axis=0), axis=1).sum()
    string = equal_steps(string, int(np.clip(np.ceil(length), _FEWEST, _MOST)))
    for _ in range(_ROUNDS):
        before = string
        for _ in range(_ROUND):
            lowered = string.copy()
            lowered[1:-1] += _STEP * density.drift(string[1:-1] * h)
            string = equal_steps(lowered, len(string))
        moved = np.abs(string - before).max()
        if moved < _CONVERGED:
            break
    else:
        note(f"the minimum-energy path has not converged: it moves by {moved:.2g} bandwidths in {_ROUND} steps")
    fine = equal_steps(string, _BETWEEN * len(string)) * h
    energy = density.energy(fine)
    top = int(energy.argmax())
    ends, saddle = fine[[0, -1]], fine[[top]]
    forwards, backwards = (float(energy[top] - energy[end]) for end in (0, -1))
    sd = density.rise_sd(ends, np.repeat(saddle, 2, axis=0))
    blurred, blur = density.blurred(), None
    if blurred is not None:
        first, highest, last = blurred.energy(np.concatenate([ends[:1], saddle, ends[1:]]))
        blur = (forwards - float(highest - first), backwards - float(highest - last))
    return EnergyPath(string * h, fine[top], (forwards, backwards), (float(sd[0]), float(sd[1])), blur)


def _largest_flux(density: Density, start: Floats, end: Floats) -> Floats:
    """The path over the grid (P, d) from start to end that minimises the sum of exp(E/kT) times length."""
    shape = density.values.shape
    flux = np.exp(np.minimum(density.energy_grid, _STEEPEST_KT))
    index = np.arange(flux.size).reshape(shape)
    rows, columns, costs = [], [], []
    offsets = [s for s in np.ndindex(*(3,) * len(shape)) if s > (1,) * len(shape)]  # each pair once
    for offset in offsets:
        step = np.array(offset) - 1
        here = tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in zip(step, shape, strict=True))
        there = tuple(slice(max(s, 0), n - max(-s, 0)) for s, n in zip(step, shape, strict=True))
        rows.append(index[here].ravel())
        columns.append(index[there].ravel())
        length = np.linalg.norm(step * density.spacing / density.bandwidth)
        costs.append(length * (flux[here] + flux[there]).ravel() / 2)
    graph = coo_array(
        (np.concatenate(costs), (np.concatenate(rows), np.concatenate(columns))), (flux.size, flux.size)
    ).tocsr()
    ends = [np.clip(np.rint((x - density.corner) / density.spacing), 0, np.array(shape) - 1) for x in (start, end)]
    first, last = (int(np.ravel_multi_index(tuple(e.astype(int)), shape)) for e in ends)
    before = dijkstra(graph, directed=False, indices=first, return_predecessors=True)[1]
    path = [last]
    while path[-1] != first:
        path.append(int(before[path[-1]]))
    cells = np.array(np.unravel_index(path[::-1], shape)).T
    return np.concatenate([start[None], density.places_of(cells[1:-1]), end[None]])
