"""Densities of known landscapes from coordinates with errors, raw and deconvolved.

    python benchmarks/deconvolved_landscapes.py [--only double-well uniform point] [--particles 10000]
        [--dimensions 1 2] [--repeats 8] [--output deconvolved_landscapes.json]

Places of a double well of 3 kT (minima at ±1), of a line of uniform density (±1.5), and of a single state (a point). A
second coordinate has a spread of 0.15, or none. Errors are Gaussian, of 0.137, 0.25 and 0.433, as 1/√SNR at SNR 0.1,
0.03 and 0.01, and differ between particles by a factor of e^±0.25, with error ellipses in all directions.
--misjudged multiplies the error bars that the estimate is given.

value      the barrier [kT], the standard deviation of the energy within ±1.2 [kT], or the width of the state
           (mean of the repeats)
sd         its standard deviation over the repeats
bootstrap  the same by bootstrap (mean of the repeats)
inside     share of the repeats whose truth is within 1.96 of these deviations; of the barrier only
seconds    processor seconds of a deconvolution with 20 replicas

Fills "Deconvolved landscapes" of docs/results.md. The default size takes about 10 minutes on one core.
"""

import time
from collections.abc import Callable

import numpy as np
from command_line import FULL, SMALLEST, add_only, benchmark_parser, parse
from measuring import Figures, Table, write_figures

from continuousflex_deep.arrays import Floats
from continuousflex_deep.landscape.deconvolution import Deconvolved, deconvolve
from continuousflex_deep.trajectories.free_energy import estimate_density

BARRIER_KT = 3.0
ERRORS = {"0.1": 0.137, "0.03": 0.25, "0.01": 0.433}  # by SNR
SECOND = 0.15  # spread of the second coordinate
KINDS = ("double-well", "uniform", "point")
SIZES = {
    FULL: {"particles": 10_000, "dimensions": [1, 2], "repeats": 8, "snr": list(ERRORS)},
    SMALLEST: {"particles": 1000, "dimensions": [1], "repeats": 2, "snr": ["0.03"]},
}


def main() -> None:
    """Print rows of the raw and the deconvolved density of each landscape, and write the figures."""
    parser = benchmark_parser(__doc__, "deconvolved_landscapes.json")
    add_only(parser, KINDS)
    parser.add_argument("--particles", type=int, help="of a landscape")
    parser.add_argument("--dimensions", nargs="+", type=int, help="1 or 2 coordinates")
    parser.add_argument("--repeats", type=int, help="landscapes of each kind")
    parser.add_argument("--snr", nargs="+", choices=list(ERRORS), help="SNR that the errors correspond to")
    parser.add_argument("--misjudged", type=float, default=1.0, help="factor of the error bars (default 1)")
    arguments = parse(parser, SIZES)
    table, rows = Table("landscape", 34), []
    for kind in arguments.only:
        for d in arguments.dimensions:
            for snr in arguments.snr:
                name = f"{kind}, {d}D, SNR {snr}"
                found = measure(kind, d, ERRORS[snr], arguments.particles, arguments.repeats, arguments.misjudged)
                for of, figures in found.items():
                    table.row(f"{name}, {of}", figures)
                    rows.append({"landscape": kind, "dimensions": d, "snr": snr, "density": of, **figures})
    write_figures(arguments.output, {"rows": rows, "particles": arguments.particles, "repeats": arguments.repeats})


def measure(kind: str, d: int, error: float, particles: int, repeats: int, misjudged: float) -> dict[str, Figures]:
    """Figures of the raw and the deconvolved densities of repeated draws."""
    raw, found, bands, seconds = [], [], [], []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        covariances = error_ellipses(particles, d, error, rng)
        errors = np.einsum("nij,nj->ni", np.linalg.cholesky(covariances), rng.normal(size=(particles, d)))
        points = true_places(kind, particles, d, rng) + errors
        smoothed = estimate_density(points)
        axis = smoothed.corner[0] + smoothed.spacing[0] * np.arange(smoothed.values.shape[0])
        raw.append(VALUES[kind](axis, smoothed.values))
        started = time.process_time()
        estimate = deconvolve(points, misjudged**2 * covariances)
        seconds.append(time.process_time() - started)
        value, *replicas = values_of(kind, estimate)
        found.append(value)
        bands.append(np.std(replicas))
    inside = np.abs(np.array(found) - BARRIER_KT) < 1.96 * np.array(bands)
    return {
        "raw": {
            "value": float(np.mean(raw)),
            "sd": float(np.std(raw)),
            "bootstrap": None,
            "inside": None,
            "seconds": None,
        },
        "deconvolved": {
            "value": float(np.mean(found)),
            "sd": float(np.std(found)),
            "bootstrap": float(np.mean(bands)),
            "inside": float(inside.mean()) if kind == "double-well" else None,
            "seconds": float(np.mean(seconds)),
        },
    }


def true_places(kind: str, n: int, d: int, rng: np.random.Generator) -> Floats:
    """n places (n, d) of a landscape."""
    places = np.zeros((n, d))
    if kind == "double-well":
        x = np.linspace(-2, 2, 20001)
        p = np.cumsum(np.exp(-BARRIER_KT * (x**2 - 1) ** 2))
        places[:, 0] = np.interp(rng.random(n), p / p[-1], x)
    elif kind == "uniform":
        places[:, 0] = rng.uniform(-1.5, 1.5, n)
    if kind != "point":
        places[:, 1:] = SECOND * rng.normal(size=(n, d - 1))
    return places


def error_ellipses(n: int, d: int, error: float, rng: np.random.Generator) -> Floats:
    """Covariances (n, d, d): with axes of `error` on average, and in a plane of 0.6 of it across, in any direction."""
    sd = error * np.exp(0.25 * rng.normal(size=n))
    if d == 1:
        return (sd**2)[:, None, None]
    angle = rng.uniform(0, np.pi, n)
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1)[:, :, None]
    outer = along @ along.transpose(0, 2, 1)
    return (sd**2)[:, None, None] * (outer + 0.36 * (np.eye(2) - outer))


def values_of(kind: str, estimate: Deconvolved) -> list[float]:
    """The value of a density and of its replicas."""
    return [VALUES[kind](estimate.grid.axes[0], density) for density in (estimate.values, *estimate.replicas)]


def barrier_kT(x: Floats, density: Floats) -> float:
    """The mean rise of the energy, along the lowest path in x, from both minima to the highest place between them."""
    energy = -np.log(np.maximum(density.reshape(len(x), -1).max(axis=1), 1e-300))
    left, right = (energy[(sign * x > 0.4) & (sign * x < 1.6)].min() for sign in (-1, 1))
    return float(energy[np.abs(x) < 0.4].max() - (left + right) / 2)


def unevenness_kT(x: Floats, density: Floats) -> float:
    """Standard deviation of the energy along the middle of a uniform line."""
    return float(np.log(density.reshape(len(x), -1).max(axis=1))[np.abs(x) < 1.2].std())


def width(x: Floats, density: Floats) -> float:
    """Standard deviation of the first coordinate."""
    p = density.reshape(len(x), -1).sum(axis=1)
    p = p / p.sum()
    return float(np.sqrt(p @ (x - p @ x) ** 2))


VALUES: dict[str, Callable[[Floats, Floats], float]] = {
    "double-well": barrier_kT, "uniform": unevenness_kT, "point": width,
}  # fmt: skip


if __name__ == "__main__":
    main()
