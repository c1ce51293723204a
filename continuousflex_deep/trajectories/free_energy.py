"""Density p of particles in a few coordinates of a landscape, and the free energy −kT·ln p.

The density is a Gaussian kernel estimate, computed on a grid. Energies are relative to the highest density. They are
free energies only if the particles were at equilibrium when they were frozen.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.landscape.deconvolution import spread_of

_BINS = {1: 512, 2: 192, 3: 64}  # of the grid along each axis, by the number of axes
_FACTORS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18)  # bandwidths that cross-validation tries, in units of Scott's
_FINEST = 1.2  # bins: the smallest bandwidth
_MARGIN, _TRUNCATE = 4.0, 5.0  # bandwidths: of the grid around the particles, and of the kernel
_NEAR = 2.0  # bandwidths within which a particle counts as near a place


@dataclass(frozen=True, eq=False)
class Density:
    """Density p of n particles at places (n, d), on a grid of `values` from `corner` (d,) at steps of `spacing` (d,).

    bandwidth (d,): standard deviation of the Gaussian kernel along each axis. The weight of one of the n particles is
    given to a Gaussian with the mean and covariance of all, so that p > 0 everywhere and decreases towards the outside.
    """

    particles: Floats
    bandwidth: Floats
    corner: Floats
    spacing: Floats
    values: Floats

    @property
    def d(self) -> int:
        return self.particles.shape[1]

    @property
    def step(self) -> Floats:
        """Length (d,) along each axis of the steps in which places follow the density uphill."""
        return self.bandwidth

    @cached_property
    def energy_grid(self) -> Floats:
        """−ln p on the grid, in kT, relative to its minimum."""
        energy = -np.log(self.values)
        return np.asarray(energy - energy.min())

    @cached_property
    def _energy_splines(self) -> Floats:
        return np.asarray(ndimage.spline_filter(self.energy_grid, order=3, mode="nearest"))

    @cached_property
    def _drift_grids(self) -> list[Floats]:
        slopes = np.gradient(self.energy_grid, *self.spacing)
        steps = self.step**2 / self.bandwidth
        return [-h * s for h, s in zip(steps, slopes if self.d > 1 else [slopes], strict=True)]

    def energy(self, places: Floats) -> Floats:
        """−ln p (P,) in kT at places (P, d), relative to the minimum of the grid."""
        grid = self._grid(places)
        return np.asarray(ndimage.map_coordinates(self._energy_splines, grid, order=3, mode="nearest", prefilter=False))

    def energy_sd(self, places: Floats) -> Floats:
        """Standard deviation (P,) in kT of the energy at places (P, d), due to the number of particles.

        It is that of ln p; the variance of the estimate of p is p·R(K) / (n·∏h) with R(K) = (4π)^(−d/2) for a Gaussian
        kernel (Silverman 1986, Density Estimation for Statistics and Data Analysis, section 4.3). The bias due to the
        kernel is not included.
        """
        p = self.values.max() * np.exp(-self.energy(places))
        effective = len(self.particles) * self.bandwidth.prod() * (4 * np.pi) ** (self.d / 2) * p
        return np.asarray(1 / np.sqrt(effective))

    def rise_sd(self, low: Floats, high: Floats) -> Floats:
        """Standard deviation (P,) in kT of the energy at places `high` (P, d) above that at `low` (P, d)."""
        return np.asarray(np.hypot(self.energy_sd(low), self.energy_sd(high)))

    def blurred(self) -> "Density | None":
        """The density with a kernel of twice the variance; None where no kernel smooths it."""
        values = ndimage.gaussian_filter(self.values, self.bandwidth / self.spacing, mode="nearest", truncate=_TRUNCATE)
        return Density(self.particles, np.sqrt(2) * self.bandwidth, self.corner, self.spacing, values)

    def drift(self, places: Floats) -> Floats:
        """−h·∂(energy)/∂x (P, d) at places (P, d): a step of mean shift, in bandwidths.

        A place plus this step is the mean of the particles around it, weighted by the kernel (Fukunaga and Hostetler
        1975, IEEE Trans. Inf. Theory 21, 32). Therefore a step never overshoots a maximum.
        """
        grid = self._grid(places)
        parts = [ndimage.map_coordinates(g, grid, order=1, mode="nearest") for g in self._drift_grids]
        return np.stack(parts, axis=1)

    def particles_near(self, places: Floats) -> Integers:
        """Number (P,) of particles within two bandwidths of places (P, d)."""
        return np.array(
            [
                int((np.square((self.particles - place) / self.bandwidth).sum(axis=1) <= _NEAR**2).sum())
                for place in places
            ],
            dtype=np.int64,
        )

    def local_mean(self, places: Floats, values: Floats) -> Floats:
        """Mean (P, m) of the particles' values (n, m) around places (P, d), weighted by the kernel.

        Far from all particles it approaches the mean of all particles.
        """
        mean, faint, out = values.mean(axis=0), np.exp(-(_MARGIN**2) / 2), []
        for place in places:
            weight = np.exp(-np.square((self.particles - place) / self.bandwidth).sum(axis=1) / 2)
            out.append((weight @ values + faint * mean) / (weight.sum() + faint))
        return np.array(out)

    def places_of(self, cells: Integers) -> Floats:
        """Places (P, d) of cells (P, d) of the grid."""
        return np.asarray(self.corner + cells * self.spacing)

    def _grid(self, places: Floats) -> Floats:
        return np.asarray(((places - self.corner) / self.spacing).T)


def estimate_density(particles: Floats, factor: float = 0.0) -> Density:
    """Density of particles (n, d), d ≤ 3.

    factor: bandwidth in units of Scott's rule, h = sd · n^(−1/(d+4)) along each axis (Scott 1992, Multivariate Density
    Estimation). 0 selects the bandwidth by cross-validation: with it the particles are most likely under the density of
    the other particles. This separates maxima that Scott's rule, which assumes one Gaussian, merges.

    Raises InputError as `spread_of` does.
    """
    n, d = particles.shape
    scott = spread_of(particles) * n ** (-1 / (d + 4))
    margin = _MARGIN * scott * max(factor, 1.0)
    corner, bins = particles.min(axis=0) - margin, _BINS[d]
    spacing = (np.ptp(particles, axis=0) + 2 * margin) / (bins - 1)
    cells = np.rint((particles - corner) / spacing).astype(np.int64)
    flat = np.ravel_multi_index(tuple(cells.T), (bins,) * d)
    counts = np.bincount(flat, minlength=bins**d).reshape((bins,) * d).astype(np.float64)
    background = normal_density(particles, corner, spacing, bins)

    def smoothed(bandwidth: Floats) -> Floats:
        return np.asarray(
            ndimage.gaussian_filter(counts, bandwidth / spacing, mode="constant", truncate=_TRUNCATE)
        ) / spacing.prod()  # fmt: skip

    def likelihood(bandwidth: Floats) -> float:
        itself = 1 / (np.sqrt(2 * np.pi) * bandwidth).prod()
        others = np.maximum(smoothed(bandwidth) - itself, 0) / (n - 1)
        p = (1 - 1 / n) * others + background / n
        return float(np.log(p.ravel()[flat]).sum())

    finest = _FINEST * spacing
    if factor > 0:
        bandwidth = np.maximum(factor * scott, finest)
    else:
        candidates = [np.maximum(f * scott, finest) for f in _FACTORS]
        bandwidth = max(candidates, key=likelihood)
    values = (1 - 1 / n) * smoothed(bandwidth) / n + background / n
    return Density(particles, bandwidth, corner, spacing, values)


def normal_density(particles: Floats, corner: Floats, spacing: Floats, bins: int) -> Floats:
    """The normal density with the particles' mean and covariance on the grid."""
    mean = particles.mean(axis=0)
    inverse = np.linalg.inv(np.atleast_2d(np.cov(particles.T)))
    d = len(mean)
    offsets = [corner[i] + spacing[i] * np.arange(bins) - mean[i] for i in range(d)]
    square = np.zeros((bins,) * d)
    for i in range(d):
        for j in range(d):
            a = offsets[i].reshape([-1 if axis == i else 1 for axis in range(d)])
            b = offsets[j].reshape([-1 if axis == j else 1 for axis in range(d)])
            square = square + inverse[i, j] * a * b
    return np.asarray(np.exp(-square / 2) * np.sqrt(np.linalg.det(inverse) / (2 * np.pi) ** d))


