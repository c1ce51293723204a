"""Embeddings of curved paths, the maps learned from them, and what is kept of both."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.decomposition import KernelPCA

from continuousflex_deep.cli import main
from continuousflex_deep.errors import FormatError, InputError, MissingDependencyError
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.landscape import reduction as module
from continuousflex_deep.landscape.coordinate_maps import KernelMap, NeighbourMap
from continuousflex_deep.landscape.embeddings import EmbeddingSettings, embed
from continuousflex_deep.landscape.landscape import make_landscape, read_landscape, write_landscape
from continuousflex_deep.landscape.pca import PCA
from continuousflex_deep.landscape.reduction import (
    Embedding,
    fit_embedding,
    read_reduction,
    select_landmarks,
    write_reduction,
)
from continuousflex_deep.landscape.selection import Criteria, select_group
from continuousflex_deep.tests.helpers import needs
from continuousflex_deep.tests.helpers.landscape_data import make_particles

NOISE_A = 5.0
PATH = ["isomap", "lle", "modified-lle", "laplacian", "hessian-lle", "ltsa"]


def arc(n: int, degrees: float = 270.0, seed: int = 0, noise_A: float = NOISE_A) -> tuple[np.ndarray, np.ndarray]:
    """Place (n,) along a rising arc of radius 150 Å, and amplitudes (n, 3) there with Gaussian noise."""
    rng = np.random.default_rng((11, seed))
    place = rng.uniform(size=n)
    angle = np.radians(degrees) * place
    path = np.stack([150 * np.cos(angle), 150 * np.sin(angle), 80 * (place - 0.5)], axis=1)
    return place, path + noise_A * rng.normal(size=path.shape)


def order(a: np.ndarray, b: np.ndarray) -> float:
    return abs(float(spearmanr(a, b)[0]))


def settings(k: int = 1, **given: Any) -> EmbeddingSettings:
    return EmbeddingSettings(k, **given)


@pytest.mark.parametrize("method", PATH)
def test_curved_path_is_unrolled_and_leads_back_to_within_the_noise(method: str) -> None:
    """270° of an arc, where no linear coordinate keeps the order; local tangents need more neighbours in noise."""
    place, x = arc(900)
    n_neighbors = {"lle": 30, "hessian-lle": 60, "ltsa": 60}.get(method, 12)
    embedding, rows = fit_embedding(method, x, settings(n_neighbors=n_neighbors), 600)
    assert order(PCA.fit(x, 1).transform(x)[:, 0], place) < 0.95
    y = embedding.transform(x)[:, 0]
    assert order(y, place) > 0.99
    assert order(embedding.coordinates[:, 0], place[rows]) > 0.99
    # of the noise, what lies across the path is lost: two of three directions
    assert embedding.errors.unseen
    assert embedding.errors.inverse_A < 1.35 * np.sqrt(2) * NOISE_A
    fresh_place, fresh = arc(2000, seed=1)
    found = embedding.transform(fresh)
    assert order(found[:, 0], fresh_place) > 0.99
    back = embedding.inverse_transform(found)
    measured = np.sqrt(((back - fresh) ** 2).sum(axis=1).mean())
    assert measured == pytest.approx(embedding.errors.inverse_A, rel=0.2)
    clean = arc(2000, seed=1, noise_A=0)[1]
    assert np.sqrt(((back - clean) ** 2).sum(axis=1).mean()) < measured  # nearer to the path than the particles are


def test_isomap_measures_the_path_in_angstroms() -> None:
    """Geodesic distances: the length of the arc, which neighbours' steps through noise overestimate slightly."""
    place, x = arc(800, noise_A=0.5)
    y = fit_embedding("isomap", x, settings(), 800)[0].coordinates[:, 0]
    length = np.hypot(150 * np.radians(270), 80)
    assert np.ptp(y) == pytest.approx(length * np.ptp(place), rel=0.03)


def test_kernel_pca_is_scikit_learns_and_places_new_particles_exactly() -> None:
    place, x = arc(300, degrees=150)
    embedding, rows = fit_embedding("kernel-pca", x, settings(2, kernel_width_A=120.0), 200)
    theirs = KernelPCA(2, kernel="rbf", gamma=0.5 / 120**2).fit(x[rows])
    scale = theirs.transform(x[rows])[:, 0].std()
    np.testing.assert_allclose(np.abs(embedding.transform(x)), np.abs(theirs.transform(x)) / scale, atol=1e-5)
    np.testing.assert_allclose(embedding.transform(x[rows]), embedding.coordinates, atol=1e-9)
    assert embedding.errors.transform == 0
    assert order(embedding.transform(x)[:, 0], place) > 0.97
    assert embedding.coordinates[:, 0].std() == pytest.approx(1)


