"""The article's tables of errors that are known exactly, results against each other, and their figures."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from scipy.spatial.transform import Rotation

from continuousflex_deep.assessment.article_tables import article_tables, write_tables
from continuousflex_deep.assessment.assessment import Assessment
from continuousflex_deep.assessment.evaluation import evaluate, evaluate_between
from continuousflex_deep.cli import main
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.figures.assessment import (
    draw_errors,
    draw_groups,
    draw_text,
    errors_size,
    groups_size,
    text_size,
)
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler, random_rotations
from continuousflex_deep.io.error_table import read_errors, write_errors
from continuousflex_deep.io.groups import COLOURS
from continuousflex_deep.io.modes import write_modes
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.structures import write_structure
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.moving_particles import ATOMS, chain, motions

N = 40
ALTERNATING = np.where(np.arange(N) % 2, 1.0, 3.0)  # its mean is 2, its deviation 1


@pytest.fixture
def truth(tmp_path: Path) -> Particles:
    rng = np.random.default_rng(1)
    return Particles(
        ids=np.arange(1, N + 1),
        stacks=np.full(N, str(tmp_path / "images.mrcs"), dtype=object),
        indices=np.arange(N),
        pixel_size_A=2.0,
        box_px=16,
        euler_deg=matrix_to_euler(random_rotations(N, rng)),
        shift_A=rng.normal(size=(N, 2)),
        mode_ids=(7, 8),
        amplitudes=rng.normal(size=(N, 2)) * 50,
    )


def turned(particles: Particles, axis: list[float], angle_deg: float) -> Particles:
    """Seen from elsewhere: the model turned about an axis of its own."""
    turn = Rotation.from_rotvec(np.radians(angle_deg) * np.array(axis) / np.linalg.norm(axis)).as_matrix()
    return particles.replace(euler_deg=matrix_to_euler(turn @ euler_to_matrix(particles.euler_deg)))


@pytest.mark.parametrize("angle_deg", [2.0, 60.0])
def test_angular_distance_is_the_mean_over_rotated_axes(truth: Particles, angle_deg: float) -> None:
    structure = chain()
    about_one = evaluate(turned(truth, [0, 1, 0], angle_deg), truth, structure, motions(structure))
    np.testing.assert_allclose(about_one.errors["angle_deg"], 2 / 3 * angle_deg, rtol=1e-6)
    about_all = evaluate(turned(truth, [1, 1, 1], angle_deg), truth, structure, motions(structure))
    each_deg = np.degrees(np.arccos((1 + 2 * np.cos(np.radians(angle_deg))) / 3))
    np.testing.assert_allclose(about_all.errors["angle_deg"], each_deg, rtol=1e-6)
    # an atom at distance d from the axis moves by 2 d sin(angle/2); of the image's y axis, as each particle is turned
    seen = np.einsum("nij,aj->nai", euler_to_matrix(truth.euler_deg), structure.coords_A - structure.center_A)
    distance_A = np.sqrt((seen[:, :, [0, 2]] ** 2).sum(axis=2).mean(axis=1))
    expected_A = 2 * distance_A * np.sin(np.radians(angle_deg) / 2)
    np.testing.assert_allclose(about_one.errors["rmsd_angle_A"], expected_A, rtol=1e-6)


def offset(truth: Particles) -> Particles:
    """Errors whose means and deviations are known; those of amplitudes in both directions."""
    sign = np.where(np.arange(N) % 4 < 2, 1.0, -1.0)
    return truth.replace(
        amplitudes=truth.amplitudes + np.stack([ALTERNATING * sign, -2 * ALTERNATING * sign], axis=1),
        shift_A=truth.shift_A + np.stack([np.full(N, -0.3), 0.4 * sign], axis=1),
    )


def test_tables_hold_means_and_deviations_in_the_articles_columns(truth: Particles, tmp_path: Path) -> None:
    structure = chain()
    evaluations = {"network vs. truth": evaluate(offset(truth), truth, structure, motions(structure))}
    distances, rmsd = article_tables(evaluations, {"amplitude": 1.5, "angle_deg": 0.1})
    assert distances.head == (
        "", "of", "particles", "q [Å]", "q7 [Å]", "q7 SD", "q8 [Å]", "q8 SD", "angle [°]", "angle SD", "shift x [Å]",
        "shift x SD", "shift y [Å]", "shift y SD",
    )  # fmt: skip
    assert distances.rows[0][:3] == ("network vs. truth", "all", N)
    np.testing.assert_allclose(distances.rows[0][3:], [3, 2, 1, 4, 2, 0, 0, 0.3, 0, 0.4, 0], atol=1e-6)
    assert distances.rows[1] == ("Cramér-Rao bound", "", None, 1.5, *[None] * 4, 0.1, *[None] * 5)
    # orthogonal modes of unit norm: RMSD = |Δq|/√N
    np.testing.assert_allclose(rmsd.rows[0][3:5], [2 * np.sqrt(5 / ATOMS), np.sqrt(5 / ATOMS)], rtol=1e-6)
    np.testing.assert_allclose(rmsd.rows[0][7:], [0.5, 0], atol=1e-6)
    write_tables(tmp_path, [distances, rmsd])
    with (tmp_path / "distances.csv").open(encoding="utf-8", newline="") as file:
        head, first, bound = list(csv.reader(file))
    assert (tuple(head), first[4], bound[4]) == (distances.head, "2", "")
    markdown = (tmp_path / "tables.md").read_text(encoding="utf-8").splitlines()
    assert {line.count("|") for line in markdown if line.startswith("|")} == {15, 10}


def test_lost_particles_have_a_row_without_them(truth: Particles) -> None:
    structure = chain()
    wrong = offset(truth)
    euler_deg, amplitudes = wrong.euler_deg.copy(), wrong.amplitudes.copy()
    euler_deg[0, 1] += 90
    amplitudes[0] += 1000
    result = evaluate(wrong.replace(euler_deg=euler_deg, amplitudes=amplitudes), truth, structure, motions(structure))
    distances = article_tables({"a": result})[0]
    assert [row[1:3] for row in distances.rows] == [("all", N), ("within 5°", N - 1)]
    assert distances.rows[0][3] > 25 > 4 > distances.rows[1][3]


def test_what_nothing_is_known_of_is_left_out(truth: Particles) -> None:
    structure = chain()
    poses = truth.replace(amplitudes=None, mode_ids=())
    bent = truth.replace(euler_deg=None, shift_A=None)
    evaluations = {n: evaluate(p, truth, structure, motions(structure)) for n, p in (("p", poses), ("q", bent))}
    distances, _ = article_tables(evaluations)
    assert distances.rows[0][3:8] == (None,) * 5
    assert distances.rows[1][8:] == (None,) * 6
    assert "angle [°]" not in article_tables({"q": evaluations["q"]})[0].head
    assert article_tables({}) == []


def test_results_are_compared_over_the_particles_that_both_have(truth: Particles) -> None:
    structure = chain()
    first, second = offset(truth).select(np.arange(10, N)), truth.select(np.arange(20))
    between = evaluate_between(first, second, structure, motions(structure))
    assert between.ids.tolist() == list(range(11, 21))
    assert between.overall["amplitude_7"].mean == pytest.approx(2)
    with pytest.raises(InputError, match="no particle in common"):
        evaluate_between(truth.select([0, 1]), truth.select([2]), structure, motions(structure))


def test_errors_are_read_as_they_were_written(truth: Particles, tmp_path: Path) -> None:
    structure = chain()
    evaluations = {
        "a vs. truth": evaluate(offset(truth), truth, structure, motions(structure)),
        "b, 'poses' vs. truth": evaluate(
            truth.replace(amplitudes=None, mode_ids=()).select(np.arange(5)), truth, structure, motions(structure)
        ),
    }
    write_errors(tmp_path / "errors.csv", evaluations)
    found = read_errors(tmp_path / "errors.csv")
    assert list(found) == list(evaluations)
    assert "amplitude" not in found["b, 'poses' vs. truth"]
    for name, one in evaluations.items():
        assert set(found[name]) == set(one.errors)
        for kind, values in one.errors.items():
            np.testing.assert_allclose(found[name][kind], values, rtol=1e-5, atol=1e-12)
    (tmp_path / "other.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(FormatError, match="expected comparison"):
        read_errors(tmp_path / "other.csv")


def drawn(size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    return figure


def assert_inside(figure: Figure, box: Bbox) -> None:
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y1 <= figure.bbox.y1


def assert_apart(figure: Figure) -> None:
    figure.canvas.draw()
    shown = [ax for ax in figure.axes if ax.axison]
    boxes = [ax.get_tightbbox() for ax in shown] + [legend.get_window_extent() for legend in figure.legends]
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])
        assert_inside(figure, one)


@pytest.mark.parametrize(("modes", "panels"), [((7, 8), 5), (tuple(range(7, 14)), 4)])
def test_errors_figure(modes: tuple[int, ...], panels: int) -> None:
    """A panel for each mode, or one for many; each comparison's histogram holds all its particles."""
    rng = np.random.default_rng(0)
    kinds = [*(f"amplitude_{m}" for m in modes), "amplitude", "angle_deg", "shift_A", "rmsd_amplitude_A"]
    errors = {name: {kind: np.abs(rng.normal(size=300)) for kind in kinds} for name in ("network", "HEMNMA")}
    errors["HEMNMA"]["angle_deg"][:2] = 170.0, 0.0
    errors["HEMNMA"]["shift_A"][:] = 0.0
    figure = drawn(errors_size(errors))
    draw_errors(errors, figure)
    shown = [ax for ax in figure.axes if ax.axison]
    assert len(shown) == panels
    for ax in shown:
        assert len(ax.patches) == len(errors)
        for patch in ax.patches:
            heights = np.asarray(patch.get_path().vertices)[1:-1:2, 1]  # of a step polygon, one corner a bin
            assert heights.sum() == pytest.approx(100, rel=1e-3)
    angle = next(ax for ax in shown if "°" in ax.get_xlabel())
    assert angle.get_xlim()[1] > 170
    assert angle.get_xlim()[0] < 0.1
    assert_apart(figure)


