"""Whether the conformations of particles depend on how they were imaged: view, in-plane angle, defocus, micrograph.

Conformations that a sample has by itself do not. Where they do, pose and conformation were confused in the alignment,
or states lie differently in the ice. Error bars do depend on the view, and with them the spread of the amplitudes. That
is no reason for alarm: means are compared by statistics that allow for unequal variances (White 1980, Econometrica 48,
817, in the form HC3), and spreads after the variance of the errors is subtracted.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.particles import Particles

Moment = Literal["mean", "spread"]
VIEW, IN_PLANE, DEFOCUS, MICROGRAPH = "view", "in-plane angle", "defocus", "micrograph"
ALARM = 0.001  # corrected p-value below which a dependence is reported
_DEGREES: dict[Moment, int] = {"mean": 3, "spread": 2}  # of the polynomials of the direction of view
_PER_FUNCTION = 50  # particles that each function of a factor needs
_CONSTANT = 1e-4  # share of the largest variance below which a combination of functions is constant
_HIGHEST_LEVERAGE = 0.99
_FEWEST_PARTICLES = 20
_PERMUTATIONS = 100
_FEWEST, _FEW = 2, 5  # micrographs, and particles of a micrograph that is tested on its own
_LEAST_VARIANCE = 0.1  # of a particle, in units of that of all
_ROUNDING = 1e-9
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class Imaging:
    """How n particles were imaged; None where that is not known.

    view (n, 3): unit vectors towards the eye in the frame of the structure; psi_deg (n,), defocus_A (n,); micrograph
    (n,): rows of micrograph_names.
    """

    view: Floats | None = None
    psi_deg: Floats | None = None
    defocus_A: Floats | None = None
    micrograph: Integers | None = None
    micrograph_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dependence:
    """The test of a coordinate, counted from 0, against a factor of imaging.

    p_value: corrected for the number of all tests (Bonferroni). explained: share of the variance of the coordinate, or
    of its squared deviation from the mean, that the factor explains. micrograph: the one farthest from the others.
    """

    factor: str
    coordinate: int
    moment: Moment
    p_value: float
    explained: float
    micrograph: str = ""

    @property
    def alarms(self) -> bool:
        """Whether the dependence is to be reported."""
        return self.p_value < ALARM


def imaging_of(particles: Particles) -> Imaging:
    """What is known of the imaging of particles."""
    ctf, euler_deg = particles.ctf, particles.euler_deg
    names = particles.extra.get("rlnMicrographName", particles.extra.get("micrograph"))
    found = Imaging(
        view=None if euler_deg is None else euler_to_matrix(euler_deg)[:, 2],
        psi_deg=None if euler_deg is None else euler_deg[:, 2],
        defocus_A=None if ctf is None else (ctf.defocus_u_A + ctf.defocus_v_A) / 2,
    )
    if names is None:
        return found
    different, rows = np.unique(names.astype(str), return_inverse=True)
    return replace(found, micrograph=rows, micrograph_names=tuple(map(str, different)))


def find_dependence(
    coordinates: Floats, variances: Floats | None, imaging: Imaging, seed: int = 0
) -> list[Dependence]:
    """Tests of coordinates (n, k), with the variances (n, k) of their errors, against all that is known of the imaging;
    the smallest p-value first. Without variances, spreads are not tested; nothing is with fewer than 20 particles."""
    rng, found = np.random.default_rng(seed), []
    if len(coordinates) < _FEWEST_PARTICLES:
        return []
    for k, values in enumerate(coordinates.T):
        deviation = values - values.mean()
        if not deviation.std() > _ROUNDING * np.abs(values).max():
            continue  # a coordinate without spread depends on nothing
        error = None if variances is None else variances[:, k]
        moments: list[Moment] = ["mean"] if error is None else ["mean", "spread"]
        standard = _standardised(deviation, error)
        for moment in moments:
            outcome = deviation if moment == "mean" or error is None else deviation**2 - error
            for factor, functions in _functions(imaging, moment, len(values)):
                p, explained = _regression(outcome, functions, error if moment == "spread" else None)
                found.append(Dependence(factor, k, moment, p, explained))
            if len(imaging.micrograph_names) >= _FEWEST and imaging.micrograph is not None:
                scores = standard if moment == "mean" else standard**2
                p, explained, apart = _between_micrographs(scores, imaging.micrograph, rng)
                found.append(Dependence(MICROGRAPH, k, moment, p, explained, imaging.micrograph_names[apart]))
    corrected = [replace(one, p_value=min(1.0, one.p_value * len(found))) for one in found]
    return sorted(corrected, key=lambda one: one.p_value)


def _functions(imaging: Imaging, moment: Moment, n: int) -> list[tuple[str, Floats]]:
    """The factors, each with uncorrelated functions (n, p) of it of mean 0 and variance 1."""
    found: list[tuple[str, Floats]] = []
    if imaging.view is not None:
        degree = _DEGREES[moment]
        while degree > 1 and (degree + 1) ** 2 > n / _PER_FUNCTION:
            degree -= 1
        x, y, z = imaging.view.T
        # on a sphere, z² is 1 − x² − y²
        powers = [(a, b, c) for a, b, c in np.ndindex(degree + 1, degree + 1, 2) if 0 < a + b + c <= degree]
        found.append((VIEW, np.stack([x**a * y**b * z**c for a, b, c in powers], axis=1)))
    if imaging.psi_deg is not None:
        angle = np.radians(imaging.psi_deg)
        found.append((IN_PLANE, np.stack([f(m * angle) for m in (1, 2) for f in (np.cos, np.sin)], axis=1)))
    if imaging.defocus_A is not None:
        rank = 2 * stats.rankdata(imaging.defocus_A) / (n + 1) - 1
        found.append((DEFOCUS, np.stack([rank, rank**2, rank**3], axis=1)))
    decorrelated = [(factor, _decorrelated(functions)) for factor, functions in found]
    return [(factor, functions) for factor, functions in decorrelated if n > 2 * functions.shape[1] > 0]


def _decorrelated(functions: Floats) -> Floats:
    """Combinations (n, p) of functions (n, m), p ≤ m, that are uncorrelated; constant ones are left out."""
    centred = functions - functions.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    used = values > _CONSTANT * max(float(values.max()), _TINY)
    return np.asarray(centred @ vectors[:, used] / np.sqrt(values[used]))


def _regression(outcome: Floats, functions: Floats, nuisance: Floats | None) -> tuple[float, float]:
    """p-value of the outcome (n,) having no regression on functions (n, p), whatever the variances of its values are,
    and the share of its variance that the regression explains. A nuisance (n,) is regressed out first: error bars that
    are wrong by a factor."""
    n = len(outcome)
    fixed = np.ones((n, 1)) if nuisance is None else np.stack([np.ones(n), nuisance], axis=1)
    fixed = np.linalg.qr(fixed)[0]
    y, x = outcome - fixed @ (fixed.T @ outcome), functions - fixed @ (fixed.T @ functions)
    p, free = x.shape[1], n - x.shape[1] - fixed.shape[1]
    inverse = np.linalg.pinv(x.T @ x)
    slopes = inverse @ (x.T @ y)
    residual = y - x @ slopes
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x) + np.square(fixed).sum(axis=1)
    scores = x * (residual / (1 - np.minimum(leverage, _HIGHEST_LEVERAGE)))[:, None]
    wald = float(slopes @ np.linalg.pinv(inverse @ (scores.T @ scores) @ inverse) @ slopes)
    left = (residual @ residual / free) / max(float(y @ y) / (n - 1), _TINY)
    return float(stats.f.sf(wald / p, p, free)), max(0.0, 1 - float(left))


def _standardised(deviation: Floats, error: Floats | None) -> Floats:
    """Deviations (n,) in units of their standard deviations, which errors of variance (n,) increase."""
    variance = np.full(len(deviation), deviation.var())
    if error is not None and np.ptp(error) > 0:
        design = np.stack([np.ones(len(error)), error], axis=1)
        fitted = design @ np.linalg.lstsq(design, deviation**2, rcond=None)[0]
        variance = np.maximum(fitted, _LEAST_VARIANCE * variance)
    return np.asarray(deviation / np.sqrt(np.maximum(variance, _TINY)))


def _between_micrographs(values: Floats, micrograph: Integers, rng: np.random.Generator) -> tuple[float, float, int]:
    """p-value of the means of values (n,) being the same in all micrographs, the share of the variance between them,
    and the micrograph that is farthest from the others.

    Two statistics, the variance between all micrographs and the largest deviation of one, are compared with those of
    permuted particles: by a gamma and a Gumbel distribution of the permutations' mean and variance.
    """
    scores = (values - values.mean()) / values.std()
    sizes = np.bincount(micrograph)
    large = sizes >= min(_FEW, sizes.max())

    def statistics(permuted: Floats) -> tuple[float, Floats]:
        deviations = np.bincount(micrograph, permuted, minlength=len(sizes)) / np.sqrt(np.maximum(sizes, 1))
        return float(deviations @ deviations), np.where(large, np.abs(deviations), 0)

    total, deviations = statistics(scores)
    permuted = [statistics(rng.permutation(scores)) for _ in range(_PERMUTATIONS)]
    totals, largest = np.array([t for t, _ in permuted]), np.array([d.max() for _, d in permuted])
    if np.ptp(totals) <= _ROUNDING * totals.mean():
        return 1.0, 0.0, 0  # one particle in each micrograph
    mean, variance = totals.mean(), max(float(totals.var()), _TINY)
    of_all = stats.gamma.sf(total, mean**2 / variance, scale=variance / mean)
    scale = max(float(largest.std()), _TINY) * np.sqrt(6) / np.pi
    of_one = stats.gumbel_r.sf(deviations.max(), largest.mean() - np.euler_gamma * scale, scale)
    explained = max(0.0, (total - mean) / len(values))
    return min(1.0, 2 * float(min(of_all, of_one))), explained, int(deviations.argmax())


def describe_dependence(tests: list[Dependence], labels: list[str]) -> str:
    """A sentence on tests of coordinates with these labels: of each factor the surest alarm, or that there is none."""
    if not tests:
        return (
            f"dependence of coordinates on imaging is not tested: it needs {_FEWEST_PARTICLES} particles with known "
            "views, defocus or micrographs"
        )
    alarms = {test.factor: test for test in reversed(tests) if test.alarms}
    if not alarms:
        factors = ", ".join(dict.fromkeys(test.factor for test in tests))
        return f"coordinates do not depend on {factors} (smallest corrected p-value {tests[0].p_value:.2g})"
    parts = [
        f"{test.moment} of {labels[test.coordinate]} on {test.factor} (p = {test.p_value:.1g}, "
        f"{100 * test.explained:.1f}% of the variance{f'; farthest is {test.micrograph}' if test.micrograph else ''})"
        for test in sorted(alarms.values(), key=lambda test: test.p_value)
    ]
    return (
        f"coordinates depend on how particles were imaged: {'; '.join(parts)}. Conformations of the sample do not: "
        "inspect dependence.png, and the particles that differ, before you interpret the landscape"
    )
