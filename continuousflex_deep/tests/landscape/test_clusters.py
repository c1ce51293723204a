"""Clusters against clouds that are known, Bayes' rule computed by hand, and what there is none of."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.cli import main
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.groups import COLOURS, read_groups
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.landscape.clusters import find_clusters
from continuousflex_deep.landscape.deconvolved_mixture import Mixture, deconvolved_mixture
from continuousflex_deep.landscape.landscape import read_landscape
from continuousflex_deep.landscape.suggestion import ONE_CLOUD
from continuousflex_deep.tests.helpers.landscape_data import make_particles

CENTRES_A = np.array([[-200.0, 0.0], [0.0, 150.0], [200.0, 0.0]])
SIZES = (300, 200, 100)


def clouds(seed: int = 0, spread_A: float = 20.0) -> tuple[Floats, Integers]:
    """Points (600, 2) of three clouds, shuffled, and the cloud of each."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(3), SIZES))
    return CENTRES_A[truth] + rng.normal(size=(len(truth), 2)) * spread_A, truth


@pytest.mark.parametrize("method", ["gmm", "kmeans"])
@pytest.mark.parametrize("asked", [0, 3])
def test_separate_clouds_are_found_exactly(method: str, asked: int) -> None:
    points, truth = clouds()
    found = find_clusters(points, method, asked)
    assert len(found.model) == 3
    assert found.supported is (None if asked else True)
    labels, probability = found.model.assign(points)
    np.testing.assert_array_equal(labels, truth)  # they are numbered along the first coordinate
    np.testing.assert_allclose(found.model.means, CENTRES_A, atol=5)
    assert (probability is None) == (method == "kmeans")