def assert_told_apart(styles: list[tuple[str, Any]]) -> None:
    """By colours that are apart for everyone, and by dashes."""
    colours = [colour for colour, _ in styles]
    assert colours == list(COLOURS[: len(styles)])
    assert len({dashes for _, dashes in styles[:3]}) == 3


def test_lines_of_comparisons_are_told_apart() -> None:
    errors = {f"run {n}": {"angle_deg": np.arange(1.0, 9.0)} for n in range(12)}
    figure = drawn(errors_size(errors))
    draw_errors(errors, figure)
    patches = figure.axes[0].patches
    assert_told_apart([(to_hex(patch.get_edgecolor()), patch.get_linestyle()) for patch in patches])


@pytest.mark.parametrize(("names", "panels"), [(("centroid", "structure at rest"), 2), (
    ("centroid", "true centroid", "structure at rest", "farthest other centroid"), 4,
)])  # fmt: skip
def test_groups_figure(names: tuple[str, ...], panels: int) -> None:
    frequency = np.arange(33) / (32 * 3.0)
    falling = {name: (frequency, np.exp(-frequency * 8 * (1 + i))) for i, name in enumerate(names)}
    falling |= {f"{name}, masked": curve for name, curve in falling.items()}
    falling["allowed by noise"] = (frequency, falling["centroid"][1] ** 0.8)
    groups = {f"group_{n}": falling for n in range(1, 12)}
    figure = drawn(groups_size(groups))
    draw_groups(groups, figure)
    shown = [ax for ax in figure.axes if ax.axison]
    assert len(shown) == panels
    assert len(shown[0].lines) == 11 + 11 + 1 + 2  # groups, what noise allows, its place in the legend, thresholds
    assert len(shown[1].lines) == 11 + 1 + 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*groups, "allowed by noise"]
    of_groups, allowed = shown[0].lines[:11], shown[0].lines[11:22]
    assert_told_apart([(to_hex(line.get_color()), line.get_linestyle()) for line in of_groups])
    # what noise allows is shown as far as it is known
    assert all(line.get_ydata().min() >= 0.25 > falling["allowed by noise"][1].min() for line in allowed)
    assert_apart(figure)


