"""Errors of the coordinates of a landscape, from the error bars of the amplitudes.

Particle files have a standard deviation of each amplitude, but not the correlations between the errors of different
modes, which are taken as zero. Principal components are linear in the amplitudes, and their covariance is exact.
Coordinates of other methods have the covariance of the linear map that fits theirs within the error bars.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.landscape.pca import PCA
from continuousflex_deep.landscape.reduction import Reduction

# spreads of a coordinate up to which an error leaves something to tell; wider ones would only widen the grid
_TELLS = 3.0


class WithErrors(Protocol):
    """Particles, or a table of them."""

    @property
    def amplitudes(self) -> Floats | None: ...
    @property
    def amplitudes_sd(self) -> Floats | None: ...
    @property
    def free_amplitudes(self) -> Floats | None: ...
    @property
    def free_amplitudes_sd(self) -> Floats | None: ...


@dataclass(frozen=True, eq=False)
class Measured:
    """Some coordinates of particles as their own images show them: points (m, d), the covariances (m, d, d) of their
    errors, and their rows (m,) among all particles."""

    points: Floats
    covariances: Floats
    rows: Integers


def measured_coordinates(
    reduction: Reduction,
    particles: WithErrors,
    coordinates: Floats,
    dimensions: tuple[int, ...],
    chosen: Integers | None = None,
) -> Measured | None:
    """Some coordinates, counted from 0, of n particles that have these coordinates (n, k), with their errors; None
    without error bars. chosen (m,): rows of those that are asked for, all by default; rows count among these.

    Amplitudes that are drawn to what other particles showed are no measurements: their errors depend on the truth.
    What the images alone show is taken instead, of those that tell of these coordinates within a few spreads.
    Raises InputError as `coordinate_covariances` does.
    """
    arrays = (particles.amplitudes, particles.amplitudes_sd, particles.free_amplitudes, particles.free_amplitudes_sd)
    which = slice(None) if chosen is None else chosen
    amplitudes, deviations, free_A, free_sd_A = (None if array is None else array[which] for array in arrays)
    if amplitudes is None or deviations is None:
        return None
    points = coordinates[which][:, list(dimensions)]
    covariances = coordinate_covariances(reduction, amplitudes, deviations, dimensions)
    if free_A is None or free_sd_A is None:
        return Measured(points, covariances, np.arange(len(points)))
    # what the drawn coordinates have lost of the spread is the variance that their errors have by themselves
    spread = points.var(axis=0) + np.diagonal(covariances, axis1=1, axis2=2).mean(axis=0)
    covariances = coordinate_covariances(reduction, free_A, free_sd_A, dimensions)
    tells = (np.diagonal(covariances, axis1=1, axis2=2) <= _TELLS**2 * spread).all(axis=1)
    points = reduction.transform(free_A)[:, list(dimensions)]
    return Measured(points[tells], covariances[tells], np.flatnonzero(tells))


def coordinate_covariances(
    reduction: Reduction, amplitudes: Floats, amplitudes_sd: Floats, dimensions: tuple[int, ...]
) -> Floats:
    """Covariances (n, d, d) of the errors of some coordinates, counted from 0, of particles with amplitudes (n, M).

    The derivative of a coordinate is ∂y/∂q for principal components, and otherwise the difference quotient of the map
    over ± one standard deviation. InputError where a deviation (n, M) is negative or not finite.
    """
    if not (np.isfinite(amplitudes_sd) & (amplitudes_sd >= 0)).all():
        bad = int((~(np.isfinite(amplitudes_sd) & (amplitudes_sd >= 0))).any(axis=1).sum())
        raise InputError(
            f"the error bars of the amplitudes of {bad} of {len(amplitudes_sd)} particles are negative or no numbers; "
            "align or predict these particles again, or use --density raw"
        )
    chosen = list(dimensions)
    if isinstance(reduction, PCA):
        scaled = amplitudes_sd[:, None, :] * reduction.components[chosen]
    else:
        scaled = np.empty((len(amplitudes), len(chosen), amplitudes.shape[1]))
        for mode, sd in enumerate(amplitudes_sd.T):
            step = np.zeros_like(amplitudes)
            step[:, mode] = sd
            ends = [reduction.transform(amplitudes + sign * step)[:, chosen] for sign in (1, -1)]
            scaled[:, :, mode] = (ends[0] - ends[1]) / 2
    return np.asarray(scaled @ scaled.transpose(0, 2, 1))