def test_tsne_keeps_two_conformations_apart() -> None:
    rng = np.random.default_rng(0)
    second = np.arange(400) % 2 == 1
    x = rng.normal(size=(400, 3)) * 4 + np.where(second[:, None], 120.0, 0.0)
    embedding, _ = fit_embedding("tsne", x, settings(2, perplexity=20.0), 300)
    y = embedding.transform(x)
    centres = [y[second].mean(axis=0), y[~second].mean(axis=0)]
    nearer = np.linalg.norm(y - centres[0], axis=1) < np.linalg.norm(y - centres[1], axis=1)
    np.testing.assert_array_equal(nearer, second)
    assert embedding.errors.explained > 0.98


@pytest.mark.parametrize("method", ["isomap", "laplacian", "lle"])
def test_landmarks_agree_with_the_fit_to_all(method: str) -> None:
    place, x = arc(1500)
    few = make_values(method, x, 400)
    everything = make_values(method, x, 1500)
    assert order(few, everything) > 0.995
    assert order(few, place) > 0.99


def make_values(method: str, x: np.ndarray, landmarks: int) -> np.ndarray:
    embedding, _ = fit_embedding(method, x, settings(), landmarks)
    assert len(embedding.landmarks) == landmarks
    return embedding.transform(x)[:, 0]


@pytest.mark.slow
def test_three_thousand_landmarks_of_twenty_thousand_agree_with_all() -> None:
    """Sparse eigenvectors of all 20,000, by scikit-learn alone, against what the landmarks' maps say of them."""
    place, x = arc(20_000)
    everything, _ = embed("laplacian", x, settings())
    assert order(make_values("laplacian", x, 3000), everything[:, 0]) > 0.995
    assert order(everything[:, 0], place) > 0.995


@pytest.mark.slow
@pytest.mark.parametrize("method", ["isomap", "kernel-pca"])
def test_three_thousand_landmarks_of_twenty_thousand_agree_with_six_thousand(method: str) -> None:
    """All 20,000 at once would need many GB in these methods."""
    _, x = arc(20_000)
    assert order(make_values(method, x, 3000), make_values(method, x, 6000)) > 0.999


def test_all_but_the_seed_is_determined() -> None:
    _, x = arc(300)
    for method in ("isomap", "lle", "laplacian", "tsne", "kernel-pca"):
        first, again = (fit_embedding(method, x, settings(seed=3, n_neighbors=15), 200)[0] for _ in range(2))
        np.testing.assert_array_equal(first.coordinates, again.coordinates)
        np.testing.assert_array_equal(first.transform(x), again.transform(x))
    other, _ = fit_embedding("isomap", x, settings(seed=4), 200)
    assert not np.array_equal(other.landmarks, fit_embedding("isomap", x, settings(seed=3), 200)[0].landmarks)


def test_landmarks_lie_as_the_particles_do() -> None:
    x = np.random.default_rng(0).normal(size=(10_000, 2)) * [50, 5]
    rows = select_landmarks(x, 1000, 0)
    assert len(rows) == len(set(rows.tolist())) == 1000
    np.testing.assert_allclose(np.quantile(x[rows, 0], [0.1, 0.5, 0.9]), np.quantile(x[:, 0], [0.1, 0.5, 0.9]), atol=3)
    drawn = np.random.default_rng(1).choice(x[:, 0], 1000)
    assert spread_of_counts(x[rows, 0], x[:, 0]) < spread_of_counts(drawn, x[:, 0])
    np.testing.assert_array_equal(select_landmarks(x, 20_000, 0), np.arange(10_000))
    twice = np.repeat(x[:50], 4, axis=0)
    assert len(select_landmarks(twice, 200, 0)) == 50


def spread_of_counts(chosen: np.ndarray, population: np.ndarray) -> float:
    """Deviation of the numbers chosen from bins of equal numbers of the population."""
    edges = np.quantile(population, np.linspace(0, 1, 51)[1:-1])
    return float(np.bincount(np.searchsorted(edges, chosen), minlength=50).std())


def test_a_mode_that_does_not_move_and_duplicates_are_no_obstacle() -> None:
    place, x = arc(300)
    x = np.repeat(np.column_stack([x, np.full(300, 7.0)]), 2, axis=0)
    for method in ("isomap", "kernel-pca"):
        embedding, rows = fit_embedding(method, x, settings(), 600)
        assert len(rows) == 300
        back = embedding.inverse_transform(embedding.transform(x))
        np.testing.assert_allclose(back[:, 3], 7.0, atol=1e-3)
    assert order(fit_embedding("isomap", x, settings(), 600)[0].transform(x)[::2, 0], place) > 0.99


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        ("isomap", {"n_neighbors": 60}, "only 60 distinct particles are fitted; give 59 or fewer"),
        ("hessian-lle", {"n_components": 3, "n_neighbors": 9}, "needs 10 or more for 3 dimensions"),
        ("lle", {"n_components": 3, "n_neighbors": 3}, "needs 4 or more"),
        ("tsne", {"perplexity": 60.0}, "--perplexity: got 60, expected less than the number of distinct particles, 60"),
        ("laplacian", {"n_components": 4}, "got 4 dimensions for 3 amplitudes"),
        ("magic", {}, "unknown method 'magic'"),
    ],
)
def test_impossible_parameters_are_refused(method: str, changes: dict[str, Any], message: str) -> None:
    _, x = arc(60)
    with pytest.raises(InputError, match=message):
        fit_embedding(method, x, settings(**({"k": changes.pop("n_components", 1)} | changes)), 1000)


