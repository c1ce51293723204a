"""PCA, merging of sets, outliers and the files of a landscape."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA as SklearnPCA

from continuousflex_deep.cli import main
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.density_table import read_densities
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.landscape.landscape import make_landscape, read_landscape
from continuousflex_deep.landscape.merging import merge_sets
from continuousflex_deep.landscape.pca import PCA
from continuousflex_deep.particles import Ctf
from continuousflex_deep.tests.helpers.landscape_data import make_particles


def test_pca_agrees_with_scikit_learn() -> None:
    values = np.random.default_rng(1).normal(size=(300, 4)) @ np.random.default_rng(2).normal(size=(4, 4)) + 10
    ours, theirs = PCA.fit(values, 3), SklearnPCA(3).fit(values)
    np.testing.assert_allclose(np.abs(ours.components), np.abs(theirs.components_), atol=1e-9)
    np.testing.assert_allclose(ours.variance, theirs.explained_variance_)
    np.testing.assert_allclose(ours.explained, theirs.explained_variance_ratio_)
    np.testing.assert_allclose(np.abs(ours.transform(values)), np.abs(theirs.transform(values)), atol=1e-9)


def test_pca_signs_do_not_depend_on_the_order_of_particles() -> None:
    values = np.random.default_rng(1).normal(size=(50, 3)) * [5, 2, 1]
    first, second = PCA.fit(values, 3), PCA.fit(values[::-1], 3)
    np.testing.assert_allclose(first.components, second.components, atol=1e-9)
    assert (first.components[np.arange(3), np.abs(first.components).argmax(axis=1)] > 0).all()


def test_pca_inverse_is_exact_with_all_components_and_a_projection_with_fewer() -> None:
    values = np.random.default_rng(3).normal(size=(40, 3)) * [30, 3, 1] + 7
    full, one = PCA.fit(values, 3), PCA.fit(values, 1)
    np.testing.assert_allclose(full.inverse_transform(full.transform(values)), values)
    residual = values - one.inverse_transform(one.transform(values))
    assert residual.var(axis=0, ddof=1).sum() == pytest.approx(one.total_variance - one.variance[0])
    again = PCA.from_dict(json.loads(json.dumps(full.as_dict())))
    np.testing.assert_array_equal(again.transform(values), full.transform(values))


@pytest.mark.parametrize(
    ("values", "k", "message"),
    [
        (np.ones((5, 3)), 2, "all particles have the same amplitudes"),
        (np.ones((1, 3)), 1, "at least 2 particles"),
        (np.arange(6.0).reshape(3, 2), 3, "expected 1 to 2"),
        (np.array([[1.0, 2], [np.nan, 3]]), 1, "NaN"),
    ],
)
def test_pca_refuses(values: np.ndarray, k: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PCA.fit(values, k)


def test_outliers_are_marked_and_do_not_turn_the_axes(tmp_path: Path) -> None:
    clean = make_particles(tmp_path, 300)
    source = np.ones(300, dtype=np.int64)
    dirty_amplitudes = clean.amplitudes.copy()
    dirty_amplitudes[[5, 77]] = [[-4000, 9000, 100], [3000, 3000, -9000]]
    dirty = make_landscape(clean.replace(amplitudes=dirty_amplitudes), source)
    assert dirty.outlier[[5, 77]].all()
    assert dirty.outlier.sum() < 6
    expected = PCA.fit(clean.amplitudes[~dirty.outlier], 3)
    np.testing.assert_allclose(dirty.pca.components, expected.components)
    np.testing.assert_allclose(dirty.coordinates[5], expected.transform(dirty_amplitudes[5]))
    assert not make_landscape(dirty.particles, source, outlier_distance=0).outlier.any()


def test_sets_are_merged_by_id(tmp_path: Path) -> None:
    labels, predicted = make_particles(tmp_path, 30), make_particles(tmp_path, 20, first_id=31, seed=1, name="more")
    merged, source, dropped = merge_sets(
        [labels.replace(amplitudes_sd=labels.amplitudes * 0 + 1), predicted], ["a", "b"]
    )
    assert len(merged) == 50
    assert source.tolist() == [1] * 30 + [2] * 20
    assert dropped == ["amplitudes_sd"]
    with pytest.raises(InputError, match=r"'a' and 'b' share 3 particles.*28, 29, 30"):
        merge_sets([labels, make_particles(tmp_path, 20, first_id=28)], ["a", "b"])
    with pytest.raises(InputError, match="mode_ids"):
        merge_sets([labels, predicted.replace(mode_ids=(7, 8, 9))], ["a", "b"])


def test_merging_keeps_different_optics_apart(tmp_path: Path) -> None:
    sets = []
    for name, n, first_id, voltage in (("krios", 4, 1, 300.0), ("glacios", 3, 5, 200.0)):
        p = make_particles(tmp_path, n, first_id=first_id, name=name)
        ctf = Ctf(*(np.full(n, v) for v in (9000.0, 9000.0, 0.0, voltage, 2.0, 0.1, 0.0)))
        group, names = np.full(n, "1", dtype=object), np.full(n, name, dtype=object)
        sets.append(p.replace(ctf=ctf, extra={"rlnOpticsGroup": group}, optics_extra={"rlnOpticsGroupName": names}))
    merged, _, _ = merge_sets(sets, ["a", "b"])
    write_particles(merged, tmp_path / "m.star")
    again = read_particles(tmp_path / "m.star")
    np.testing.assert_array_equal(again.ctf.voltage_kV, [300] * 4 + [200] * 3)
    assert again.optics_extra["rlnOpticsGroupName"].tolist() == ["krios"] * 4 + ["glacios"] * 3


def test_command_writes_what_it_promises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = make_particles(tmp_path, 60), make_particles(tmp_path, 40, first_id=100, seed=9, name="more")
    write_particles(first, tmp_path / "labels.star")
    write_particles(second, tmp_path / "predicted.star")
    folder = tmp_path / "landscape"
    inputs = ["--particles", str(tmp_path / "labels.star"), "--particles", str(tmp_path / "predicted.star")]
    assert main(["landscape", *inputs, "--output", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "100 particles" in printed
    assert "PC3" in printed
    landscape = read_landscape(folder)
    assert len(landscape.particles) == 100
    np.testing.assert_allclose(
        landscape.pca.transform(landscape.particles.amplitudes), landscape.coordinates, atol=1e-3
    )
    np.testing.assert_array_equal(np.bincount(landscape.source), [0, 60, 40])
    extra = landscape.particles.extra
    np.testing.assert_allclose(extra["cfdPC2"].astype(float), landscape.coordinates[:, 1], atol=1e-5)
    np.testing.assert_array_equal(extra["rlnMicrographName"][:60], first.extra["rlnMicrographName"])
    np.testing.assert_allclose(landscape.particles.euler_deg[60:], second.euler_deg, atol=1e-5)
    record = json.loads((folder / "record.json").read_text())
    assert [s["particles"] for s in record["sources"]] == [60, 40]
    assert (folder / "landscape.png").read_bytes()[:4] == b"\x89PNG"


def test_command_deconvolves_with_the_error_bars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    particles = make_particles(tmp_path, 300)
    write_particles(particles.replace(amplitudes_sd=np.full((300, 3), 30.0)), tmp_path / "p.star")
    command = ["landscape", "--particles", str(tmp_path / "p.star"), "--output", str(tmp_path / "l")]
    assert main(command) == 0
    assert "errors of coordinates" in capsys.readouterr().out
    line, plane = read_densities(tmp_path / "l")
    assert (line.raw.ndim, plane.raw.ndim) == (1, 2)
    np.testing.assert_allclose(plane.error_sd, 30, rtol=1e-6)
    assert (tmp_path / "l" / "density.png").read_bytes()[:4] == b"\x89PNG"
    assert json.loads((tmp_path / "l" / "record.json").read_text())["error_sd"] == pytest.approx([30, 30])
    assert main([*command, "--density", "raw"]) == 0
    assert read_densities(tmp_path / "l") == []
    assert not (tmp_path / "l" / "density.png").exists()


def test_command_warns_of_amplitudes_that_follow_the_defocus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    particles = make_particles(tmp_path, 400)
    assert particles.ctf is not None
    defocus_A = np.random.default_rng(5).uniform(8000, 20000, 400)
    ctf = dataclasses.replace(particles.ctf, defocus_u_A=defocus_A, defocus_v_A=defocus_A)
    drifting = particles.amplitudes + ((defocus_A - 14000) / 60)[:, None] * [1, 0, 0]
    for amplitudes, alarm in ((particles.amplitudes, False), (drifting, True)):
        write_particles(particles.replace(ctf=ctf, amplitudes=amplitudes), tmp_path / "p.star")
        assert main(["landscape", "--particles", str(tmp_path / "p.star"), "--output", str(tmp_path / "l")]) == 0
        printed = capsys.readouterr()
        assert ("do not depend on view, in-plane angle, defocus, micrograph" in printed.out) == (not alarm)
        assert bool(re.search(r"depend on how particles were imaged: mean of PC\d on defocus", printed.err)) == alarm
        found = json.loads((tmp_path / "l" / "record.json").read_text())["dependence"]
        assert found["alarm"] is alarm
        assert (tmp_path / "l" / "dependence.png").read_bytes()[:4] == b"\x89PNG"


def test_command_can_start_from_a_landscape(tmp_path: Path) -> None:
    write_particles(make_particles(tmp_path, 50), tmp_path / "p.star")
    assert main(["landscape", "--particles", str(tmp_path / "p.star"), "--output", str(tmp_path / "a")]) == 0
    again = ["landscape", "--particles", str(tmp_path / "a" / "landscape.star"), "--output", str(tmp_path / "b")]
    assert main([*again, "--n-components", "1"]) == 0
    extra = read_landscape(tmp_path / "b").particles.extra
    assert [c for c in extra if c.startswith("cfdPC")] == ["cfdPC1"]


def test_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    particles = make_particles(tmp_path, 10)
    write_particles(particles.replace(amplitudes=None, mode_ids=()), tmp_path / "bare.star")
    write_particles(particles, tmp_path / "p.star")
    out = ["--output", str(tmp_path / "o")]
    for arguments, message in [
        (["--particles", str(tmp_path / "bare.star")], "needs normal-mode amplitudes"),
        (["--particles", str(tmp_path / "none.star")], "no such file"),
        (["--particles", str(tmp_path / "p.star"), "--particles", str(tmp_path / "p.star")], "share 10 particles"),
        (["--particles", str(tmp_path / "p.star"), "--n-components", "4"], "but the particles have 3 modes"),
    ]:
        assert main(["landscape", *arguments, *out]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_damaged_landscapes_are_refused(tmp_path: Path) -> None:
    write_particles(make_particles(tmp_path, 20), tmp_path / "p.star")
    assert main(["landscape", "--particles", str(tmp_path / "p.star"), "--output", str(tmp_path / "l")]) == 0
    whole = (tmp_path / "l" / "landscape.npz").read_bytes()
    (tmp_path / "l" / "landscape.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="not a complete landscape"):
        read_landscape(tmp_path / "l")
    (tmp_path / "l" / "landscape.npz").write_bytes(whole)
    write_particles(make_particles(tmp_path, 19), tmp_path / "l" / "landscape.star")
    with pytest.raises(FormatError, match="different particles"):
        read_landscape(tmp_path / "l")
    with pytest.raises(InputError, match="not a folder"):
        read_landscape(tmp_path / "nowhere")


def test_amplitudes_that_are_all_equal_are_no_obstacle(tmp_path: Path) -> None:
    """A coordinate without spread has no density; the landscape is made all the same."""
    particles = make_particles(tmp_path, 30)
    assert particles.amplitudes is not None
    flat = particles.replace(amplitudes=particles.amplitudes * (1, 0, 0), amplitudes_sd=np.ones((30, 3)))
    write_particles(flat, tmp_path / "flat.star")
    assert main(["landscape", "--particles", str(tmp_path / "flat.star"), "--output", str(tmp_path / "out")]) == 0