def test_tables_as_a_figure_are_whole() -> None:
    text = "\n".join(["x" * 150, "y", *["z" * 80] * 30])
    figure = drawn(text_size(text))
    draw_text(text, figure)
    figure.canvas.draw()
    assert_inside(figure, figure.texts[0].get_window_extent())


def arguments(folder: Path, *files: str) -> list[str]:
    write_structure(folder / "s.pdb", chain())
    write_modes(folder / "modes", motions(chain()))
    named = [word for file in files for word in ("--particles", str(folder / file))]
    return ["evaluate", *named, "--structure", str(folder / "s.pdb"), "--modes", str(folder / "modes")]


def test_command_without_truth(truth: Particles, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_particles(offset(truth), tmp_path / "network.star")
    write_particles(truth.select(np.arange(15)), tmp_path / "HEMNMA.star")
    write_particles(truth.select(np.arange(20, 30)), tmp_path / "others.star")
    files = ("network.star", "HEMNMA.star", "others.star")
    assert main([*arguments(tmp_path, *files), "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "'HEMNMA' and 'others' are not compared: they share no particles" in said.err
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert (record["results"], record["bound"], record["groups"]) == ({}, None, [])
    assert {n: one["particles"] for n, one in record["between"].items()} == {
        "network vs. HEMNMA": 15, "network vs. others": 10,
    }  # fmt: skip
    assert record["between"]["network vs. HEMNMA"]["all"]["amplitude_8"]["mean"] == pytest.approx(4, abs=0.2)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "tables.txt", "tables.md", "distances.csv", "rmsd.csv", "errors.csv", "errors.png", "record.json",
    }  # fmt: skip


def test_results_called_truth_are_no_truth(truth: Particles, tmp_path: Path) -> None:
    write_particles(truth, tmp_path / "known.star")
    write_particles(offset(truth), tmp_path / "al.star")
    write_particles(turned(truth, [0, 1, 0], 3.0).select(np.arange(10)), tmp_path / "truth.star")
    words = [*arguments(tmp_path, "al.star", "truth.star"), "--truth", str(tmp_path / "known.star")]
    assert main([*words, "--output", str(tmp_path / "out")]) == 0
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert list(record["results"]) == ["al", "truth (2)"]
    names = ["al vs. truth", "truth (2) vs. truth", "al vs. truth (2)"]
    assert list(record["comparisons"]) == names
    assert record["comparisons"]["al vs. truth"]["particles"] == N
    assert record["comparisons"]["al vs. truth"]["all"]["amplitude_7"]["mean"] == pytest.approx(2, abs=1e-3)
    assert record["results"] | record["between"] == {
        one.removesuffix(" vs. truth"): figures for one, figures in record["comparisons"].items()
    }
    assert list(read_errors(tmp_path / "out" / "errors.csv")) == names
    distances = next(table for table in record["tables"] if table["name"] == "distances")
    assert distances["rows"][0][:3] == ["al vs. truth", "all", N]
    assert distances["head"][3:5] == ["q [Å]", "q7 [Å]"]


def test_results_of_one_name_are_told_apart_by_their_folders(truth: Particles, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_particles(truth, tmp_path / folder / "al.star")
    assert main([*arguments(tmp_path, "a/al.star", "b/al.star"), "--output", str(tmp_path / "out.json")]) == 0
    assert list(json.loads((tmp_path / "out.json").read_text())["comparisons"]) == ["a/al vs. b/al"]


def test_no_comparison_takes_anothers_name(truth: Particles) -> None:
    structure = chain()
    one, other = (evaluate(p, truth, structure, motions(structure)) for p in (truth, offset(truth)))
    found = Assessment({"a vs. b": one}, {"a vs. b vs. truth": other}).comparisons()
    assert found == {"a vs. b vs. truth": one, "a vs. b vs. truth (2)": other}


def test_command_says_what_is_missing(truth: Particles, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_particles(truth, tmp_path / "a.star")
    write_particles(truth.replace(mode_ids=(8,), amplitudes=truth.amplitudes[:, 1:]), tmp_path / "b.star")
    for files, more, message in (
        (("a.star",), (), "alone cannot be compared"),
        (("a.star", "b.star"), ("--bound",), "give them by --truth"),
        (("a.star", "a.star"), (), "is given twice"),
        (("a.star", "b.star"), (), "select those to compare by --mode-list"),
    ):
        assert main([*arguments(tmp_path, *files), *more]) == 2
        assert message in capsys.readouterr().err
    assert main([*arguments(tmp_path, "a.star", "b.star"), "--mode-list", "8"]) == 0
