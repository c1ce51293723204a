"""Landscapes of a known density: two wells and the barrier between them."""

import numpy as np

from continuousflex_deep.landscape.landscape import Landscape, make_landscape
from continuousflex_deep.particles import Particles

BARRIER_KT, WELL_A, WIDTH_A = 3.0, 100.0, 6.0


def double_well(n: int, seed: int) -> np.ndarray:
    """n places (n, 2) of p ~ exp(−U), U = ΔF·((x/w)² − 1)² + y²/2s²: minima at ±w, and a saddle of ΔF at 0."""
    rng = np.random.default_rng(seed)
    x = np.linspace(-2, 2, 20001)
    p = np.cumsum(np.exp(-BARRIER_KT * (x**2 - 1) ** 2))
    return np.stack([WELL_A * np.interp(rng.random(n), p / p[-1], x), WIDTH_A * rng.normal(size=n)], axis=1)


def landscape_of(places: np.ndarray, modes: int = 3, seed: int = 5, error_A: float = 0.0) -> Landscape:
    """A landscape whose particles lie at places (n, c) in some plane of amplitudes, with noise of 1 Å beside it.

    error_A: errors of the amplitudes, which differ by particle and mode, and are then known as their deviations.
    """
    rng = np.random.default_rng(seed)
    n = len(places)
    basis = np.linalg.qr(rng.normal(size=(modes, modes)))[0]
    inside = np.concatenate([places, rng.normal(size=(n, modes - places.shape[1]))], axis=1)
    amplitudes, sd = inside @ basis + 10.0, None
    if error_A:
        sd = error_A * np.exp(0.25 * rng.normal(size=(n, modes)))
        amplitudes = amplitudes + sd * rng.normal(size=(n, modes))
    particles = Particles(
        ids=np.arange(1, n + 1), stacks=np.full(n, "images.mrcs", dtype=object), indices=np.arange(n),
        pixel_size_A=2.0, box_px=6, mode_ids=tuple(range(7, 7 + modes)), amplitudes=amplitudes, amplitudes_sd=sd,
    )  # fmt: skip
    return make_landscape(particles, np.ones(n, dtype=np.int64), outlier_distance=0)