def test_many_copies_of_one_particle_are_no_obstacle() -> None:
    _, x = arc(100)
    x = np.concatenate([x, np.repeat(x[:1], 900, axis=0)])
    embedding, rows = fit_embedding("isomap", x, settings(), 1000)
    assert len(rows) == 100
    assert np.isfinite(embedding.errors.explained)


def test_impossible_particles_are_refused() -> None:
    _, x = arc(60)
    with pytest.raises(InputError, match="1 of 60 particles are NaN"):
        fit_embedding("isomap", np.where(np.arange(60)[:, None] == 3, np.nan, x), settings(), 1000)
    with pytest.raises(InputError, match="got 9 distinct particles"):
        fit_embedding("isomap", x[:9], settings(n_neighbors=3), 1000)
    with pytest.raises(InputError, match="got 1 distinct particles"):
        fit_embedding("isomap", np.ones((60, 3)), settings(), 1000)
    with pytest.raises(InputError, match="expected at least 14 for 12 dimensions"):
        fit_embedding("kernel-pca", np.random.default_rng(0).normal(size=(12, 14)), settings(12), 1000)
    apart = np.concatenate([x, x + 5000])
    with pytest.raises(InputError, match=r"form 2 groups that are not connected \(of 60, 60 particles\)"):
        fit_embedding("laplacian", apart, settings(), 1000)
    with pytest.raises(InputError, match=r"shape \(60, 2\), expected \(particles, 3\)"):
        fit_embedding("isomap", x, settings(), 1000)[0].transform(x[:, :2])


def test_umap_says_when_it_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(MissingDependencyError, match="pip install umap-learn"):
        fit_embedding("umap", arc(60)[1], settings(), 1000)


def test_umap_follows_the_path() -> None:
    needs.library("umap", "umap-learn", extra="umap")
    place, x = arc(500)
    embedding, _ = fit_embedding("umap", x, settings(1, n_neighbors=30), 400)
    assert order(embedding.transform(x)[:, 0], place) > 0.9
    assert embedding.errors.explained > 0.9


def test_maps_agree_with_what_they_were_learned_from() -> None:
    """A smooth map of two variables: the kernel's interpolates, the neighbours' is exact for a plane."""
    rng = np.random.default_rng(0)
    x, fresh = rng.uniform(-1, 1, size=(400, 2)), rng.uniform(-0.9, 0.9, size=(5000, 2))

    def truth(points: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(3 * points[:, 0]) + points[:, 1], points.prod(axis=1)], axis=1) + 5

    kernel = KernelMap.fit(x, truth(x), rng)
    assert np.abs(kernel(fresh) - truth(fresh)).max() < 1e-2
    plane = x @ [[2.0], [-1.0]] + 3
    np.testing.assert_allclose(NeighbourMap.fit(x, plane, regularisation=1e-9)(x), plane, atol=1e-6)
    near = NeighbourMap.fit(x, truth(x))
    assert np.sqrt(((near(fresh) - truth(fresh)) ** 2).mean()) < 0.05
    far = np.array([[100.0, 50.0]])
    np.testing.assert_allclose(KernelMap.fit(x, plane, rng)(far), [[153.0]], rtol=1e-3)  # linear beyond the data


def test_memory_is_bounded_by_chunks_and_these_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    _, x = arc(500)
    embedding, _ = fit_embedding("isomap", x, settings(), 300)
    whole = embedding.transform(x)
    monkeypatch.setattr(module.learn_map.__module__ + ".CHUNK_NUMBERS", 3000)
    np.testing.assert_allclose(embedding.transform(x), whole, atol=1e-9)