def density_maxima(density: Density, min_prominence_kT: float = 0.5) -> tuple[Floats, Floats]:
    """Maxima (m, d) of the density, the highest first, and their prominences (m,) in kT.

    The prominence of a maximum is the energy from it up to the lowest pass to a higher maximum (infinite for the
    highest). Maxima with prominences of at least min_prominence_kT and twice its standard deviation are returned.
    Places with less than one particle within a bandwidth are ignored.
    """
    values = density.values
    shape, per_particle = values.shape, (np.sqrt(2 * np.pi) * density.bandwidth).prod()
    flat = values.ravel()
    occupied = np.flatnonzero(flat * len(density.particles) * per_particle >= 1)
    order = occupied[np.argsort(-flat[occupied], kind="stable")]
    padded = tuple(s + 2 for s in shape)
    cells = np.array(np.unravel_index(order, shape)).T + 1
    steps = np.array([s for s in np.ndindex(*(3,) * len(shape)) if s != (1,) * len(shape)]) - 1
    neighbours = np.stack([np.ravel_multi_index(tuple((cells + s).T), padded) for s in steps], axis=1).tolist()
    rank_of = dict(zip(np.ravel_multi_index(tuple(cells.T), padded).tolist(), range(len(order)), strict=True))
    parent: list[int] = []
    tops: list[int] = []  # maxima, by rank in density
    passes: dict[int, int] = {}  # maximum → rank of the pass to a higher one

    def root(rank: int) -> int:
        while parent[rank] != rank:
            parent[rank] = parent[parent[rank]]
            rank = parent[rank]
        return rank

    for rank, around in enumerate(neighbours):
        denser = {root(r) for r in (rank_of.get(cell, rank) for cell in around) if r < rank}
        highest = min(denser, default=rank)
        parent.append(highest)
        if not denser:
            tops.append(rank)
        for lower in denser - {highest}:
            parent[lower], passes[lower] = highest, rank
    energy, places, last = -np.log(flat[order]), density.places_of(cells - 1), len(order) - 1
    kept, prominences = [0], [np.inf]
    for rank in tops[1:]:
        over = passes.get(rank, last)  # no pass leads from an isolated maximum to a higher one
        prominence = float(energy[over] - energy[rank])
        noise = float(density.rise_sd(places[[rank]], places[[over]])[0])
        if prominence >= max(min_prominence_kT, 2 * noise):
            kept.append(rank)
            prominences.append(prominence)
    return settled(density, places[kept]), np.array(prominences)


def settled(density: Density, places: Floats) -> Floats:
    """The maxima (P, d) that places (P, d) reach when they follow the density uphill."""
    x = np.array(places, dtype=np.float64)
    for _ in range(500):
        step = density.drift(x)
        x += step * density.bandwidth
        if np.abs(step).max() < 1e-4:
            break
    return x