def test_the_least_bic_and_the_greatest_silhouette_choose() -> None:
    points, _ = clouds()
    bic, silhouette = (find_clusters(points, method).trials for method in ("gmm", "kmeans"))
    assert [t.number for t in bic] == list(range(1, 11))
    assert [t.number for t in silhouette] == list(range(2, 11))
    assert min(bic, key=lambda t: t.score).number == max(silhouette, key=lambda t: t.score).number == 3
    # of one Gaussian with covariance S, minus twice the log likelihood is n (log det 2πS + k), and k + k(k+1)/2 = 5
    n, covariance = len(points), np.cov(points, rowvar=False, bias=True)
    expected = n * (np.linalg.slogdet(2 * np.pi * covariance)[1] + 2) + 5 * np.log(n)
    np.testing.assert_allclose(bic[0].score, expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["gmm", "kmeans"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_one_cloud_is_not_divided(method: str, k: int) -> None:
    """However long it is: k-means would cut it in two."""
    points = np.random.default_rng(k).normal(size=(800, k)) * [300.0, 50.0, 10.0][:k] + 40
    found = find_clusters(points, method)
    assert (len(found.model), found.supported) == (1, False)
    np.testing.assert_allclose(found.model.means[0], points.mean(axis=0))
    assert not found.model.assign(points)[0].any()


def test_points_belong_to_the_most_probable_cluster_by_bayes_rule() -> None:
    """The posterior computed by hand from a fit of the same points with the same settings."""
    points, _ = clouds(spread_A=90.0)
    fit = GaussianMixture(3, reg_covar=1e-6 * points.var(axis=0).mean(), n_init=3, max_iter=500, random_state=0)
    fit.fit(points)
    order = np.argsort(fit.means_[:, 0])
    elsewhere = np.random.default_rng(3).normal(size=(500, 2)) * 300
    pdf = [multivariate_normal(fit.means_[c], fit.covariances_[c]).pdf(elsewhere) for c in order]
    joint = fit.weights_[order] * np.stack(pdf, axis=1)
    posterior = joint / joint.sum(axis=1, keepdims=True)
    labels, probability = find_clusters(points, "gmm", 3).model.assign(elsewhere)
    np.testing.assert_array_equal(labels, posterior.argmax(axis=1))
    np.testing.assert_allclose(probability, posterior.max(axis=1), rtol=1e-9)


def test_points_belong_to_the_nearest_mean_of_k_means() -> None:
    model = find_clusters(clouds(spread_A=90.0)[0], "kmeans", 4).model
    elsewhere = np.random.default_rng(3).normal(size=(500, 2)) * 300
    labels, probability = model.assign(elsewhere)
    nearest = np.linalg.norm(elsewhere[:, None] - model.means, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(labels, nearest)
    assert probability is None


def test_far_points_have_a_cluster_too() -> None:
    """Where every density is too small for a float."""
    points = np.random.default_rng(0).normal(size=(200, 1)) + np.repeat([[0.0], [40.0]], 100, axis=0)
    labels, probability = find_clusters(points, "gmm", 2).model.assign(np.array([[-200.0], [240.0]]))
    assert labels.tolist() == [0, 1]
    np.testing.assert_allclose(probability, [1, 1])


@pytest.mark.parametrize("method", ["gmm", "kmeans"])
def test_same_seed_same_clusters(method: str) -> None:
    points, _ = clouds(spread_A=90.0)
    first, second = (find_clusters(points, method, 4, seed=5).model.means for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_what_cannot_be_divided() -> None:
    rng = np.random.default_rng(0)
    for points, method, number, message in [
        (np.ones((20, 2)), "gmm", 0, "lie on one point"),
        (np.ones((0, 2)), "kmeans", 0, "lie on one point"),
        (rng.normal(size=(20, 2)), "gmm", 7, "suffice for 6"),
        (rng.normal(size=(20, 2)), "kmeans", 20, "suffice for 19"),
        (np.repeat(rng.normal(size=(2, 2)), 9, axis=0), "kmeans", 0, "too few"),
    ]:
        with pytest.raises(InputError, match=message):
            find_clusters(points, method, number)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The landscape of three clouds in three modes, with two particles far from all."""
    base = tmp_path_factory.mktemp("clusters")
    points, truth = clouds()
    amplitudes = np.column_stack([points, np.random.default_rng(1).normal(size=600)])
    amplitudes[[5, 80]] = [5000, 5000, 500]
    particles = make_particles(base, 600, first_id=1001).replace(amplitudes=amplitudes)
    write_particles(particles, base / "p.star")
    np.save(base / "truth.npy", truth)
    assert main(["landscape", "--particles", str(base / "p.star"), "--output", str(base / "l")]) == 0
    return base


@pytest.mark.parametrize("method", ["gmm", "kmeans"])
def test_command(folder: Path, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "g.json"
    asked = ["--landscape", str(folder / "l"), "--output", str(out), "--method", method]
    assert main(["clusters", *asked, "--n-fit", "500"]) == 0
    printed = capsys.readouterr().out
    landscape, truth, groups = read_landscape(folder / "l"), np.load(folder / "truth.npy"), read_groups(out)
    assert [(g.name, g.colour) for g in groups] == [(f"cluster {i + 1}", COLOURS[i]) for i in range(3)]
    kept = ~landscape.outlier
    assert landscape.outlier[[5, 80]].all()
    expected = {frozenset(landscape.particles.ids[kept & (truth == t)].tolist()) for t in range(3)}
    assert {frozenset(g.ids.tolist()) for g in groups} == expected
    record = json.loads((tmp_path / "g_record.json").read_text())
    means = [c["mean"] for c in record["clusters"]]
    assert means == sorted(means)
    for group, facts in zip(groups, record["clusters"], strict=True):
        rows = landscape.particles.rows_of(group.ids)
        np.testing.assert_allclose(facts["mean"], landscape.coordinates[rows, :2].mean(axis=0))
        np.testing.assert_allclose(facts["sd"], landscape.coordinates[rows, :2].std(axis=0))
        assert ("mean_probability" in facts) == (method == "gmm")
        assert f"{group.name}  " in printed
    assert (record["command"], record["grouping_supported"]) == ("clusters", True)
    assert f"in no group: {landscape.outlier.sum()} outliers" in printed
    assert ("BIC" if method == "gmm" else "silhouette") in printed


def test_one_cloud_is_one_group_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_particles(make_particles(tmp_path, 300), tmp_path / "p.star")
    assert main(["landscape", "--particles", str(tmp_path / "p.star"), "--output", str(tmp_path / "l")]) == 0
    asked = ["--landscape", str(tmp_path / "l"), "--output", str(tmp_path / "g.json")]
    for method in ("gmm", "kmeans"):
        assert main(["clusters", *asked, "--method", method]) == 0
        assert ONE_CLOUD in capsys.readouterr().out
        landscape, groups = read_landscape(tmp_path / "l"), read_groups(tmp_path / "g.json")
        assert [g.ids.tolist() for g in groups] == [landscape.particles.ids[~landscape.outlier].tolist()]
        assert json.loads((tmp_path / "g_record.json").read_text())["grouping_supported"] is False
    # who asks for a number gets it, and hears how far the parts overlap; more parts than colours share these
    assert main(["clusters", *asked, "--n-clusters", "13", "--dimensions", "0"]) == 0
    printed = capsys.readouterr().out
    groups = read_groups(tmp_path / "g.json")
    assert len(groups) == 13
    assert groups[12].colour == groups[0].colour
    assert "clusters overlap" in printed
    assert "PC3 [Å]" in printed
    everyone = np.sort(np.concatenate([g.ids for g in groups]))
    np.testing.assert_array_equal(everyone, np.sort(landscape.particles.ids[~landscape.outlier]))


def suggested(folder: Path, points: Floats, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command prints of particles with such amplitudes (n, 2), none of them an outlier."""
    amplitudes = np.column_stack([points, np.random.default_rng(1).normal(size=len(points))])
    write_particles(make_particles(folder, len(points)).replace(amplitudes=amplitudes), folder / "p.star")
    whole = ["--particles", str(folder / "p.star"), "--output", str(folder / "l"), "--outlier-distance", "0"]
    assert main(["landscape", *whole]) == 0
    assert main(["clusters", "--landscape", str(folder / "l"), "--output", str(folder / "g.json")]) == 0
    return capsys.readouterr().out


def test_overlap_without_the_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Errors make two sharp clusters overlap; a cluster that is wide by itself overlaps without them, too."""
    rng = np.random.default_rng(0)
    for width_A, low, high in ((10.0, 0.0, 4.0), (70.0, 20.0, 60.0)):
        places = rng.choice([-100.0, 100.0], 2000)[:, None] * [1, 0, 0] + width_A * rng.normal(size=(2000, 3))
        sd = np.full((2000, 3), np.sqrt(80.0**2 - width_A**2))
        amplitudes = places + sd * rng.normal(size=(2000, 3))
        write_particles(
            make_particles(tmp_path, 2000).replace(amplitudes=amplitudes, amplitudes_sd=sd), tmp_path / "p.star"
        )
        command = ["landscape", "--particles", str(tmp_path / "p.star"), "--output", str(tmp_path / "l")]
        assert main([*command, "--density", "raw"]) == 0
        out = ["--landscape", str(tmp_path / "l"), "--output", str(tmp_path / "g.json"), "--n-clusters", "2"]
        assert main(["clusters", *out, "--dimensions", "1"]) == 0
        assert "without the errors of the coordinates, the cluster of" in capsys.readouterr().out
        record = json.loads((tmp_path / "g_record.json").read_text())
        assert record["in_doubt"] > 300
        assert low <= 100 * record["uncertain_share_without_errors"] < high


def test_extreme_deconvolution_restores_a_mixture() -> None:
    """Means, covariances and weights, from points of other errors each."""
    rng = np.random.default_rng(0)
    true = Mixture(
        np.array([0.3, 0.7]), np.array([[-4.0, 0], [4, 1]]), np.array([[[1.0, 0.5], [0.5, 1]], [[2.0, 0], [0, 0.5]]])
    )
    chosen = rng.choice(2, 20_000, p=true.weights)
    roots = rng.normal(size=(20_000, 2, 2))
    errors = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(2)
    drawn = np.linalg.cholesky(true.covariances[chosen] + errors) @ rng.normal(size=(20_000, 2, 1))
    points = true.means[chosen] + drawn[:, :, 0]
    found = deconvolved_mixture(Mixture(np.array([0.5, 0.5]), true.means * 1.3, 3 * true.covariances), points, errors)
    np.testing.assert_allclose(found.weights, true.weights, atol=0.02)
    np.testing.assert_allclose(found.means, true.means, atol=0.1)
    np.testing.assert_allclose(found.covariances, true.covariances, atol=0.2)


def test_a_continuum_is_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Particles all along a path are no Gaussian cloud, and BIC divides them, but into parts that touch."""
    along = np.linspace(-300, 300, 1500)[:, None] * [1, 0]
    printed = suggested(tmp_path, along + np.random.default_rng(0).normal(size=along.shape) * 30, capsys)
    assert len(read_groups(tmp_path / "g.json")) > 1
    assert "parts of a continuum" in printed
    far = CENTRES_A[np.arange(600) % 3] + np.random.default_rng(0).normal(size=(600, 2)) * 20
    assert "parts of a continuum" not in suggested(tmp_path, far, capsys)


def test_more_clouds_than_are_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    centres = np.array([[x, y] for x in range(4) for y in range(3)]) * 300.0
    points = centres[np.arange(1200) % 12] + np.random.default_rng(0).normal(size=(1200, 2)) * 10
    assert "BIC still decreases at 10 clusters" in suggested(tmp_path, points, capsys)


def test_improbable_particles_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points, _ = clouds(spread_A=90.0)
    amplitudes = np.column_stack([points, np.random.default_rng(1).normal(size=600)])
    write_particles(make_particles(tmp_path, 600).replace(amplitudes=amplitudes), tmp_path / "p.star")
    assert main(["landscape", "--particles", str(tmp_path / "p.star"), "--output", str(tmp_path / "l")]) == 0
    asked = ["clusters", "--landscape", str(tmp_path / "l"), "--output", str(tmp_path / "g.json"), "--n-clusters", "3"]
    assert main(asked) == 0
    everyone = sum(len(g) for g in read_groups(tmp_path / "g.json"))
    assert main([*asked, "--min-probability", "0.9"]) == 0
    record = json.loads((tmp_path / "g_record.json").read_text())
    left_out = everyone - sum(len(g) for g in read_groups(tmp_path / "g.json"))
    assert left_out == record["improbable_left_out"] == record["in_doubt"] > 20
    assert min(c["mean_probability"] for c in record["clusters"]) > 0.9
    assert f"{left_out} particles with a probability below 0.9" in capsys.readouterr().out


def test_command_says_what_is_wrong(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "h_record.json").write_text("{}")
    for output, arguments, message in [
        ("g.star", [], "expected a .json file"),
        ("h.json", [], "would be overwritten"),
        ("g.json", ["--method", "kmeans", "--min-probability", "0.5"], "k-means has no probabilities"),
        ("g.json", ["--n-clusters", "99", "--n-fit", "50"], "suffice for 16"),
        ("g.json", ["--landscape", str(tmp_path)], "no landscape"),
    ]:
        asked = ["--landscape", str(folder / "l"), "--output", str(tmp_path / output)]
        assert main(["clusters", *asked, *arguments]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / output).exists()