def test_written_maps_need_no_fit(tmp_path: Path) -> None:
    _, x = arc(300)
    for method in ("isomap", "kernel-pca", "lle"):
        embedding, _ = fit_embedding(method, x, settings(2), 200)
        write_reduction(tmp_path, embedding, (7, 8, 9))
        again = read_reduction(tmp_path)
        assert isinstance(again, Embedding)
        y = embedding.transform(x)
        np.testing.assert_array_equal(again.transform(x), y)
        np.testing.assert_array_equal(again.inverse_transform(y), embedding.inverse_transform(y))
        assert again.method == method
        assert vars(again.errors) == vars(embedding.errors)
        facts = json.loads((tmp_path / "reduction.json").read_text())
        assert facts["mode_ids"] == [7, 8, 9]
    with np.load(tmp_path / "reduction.npz", allow_pickle=False) as arrays:
        assert all(array.dtype != object for array in arrays.values())
    whole = (tmp_path / "reduction.npz").read_bytes()
    (tmp_path / "reduction.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="not a map of the landscape command"):
        read_reduction(tmp_path)
    write_reduction(tmp_path, PCA.fit(x, 2), (7, 8, 9))
    assert read_reduction(tmp_path).method == "pca"
    assert not (tmp_path / "reduction.npz").exists()


def test_outliers_and_landmarks_in_a_landscape(tmp_path: Path) -> None:
    """Outliers are placed but not fitted; landmarks have the method's own coordinates, others learned ones."""
    x = arc(400)[1]
    x[7] = [3000, -4000, 2000]
    particles = make_particles(tmp_path, 400).replace(amplitudes=x)
    landscape = make_landscape(particles, np.ones(400, dtype=np.int64), 1, method="isomap", n_landmarks=300)
    assert landscape.outlier[7]
    assert np.isfinite(landscape.coordinates[7]).all()
    reduction = landscape.reduction
    assert isinstance(reduction, Embedding)
    assert not (np.abs(reduction.landmarks) > 1000).any()
    own = (landscape.coordinates[:, None, 0] == reduction.coordinates[None, :, 0]).any(axis=1)
    assert own.sum() == 300
    np.testing.assert_allclose(landscape.coordinates[~own], reduction.transform(x)[~own])
    with pytest.raises(InputError, match="made with --method isomap"):
        _ = landscape.pca


def test_command_with_sets_mixed_by_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels and predictions on one path; the group is picked by the old and the new name of the coordinate."""
    place, x = arc(300)
    first, second = make_particles(tmp_path, 200), make_particles(tmp_path, 100, first_id=201, name="more")
    write_particles(first.replace(amplitudes=x[:200]), tmp_path / "labels.star")
    write_particles(second.replace(amplitudes=x[200:]), tmp_path / "predicted.star")
    inputs = ["--particles", str(tmp_path / "labels.star"), "--particles", str(tmp_path / "predicted.star")]
    folder = tmp_path / "landscape"
    choice = ["--method", "isomap", "--landmarks", "200", "--n-components", "1", "--outlier-distance", "0"]
    assert main(["landscape", *inputs, "--output", str(folder), *choice]) == 0
    printed = capsys.readouterr().out
    assert "Isomap: 1 dimensions, fitted to 200 landmarks" in printed
    landscape = read_landscape(folder)
    assert order(landscape.coordinates[:, 0], place[landscape.particles.ids - 1]) > 0.99
    extra = landscape.particles.extra
    np.testing.assert_allclose(extra["cfdDim1"].astype(float), landscape.coordinates[:, 0], atol=1e-5)
    assert "cfdPC1" not in extra
    names = landscape.table().columns()
    np.testing.assert_array_equal(names["pc1"], names["dim1"])
    rows = select_group(landscape, Criteria("pc1 > 0"))
    np.testing.assert_array_equal(rows, select_group(landscape, Criteria("dim1 > 0")))
    record = json.loads((folder / "record.json").read_text())
    assert record["reduction"]["landmarks"] == 200
    assert 0 < record["reduction"]["held_out"]["inverse_A"] < 1.5 * np.sqrt(2) * NOISE_A
    assert (folder / "landscape.png").read_bytes()[:4] == b"\x89PNG"
    out = ["--output", str(tmp_path / "g.star")]
    assert main(["group", "--landscape", str(folder), "--expression", "pc1 > 0", *out]) == 0
    again = ["landscape", "--particles", str(folder / "landscape.star"), "--output", str(folder)]
    assert main(again) == 0
    extra = read_landscape(folder).particles.extra
    assert "cfdDim1" not in extra
    assert "cfdPC3" in extra


def test_coordinates_keep_their_digits_in_files(tmp_path: Path) -> None:
    """Eigenvectors of unit length over many particles would lose theirs in six decimals."""
    particles = make_particles(tmp_path, 300).replace(amplitudes=arc(300)[1])
    landscape = make_landscape(particles, np.ones(300, dtype=np.int64), 1, 0, "laplacian")
    assert landscape.coordinates.std() == pytest.approx(1)
    write_landscape(tmp_path / "l", landscape)
    np.testing.assert_array_equal(read_landscape(tmp_path / "l").coordinates, landscape.coordinates)
