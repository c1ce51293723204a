"""The density of particles freed of the errors of their coordinates.

Errors smooth a landscape: maxima widen, barriers sink, and a single state looks like a cloud. Every particle has error
bars, so that the density p of the true coordinates can be estimated: it has the highest penalised likelihood
Σ_i ln (p ∗ N(0, C_i))(x_i) − λ/2 ∫|∇³ ln p|², with the covariance C_i of each particle. The smoothness λ has the
highest evidence, which is the likelihood of the data averaged over all densities of that smoothness, by Laplace's
approximation. So the data decide between a sharp state and a continuum. Without a penalty, the solution would be a sum
of spikes whatever the truth (Laird 1978, J. Am. Stat. Assoc. 73, 805).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from continuousflex_deep.arrays import Booleans, Floats
from continuousflex_deep.errors import InputError
from continuousflex_deep.landscape.error_blur import ErrorBlur, Grid
from continuousflex_deep.landscape.smooth_energy import SmoothEnergy, density_of_energy

MOST_DIMENSIONS = 3
FEWEST_PARTICLES = 20  # fewer do not determine a mean, a covariance and a smoothness
_BINS = {1: 256, 2: 80, 3: 36}  # of the grid along each axis, by the number of axes
_CLASSES = {1: 16, 2: 10, 3: 6}  # of errors
_SMOOTHEST, _ROUGHEST = 2.0, -6.0  # decades of the smoothness that are tried
_UNLIKELY = 10.0  # a logarithm of the evidence so far below the best ends the search
_CONVERGED = 0.03  # slope of the likelihood, per standard deviation of a parameter
_MOST_STEPS, _MOST_DESCENTS = 50, 6
_LEAST_SPREAD = 1e-9  # of the largest coordinate: less is rounding
_ROUNDING = 1e-12  # of the highest density: lower ones are rounding errors of the blur
_LEAST_INFORMATION = 1e-6  # per particle, of the polynomial: a state without width has none on its width


@dataclass(frozen=True, eq=False)
class Deconvolved:
    """A density on a grid (*shape), its bootstrap replicas (r, *shape), and its smoothness."""

    grid: Grid
    values: Floats
    replicas: Floats
    smoothness: float


def has_spread(points: Floats) -> Booleans:
    """(d,) whether points (n, d) differ along each coordinate."""
    return np.asarray(points.std(axis=0) > _LEAST_SPREAD * np.abs(points).max(initial=0.0))


def spread_of(points: Floats) -> Floats:
    """Standard deviation (d,) of points (n, d). InputError where no density can be estimated: for more than three
    coordinates, and for points without spread along one of them."""
    n, d = points.shape
    if not 1 <= d <= MOST_DIMENSIONS:
        raise InputError(f"a density needs 1 to {MOST_DIMENSIONS} coordinates, got {d}; see --dimensions")
    if n < 2 or not has_spread(points).all():
        raise InputError(f"density: all {n} particles are equal along one of {d} coordinates; use fewer --dimensions")
    return np.asarray(points.std(axis=0))


def deconvolve(points: Floats, covariances: Floats, replicas: int = 20, seed: int = 0) -> Deconvolved:
    """The density of n true coordinates, measured as points (n, d), d ≤ 3, with errors of covariances (n, d, d).

    Each replica is the density of particles drawn with replacement. Raises InputError as `spread_of` does.
    """
    spread = spread_of(points)
    d = points.shape[1]
    grid = Grid.around(points, _BINS[d])
    blur = ErrorBlur(points, covariances, grid, _CLASSES[d], seed)
    model = SmoothEnergy(grid, points.mean(axis=0), spread)
    best = _most_evident(blur, model)
    rng = np.random.default_rng(seed)
    fits = [best.parameters]
    for _ in range(replicas):
        fits.append(_maximise(blur, model, rng.poisson(blur.counts).astype(np.float64), best))
    densities = np.array([density_of_energy(model.energy(fit)) for fit in fits]) / grid.spacing.prod()
    return Deconvolved(grid, densities[0], densities[1:], best.smoothness)


@dataclass(frozen=True, eq=False)
class _Fit:
    """Parameters (m,), the information (m, m) on them per particle, and the evidence of a smoothness."""

    smoothness: float
    parameters: Floats
    information: Floats
    log_evidence: float

    def curvature(self, n: float, n_free: int) -> Floats:
        """That (m, m) of the penalised likelihood of n particles."""
        prior = np.full(len(self.parameters), self.smoothness)
        prior[:n_free] = _LEAST_INFORMATION * n
        return np.asarray(n * self.information + np.diag(prior))


def _most_evident(blur: ErrorBlur, model: SmoothEnergy) -> _Fit:
    """The fit whose smoothness has the highest evidence: to a decade from the smooth end, then to half a decade."""
    start = _Fit(10**_SMOOTHEST, model.normal, _information(blur, model, model.normal), -np.inf)
    fits = [_fitted(blur, model, start, _SMOOTHEST)]
    best = fits[0]
    for decade in np.arange(_SMOOTHEST - 1, _ROUGHEST - 0.5, -1):
        fits.append(_fitted(blur, model, fits[-1], decade))
        best = max(best, fits[-1], key=lambda fit: fit.log_evidence)
        if fits[-1].log_evidence < best.log_evidence - _UNLIKELY:
            break
    middle = np.log10(best.smoothness)
    return max(
        [best, *(_fitted(blur, model, best, middle + step) for step in (0.5, -0.5))], key=lambda fit: fit.log_evidence
    )


def _fitted(blur: ErrorBlur, model: SmoothEnergy, start: _Fit, decade: float) -> _Fit:
    """The fit of a smoothness 10^decade, from that of another one."""
    smoothness, n, free = float(10**decade), blur.counts.sum(), model.n_free
    begun = _Fit(smoothness, start.parameters, start.information, -np.inf)
    parameters = _maximise(blur, model, blur.counts, begun)
    fit = _Fit(smoothness, parameters, _information(blur, model, parameters), -np.inf)
    waves = parameters[free:]
    likelihood = (blur.counts * np.log(blur.seen(density_of_energy(model.energy(parameters))))).sum()
    volume = len(waves) * np.log(smoothness) - np.linalg.slogdet(fit.curvature(n, free))[1]
    evidence = likelihood - smoothness * (waves @ waves) / 2 + volume / 2
    return _Fit(smoothness, parameters, fit.information, float(evidence))


def _maximise(blur: ErrorBlur, model: SmoothEnergy, counts: Floats, start: _Fit) -> Floats:
    """The parameters with the highest penalised likelihood of the places' counts, by L-BFGS from a start, in units of
    the standard deviations that the start's information gives. A descent ends at a step that gains nothing by rounding,
    which can be far from the highest likelihood; another one then starts there."""
    n, free, smoothness = counts.sum(), model.n_free, start.smoothness
    root = np.linalg.cholesky(start.curvature(n, free))

    def at(steps: Floats) -> Floats:
        return start.parameters + np.asarray(solve_triangular(root, steps, lower=True, trans=1))

    def misfit(steps: Floats) -> tuple[float, Floats]:
        parameters = at(steps)
        p = density_of_energy(model.energy(parameters))
        seen = blur.seen(p)
        waves = parameters[free:]
        value = float(-(counts * np.log(seen)).sum() + smoothness * (waves @ waves) / 2)
        slope = model.gradient(p * blur.gathered(counts / seen) - n * p)
        slope[free:] += smoothness * waves
        return value, np.asarray(solve_triangular(root, slope, lower=True))

    options = {"maxiter": _MOST_STEPS, "ftol": 0.0, "gtol": _CONVERGED, "maxcor": 20}
    steps = np.zeros(len(root))
    for _ in range(_MOST_DESCENTS):
        found = minimize(misfit, steps, jac=True, method="L-BFGS-B", options=options)
        steps = found.x
        if np.abs(found.jac).max() <= _CONVERGED:
            break
    return at(steps)


def _information(blur: ErrorBlur, model: SmoothEnergy, parameters: Floats) -> Floats:
    """Fisher's information (m, m) of a particle with the mean error on the parameters."""
    p = density_of_energy(model.energy(parameters))
    seen = blur.seen_on_average(p)
    weight = np.zeros(seen.shape)
    known = seen > _ROUNDING * seen.max()
    weight[known] = 1 / np.sqrt(seen[known])
    slopes = np.empty((len(parameters), p.size))
    for row, one in enumerate(np.eye(len(parameters))):
        energy = model.energy(one)
        slopes[row] = (blur.seen_on_average(p * (energy - (p * energy).sum())) * weight).ravel()
    return slopes @ slopes.T
