"""Densities and barriers of landscapes whose particles have error bars."""


import numpy as np
import pytest

from continuousflex_deep.hemnma.covariance import Fits
from continuousflex_deep.io.density_table import energy_of
from continuousflex_deep.landscape.landscape import Landscape, make_landscape
from continuousflex_deep.options import TrajectoryOptions, from_mapping
from continuousflex_deep.tests.helpers.double_well import BARRIER_KT, WELL_A, double_well, landscape_of
from continuousflex_deep.trajectories.deconvolved_density import (
    DeconvolvedDensity,
    deconvolved_density,
    density_table,
    landscape_density,
)
from continuousflex_deep.trajectories.energy_path import minimum_energy_path
from continuousflex_deep.trajectories.free_energy import density_maxima, estimate_density
from continuousflex_deep.trajectories.paths import make_trajectory

ERROR_A = 30.0


def options(**values: object) -> TrajectoryOptions:
    needed = {"landscape": "l", "structure": "s", "modes": "m", "output": "o"}
    return from_mapping(TrajectoryOptions, needed | values)


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    """A double well of two modes, whose wells the errors merge."""
    return landscape_of(double_well(6000, 0) * [1.0, 3.0], modes=2, error_A=ERROR_A)


@pytest.fixture(scope="module")
def density(landscape: Landscape) -> DeconvolvedDensity:
    found = landscape_density(landscape, (0, 1), "deconvolved")
    assert isinstance(found, DeconvolvedDensity)
    return found


def test_barrier_of_the_minimum_energy_path(landscape: Landscape, density: DeconvolvedDensity) -> None:
    maxima, prominences = density_maxima(density)
    assert len(maxima) == 2
    maxima = maxima[np.argsort(maxima[:, 0])]
    path = minimum_energy_path(density, *maxima)
    ignored = minimum_energy_path(landscape_density(landscape, (0, 1), "raw"), *maxima)
    for barrier, sd, raw in zip(path.barriers_kT, path.barrier_sd_kT, ignored.barriers_kT, strict=True):
        assert 0.05 < sd < 0.6
        assert abs(barrier - BARRIER_KT) < max(3 * sd, 0.3)
        assert raw < 0.7 * BARRIER_KT
    assert path.barrier_blur_kT is None
    assert prominences[1] == pytest.approx(min(path.barriers_kT), abs=0.15)


def test_maxima_are_where_the_wells_are(landscape: Landscape, density: DeconvolvedDensity) -> None:
    maxima, _ = density_maxima(density)
    distance = np.linalg.norm(maxima[1] - maxima[0])
    assert distance == pytest.approx(2 * WELL_A, rel=0.1)
    assert np.abs(density.drift(maxima)).max() < 0.01


def test_errors_are_those_of_the_coordinates(landscape: Landscape, density: DeconvolvedDensity) -> None:
    sd = landscape.particles.amplitudes_sd
    assert sd is not None
    components = landscape.pca.components
    np.testing.assert_allclose(density.error_sd**2, (components**2) @ (sd**2).mean(axis=0))


def test_steps_shorten_where_wells_are_narrow() -> None:
    """In a well much narrower than the raw one, a place settles instead of jumping from side to side."""
    points = 20 * np.random.default_rng(0).normal(size=(3000, 1)) + 5
    density = deconvolved_density(estimate_density(points), points, np.full((3000, 1, 1), 20.5**2))
    assert density.step[0] < density.bandwidth[0]
    maxima, _ = density_maxima(density)
    assert len(maxima) == 1
    assert abs(maxima[0, 0] - 5) < 2


