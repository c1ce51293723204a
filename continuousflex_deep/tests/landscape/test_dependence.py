"""Conformations that depend on how particles were imaged are found; error bars that depend on it raise no alarm."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.landscape.dependence import (
    DEFOCUS,
    IN_PLANE,
    MICROGRAPH,
    VIEW,
    Dependence,
    Imaging,
    describe_dependence,
    find_dependence,
    imaging_of,
)
from continuousflex_deep.tests.helpers.landscape_data import make_particles

N, MICROGRAPHS = 3000, 50
LABELS = ["PC1", "PC2"]


def imaged(seed: int, n: int = N) -> tuple[np.ndarray, np.ndarray, Imaging, np.random.Generator]:
    """True coordinates (n, 2) of two states, deviations (n, 2) of their errors, which depend on view and defocus, and
    an imaging with a preferred orientation and a defocus for each micrograph."""
    rng = np.random.default_rng(seed)
    view = rng.normal(size=(n, 3)) + np.where(rng.random((n, 1)) < 0.6, [0, 0, 2.5], 0)
    view /= np.linalg.norm(view, axis=1)[:, None]
    micrograph = rng.integers(0, MICROGRAPHS, n)
    defocus_A = rng.uniform(8000, 25000, MICROGRAPHS)[micrograph] + rng.normal(0, 200, n)
    states = np.where(rng.random(n) < 0.4, -100, 60) + 20 * rng.normal(size=n)
    true = np.stack([states, 30 * rng.normal(size=n)], axis=1)
    sd = np.stack([20 + 40 * view[:, 2] ** 2, 15 + 25 * view[:, 0] ** 2], axis=1)
    sd *= np.exp(0.2 * rng.normal(size=(n, 2)))
    sd *= (0.7 + defocus_A / 30000)[:, None]
    names = tuple(f"m{i}.mrc" for i in range(MICROGRAPHS))
    return true, sd, Imaging(view, rng.uniform(-180, 180, n), defocus_A, micrograph, names), rng


def found_in(true: np.ndarray, sd: np.ndarray, imaging: Imaging, rng: np.random.Generator) -> list[Dependence]:
    return find_dependence(true + sd * rng.normal(size=true.shape), sd**2, imaging)


def alarms(tests: list[Dependence]) -> set[tuple[str, int, str]]:
    return {(test.factor, test.coordinate, test.moment) for test in tests if test.alarms}


@pytest.mark.parametrize("seed", range(20))
def test_no_alarm_where_conformations_are_independent(seed: int) -> None:
    tests = found_in(*imaged(seed))
    assert {test.factor for test in tests} == {VIEW, IN_PLANE, DEFOCUS, MICROGRAPH}
    assert len(tests) == 16
    assert not alarms(tests)


@pytest.mark.parametrize("factor", [0.6, 1.6])
def test_no_alarm_where_all_error_bars_are_wrong(factor: float) -> None:
    true, sd, imaging, rng = imaged(3)
    tests = find_dependence(true + sd * rng.normal(size=true.shape), (factor * sd) ** 2, imaging)
    assert not alarms(tests)


def test_p_values_of_independent_conformations_are_uniform() -> None:
    """Over small sets; a corrected p-value below 1 is the number of tests times the one of a single test."""
    p = np.array([test.p_value / 16 for seed in range(40) for test in found_in(*imaged(seed, 800))])
    assert 0.02 < (p < 0.05).mean() < 0.09
    assert (p < 0.001).mean() < 0.006


def test_a_state_that_is_seen_from_some_views() -> None:
    true, sd, imaging, rng = imaged(1)
    assert imaging.view is not None
    side = np.flatnonzero(imaging.view[:, 0] > 0.7)
    true[side, 0] = np.where(rng.random(len(side)) < 0.8, -100, 60)
    tests = found_in(true, sd, imaging, rng)
    assert (VIEW, 0, "mean") in alarms(tests)
    assert {factor for factor, *_ in alarms(tests)} == {VIEW}


def test_a_spread_that_depends_on_the_view() -> None:
    true, sd, imaging, rng = imaged(1)
    assert imaging.view is not None
    true[:, 1] *= np.where(imaging.view[:, 2] > 0.5, 1.8, 1)
    assert alarms(found_in(true, sd, imaging, rng)) == {(VIEW, 1, "spread")}


def test_amplitudes_that_drift_with_defocus() -> None:
    true, sd, imaging, rng = imaged(1)
    assert imaging.defocus_A is not None
    true[:, 1] += (imaging.defocus_A - 16500) / 500
    first = found_in(true, sd, imaging, rng)[0]
    assert (first.factor, first.coordinate, first.moment) == (DEFOCUS, 1, "mean")
    assert first.alarms
    assert first.explained > 0.03


def test_one_micrograph_apart_is_named() -> None:
    true, sd, imaging, rng = imaged(1)
    true[imaging.micrograph == 7, 0] += 90
    tests = found_in(true, sd, replace(imaging, defocus_A=None), rng)
    assert (tests[0].factor, tests[0].micrograph) == (MICROGRAPH, "m7.mrc")
    assert alarms(tests) == {(MICROGRAPH, 0, "mean")}
    assert "farthest is m7.mrc" in describe_dependence(tests, LABELS)


def test_an_amplitude_that_turns_with_the_image() -> None:
    true, sd, imaging, rng = imaged(1)
    assert imaging.psi_deg is not None
    true[:, 1] += 15 * np.cos(np.radians(2 * imaging.psi_deg))
    assert found_in(true, sd, imaging, rng)[0].factor == IN_PLANE


def test_units_do_not_matter() -> None:
    true, sd, imaging, rng = imaged(2)
    points = true + sd * rng.normal(size=true.shape)
    one = find_dependence(points, sd**2, imaging)
    other = find_dependence(0.1 * points + 7, 0.01 * sd**2, imaging)
    for a, b in zip(one, other, strict=True):
        assert (a.factor, a.coordinate, a.moment) == (b.factor, b.coordinate, b.moment)
        assert b.p_value == pytest.approx(a.p_value, rel=1e-4)


def test_what_is_not_known_is_not_tested() -> None:
    true, sd, imaging, rng = imaged(0, 500)
    points = true + sd * rng.normal(size=true.shape)
    assert find_dependence(points, sd**2, Imaging()) == []
    assert "not tested" in describe_dependence([], LABELS)
    only = find_dependence(points, None, Imaging(defocus_A=imaging.defocus_A))
    assert [(test.factor, test.moment) for test in only] == [(DEFOCUS, "mean")] * 2
    assert "do not depend on defocus" in describe_dependence(only, LABELS)
    constant = find_dependence(points, None, Imaging(defocus_A=np.full(500, 15000.0)))
    assert constant == []


def test_micrographs_of_one_particle_raise_no_alarm() -> None:
    true, sd, imaging, rng = imaged(0, 60)
    own = replace(imaging, micrograph=np.arange(60), micrograph_names=tuple(map(str, range(60))))
    assert not alarms(found_in(true, sd, own, rng))


@pytest.mark.parametrize("n", [2, 5, 9, 20, 30])
def test_few_particles_raise_no_alarm(n: int) -> None:
    for seed in range(5):
        true, sd, imaging, rng = imaged(seed, n)
        true[:, 1], sd[:, 1] = 7.0, 0.0
        assert not alarms(found_in(true, sd, imaging, rng))


def test_imaging_of_particles(tmp_path: Path) -> None:
    """The direction towards the eye is the model's direction that a pose turns to z."""
    particles = make_particles(tmp_path, 30)
    found = imaging_of(particles)
    assert found.view is not None
    rot, tilt, _ = np.radians(particles.euler_deg.T)
    expected = np.stack([np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)], axis=1)
    np.testing.assert_allclose(found.view, expected, atol=1e-12)
    np.testing.assert_allclose(found.defocus_A, 11000)
    assert found.micrograph_names == ("m0.mrc", "m1.mrc", "m2.mrc")
    assert found.micrograph.tolist() == [i % 3 for i in range(30)]
    bare = imaging_of(particles.replace(euler_deg=None, shift_A=None, ctf=None, extra={}))
    assert (bare.view, bare.psi_deg, bare.defocus_A, bare.micrograph) == (None, None, None, None)
