"""Densities and barriers of landscapes whose particles have error bars."""


import numpy as np
import pytest

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


@pytest.mark.parametrize("error", [0.5, 1.0])
def test_amplitudes_that_are_drawn_to_others_are_freed_of_that(error: float) -> None:
    """Under a prior of the particles' own Gaussian they are less spread than the truth, by errors that are too small to
    be taken away again."""
    rng, sd_A, error_A = np.random.default_rng(3), 50.0, 50.0 * error
    true_A = sd_A * rng.normal(size=(4000, 2))
    free_A = true_A + error_A * rng.normal(size=true_A.shape)
    drawn = free_A / (1 + error**2)
    told = np.full_like(true_A, error_A / np.sqrt(1 + error**2))
    base = landscape_of(drawn, modes=2)
    particles = base.particles.replace(amplitudes=drawn, amplitudes_sd=told)
    freed = particles.replace(free_amplitudes=free_A, free_amplitudes_sd=np.full_like(true_A, error_A))
    spreads = []
    for some in (particles, freed):
        density = landscape_density(
            make_landscape(some, np.ones(len(some), dtype=np.int64), outlier_distance=0), (0,), "deconvolved"
        )
        assert isinstance(density, DeconvolvedDensity)
        x = density.corner[0] + density.spacing[0] * np.arange(len(density.values))
        p = density.values / density.values.sum()
        spreads.append(float(np.sqrt(p @ (x - p @ x) ** 2)))
    assert spreads[0] < (1 - 0.7 * error**2 / (1 + error**2)) * sd_A
    assert spreads[1] == pytest.approx(sd_A, rel=0.06)


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
