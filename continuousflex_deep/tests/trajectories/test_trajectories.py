"""Paths through landscapes of known density, and the energies along them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.trajectories import SAMPLE, read_trajectory, write_trajectory
from continuousflex_deep.landscape.landscape import make_landscape
from continuousflex_deep.landscape.reduction import Embedding
from continuousflex_deep.options import TrajectoryOptions, from_mapping
from continuousflex_deep.tests.helpers.double_well import BARRIER_KT, WELL_A, WIDTH_A, double_well, landscape_of
from continuousflex_deep.trajectories.energy_path import minimum_energy_path
from continuousflex_deep.trajectories.frames import equal_steps
from continuousflex_deep.trajectories.free_energy import density_maxima, estimate_density
from continuousflex_deep.trajectories.paths import density_of, make_trajectory

RADIUS_A = 100.0


def options(**values: object) -> TrajectoryOptions:
    needed = {"landscape": "l", "structure": "s", "modes": "m", "output": "o"}
    return from_mapping(TrajectoryOptions, needed | values)


def curved_valley(n: int, seed: int) -> np.ndarray:
    """n places (n, 2) along half a circle, densest at both ends of it."""
    rng = np.random.default_rng(seed)
    share = np.where(rng.random(n) < 0.5, 0.0, 1.0)
    angle = np.where(rng.random(n) < 0.6, 0.4 + (np.pi - 0.8) * share + 0.2 * rng.normal(size=n),
                     rng.uniform(0.4, np.pi - 0.4, n))  # fmt: skip
    radius = RADIUS_A + 5 * rng.normal(size=n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


class TestEnergy:
    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_barrier_of_a_double_well(self, seed: int) -> None:
        density = estimate_density(double_well(20_000, seed))
        maxima, prominence = density_maxima(density)
        np.testing.assert_allclose(np.sort(maxima[:, 0]), [-WELL_A, WELL_A], atol=8)
        assert np.isinf(prominence[0])
        path = minimum_energy_path(density, *maxima[np.argsort(maxima[:, 0])])
        for barrier, sd in zip(path.barriers_kT, path.barrier_sd_kT, strict=True):
            assert 0.05 < sd < 0.25
            assert abs(barrier - BARRIER_KT) < 3 * sd
        assert (np.abs(path.saddle) < [0.2 * WELL_A, 0.5 * WIDTH_A]).all()

    def test_what_smoothing_takes_from_a_barrier_is_told(self) -> None:
        """Over ten small draws the barrier is too low; with barrier_blur_kT added, by about half as much."""
        ends = np.array([[-WELL_A, 0.0], [WELL_A, 0.0]])
        paths = [minimum_energy_path(estimate_density(double_well(2000, seed)), *ends) for seed in range(10)]
        off = np.mean([p.barriers_kT[0] for p in paths]) - BARRIER_KT
        corrected = off + np.mean([p.barrier_blur_kT[0] for p in paths])
        assert off < -0.3
        assert abs(corrected) < 0.65 * abs(off)

    def test_energy_and_its_error_are_those_of_a_normal_density(self) -> None:
        """Over repeated draws, the spread is what energy_sd says, and the mean that of −ln p."""
        places = np.array([[0.0, 0.0], [15.0, 0.0], [0.0, 40.0]])
        drawn = [np.random.default_rng(s).normal(size=(5000, 2)) * [10, 20] for s in range(40)]
        found = [estimate_density(x, 0.5) for x in drawn]
        p = np.array([d.values.max() * np.exp(-d.energy(places)) for d in found])
        expected = np.exp(-0.5 * np.square(places / [10, 20]).sum(axis=1)) / (2 * np.pi * 200)
        np.testing.assert_allclose(p.mean(axis=0), expected, rtol=0.08)
        np.testing.assert_allclose(np.log(p).std(axis=0), found[0].energy_sd(places), rtol=0.35)

    def test_density_sums_to_one_in_any_dimension(self) -> None:
        x = np.random.default_rng(0).normal(size=(500, 3)) * [3, 50, 7] + 100
        for d in (1, 2, 3):
            density = estimate_density(x[:, :d])
            assert density.values.sum() * density.spacing.prod() == pytest.approx(1, abs=0.01)
            assert density.values.min() > 0

    def test_noise_has_no_maxima(self) -> None:
        for seed in range(3):
            x = np.random.default_rng(seed).normal(size=(2000, 2)) * [50, 10]
            assert len(density_maxima(estimate_density(x))[0]) == 1

    @pytest.mark.parametrize("d", [2, 3])
    def test_path_follows_a_curved_valley(self, d: int) -> None:
        """The straight line between its ends leaves the valley, the minimum-energy path does not."""
        x = curved_valley(20_000, 0)
        if d == 3:
            x = np.c_[x, np.random.default_rng(1).normal(size=len(x)) * 4]
        density = estimate_density(x)
        maxima, _ = density_maxima(density)
        maxima = maxima[np.argsort(maxima[:, 0])]
        path = minimum_energy_path(density, maxima[0], maxima[-1])
        radius = np.linalg.norm(path.points[:, :2], axis=1)
        assert np.abs(radius - RADIUS_A).max() < 5
        straight = equal_steps(maxima[[0, -1]], 50)
        assert np.linalg.norm(straight[:, :2], axis=1).min() < 0.5 * RADIUS_A
        assert path.barriers_kT[0] < density.energy(straight).max() - density.energy(straight[:1])[0] - 2

    def test_of_two_ways_the_lower_one(self) -> None:
        """A ring between two ends, twice as dense on one side."""
        rng = np.random.default_rng(0)
        n = 20_000
        angle = np.where(rng.random(n) < 0.5, rng.choice([0.0, np.pi], n) + 0.2 * rng.normal(size=n),
                         rng.uniform(0, np.pi, n) * np.where(rng.random(n) < 0.8, 1, -1))  # fmt: skip
        x = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (100 + 5 * rng.normal(size=n))[:, None]
        path = minimum_energy_path(estimate_density(x), np.array([-100.0, 0]), np.array([100.0, 0]))
        assert path.points[len(path.points) // 2, 1] > 90

    def test_ends_at_one_place_are_refused(self) -> None:
        density = estimate_density(double_well(1000, 0))
        with pytest.raises(InputError, match="at least one bandwidth apart"):
            minimum_energy_path(density, np.zeros(2), np.full(2, 1e-3))


class TestKinds:
    def test_axis_is_the_mean_plus_steps_along_it(self) -> None:
        landscape = landscape_of(double_well(2000, 0))
        for axis in (1, 3):
            made, _ = make_trajectory(landscape, options(kind="axis", axis=axis, percentiles=[10, 90], n_frames=7))
            low, high = np.percentile(landscape.coordinates[:, axis - 1], [10, 90])
            t = np.linspace(low, high, 7)
            expected = landscape.pca.mean + t[:, None] * landscape.pca.components[axis - 1]
            np.testing.assert_allclose(made.amplitudes_A, expected, atol=1e-9)
            assert made.dimensions == (axis - 1,)
            assert made.particles_near.min() > 0

    def test_drawn_path_is_at_equal_steps_through_its_points(self, tmp_path: Path) -> None:
        landscape = landscape_of(double_well(2000, 0))
        text = "-90 0; 0 0; 0 9"
        made, _ = make_trajectory(landscape, options(kind="points", points=text, n_frames=12))
        np.testing.assert_allclose(made.points[[0, 10, 11], :2], [[-90, 0], [0, 0], [0, 9]], atol=1e-9)
        np.testing.assert_allclose(np.linalg.norm(np.diff(made.points, axis=0), axis=1), 9)
        np.testing.assert_allclose(made.points[:, 2], 0, atol=1e-9)
        np.testing.assert_allclose(landscape.pca.transform(made.amplitudes_A), made.points, atol=1e-9)
        (tmp_path / "points.csv").write_text("PC1,PC2\n# drawn by hand\n" + text.replace("; ", "\n").replace(" ", ","))
        again, _ = make_trajectory(
            landscape, options(kind="points", points_file=str(tmp_path / "points.csv"), n_frames=12)
        )
        np.testing.assert_array_equal(again.points, made.points)

    @pytest.mark.parametrize("order", ["axis", "nearest"])
    def test_density_goes_through_the_clusters(self, order: str) -> None:
        """Four clusters on a hook that comes back: by the nearest along it, by the axis from left to right."""
        centres = np.array([[-150.0, 0], [-50, 0], [50, 40], [0.0, 100]])
        rng = np.random.default_rng(0)
        x = centres[rng.integers(0, 4, 8000)] + 8 * rng.normal(size=(8000, 2))
        landscape = landscape_of(x)
        made, _ = make_trajectory(landscape, options(kind="density", order=order, n_frames=40))
        # the clusters' coordinates in the landscape: a rotation and a shift of theirs, which PCA chose
        placed = landscape.coordinates[[int(np.square(x - c).sum(axis=1).argmin()) for c in centres], :2]
        found = np.array([m["place"] for m in made.made["maxima"]])
        if order == "axis":
            placed = placed[np.argsort(placed[:, 0])]
        elif placed[0, 0] > placed[-1, 0]:
            placed = placed[::-1]
        np.testing.assert_allclose(found, placed, atol=4)
        steps = np.linalg.norm(np.diff(made.points[:, :2], axis=0), axis=1)
        assert steps.max() < 1.01 * np.median(steps)
        assert made.energy_kT.min() < 0.5

    def test_other_coordinates_follow_the_particles(self) -> None:
        """A third coordinate that bends with the first one is bent in the path, too."""
        x = double_well(20_000, 3)
        third = 10 * (x[:, 0] / WELL_A) ** 2
        landscape = landscape_of(np.c_[x, third + 0.2 * np.random.default_rng(0).normal(size=len(x))], modes=4)
        made, _ = make_trajectory(landscape, options(kind="mep", n_frames=31))
        bent = landscape.coordinates[:, 2]
        for point in made.points[::5]:
            near = np.abs(landscape.coordinates[:, 0] - point[0]) < 8
            assert abs(point[2] - bent[near].mean()) < 0.7
        assert np.ptp(made.points[:, 2]) > 7

    def test_mep_between_given_places_and_its_record(self) -> None:
        landscape = landscape_of(double_well(20_000, 0))
        made, density = make_trajectory(landscape, options(kind="mep", points="-95 0; 95 0", n_frames=21))
        np.testing.assert_allclose(made.points[[0, -1], :2], [[-95, 0], [95, 0]])
        assert made.made["barrier_kT"] == pytest.approx(BARRIER_KT, abs=4 * made.made["barrier_sd_kT"])
        assert abs(made.energy_kT.argmax() - 10) <= 3
        np.testing.assert_allclose(made.energy_kT, density.energy(made.points[:, :2]))
        assert made.particles_near[0] > 3 * made.particles_near[10] > 0

    def test_curved_landscapes_lead_back_by_their_learned_map(self) -> None:
        particles = landscape_of(double_well(400, 0)).particles
        landscape = make_landscape(particles, np.ones(400, dtype=np.int64), method="isomap")
        made, _ = make_trajectory(landscape, options(kind="axis", n_frames=5))
        np.testing.assert_array_equal(made.amplitudes_A, landscape.reduction.inverse_transform(made.points))
        assert isinstance(landscape.reduction, Embedding)
        assert made.made["inverse_error_A"] == landscape.reduction.errors.inverse_A > 0
        nearest = np.linalg.norm(particles.amplitudes[:, None] - made.amplitudes_A, axis=2).min(axis=0)
        assert nearest.max() < 20

    def test_saved_is_what_is_loaded(self, tmp_path: Path) -> None:
        landscape = landscape_of(double_well(3000, 0))
        made, density = make_trajectory(landscape, options(kind="mep", n_frames=9))
        write_trajectory(tmp_path / "t.json", made)
        loaded = read_trajectory(tmp_path / "t.json")
        for f in dataclasses.fields(made):
            first, second = getattr(made, f.name), getattr(loaded, f.name)
            if isinstance(first, np.ndarray):
                np.testing.assert_array_equal(first, second)
                assert first.dtype == second.dtype
            else:
                assert first == second
        np.testing.assert_array_equal(density_of(landscape, loaded).values, density.values)


class TestRefused:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"kind": "points"}, "either by --points or by --points-file"),
            ({"kind": "points", "points": "1 2"}, "got 1 points, expected at least 2"),
            ({"kind": "points", "points": "1 2; x 3"}, "got 'x 3', expected the coordinates of a point"),
            ({"kind": "points", "points": "1 2; 3"}, r"points have \[1, 2\] coordinates"),
            ({"kind": "points", "points": "1 2 3 4; 1 2 3 5"}, "have 4 coordinates, but the landscape has 3"),
            (
                {"kind": "points", "points": "0 0; 900 0"},
                "1 of 2 points lie outside the particles, .*'900 0'.*pc1 from",
            ),
            ({"kind": "points", "points": "1 2; 1 2"}, "has no length"),
            ({"kind": "axis", "axis": 4}, "got 4, expected 1 to 3"),
            ({"kind": "axis", "percentiles": [90, 10]}, "two increasing numbers"),
            ({"kind": "mep", "points": "0 0; 0 1; 0 2"}, "needs 2 points in the first 2 coordinates"),
            ({"kind": "mep", "points": "0; 1"}, "got 2 points of 1"),
            ({"kind": "mep", "min_prominence_kT": 50.0}, "one maximum only"),
            ({"kind": "density", "min_prominence_kT": 50.0}, "has 1 maximum in the first 2"),
        ],
    )
    def test_what_makes_no_path(self, values: dict[str, object], message: str) -> None:
        with pytest.raises(InputError, match=message):
            make_trajectory(landscape_of(double_well(1000, 0)), options(**values))

    def test_trajectory_of_another_landscape(self) -> None:
        made, _ = make_trajectory(landscape_of(double_well(500, 0)), options())
        with pytest.raises(InputError, match="another landscape: it has 3 coordinates"):
            density_of(landscape_of(double_well(500, 0), modes=4), made)
        with pytest.raises(InputError, match="another landscape: coordinates of its sample particles"):
            density_of(landscape_of(double_well(500, 1), seed=6), made)
        moved = landscape_of(double_well(500, 0) + np.array([40.0, 0.0]))  # the same coordinates about another mean
        with pytest.raises(InputError, match="another landscape: amplitudes of its sample particles"):
            density_of(moved, made)
        renumbered = dataclasses.replace(moved.particles, ids=moved.particles.ids + 1000)
        with pytest.raises(InputError, match="16 of its 16 sample particles are not in this one"):
            density_of(dataclasses.replace(moved, particles=renumbered), made)
        unnamed = dataclasses.replace(made, made={})
        with pytest.raises(InputError, match="has no sample of its landscape"):
            density_of(moved, unnamed)

    def test_files_that_are_no_trajectory(self, tmp_path: Path) -> None:
        made, _ = make_trajectory(landscape_of(double_well(500, 0)), options())
        write_trajectory(tmp_path / "t.json", made)
        content = json.loads((tmp_path / "t.json").read_text())
        for changed, message in (
            ({"format": "other"}, "is not a file of the trajectory command"),
            ({"points": [[1.0, 2.0]]}, "do not match"),
            ({"dimensions": [7]}, "do not match"),
            ({"made": {SAMPLE: {"ids": [1], "coordinates": 5, "amplitudes": [[1.0, 2.0]]}}}, "do not match"),
            ({"energy_kT": "low"}, "is not a file of the trajectory command"),
        ):
            (tmp_path / "other.json").write_text(json.dumps(content | changed))
            with pytest.raises(FormatError, match=message):
                read_trajectory(tmp_path / "other.json")
