"""Errors of the coordinates of a landscape, from the error bars of the amplitudes.

Particle files have a standard deviation of each amplitude, but not the correlations between the errors of different
modes, which are taken as zero. Principal components are linear in the amplitudes, and their covariance is exact.
Coordinates of other methods have the covariance of the linear map that fits theirs within the error bars.
"""

from typing import Protocol

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError
from continuousflex_deep.landscape.pca import PCA
from continuousflex_deep.landscape.reduction import Reduction


class WithErrors(Protocol):
    """Particles, or a table of them, with amplitudes and error bars."""

    @property
    def amplitudes(self) -> Floats | None: ...
    @property
    def amplitudes_sd(self) -> Floats | None: ...
    @property
    def free_amplitudes(self) -> Floats | None: ...
    @property
    def free_amplitudes_sd(self) -> Floats | None: ...


def measured(particles: WithErrors) -> tuple[Floats, Floats]:
    """Amplitudes (n, M) as the images alone show them, and the deviations (n, M) of their errors. Those that are drawn
    to what other particles showed are no measurements: their errors depend on the truth."""
    pairs = (particles.free_amplitudes, particles.free_amplitudes_sd), (particles.amplitudes, particles.amplitudes_sd)
    for amplitudes, deviations in pairs:
        if amplitudes is not None and deviations is not None:
            return amplitudes, deviations
    raise ValueError("the particles have no error bars")


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
