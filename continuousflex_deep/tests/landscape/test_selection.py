"""Conditions, boxes and id lists; the group's particle file."""

import json
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.cli import main
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.landscape.expressions import evaluate_condition, parse_box
from continuousflex_deep.landscape.landscape import Landscape, make_landscape, read_landscape
from continuousflex_deep.landscape.selection import Criteria, select_group
from continuousflex_deep.tests.helpers.landscape_data import make_particles

COLUMNS = {
    "pc1": np.array([-2.0, -1, 0, 1, 2, np.nan]),
    "q7": np.array([4.0, 1, 0, 1, 4, 9]),
    "outlier": np.array([True, False, False, False, False, True]),
    "id": np.array([1, 2, 3, 4, 5, 9007199254740993]),
}


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("pc1 > 0", [3, 4]),
        ("pc1 >= 0 and not outlier", [2, 3, 4]),
        ("-1 <= pc1 <= 1", [1, 2, 3]),
        ("abs(pc1) == 2 or q7 == 9", [0, 4, 5]),
        ("sqrt(q7) - 1 > 0.5", [0, 4, 5]),
        ("hypot(pc1, q7) < 1.5", [1, 2, 3]),
        ("pc1 + 2 * q7 ** 2 / 4 % 100 != 0 and outlier", [0, 5]),
        ("min(q7, 2) == max(pc1, 1)", [1, 3, 4]),
        ("outlier", [0, 5]),
        ("not (pc1 < 1)", [3, 4, 5]),  # a comparison with NaN is false, so its negation is true
        ("id == 9007199254740993", [5]),  # 2⁵³ + 1 has no float of its own
        ("id == 9007199254740992", []),
        ("+pc1 < -1.5", [0]),
        ("True", [0, 1, 2, 3, 4, 5]),
        (" pc1 > 1 ", [4]),
    ],
)
def test_conditions(expression: str, rows: list[int]) -> None:
    mask, _ = evaluate_condition(expression, COLUMNS)
    assert mask.shape == (6,)
    assert np.flatnonzero(mask).tolist() == rows


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("pc9 > 1", "unknown name 'pc9'.*pc1, q7, outlier, id"),
        ("pc1", "is a number, expected a condition"),
        ("pc1 and q7 > 1", "'pc1' is a number, expected a condition"),
        ("not q7", "'q7' is a number, expected a condition"),
        ("(pc1 > 0) & (q7 > 1)", "write and, or, not"),
        ("~outlier", "write and, or, not"),
        ("pc1 >", "cannot be read"),
        ("", "cannot be read"),
        ("pc1 = 3", "cannot be read"),
        ("__import__('os').system('true')", "not allowed"),
        ("open('x')", "not allowed"),
        ("pc1.__class__ == 1", "not allowed"),
        ("[x for x in (1,)] == 1", "not allowed"),
        ("(lambda: 1)() == 1", "not allowed"),
        ("'a' == 'a'", "not allowed"),
        ("pc1 in (1, 2)", "not allowed"),
        ("pc1 is None", "not allowed"),
        ("abs(pc1, 2) > 1", "abs takes 1 value, got 2"),
        ("hypot(pc1) > 1", "hypot takes 2 values, got 1"),
        ("max(*pc1) > 1", "not allowed|takes 2"),
        ("1" * 30 + " > pc1", "not allowed"),
        ("-" * 1990 + "1 > 0", "cannot be read"),
        ("(" * 900 + "1" + ")" * 900, "cannot be read"),
        ("pc1 > 1 " * 400, "at most 2000"),
        ("pc1 > 1\0", "cannot be read"),
    ],
)
def test_anything_else_is_refused(expression: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_condition(expression, COLUMNS)


def test_a_condition_may_go_over_several_lines() -> None:
    columns = {"pc1": np.array([-1.0, 1.0, 3.0])}
    assert evaluate_condition("pc1 > 0\n  and pc1 < 2", columns)[0].tolist() == [False, True, False]


def test_names_that_were_used_are_told() -> None:
    assert evaluate_condition("abs(pc1) > 1 and outlier", COLUMNS)[1] == ["pc1", "outlier"]


def test_boxes() -> None:
    assert parse_box("pc1:-100:100, q7:0.5:", COLUMNS) == {"pc1": (-100, 100), "q7": (0.5, np.inf)}
    for text, message in [
        ("pc1:1", "cannot read"),
        ("pc1:3:1", "exceeds its highest"),
        ("pc1:0:1,pc1:0:2", "occurs twice"),
        ("pc7:0:1", "unknown name 'pc7'"),
        ("pc1:a:b", "are not numbers"),
        ("pc1:nan:1", "exceeds its highest"),
    ]:
        with pytest.raises(InputError, match=message):
            parse_box(text, COLUMNS)


@pytest.fixture
def landscape(tmp_path: Path) -> Landscape:
    particles = make_particles(tmp_path, 200)
    amplitudes = particles.amplitudes.copy()
    amplitudes[9] = [5000, 5000, 5000]
    return make_landscape(particles.replace(amplitudes=amplitudes), np.repeat([1, 2], 100))


def test_criteria_are_joined_by_and(landscape: Landscape) -> None:
    pc1, pc2 = landscape.coordinates[:, 0], landscape.coordinates[:, 1]
    ids = tuple(range(1, 120))
    rows = select_group(landscape, Criteria("pc1 > 0", "pc2:-5:5", ids))
    expected = (pc1 > 0) & (np.abs(pc2) <= 5) & (landscape.particles.ids < 120) & ~landscape.outlier
    assert rows.tolist() == np.flatnonzero(expected).tolist()


def test_outliers_need_to_be_asked_for(landscape: Landscape) -> None:
    n_out = int(landscape.outlier.sum())
    assert n_out >= 1
    assert len(select_group(landscape, Criteria())) == 200 - n_out
    assert len(select_group(landscape, Criteria(keep_outliers=True))) == 200
    assert 9 in select_group(landscape, Criteria("outlier"))
    with pytest.raises(InputError, match="outliers; add --keep-outliers"):
        select_group(landscape, Criteria(ids=(10,)))


def test_names_cover_what_is_known(landscape: Landscape) -> None:
    names = landscape.table().columns()
    assert {"pc1", "pc3", "q7", "q10", "score", "rot", "tilt", "psi", "shift_x", "defocus", "outlier", "source"} <= set(
        names
    )
    assert "angle_sd" not in names
    np.testing.assert_array_equal(names["defocus"], np.full(200, 11000.0))
    np.testing.assert_array_equal(names["q10"], landscape.particles.amplitudes[:, 2])
    assert len(select_group(landscape, Criteria("source == 2"))) == 100


def test_an_empty_group_tells_the_ranges(landscape: Landscape) -> None:
    with pytest.raises(InputError, match=r"no particle fulfils 'pc1 > 1e9 and q8:0:1'.*pc1 from -.* to .*q8 from"):
        select_group(landscape, Criteria("pc1 > 1e9", "q8:0:1"))
    with pytest.raises(InputError, match="1 of 2 particle ids"):
        select_group(landscape, Criteria(ids=(1, 777)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_particles(make_particles(tmp_path, 100), tmp_path / "p.star")
    assert main(["landscape", "--particles", str(tmp_path / "p.star"), "--output", str(tmp_path / "l")]) == 0
    return tmp_path / "l"


def test_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "group.star"
    assert main(["group", "--landscape", str(folder), "--expression", "pc1 > 20", "--output", str(out)]) == 0
    landscape, group = read_landscape(folder), read_particles(out)
    rows = np.flatnonzero((landscape.coordinates[:, 0] > 20) & ~landscape.outlier)
    assert group.ids.tolist() == landscape.particles.ids[rows].tolist()
    np.testing.assert_allclose(group.euler_deg, landscape.particles.euler_deg[rows])
    assert "rlnMicrographName" in group.extra
    facts = json.loads((tmp_path / "group.json").read_text())
    assert facts["particles"] == len(rows)
    np.testing.assert_allclose(facts["centroid_amplitudes"], landscape.particles.amplitudes[rows].mean(axis=0))
    # the centroid in components is the centroid in amplitudes, mapped
    mapped = landscape.pca.transform(np.array(facts["centroid_amplitudes"]))
    np.testing.assert_allclose(mapped, facts["centroid_pcs"], atol=1e-3)
    assert "q7" in capsys.readouterr().out


def test_command_takes_images_of_another_size(folder: Path, tmp_path: Path) -> None:
    small = make_particles(tmp_path, 100)
    write_stack(tmp_path / "big.mrcs", np.random.default_rng(0).normal(size=(100, 12, 12)).astype(np.float32), 1.0)
    order = np.random.default_rng(1).permutation(100)
    originals = small.select(order).replace(
        stacks=np.full(100, str(tmp_path / "big.mrcs"), dtype=object),
        indices=np.arange(100),
        box_px=12,
        pixel_size_A=1.0,
        euler_deg=None,
        shift_A=None,
        amplitudes=None,
        mode_ids=(),
        score=None,
    )
    write_particles(originals, tmp_path / "originals.star")
    ids = tmp_path / "ids.txt"
    ids.write_text("# chosen by hand\n7\n\n3\n50\n")
    arguments = ["group", "--landscape", str(folder), "--ids", str(ids), "--images", str(tmp_path / "originals.star")]
    assert main([*arguments, "--output", str(tmp_path / "g.star"), "--keep-outliers"]) == 0
    group = read_particles(tmp_path / "g.star")
    assert group.ids.tolist() == [3, 7, 50]
    assert (group.box_px, group.pixel_size_A) == (12, 1.0)
    np.testing.assert_array_equal(group.indices, [int(np.flatnonzero(originals.ids == i)[0]) for i in (3, 7, 50)])
    np.testing.assert_allclose(group.shift_A, small.shift_A[[2, 6, 49]], atol=1e-5)
    np.testing.assert_allclose(group.amplitudes, small.amplitudes[[2, 6, 49]], atol=1e-4)
    assert "cfdPC1" in group.extra


def test_command_says_what_is_wrong(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.txt").write_text("3\nfour\n")
    (tmp_path / "long.txt").write_text("99999999999999999999\n")
    out = ["--landscape", str(folder), "--output", str(tmp_path / "g.star")]
    for arguments, message in [
        (["--ids", str(tmp_path / "bad.txt")], "line 2: got 'four'"),
        (["--ids", str(tmp_path / "long.txt")], "line 1: got '99999999999999999999'"),
        (["--output", str(tmp_path / "g.txt")], "expected .star"),
        (["--expression", "pc1 > 1e9"], "pc1 from"),
        (["--expression", "import os"], "cannot be read"),
    ]:
        assert main(["group", *out, *arguments]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "g.star").exists()
    assert not (tmp_path / "g.txt").exists()