def drawn_to_rest(error: float, untold: float = 0.0) -> tuple[Landscape, Landscape]:
    """Landscapes of 4,000 particles of a Gaussian of 50 Å whose images have errors of so many times that, found under
    this Gaussian as the prior: with the amplitudes found alone, and with what the images alone say. untold: share of
    images that say nothing."""
    rng, sd_A = np.random.default_rng(3), np.array([50.0, 50.0])
    true_A = sd_A * rng.normal(size=(4000, 2))
    precision = np.full(len(true_A), (error * 50) ** -2.0)
    precision[: int(untold * len(true_A))] = 1e-7
    seen_A = true_A + rng.normal(size=true_A.shape) / np.sqrt(precision)[:, None]
    fits = Fits(precision[:, None, None] * np.eye(2), precision[:, None] * seen_A)
    amplitudes, covariance, _ = fits.posterior(np.diag(sd_A**2))
    free_A, free_sd_A = Fits.of_posterior(amplitudes, covariance, sd_A).alone(50 * sd_A)
    base = landscape_of(amplitudes, modes=2).particles
    told = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    found = base.replace(amplitudes=amplitudes, amplitudes_sd=told)
    freed = found.replace(free_amplitudes=free_A, free_amplitudes_sd=free_sd_A)
    one, other = (make_landscape(p, np.ones(len(p), dtype=np.int64), outlier_distance=0) for p in (found, freed))
    return one, other


def spread_of_density(landscape: Landscape) -> float:
    density = landscape_density(landscape, (0,), "deconvolved")
    assert isinstance(density, DeconvolvedDensity)
    x = density.corner[0] + density.spacing[0] * np.arange(len(density.values))
    p = density.values / density.values.sum()
    return float(np.sqrt(p @ (x - p @ x) ** 2))


@pytest.mark.parametrize("error", [0.5, 1.0, 2.0])
def test_amplitudes_that_are_drawn_to_others_are_freed_of_that(error: float) -> None:
    """They are less spread than the truth already, and their error bars are no errors to take away."""
    found, freed = drawn_to_rest(error)
    assert spread_of_density(found) < (1 - 0.7 * error**2 / (1 + error**2)) * 50
    assert spread_of_density(freed) == pytest.approx(50, rel=0.08)


def test_images_that_say_nothing_do_not_widen_the_grid(capsys: pytest.CaptureFixture[str]) -> None:
    freed = drawn_to_rest(0.5, untold=0.02)[1]
    assert spread_of_density(freed) == pytest.approx(50, rel=0.06)
    density = landscape_density(freed, (0,), "deconvolved")
    assert density.spacing[0] * len(density.values) < 1000
    assert "the images of 80 of 4000 particles tell nothing" in capsys.readouterr().err


def test_trajectories_follow_the_option(landscape: Landscape) -> None:
    made, raw = (
        make_trajectory(landscape, options(kind="axis", density=kind, n_frames=9))[0] for kind in ("deconvolved", "raw")
    )
    middle = len(made) // 2
    assert made.energy_kT[middle] > raw.energy_kT[middle] + 0.5
    assert "error_sd" in made.made
    assert "error_sd" not in raw.made
    np.testing.assert_array_equal(made.particles_near, raw.particles_near)


def test_without_error_bars_the_density_is_raw(capsys: pytest.CaptureFixture[str]) -> None:
    bare = landscape_of(double_well(500, 0), modes=2)
    assert type(landscape_density(bare, (0,), "deconvolved")) is type(landscape_density(bare, (0,), "raw"))
    assert density_table(bare, (0,)) is None
    assert "no error bars of their amplitudes" in capsys.readouterr().err


def test_few_particles_have_a_raw_density(capsys: pytest.CaptureFixture[str]) -> None:
    few = landscape_of(double_well(15, 0), modes=2, error_A=ERROR_A)
    assert not isinstance(landscape_density(few, (0,), "deconvolved"), DeconvolvedDensity)
    assert "15 particles are too few to deconvolve" in capsys.readouterr().err


def test_table_has_both_densities_on_one_grid(landscape: Landscape) -> None:
    table = density_table(landscape, (0,))
    assert table is not None
    for density in (table.raw, table.deconvolved):
        assert density.sum() * table.spacing[0] == pytest.approx(1, abs=0.02)
    (x,) = table.axes
    middle, wells = np.abs(x).argmin(), np.abs(np.abs(x) - WELL_A) < 0.2 * WELL_A
    assert (table.low <= table.high).all()
    assert (table.low[wells] < table.deconvolved[wells] * 1.1).all()
    barriers = [energy_of(d, d[wells].max())[middle] for d in (table.raw, table.deconvolved)]
    assert barriers[0] < 0.7 * BARRIER_KT < 0.9 * BARRIER_KT < barriers[1]
