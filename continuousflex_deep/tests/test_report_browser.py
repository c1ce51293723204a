"""The report as a person uses it, in headless Chromium without a network; skipped where there is none."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pytest
from matplotlib.path import Path as Polygon

from continuousflex_deep.tests.report_browser import OpenReport, browser_missing, chromium_browser, open_report

if browser_missing():
    pytest.skip(browser_missing(), allow_module_level=True)

from continuousflex_deep.animation import deformed
from continuousflex_deep.cli import main
from continuousflex_deep.io.groups import read_groups
from continuousflex_deep.io.landscape_table import LandscapeTable, read_landscape_table, write_landscape_table
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.trajectories import read_trajectory
from continuousflex_deep.options import ReportOptions, from_mapping
from continuousflex_deep.report.command import run
from continuousflex_deep.tests.report_inputs import NASTY, N, write_inputs, write_large_landscape

PLOT = "document.getElementById('landscape')"
STILL = "report.panel.viewer.busy === null"
COUNTED = f"{PLOT}.data[0].z.flat().reduce((n, z) => n + (z === null ? 0 : Math.round(10 ** z)), 0)"  # in the density
RING = """(() => {
    const { x, y, width, height } = document.getElementById("here").getBoundingClientRect();
    return [x + width / 2, y + height / 2];
})()"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_inputs(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def table(inputs: dict[str, str]) -> LandscapeTable:
    return read_landscape_table(inputs["landscape"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium_browser() as started:
        yield started


@pytest.fixture(scope="module")
def whole(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of everything, under a title that tries to run a script."""
    return write(tmp_path_factory.mktemp("page") / "report.html", title=NASTY, **inputs)


@pytest.fixture(scope="module")
def plot_alone(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landscape with a group, without a molecule, which is opened in a fraction of the time."""
    path = tmp_path_factory.mktemp("plot") / "report.html"
    return write(path, landscape=inputs["landscape"], group=inputs["group"])


@pytest.fixture
def opened(browser: Any, plot_alone: Path) -> Iterator[OpenReport]:
    with open_report(browser, plot_alone) as page:
        yield page
        require_quiet(page)


@pytest.fixture
def moving(browser: Any, whole: Path) -> Iterator[OpenReport]:
    """The whole report."""
    with open_report(browser, whole) as page:
        yield page
        require_quiet(page)


def require_quiet(page: OpenReport) -> None:
    """Whatever a test did, the page neither complained nor asked for anything."""
    assert page.value("document.body.dataset.state") == "ready"
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def write(path: Path, **options: Any) -> Path:
    lists = ("group", "trajectory", "reconstruction", "model", "evaluation")
    values = {k: [v] if k in lists else v for k, v in options.items()}
    run(from_mapping(ReportOptions, {"output": str(path), **values}))
    return path


def places(table: LandscapeTable) -> np.ndarray:
    """(n, 2) in the page's numbers."""
    return table.coordinates[:, :2].astype(np.float32)


def frame_around(points: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Two corners of a box around the middle share of places."""
    low, high = np.quantile(points, [(1 - share) / 2, (1 + share) / 2], axis=0)
    return low, high


def ids_in_box(table: LandscapeTable, drawn: dict[str, Any], points: np.ndarray) -> set[int]:
    x, y = sorted([drawn["x0"], drawn["x1"]]), sorted([drawn["y0"], drawn["y1"]])
    inside = (points[:, 0] >= x[0]) & (points[:, 0] <= x[1]) & (points[:, 1] >= y[0]) & (points[:, 1] <= y[1])
    return set(table.ids[inside & ~table.outlier].tolist())


def ids_of(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().splitlines()]


# ------------------------------------------------------------------ loading


def test_everything_is_shown(moving: OpenReport) -> None:
    assert moving.text("h1") == NASTY  # as a text
    assert moving.value("document.querySelectorAll('img[src=x]').length") == 0
    links = ["Landscape", "Trajectories", "Maps", "Training", "Errors", "How it was made"]
    assert moving.value("[...document.querySelectorAll('#contents a')].map((a) => a.textContent)") == links
    assert (
        moving.value("[...document.querySelectorAll('#reconstructions img')].map((i) => i.naturalWidth > 300)")
        == [True] * 2
    )
    curves = moving.value("""[...document.querySelectorAll(".chart")].map((c) => [c.data.length, c.data.at(-1).y.length,
        c.querySelectorAll("path.js-line").length > 0, c.getBoundingClientRect().width > 200])""")
    assert curves == [[2, 5, True, True], [2, 13, True, True]] + [[2, 3, True, True], [1, 3, True, True]] * 2
    assert "--seed" in moving.value("document.getElementById('records').textContent")
    assert "seed 41" in moving.text("#records")


def test_nothing_on_the_page_sends_anything(opened: OpenReport) -> None:
    titles = opened.value("[...document.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title)")
    assert "Lasso Select" in titles
    assert not [title for title in titles if any(word in title for word in ("hare", "loud", "Edit", "Plotly"))]


# ------------------------------------------------------------------ selecting


def test_box_is_downloaded_and_read_by_the_group_command(
    opened: OpenReport, table: LandscapeTable, inputs: dict[str, str], tmp_path: Path
) -> None:
    points = places(table)
    (x0, y0), (x1, y1) = frame_around(points, 0.7)
    opened.drag([(x0, y0), (x1, y1)], "select")
    (drawn,) = opened.selections()
    expected = ids_in_box(table, drawn, points)
    assert 4 < len(expected) < N - 4
    assert abs(drawn["x0"] - x0) < 0.02 * abs(x1 - x0)  # the mouse was where it was meant to be
    opened.page.fill("#group-name", "my group; 1")
    file = opened.download("#download-selection", tmp_path)
    assert file.name == "my_group_1.txt"
    ids = ids_of(file)
    assert set(ids) == expected
    assert len(ids) == len(expected)
    assert opened.text("#selection-told").startswith(f"{len(expected)} particles; mean amplitudes: q7 ")

    by_ids, by_box = tmp_path / "ids.star", tmp_path / "box.star"
    command = ["group", "--landscape", inputs["landscape"]]
    assert main([*command, "--ids", str(file), "--output", str(by_ids)]) == 0
    assert set(read_particles(by_ids).ids.tolist()) == expected
    told = opened.text("#box-command")
    assert told.startswith(f"python -m continuousflex_deep group --landscape {inputs['landscape']} --box 'pc1:")
    assert main([*command, "--box", told.split("'")[1], "--output", str(by_box)]) == 0
    assert set(read_particles(by_box).ids.tolist()) == expected
    assert opened.text("#ids-command").endswith(" --ids my_group_1.txt --output my_group_1.star")


def test_lasso_is_what_is_inside_it(opened: OpenReport, table: LandscapeTable, tmp_path: Path) -> None:
    points = places(table)
    (x0, y0), (x1, y1) = frame_around(points, 0.8)
    corners = [(x0, y0), (x1, y0), ((x0 + x1) / 2, (y0 + y1) / 2), (x1, y1), (x0, y1), (x0, y0)]  # with a notch
    opened.drag([(float(x), float(y)) for x, y in corners], "lasso")
    (drawn,) = opened.selections()
    outline = [[float(v) for v in p.split(",")] for p in drawn["path"].strip("MZ").split("L")]
    inside = Polygon(outline).contains_points(points)
    box = (points[:, 0] > x0) & (points[:, 0] < x1) & (points[:, 1] > y0) & (points[:, 1] < y1)
    assert 0 < inside.sum() < box.sum()  # the notch leaves some out
    assert set(ids_of(opened.download("#download-selection", tmp_path))) == set(
        table.ids[inside & ~table.outlier].tolist()
    )
    assert not opened.page.is_visible("#box-command")


def test_areas_add_up_and_go(opened: OpenReport, table: LandscapeTable) -> None:
    points = places(table)
    (x0, y0), (x1, y1) = frame_around(points, 0.9)
    middle = (x0 + x1) / 2
    opened.drag([(x0, y0), (middle - 0.1 * (x1 - x0), y1)], "select")
    opened.page.keyboard.down("Shift")
    opened.drag([(middle + 0.1 * (x1 - x0), y0), (x1, y1)], "select")
    opened.page.keyboard.up("Shift")
    opened.wait(f"{PLOT}.layout.selections.length === 2")
    expected = set().union(*(ids_in_box(table, drawn, points) for drawn in opened.selections()))
    assert opened.text("#selection-told").startswith(f"{len(expected)} particles")
    assert not opened.page.is_visible("#box-command")
    opened.page.mouse.dblclick(*opened.at(float(middle), float((y0 + y1) / 2)))
    opened.wait("report.groups.selection === null")
    assert opened.page.is_disabled("#download-selection")


def test_groups_are_kept_and_read_by_the_group_command(
    opened: OpenReport, table: LandscapeTable, inputs: dict[str, str], tmp_path: Path
) -> None:
    points = places(table)
    (x0, y0), (x1, y1) = frame_around(points, 0.6)
    opened.drag([(x0, y0), (x1, y1)], "select")
    expected = ids_in_box(table, opened.selections()[0], points)
    for _ in range(2):
        opened.page.fill("#group-name", 'mid "<b>"')
        opened.page.click("#add-group")
    opened.wait(f"{PLOT}.data.some((t) => t.name?.startsWith('mid'))")
    groups = read_groups(opened.download("#download-groups", tmp_path))
    assert [g.name for g in groups] == ["open", 'mid "<b>"', 'mid "<b>" 2']
    assert len({g.colour for g in groups}) == 3
    assert set(groups[0].ids.tolist()) == set(read_particles(inputs["group"]).ids.tolist())
    assert set(groups[1].ids.tolist()) == set(groups[2].ids.tolist()) == expected
    command = ["group", "--landscape", inputs["landscape"], "--groups", str(tmp_path / "groups.json")]
    assert main([*command, "--output", str(tmp_path / "made")]) == 0
    assert len(list((tmp_path / "made").glob("*.star"))) == 3
    file = opened.download("#groups tr:nth-child(2) button:text('download ids')", tmp_path)
    assert set(ids_of(file)) == expected
    opened.page.click("#groups tr:nth-child(2) button:text('remove')")
    assert opened.value("report.groups.all.map((g) => g.name)") == ["open", 'mid "<b>" 2']


def test_outliers_are_selected_where_they_are_shown(browser: Any, inputs: dict[str, str], tmp_path: Path) -> None:
    """In a landscape in which every third particle is marked as one."""
    table = write_large_landscape(tmp_path / "marked", inputs["landscape"], 90)
    table.outlier[::3] = True
    write_landscape_table(tmp_path / "marked", table)
    with open_report(browser, write(tmp_path / "r.html", landscape=str(tmp_path / "marked"))) as opened:
        (x0, y0), (x1, y1) = frame_around(places(table), 0.9)
        opened.drag([(x0, y0), (x1, y1)], "select")
        without = set(ids_of(opened.download("#download-selection", tmp_path)))
        assert without == ids_in_box(table, opened.selections()[0], places(table))
        assert "--keep-outliers" not in opened.text("#ids-command")
        opened.page.check("#show-outliers")
        opened.wait("report.groups.selection === null")
        opened.drag([(x0, y0), (x1, y1)], "select")
        table.outlier[:] = False
        assert set(ids_of(opened.download("#download-selection", tmp_path))) == ids_in_box(
            table, opened.selections()[0], places(table)
        )
        assert "--keep-outliers" in opened.text("#ids-command")
        assert opened.complaints == []


# ------------------------------------------------------------------ looking


def hover(opened: OpenReport, table: LandscapeTable) -> int:
    """Point at the particle that is farthest from others; its row."""
    points = places(table).astype(np.float64)
    points = points[~table.outlier]
    scaled = points / points.std(axis=0)
    distance = np.linalg.norm(scaled[:, None] - scaled[None], axis=2) + np.eye(len(points)) * 1e9
    row = int(np.flatnonzero(~table.outlier)[distance.min(axis=1).argmax()])
    x, y = opened.at(*places(table)[row].tolist())
    opened.page.mouse.move(x - 40, y - 40)
    opened.page.mouse.move(x, y, steps=5)
    opened.wait("!document.getElementById('tip').hidden")
    return row


def test_hover_tells_id_and_columns(opened: OpenReport, table: LandscapeTable) -> None:
    row = hover(opened, table)
    told = opened.text("#tip")
    assert f"particle {table.ids[row]}" in told
    columns = opened.value("[...report.particles.columns.values()].map((c) => c.label)")
    assert [c for c in columns if c not in told] == []
    assert f"{float(f'{table.amplitudes[row, 0]:.4g}'):g}" in told


def test_click_shows_the_particles_conformation(
    moving: OpenReport, table: LandscapeTable, inputs: dict[str, str], tmp_path: Path
) -> None:
    """The viewer's atoms are those of the structure deformed by the particle's amplitudes, as the commands do."""
    before = moving.page.locator("#molecule").screenshot()
    row = hover(moving, table)
    moving.page.mouse.down()
    moving.page.mouse.up()
    moving.wait(f"document.getElementById('molecule-told').textContent.startsWith('particle {table.ids[row]}:')")
    moving.wait(STILL)
    structure, modes = read_reference(inputs["structure"], inputs["modes"], table.mode_ids)
    expected = deformed(structure, modes.vectors, table.amplitudes[row])
    # what Mol* holds, not what it was told
    held = moving.value("""(() => {
        const { structures } = report.panel.viewer.viewer.plugin.managers.structure.hierarchy.current;
        const { x, y, z } = structures[0].cell.obj.data.units[0].model.atomicConformation;
        return [Array.from(x), Array.from(y), Array.from(z)];
    })()""")
    np.testing.assert_allclose(np.array(held).T, expected - structure.center_A, atol=2e-3)
    rmsd_A = np.sqrt(np.square(expected - structure.coords_A).sum(axis=1).mean())
    assert f"RMSD {rmsd_A:.2f} Å" in moving.text("#molecule-told")
    moving.page.wait_for_timeout(500)
    assert moving.page.locator("#molecule").screenshot() != before
    assert moving.page.is_visible("#here")
    np.testing.assert_allclose(moving.value(RING), moving.at(*places(table)[row].tolist()), atol=1)

    file = moving.download("#download-structure", tmp_path)
    atoms = gemmi.make_structure_from_block(gemmi.cif.read(str(file))[0])[0]
    np.testing.assert_allclose([a.atom.pos.tolist() for a in atoms.all()], expected - structure.center_A, atol=1e-3)
    moving.page.click("#rest")
    moving.wait(STILL)
    assert "RMSD 0.00 Å" in moving.text("#molecule-told")


def test_slider_moves_the_molecule(moving: OpenReport, inputs: dict[str, str]) -> None:
    moving.page.locator("#slider-8").evaluate("(s) => { s.value = 12.5; s.dispatchEvent(new Event('input')); }")
    moving.wait(STILL)
    structure, modes = read_reference(inputs["structure"], inputs["modes"], (7, 8))
    expected = deformed(structure, modes.vectors, np.array([0.0, 12.5])) - structure.center_A
    shown = np.array(moving.value("Array.from(report.panel.viewer.shown)")).reshape(-1, 3)
    np.testing.assert_allclose(shown, expected, atol=1e-3)


def test_trajectory_is_played(moving: OpenReport, inputs: dict[str, str]) -> None:
    path = read_trajectory(Path(inputs["trajectory"]) / "trajectory.json")
    moving.page.click("#play")
    seen = set()
    for _ in range(400):
        seen.add(moving.text("#frame-told").partition(",")[0])
        if len(seen - {""}) == 5:
            break
        moving.page.wait_for_timeout(50)
    assert seen - {""} == {f"frame {i} of 5" for i in range(1, 6)}
    moving.page.click("#play")
    assert moving.text("#play") == "play"
    moving.page.locator("#frame").evaluate("(s) => { s.value = 3; s.dispatchEvent(new Event('input')); }")
    moving.wait(STILL)
    structure, modes = read_reference(inputs["structure"], inputs["modes"], (7, 8))
    shown = np.array(moving.value("Array.from(report.panel.viewer.shown)")).reshape(-1, 3)
    np.testing.assert_allclose(
        shown, deformed(structure, modes.vectors, path.amplitudes_A[3]) - structure.center_A, atol=1e-3
    )
    np.testing.assert_allclose(moving.value(RING), moving.at(*path.points[3, :2].tolist()), atol=1)


def test_axes_colours_and_density(opened: OpenReport, table: LandscapeTable, tmp_path: Path) -> None:
    opened.page.select_option("#x-axis", "q7")
    opened.page.select_option("#y-axis", "defocus")
    opened.page.select_option("#colour", "distance")
    opened.page.check("#show-density")
    opened.wait(f"{PLOT}.data[0].type === 'heatmap'")
    assert opened.value(f"['xaxis', 'yaxis'].map((a) => {PLOT}.layout[a].title.text)") == ["q7 [Å]", "defocus [Å]"]
    points = opened.value(f"[{PLOT}.data[1].x, {PLOT}.data[1].marker.color].map((v) => Array.from(v))")
    kept = ~table.outlier
    np.testing.assert_allclose(points, [table.amplitudes[kept, 0], table.distance[kept]], rtol=1e-6)
    assert opened.value(COUNTED) == kept.sum()
    opened.page.select_option("#y-axis", "q8")
    opened.page.uncheck("#show-points")
    points = table.amplitudes.astype(np.float32)
    (x0, y0), (x1, y1) = frame_around(points, 0.6)
    opened.drag([(x0, y0), (x1, y1)], "select")  # on the density alone
    ids = set(ids_of(opened.download("#download-selection", tmp_path)))
    assert ids == ids_in_box(table, opened.selections()[0], points)
    assert "--box 'q7:" in opened.text("#box-command")


def test_a_source_is_a_colour(opened: OpenReport) -> None:
    opened.page.select_option("#colour", "source")
    opened.wait(f"{PLOT}.data[0].name === 'truth'")


# ------------------------------------------------------------------ other inputs, large ones


def test_frames_without_a_structure(browser: Any, inputs: dict[str, str], tmp_path: Path) -> None:
    with open_report(browser, write(tmp_path / "r.html", trajectory=inputs["trajectory"])) as opened:
        assert opened.page.is_visible("#molecule")
        assert not opened.page.is_visible("#landscape")
        opened.page.locator("#frame").evaluate("(s) => { s.value = 4; s.dispatchEvent(new Event('input')); }")
        opened.wait(STILL)
        frame = gemmi.read_structure(f"{inputs['trajectory']}/frames.pdb")[4]
        expected = np.array([site.atom.pos.tolist() for site in frame.all()])
        shown = np.array(opened.value("Array.from(report.panel.viewer.shown)")).reshape(-1, 3)
        np.testing.assert_allclose(shown - shown.mean(axis=0), expected - expected.mean(axis=0), atol=2e-3)
        assert opened.complaints == []


def test_tables_alone(browser: Any, inputs: dict[str, str], tmp_path: Path) -> None:
    page = write(tmp_path / "r.html", evaluation=inputs["evaluation"], model=inputs["model"])
    with open_report(browser, page, width=420) as opened:
        assert opened.page.is_visible("#evaluations table")
        assert not opened.page.is_visible("#landscape-section")
        assert opened.value("document.documentElement.scrollWidth") <= 420
        assert opened.complaints == []


@pytest.mark.parametrize(("most_megabytes", "covers"), [(60.0, True), (0.0, False)])
def test_selections_in_large_landscapes(
    browser: Any, inputs: dict[str, str], tmp_path: Path, most_megabytes: float, covers: bool
) -> None:
    """Of more particles than are drawn a selection covers all, where they are in the page, and otherwise says so."""
    n, drawn = 20_000, 500
    table = write_large_landscape(tmp_path / "large", inputs["landscape"], n)
    page = write(tmp_path / "r.html", landscape=str(tmp_path / "large"), max_points=drawn, max_megabytes=most_megabytes)
    with open_report(browser, page) as opened:
        assert opened.value(f"{PLOT}.data.at(-1).x.length") == drawn
        (x0, y0), (x1, y1) = frame_around(places(table), 0.5)
        opened.drag([(x0, y0), (x1, y1)], "select")
        ids = ids_of(opened.download("#download-selection", tmp_path))
        expected = ids_in_box(table, opened.selections()[0], places(table))
        told = opened.text("#landscape-told")
        counts = opened.value(COUNTED)
        assert told.startswith("20,000 particles. Drawn as points: 500 of them")
        if covers:
            assert set(ids) == expected
            assert counts == n
            assert "selections and their ids cover all of them" in told
            opened.page.select_option("#x-axis", "rot")
            assert "cover only the particles drawn: what rot is" in opened.text("#landscape-told")
            assert opened.value("report.landscape.kept()[0].length") == drawn
        else:
            assert set(ids) < expected
            assert 0.01 * len(expected) < len(ids) < 0.05 * len(expected)
            assert counts == drawn
            assert "cover only these" in told
        assert opened.complaints == []


def test_without_webgl_the_rest_is_shown(browser: Any, whole: Path, table: LandscapeTable, tmp_path: Path) -> None:
    """As on some remote desktops; points are then drawn by other means, and can be selected all the same."""
    context = browser.new_context(offline=True, viewport={"width": 1440, "height": 1000}, accept_downloads=True)
    context.add_init_script(
        "const of = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
        "  return kind.includes('webgl') ? null : of.call(this, kind, ...more); };"
    )
    opened = OpenReport(context.new_page())
    opened.load(whole)
    assert "no WebGL: molecules are not shown" in opened.text("#status")
    assert not opened.page.is_visible("#molecule")
    (x0, y0), (x1, y1) = frame_around(places(table), 0.7)
    opened.drag([(x0, y0), (x1, y1)], "select")
    ids = set(ids_of(opened.download("#download-selection", tmp_path)))
    assert ids == ids_in_box(table, opened.selections()[0], places(table))
    require_quiet(opened)
    context.close()


def test_long_ids_are_written_whole(browser: Any, inputs: dict[str, str], tmp_path: Path) -> None:
    """63 bits, of which a browser's numbers hold 53."""
    table = write_large_landscape(tmp_path / "long", inputs["landscape"], 60)
    table.ids[:] = 2**63 - 1 - np.arange(60)
    write_landscape_table(tmp_path / "long", table)
    with open_report(browser, write(tmp_path / "r.html", landscape=str(tmp_path / "long"))) as opened:
        (x0, y0), (x1, y1) = frame_around(places(table), 0.8)
        opened.drag([(x0, y0), (x1, y1)], "select")
        ids = ids_of(opened.download("#download-selection", tmp_path))
        assert set(ids) == ids_in_box(table, opened.selections()[0], places(table))
        assert max(ids) > 2**62
        opened.page.click("#add-group")
        groups = json.loads(opened.download("#download-groups", tmp_path).read_text())
        assert set(groups["groups"][0]["ids"]) == set(ids)
