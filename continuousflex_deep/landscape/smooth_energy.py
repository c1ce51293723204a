"""Densities p = exp(−E)/Z on a grid whose energy E, in kT, is smooth.

E is a polynomial of second degree plus cosines, whose coefficients are in units in which half their sum of squares is
the integral of the squared third derivative of E. A penalty on these leaves free what has no third derivative: a state
of any width, which is a harmonic well, and a uniform density, which is a level energy, are the limits of strong
smoothing (Silverman 1982, Ann. Stat. 10, 795, penalises the logarithm of a density in this way).
"""

import numpy as np
from scipy import fft

from continuousflex_deep.arrays import Floats
from continuousflex_deep.landscape.error_blur import Grid

_BANDS = {1: 40, 2: 14, 3: 7}  # half waves along each axis, by the number of axes
_ORDER = 3  # of the derivative that is penalised


class SmoothEnergy:
    """Energies on a grid by their parameters: n_free of the polynomial, then those of the cosines.

    Lengths are in units of `scale` (d,), so that results do not depend on the unit of the coordinates.
    """

    def __init__(self, grid: Grid, centre: Floats, scale: Floats) -> None:
        self.grid, d = grid, len(grid.shape)
        bands = _BANDS[d]
        number = np.stack(np.meshgrid(*[np.arange(bands + 1)] * d, indexing="ij"))
        wave = number * (np.pi * scale / (grid.spacing * grid.shape)).reshape(-1, *[1] * d)
        frequency = np.sqrt(np.square(wave).sum(axis=0))
        self._used = (frequency > 0) & (np.square(number).sum(axis=0) <= bands**2)
        self._roughness = frequency[self._used] ** _ORDER
        self._low = tuple(slice(0, bands + 1) for _ in range(d))
        self._norm = np.sqrt(np.prod(grid.shape))  # cosines of the same amplitude on any grid
        units = [(x - c) / s for x, c, s in zip(grid.axes, centre, scale, strict=True)]
        places = np.stack(np.meshgrid(*units, indexing="ij"))
        pairs = [(i, j) for i in range(d) for j in range(i, d)]
        self._powers = np.stack([*places, *(places[i] * places[j] for i, j in pairs)])
        self.n_free = len(self._powers)
        # the parameters of the normal density of the scale
        self.normal = np.zeros(self.n_free + int(self._used.sum()))
        self.normal[[d + k for k, (i, j) in enumerate(pairs) if i == j]] = 0.5

    def energy(self, parameters: Floats) -> Floats:
        """E (*grid.shape), up to a constant."""
        waves = np.zeros(self._used.shape)
        waves[self._used] = parameters[self.n_free :] / self._roughness
        padded = np.zeros(self.grid.shape)
        padded[self._low] = waves
        cosines = fft.idctn(padded, norm="ortho") * self._norm
        return np.asarray(cosines + np.tensordot(parameters[: self.n_free], self._powers, 1))

    def gradient(self, by_energy: Floats) -> Floats:
        """The derivative by the parameters of what has the derivative by_energy (*grid.shape) by E."""
        cosines = (fft.dctn(by_energy, norm="ortho") * self._norm)[self._low][self._used]
        free = np.tensordot(self._powers, by_energy, by_energy.ndim)
        return np.concatenate([free, cosines / self._roughness])


def density_of_energy(energy: Floats) -> Floats:
    """exp(−E)/Z: probabilities of the cells."""
    p = np.exp(energy.min() - energy)
    return np.asarray(p / p.sum())
