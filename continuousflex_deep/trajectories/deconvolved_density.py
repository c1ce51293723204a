"""The density of a landscape, deconvolved with the errors of its coordinates where they are known."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import ndimage

from continuousflex_deep.arrays import Floats
from continuousflex_deep.io.density_table import DensityTable
from continuousflex_deep.landscape.coordinate_errors import measured_coordinates
from continuousflex_deep.landscape.deconvolution import FEWEST_PARTICLES, deconvolve, has_spread
from continuousflex_deep.landscape.landscape import Landscape
from continuousflex_deep.messages import note, note_once
from continuousflex_deep.options import DensityKind
from continuousflex_deep.trajectories.free_energy import Density, estimate_density, normal_density

_PASSABLE_KT = 10.0  # energies up to which paths lead
_BAND = (2.5, 97.5)  # percentiles of the replicas
_PLANE = 2  # coordinates whose densities are written


@dataclass(frozen=True, eq=False)
class DeconvolvedDensity(Density):
    """A density deconvolved with the particles' errors. Its bandwidth is that of the raw density, within which
    particles count as near.

    replicas (r, *shape): bootstrap replicas, from which deviations are computed. error_sd (d,): root mean square error
    of the coordinates.
    """

    replicas: Floats = field(kw_only=True)
    error_sd: Floats = field(kw_only=True)

    @cached_property
    def step(self) -> Floats:
        """The bandwidth, or less where the energy curves so much that such a step would overshoot its minimum."""
        energy, out = self.energy_grid, np.array(self.bandwidth)
        passable = energy < _PASSABLE_KT
        for axis, spacing in enumerate(self.spacing):
            curvature = np.gradient(np.gradient(energy, spacing, axis=axis), spacing, axis=axis)
            out[axis] = 1 / np.sqrt(max(float(curvature[passable].max()), out[axis] ** -2))
        return out

    def energy_sd(self, places: Floats) -> Floats:
        """Standard deviation (P,) in kT over the replicas of the energy at places (P, d), each relative to its
        minimum."""
        return np.asarray(self._replica_energies(places).std(axis=0))

    def rise_sd(self, low: Floats, high: Floats) -> Floats:
        """Standard deviation (P,) in kT over the replicas of the energy at places `high` (P, d) above that at `low`."""
        return np.asarray((self._replica_energies(high) - self._replica_energies(low)).std(axis=0))

    def blurred(self) -> None:
        """No kernel smooths this density."""

    def _replica_energies(self, places: Floats) -> Floats:
        grid = self._grid(places)
        energies = [-np.log(values) for values in self.replicas]
        return np.array([ndimage.map_coordinates(e - e.min(), grid, order=1, mode="nearest") for e in energies])


def landscape_density(
    landscape: Landscape, dimensions: tuple[int, ...], kind: DensityKind, factor: float = 0.0
) -> Density:
    """The density of a landscape's particles, without outliers, in some coordinates, counted from 0.

    A deconvolved density needs error bars of the amplitudes; without them the density is raw, and a note says so.
    factor: bandwidth of the raw density, see `estimate_density`.
    """
    kept = landscape.particles.select(~landscape.outlier)
    points = landscape.coordinates[~landscape.outlier][:, dimensions]
    raw = estimate_density(points, factor)
    if kind == "raw":
        return raw
    measured = measured_coordinates(landscape.reduction, kept, landscape.coordinates[~landscape.outlier], dimensions)
    if measured is None:
        note_once("the particles have no error bars of their amplitudes: densities are raw, and their barriers too low")
        return raw
    told = len(measured.rows)
    if told < len(kept):
        note_once(f"the images of {len(kept) - told} of {len(kept)} particles tell nothing of these coordinates; the "
                  "deconvolved density is that of the others")  # fmt: skip
    if told < FEWEST_PARTICLES:
        note_once(f"{told} particles are too few to deconvolve their density: it is raw below {FEWEST_PARTICLES}")
        return raw
    return deconvolved_density(raw, measured.points, measured.covariances)


def deconvolved_density(raw: Density, points: Floats, covariances: Floats) -> DeconvolvedDensity:
    """The density of the particles of a raw one, deconvolved: measured as points (n, d) with errors of covariances
    (n, d, d).

    As in the raw density, the weight of one particle is given to a Gaussian with the mean and covariance of all.
    """
    n = len(points)
    found = deconvolve(points, covariances)
    background = normal_density(points, found.grid.corner, found.grid.spacing, found.grid.shape[0])
    values, *replicas = ((1 - 1 / n) * p + background / n for p in (found.values, *found.replicas))
    return DeconvolvedDensity(
        raw.particles, raw.bandwidth, found.grid.corner, found.grid.spacing, values,
        replicas=np.array(replicas), error_sd=np.sqrt(np.diagonal(covariances, axis1=1, axis2=2).mean(axis=0)),
    )  # fmt: skip


def density_table(landscape: Landscape, dimensions: tuple[int, ...]) -> DensityTable | None:
    """The raw and the deconvolved density in some coordinates; None for particles without error bars."""
    density = landscape_density(landscape, dimensions, "deconvolved")
    if not isinstance(density, DeconvolvedDensity):
        return None
    raw = estimate_density(density.particles)
    cells = np.stack(np.meshgrid(*map(np.arange, density.values.shape), indexing="ij"), axis=-1)
    places = density.places_of(cells.reshape(-1, density.d))
    low, high = np.percentile(density.replicas, _BAND, axis=0)
    return DensityTable(
        corner=density.corner, spacing=density.spacing,
        raw=raw.values.max() * np.exp(-raw.energy(places)).reshape(density.values.shape),
        deconvolved=density.values, low=low, high=high, error_sd=density.error_sd,
    )  # fmt: skip


def plane_densities(landscape: Landscape) -> list[DensityTable]:
    """Densities along the first coordinate and in the first plane, as far as particles differ along them; none for
    particles without error bars."""
    number = int(np.cumprod(has_spread(landscape.coordinates[~landscape.outlier, :_PLANE])).sum())
    if number == 0:
        return []
    if landscape.particles.amplitudes_sd is not None:
        note(f"deconvolving the density of the first {number} coordinates with the errors of the particles")
    tables = [density_table(landscape, tuple(range(d))) for d in range(1, number + 1)]
    return [table for table in tables if table is not None]


def format_errors(density: DensityTable, landscape: Landscape) -> str:
    """The errors of the first coordinates, beside their spread."""
    kept = landscape.coordinates[~landscape.outlier]
    parts = [
        f"{label} {error:.3g} of {kept[:, i].std():.3g}"
        for i, (label, error) in enumerate(zip(landscape.table().axis_labels, density.error_sd, strict=False))
    ]
    return f"errors of coordinates, of their standard deviation: {', '.join(parts)}; density.png is without them"
