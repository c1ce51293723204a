"""The report as a person uses it, in headless Chromium without a network; skipped where there is none."""

import dataclasses
import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pytest
from matplotlib.path import Path as Polygon

from continuousflex_deep.tests.helpers.report_browser import OpenReport, browser_missing, chromium_browser, open_report

if browser_missing():
    pytest.skip(browser_missing(), allow_module_level=True)

from continuousflex_deep.cli import main
from continuousflex_deep.commands.report import run
from continuousflex_deep.io.density_table import read_densities
from continuousflex_deep.io.groups import COLOURS, NamedGroup, read_groups, write_groups
from continuousflex_deep.io.landscape_table import LandscapeTable, read_landscape_table, write_landscape_table
from continuousflex_deep.io.modes import write_modes
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import read_structure, write_structure
from continuousflex_deep.io.trajectories import read_trajectory
from continuousflex_deep.motion import motion_along
from continuousflex_deep.nma.network import compute_modes
from continuousflex_deep.options import NmaOptions, ReportOptions, from_mapping
from continuousflex_deep.report.page import json_in_html
from continuousflex_deep.tests.helpers.report_inputs import (
    NASTY,
    N,
    write_assessments,
    write_large_landscape,
)

PLOT = "document.getElementById('landscape')"
STILL = "report.panel.viewer.busy === null"
COUNTED = f"{PLOT}.data[0].z.flat().reduce((n, z) => n + (z === null ? 0 : Math.round(10 ** z)), 0)"  # in the density
REST_HIDDEN = """(() => {
    const { viewer } = report.panel;
    return Boolean(viewer.viewer.plugin.state.data.cells.get(viewer.grey.ref).state.isHidden);
})()"""
RING = """(() => {
    const { x, y, width, height } = document.getElementById("here").getBoundingClientRect();
    return [x + width / 2, y + height / 2];
})()"""


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


@pytest.fixture(scope="module")
def opened_once(browser: Any, plot_alone: Path) -> Iterator[OpenReport]:
    with open_report(browser, plot_alone) as page:
        page.remember()
        yield page


@pytest.fixture
def opened(opened_once: OpenReport) -> Iterator[OpenReport]:
    """The landscape alone, as it is when it was just opened."""
    opened_once.start_over()
    yield opened_once
    require_quiet(opened_once)


@pytest.fixture(scope="module")
def moving_once(browser: Any, whole: Path) -> Iterator[OpenReport]:
    with open_report(browser, whole) as page:
        page.wait(STILL)
        page.remember()
        yield page


@pytest.fixture
def moving(moving_once: OpenReport) -> Iterator[OpenReport]:
    """The whole report, as it is when it was just opened."""
    moving_once.start_over()
    yield moving_once
    require_quiet(moving_once)


def require_quiet(page: OpenReport) -> None:
    """Whatever a test did, the page neither complained nor asked for anything."""
    assert page.value("document.body.dataset.state") == "ready"
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def write(path: Path, **options: Any) -> Path:
    lists = ("group", "trajectory", "reconstruction", "model", "evaluation")
    values = {k: [v] if k in lists and isinstance(v, str) else v for k, v in options.items()}
    run(from_mapping(ReportOptions, {"output": str(path), **values}))
    return path


def content_of(page: Path) -> dict[str, Any]:
    """What a page shows."""
    return dict(json.loads(page.read_text().split('id="content">', 1)[1].split("</script>", 1)[0]))


def molecule_of(page: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The content of a page's molecule, and its packed arrays by ids that no other page has."""
    molecule = content_of(page)["molecule"]
    arrays = {name: value for name, value in molecule.items() if isinstance(value, dict) and "block" in value}
    renamed = {name: value | {"block": f"other-{value['block']}"} for name, value in arrays.items()}
    texts = dict(re.findall(r'<script type="application/octet-stream" id="([\w-]+)">(.*?)</script>', page.read_text()))
    return molecule | renamed, {f"other-{value['block']}": texts[value["block"]] for value in arrays.values()}


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
    curves = moving.value("""[...document.querySelectorAll("section:not(#landscape-section) .chart")].map((c) => [
        c.data.length, c.data.at(-1).y.length, c.querySelectorAll("path.js-line").length > 0,
        c.getBoundingClientRect().width > 200])""")
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


@pytest.fixture(scope="module")
def marked(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landscape in which every third particle is marked as an outlier."""
    folder = tmp_path_factory.mktemp("outliers") / "marked"
    shutil.copytree(inputs["landscape"], folder)
    table = read_landscape_table(folder)
    table.outlier[:] = np.arange(N) % 3 == 0
    write_landscape_table(folder, table)
    return folder


@pytest.fixture(scope="module")
def outliers_once(browser: Any, marked: Path) -> Iterator[OpenReport]:
    with open_report(browser, write(marked.parent / "r.html", landscape=str(marked))) as page:
        page.remember()
        yield page


@pytest.fixture
def outliers(outliers_once: OpenReport) -> Iterator[OpenReport]:
    """That landscape, as it is when it was just opened."""
    outliers_once.start_over()
    yield outliers_once
    require_quiet(outliers_once)


def test_outliers_are_selected_where_they_are_shown(outliers: OpenReport, marked: Path, tmp_path: Path) -> None:
    table = read_landscape_table(marked)
    (x0, y0), (x1, y1) = frame_around(places(table), 0.9)
    outliers.drag([(x0, y0), (x1, y1)], "select")
    without = set(ids_of(outliers.download("#download-selection", tmp_path)))
    assert without == ids_in_box(table, outliers.selections()[0], places(table))
    assert "--keep-outliers" not in outliers.text("#ids-command")
    outliers.page.check("#show-outliers")
    outliers.wait("report.groups.selection === null")
    outliers.drag([(x0, y0), (x1, y1)], "select")
    table.outlier[:] = False
    selected = set(ids_of(outliers.download("#download-selection", tmp_path)))
    assert selected == ids_in_box(table, outliers.selections()[0], places(table))
    assert selected > without
    assert "--keep-outliers" in outliers.text("#ids-command")


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


def held(opened: OpenReport) -> np.ndarray:
    """(n, 3) what Mol* holds, not what it was told."""
    atoms = opened.value("""(() => {
        const { structures } = report.panel.viewer.viewer.plugin.managers.structure.hierarchy.current;
        const { x, y, z } = structures[0].cell.obj.data.units[0].model.atomicConformation;
        return [Array.from(x), Array.from(y), Array.from(z)];
    })()""")
    return np.array(atoms).T


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
    expected = motion_along(structure, modes).coordinates(table.amplitudes[row])
    np.testing.assert_allclose(held(moving), expected - structure.center_A, atol=2e-3)
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


def test_a_processor_draws_the_molecule_without_costly_effects(moving: OpenReport) -> None:
    """Headless Chromium has no graphics processor here."""
    effects = moving.value("""(() => {
        const { multiSample, postprocessing } = report.panel.viewer.viewer.plugin.canvas3d.props;
        return [multiSample.mode, ...["occlusion", "antialiasing", "bloom"].map((name) => postprocessing[name].name)];
    })()""")
    assert effects == ["off"] * 4


def test_slider_moves_the_molecule(moving: OpenReport, inputs: dict[str, str]) -> None:
    moving.page.locator("#slider-8").evaluate("(s) => { s.value = 12.5; s.dispatchEvent(new Event('input')); }")
    moving.wait(STILL)
    structure, modes = read_reference(inputs["structure"], inputs["modes"], (7, 8))
    expected = motion_along(structure, modes).coordinates(np.array([0.0, 12.5])) - structure.center_A
    shown = np.array(moving.value("Array.from(report.panel.viewer.shown)")).reshape(-1, 3)
    np.testing.assert_allclose(shown, expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["helical", "jointed"])
@pytest.mark.parametrize("of_blocks", [True, False])
def test_motion_of_blocks_is_that_of_the_commands(
    moving: OpenReport, inputs: dict[str, str], tmp_path: Path, of_blocks: bool, kind: str
) -> None:
    """Modes that leave blocks rigid, and others that bend them."""
    structure, modes = read_reference(inputs["structure"], inputs["modes"])
    if of_blocks:
        modes = compute_modes(structure, NmaOptions(structure="", output="", n_modes=9, block_size=5, cutoff_A=12))
    modes = dataclasses.replace(modes, motion=kind, block_size=5)
    write_modes(tmp_path / "modes", modes)
    path = write(tmp_path / "r.html", structure=inputs["structure"], modes=str(tmp_path / "modes"))
    q = np.array([60.0, -45, 30])
    expected = motion_along(structure, modes).coordinates(q) - structure.center_A
    script = """async ([content, blocks, q]) => {
        const type = "application/octet-stream", made = [];
        for (const [id, textContent] of Object.entries(blocks))
            made.push(Object.assign(document.createElement("script"), { type, id, textContent }));
        document.body.append(...made);
        const molecule = await report.panel.molecule.constructor.unpack(content);
        made.forEach((script) => script.remove());
        await report.panel.viewer.show(molecule, molecule.motion.coordinates(q));
        return molecule.motion.rmsd(q);
    }"""
    told = moving.value(script, [*molecule_of(path), q.tolist()])
    atoms = structure.representative_atoms
    np.testing.assert_allclose(held(moving), expected[atoms], atol=2e-3)
    moved = expected[atoms] + structure.center_A - structure.coords_A[atoms]
    assert told == pytest.approx(np.sqrt(np.square(moved).sum(axis=1).mean()), abs=1e-3)


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
        shown, motion_along(structure, modes).coordinates(path.amplitudes_A[3]) - structure.center_A, atol=1e-3
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


def test_dependence_on_imaging_is_shown(opened: OpenReport) -> None:
    assert "do not depend on view" in opened.text("#dependence-told")
    assert opened.value("document.querySelector('#dependence-panel img').naturalWidth") > 100


def test_free_energies_raw_and_deconvolved(opened: OpenReport, inputs: dict[str, str]) -> None:
    line, plane = read_densities(inputs["landscape"])
    panel = "document.querySelectorAll('#energies .chart')"
    drawn = opened.value(f"Array.from({panel}[0].data, (trace) => [trace.name, Array.from(trace.y)])")
    names = [name for name, _ in drawn]
    assert names == ["95% of bootstrap replicas", "deconvolved", "raw"]
    np.testing.assert_allclose(drawn[2][1], -np.log(line.raw / line.raw.max()), atol=1e-4)
    assert "on average PC1" in opened.text("#energy-told")
    for name in ("raw", "deconvolved"):
        opened.page.select_option("#energy-density", name)
        density = getattr(plane, name)
        energy = -np.log(density / density.max()).T
        shown = opened.value(f"Array.from({panel}[1].data[0].z, (row) => Array.from(row, (v) => v ?? 99))")
        seen = energy < 6
        np.testing.assert_allclose(np.array(shown, dtype=float)[seen], energy[seen], atol=1e-4)
        assert (np.array(shown, dtype=float)[energy > 6.001] == 99).all()


def test_a_source_is_a_colour(opened: OpenReport) -> None:
    opened.page.select_option("#colour", "source")
    opened.wait(f"{PLOT}.data[0].name === 'truth'")


# ------------------------------------------------------------------ other inputs, large ones


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


@pytest.fixture(scope="module")
def many_groups(
    browser: Any, inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[OpenReport, LandscapeTable]]:
    """Fourteen groups of particles with ids of 63 bits, of which a browser's numbers hold 53."""
    base = tmp_path_factory.mktemp("many_groups")
    table = write_large_landscape(base / "long", inputs["landscape"], 60)
    table.ids[:] = 2**63 - 1 - np.arange(60)
    write_landscape_table(base / "long", table)
    names = [f"g{i}" for i in range(14)]
    groups = [NamedGroup(name, COLOURS[0], table.ids[i : i + 3]) for i, name in enumerate(names)]
    write_groups(base / "g.json", groups)
    page = write(base / "r.html", landscape=str(base / "long"), group=str(base / "g.json"))
    with open_report(browser, page) as opened:
        yield opened, table


def test_more_groups_than_colours_are_told_apart(many_groups: tuple[OpenReport, LandscapeTable]) -> None:
    drawn = many_groups[0].value(f"{PLOT}.data.filter((t) => t.name).map((t) => [t.marker.color, t.marker.symbol])")
    assert len({tuple(one) for one in drawn}) == len(drawn) == 14
    assert [colour for colour, _ in drawn[:12]] == list(COLOURS)


def test_long_ids_are_written_whole(many_groups: tuple[OpenReport, LandscapeTable], tmp_path: Path) -> None:
    opened, table = many_groups
    (x0, y0), (x1, y1) = frame_around(places(table), 0.8)
    opened.drag([(x0, y0), (x1, y1)], "select")
    ids = ids_of(opened.download("#download-selection", tmp_path))
    assert set(ids) == ids_in_box(table, opened.selections()[0], places(table))
    assert max(ids) > 2**62
    opened.page.click("#add-group")
    groups = json.loads(opened.download("#download-groups", tmp_path).read_text())["groups"]
    assert set(groups[0]["ids"]) == set(table.ids[:3].tolist())
    assert set(groups[-1]["ids"]) == set(ids)


# ------------------------------------------------------------------ what is shown is what is selected


def test_the_legend_hides_nothing(opened: OpenReport, table: LandscapeTable, tmp_path: Path) -> None:
    """Else what one does not see would be selected, and a group's box would say that it is shown."""
    opened.page.select_option("#colour", "source")
    opened.wait(f"{PLOT}.querySelectorAll('.legendtoggle').length === 2")
    for i in range(2):
        opened.page.locator("#landscape .legendtoggle").nth(i).click()
        opened.page.wait_for_timeout(500)  # a click waits for a second one
        assert opened.value(f"{PLOT}.data.map((t) => t.visible ?? true)") == [True, True]
        opened.page.locator("#landscape .legendtoggle").nth(i).dblclick()
        opened.page.wait_for_timeout(500)
        assert opened.value(f"{PLOT}.data.map((t) => t.visible ?? true)") == [True, True]
    assert opened.page.is_checked("#groups input")
    (x0, y0), (x1, y1) = frame_around(places(table), 0.7)
    opened.drag([(x0, y0), (x1, y1)], "select")
    ids = set(ids_of(opened.download("#download-selection", tmp_path)))
    assert ids == ids_in_box(table, opened.selections()[0], places(table))


def test_means_and_deviations_are_those_of_the_selection(
    moving: OpenReport, table: LandscapeTable, inputs: dict[str, str]
) -> None:
    (x0, y0), (x1, y1) = frame_around(places(table), 0.7)
    moving.drag([(x0, y0), (x1, y1)], "select")
    inside = np.isin(table.ids, list(ids_in_box(table, moving.selections()[0], places(table))))
    q = table.amplitudes[inside]
    told = [f"q{m} {mean:.1f} ± {sd:.1f}" for m, mean, sd in zip((7, 8), q.mean(axis=0), q.std(axis=0), strict=True)]
    assert moving.text("#selection-told") == f"{inside.sum()} particles; mean amplitudes: {', '.join(told)} Å."
    moving.page.click("#show-mean")
    moving.wait("document.getElementById('molecule-told').textContent.startsWith('mean of selection:')")
    moving.wait(STILL)
    structure, modes = read_reference(inputs["structure"], inputs["modes"], (7, 8))
    expected = motion_along(structure, modes).coordinates(q.mean(axis=0)) - structure.center_A
    np.testing.assert_allclose(held(moving), expected, atol=5e-3)


def test_a_box_by_the_keyboard(opened: OpenReport, table: LandscapeTable, tmp_path: Path) -> None:
    points = places(table)
    (x0, _), (x1, y1) = frame_around(points, 0.6)
    assert opened.text("#box-x") == "pc1"
    for name, value in (("x0", x0), ("x1", x1), ("y1", y1)):  # and no lower end of the other
        opened.page.fill(f"#box-{name}", f"{value:.3f}")
    opened.page.press("#box-y1", "Enter")
    opened.wait("report.groups.selection !== null")
    inside = (points[:, 0] >= round(float(x0), 3)) & (points[:, 0] <= round(float(x1), 3))
    inside &= points[:, 1] <= round(float(y1), 3)
    expected = set(table.ids[inside & ~table.outlier].tolist())
    assert 0 < len(expected) < N
    assert set(ids_of(opened.download("#download-selection", tmp_path))) == expected
    assert f"--box 'pc1:{float(x0):.3f}" in opened.text("#box-command")
    assert len(opened.selections()) == 1  # and it is drawn
    assert float(opened.page.input_value("#box-y0")) < points[:, 1].min()  # the end that was left open
    opened.page.select_option("#x-axis", "q7")
    opened.wait("report.groups.selection === null")
    assert (opened.text("#box-x"), opened.page.input_value("#box-x0")) == ("q7", "")


def test_commands_of_groups_with_outliers_keep_them(
    outliers: OpenReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the page prints is run, as it is."""
    outliers.page.click("#select-box")
    outliers.page.fill("#group-name", "inliers")
    outliers.page.click("#add-group")
    assert "--keep-outliers" not in outliers.text("#groups-command")
    outliers.page.check("#show-outliers")
    outliers.page.click("#select-box")
    outliers.page.fill("#group-name", "-β all")
    outliers.page.click("#add-group")
    outliers.page.uncheck("#show-outliers")
    assert "--keep-outliers" in outliers.text("#groups-command")
    first, second = outliers.value("document.getElementById('group-commands').textContent").split("\n")
    assert "--keep-outliers" not in first
    for number in (1, 2):
        outliers.download(f"#groups tr:nth-child({number}) button:text('download ids')", tmp_path)
    outliers.download("#download-groups", tmp_path)
    monkeypatch.chdir(tmp_path)
    for command, count in ((first, 32), (second, 48)):
        words = shlex.split(command)[3:]
        assert main(words) == 0
        assert len(read_particles(words[-1])) == count
    assert main(shlex.split(outliers.text("#groups-command"))[3:]) == 0
    assert sorted(len(read_particles(file)) for file in Path("groups").glob("*.star")) == [32, 48]


def test_names_of_files_are_distinct_and_no_options(opened: OpenReport, table: LandscapeTable) -> None:
    opened.page.click("#select-box")
    names = ["структура", "группа", "β-open", "γ-open", "--output", "-x", "a b", "…", "x" * 90, "x" * 91]
    files = []
    for name in names:
        opened.page.fill("#group-name", name)
        words = shlex.split(opened.text("#ids-command"))
        files.append(words[words.index("--ids") + 1])
    assert len(set(files)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*\.txt", file) and len(file) < 80 for file in files)
    assert (files[6], files[4]) == ("a_b.txt", "output.txt")


# ------------------------------------------------------------------ several trajectories, maps and assessments


@pytest.fixture(scope="module")
def two_paths(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A path, and its half from the end, whose frames are of another molecule."""
    folder = tmp_path_factory.mktemp("paths")
    paths = [str(folder / name / "path") for name in ("first", "second")]
    for path in paths:
        shutil.copytree(inputs["trajectory"], path)
    file = Path(paths[1]) / "frames.pdb"
    structure = read_structure(file)
    half = structure.select(np.arange(len(structure)) < 25)
    frames = [np.array([a.atom.pos.tolist() for a in model.all()])[:25] for model in gemmi.read_structure(str(file))]
    write_structure(file, half, frames[::-1])
    return paths


@pytest.fixture(scope="module")
def paths_once(
    browser: Any, inputs: dict[str, str], two_paths: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenReport]:
    path = tmp_path_factory.mktemp("paths_page") / "r.html"
    with open_report(browser, write(path, landscape=inputs["landscape"], trajectory=two_paths * 4)) as page:
        yield page


@pytest.fixture
def paths(paths_once: OpenReport) -> Iterator[OpenReport]:
    """Eight paths in a landscape, without a structure."""
    yield paths_once
    require_quiet(paths_once)


def test_frames_without_a_structure(paths: OpenReport, two_paths: list[str]) -> None:
    assert paths.page.is_visible("#molecule")
    paths.page.locator("#frame").evaluate("(s) => { s.value = 4; s.dispatchEvent(new Event('input')); }")
    paths.wait(STILL)
    frame = gemmi.read_structure(f"{two_paths[0]}/frames.pdb")[4]
    expected = np.array([site.atom.pos.tolist() for site in frame.all()])
    shown = np.array(paths.value("Array.from(report.panel.viewer.shown)")).reshape(-1, 3)
    np.testing.assert_allclose(shown - shown.mean(axis=0), expected - expected.mean(axis=0), atol=2e-3)


def test_quick_frames_of_two_molecules_do_not_mix(paths: OpenReport, two_paths: list[str]) -> None:
    paths.value("""(async () => {
        const path = document.getElementById("path"), asked = [];
        for (let i = 0; i < 9; i++) {
            path.value = (i + 1) % 2;
            asked.push(report.panel.showFrame(i % 5));
            await new Promise((resolve) => setTimeout(resolve, 7 * i));
        }
        await Promise.all(asked);
    })()""")
    paths.wait(STILL)
    assert paths.text("#molecule-told") == "second/path, frame 4"
    model = gemmi.read_structure(f"{two_paths[1]}/frames.pdb")[3]
    expected = np.array([a.atom.pos.tolist() for a in model.all()])
    shown = held(paths)
    np.testing.assert_allclose(shown - shown.mean(axis=0), expected - expected.mean(axis=0), atol=5e-3)
    structures = "report.panel.viewer.viewer.plugin.managers.structure.hierarchy.current.structures.length"
    assert paths.value(structures) == 2  # and its rest


def test_clicks_before_the_molecule_is_there(browser: Any, whole: Path, inputs: dict[str, str]) -> None:
    """They wait, and the last of them is what is shown."""
    context = browser.new_context(offline=True, viewport={"width": 1440, "height": 1000})
    opened = OpenReport(context.new_page())
    # as soon as there is a panel, before anything of a molecule is unpacked
    opened.page.add_init_script("""
        const wait = () => {
            if (!window.report?.panel || window.clicked !== undefined) return;
            window.clicked = !report.panel.molecule;
            for (const id of ["rest", "show-rest", "play", "play"]) document.getElementById(id).click();
            report.panel.showFrame(1);
            report.panel.showAmplitudes([3, -4], "asked early", null);
        };
        new MutationObserver(wait).observe(document, { subtree: true, attributes: true, childList: true });
    """)
    opened.load(whole)
    assert opened.value("window.clicked") is True
    opened.wait(STILL)
    assert opened.text("#molecule-told").startswith("asked early: q7 3.0, q8 -4.0")
    structure, modes = read_reference(inputs["structure"], inputs["modes"], (7, 8))
    expected = motion_along(structure, modes).coordinates(np.array([3.0, -4.0])) - structure.center_A
    np.testing.assert_allclose(held(opened), expected, atol=5e-3)
    assert not opened.page.is_checked("#show-rest")
    assert opened.value(REST_HIDDEN) is True
    require_quiet(opened)
    context.close()


def test_the_rest_is_shown_where_it_is_asked_for(moving: OpenReport) -> None:
    moving.page.locator("#slider-8").evaluate("(s) => { s.value = 40; s.dispatchEvent(new Event('input')); }")
    moving.wait(STILL)  # away from its rest, which it would cover
    assert moving.value(REST_HIDDEN) is False
    moving.page.uncheck("#show-rest")
    assert moving.value(REST_HIDDEN) is True
    moving.page.wait_for_timeout(2000)
    alone = moving.page.locator("#molecule").screenshot()
    moving.page.check("#show-rest")
    assert moving.value(REST_HIDDEN) is False
    for _ in range(40):  # until it is drawn
        if moving.page.locator("#molecule").screenshot() != alone:
            return
        moving.page.wait_for_timeout(250)
    raise AssertionError("the rest is not drawn")


def test_a_click_on_an_energy_shows_its_frame(moving: OpenReport, inputs: dict[str, str]) -> None:
    chart = moving.page.locator("#trajectories .chart")
    chart.scroll_into_view_if_needed()
    x, y = moving.value("""(() => {
        const chart = document.querySelector("#trajectories .chart"), { left, top } = chart.getBoundingClientRect();
        const { xaxis, yaxis } = chart._fullLayout, { x, y } = chart.data[1];
        return [left + xaxis._offset + xaxis.d2p(x[3]), top + yaxis._offset + yaxis.d2p(y[3])];
    })()""")
    moving.page.mouse.move(x - 30, y)
    moving.page.mouse.move(x, y, steps=5)
    moving.page.mouse.down()
    moving.page.mouse.up()
    moving.wait("document.getElementById('molecule-told').textContent.startsWith('path, frame 4:')")
    moving.wait(STILL)
    path = read_trajectory(Path(inputs["trajectory"]) / "trajectory.json")
    structure, modes = read_reference(inputs["structure"], inputs["modes"], (7, 8))
    expected = motion_along(structure, modes).coordinates(path.amplitudes_A[3]) - structure.center_A
    np.testing.assert_allclose(held(moving), expected, atol=5e-3)
    ticks = moving.value("[...document.querySelectorAll('#trajectories .xtick text')].map((t) => t.textContent)")
    assert ticks == ["1", "2", "3", "4", "5"]


def test_paths_have_lines_of_their_own(paths: OpenReport) -> None:
    lines = paths.value(f"{PLOT}.data.filter((t) => t.mode === 'lines+markers').map((t) => [t.name, t.line])")
    assert len({(line["color"], line["dash"]) for _, line in lines}) == len(lines) == 8
    assert [name for name, _ in lines[:2]] == ["first/path", "second/path"]


@pytest.fixture(scope="module")
def curves(browser: Any, inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenReport]:
    """Two assessments, and a map with thirteen curves."""
    base = tmp_path_factory.mktemp("curves")
    folders = write_assessments(Path(inputs["landscape"]).parent, base)
    shutil.copytree(Path(inputs["landscape"]).parent / "map", base / "map")
    columns = [f"c{i}" for i in range(13)]
    rows = [",".join([str(0.01 * i), *["0.9"] * 13]) for i in range(3)]
    (base / "map" / "fsc.csv").write_text("\n".join([",".join(["frequency_per_A", *columns]), *rows]) + "\n")
    page = write(base / "r.html", evaluation=list(folders.values()), reconstruction=str(base / "map"))
    with open_report(browser, page) as opened:
        yield opened
        assert opened.complaints == []


def test_assessments_have_tables_and_curves(curves: OpenReport) -> None:
    assert curves.value("document.querySelectorAll('#evaluations table').length") == 4 + 2
    names = curves.value("""[...document.querySelectorAll("#evaluations .chart")].map((c) =>
        c.data.map((t) => t.name))""")
    heights = curves.value("""[...document.querySelectorAll("#evaluations .chart")].map((c) =>
        c._fullLayout.yaxis._length)""")
    assert min(heights) > 120  # beside their legends
    assert len(names) == 2 + 2
    assert names[0][:3] == ["centroid", "true centroid", "structure at rest"]
    assert "allowed by noise" in names[0]
    assert "true centroid" not in names[2]
    assert curves.value("getComputedStyle(document.querySelector('#evaluations td')).whiteSpace") == "nowrap"


def test_thirteen_curves_are_told_apart(curves: OpenReport) -> None:
    lines = curves.value(
        "document.querySelector('#reconstructions .chart').data.map((t) => [t.line.color, t.line.dash])"
    )
    assert [colour for colour, _ in lines[:12]] == list(COLOURS)
    assert len({tuple(line) for line in lines}) == 13


# ------------------------------------------------------------------ what goes wrong, and where


def rewrite(page: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The page with other content, as no command writes it."""
    head, rest = page.read_text().split('id="content">', 1)
    tail, content = rest.split("</script>", 1)[1], content_of(page)
    change(content)
    page.write_text(f'{head}id="content">{json_in_html(content)}</script>{tail}')
    return page


@pytest.fixture(scope="module")
def antibody(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A structure in which three residues have one number, on which inserted ones have letters."""
    structure = read_structure(inputs["structure"])
    numbers, codes = structure.residue_numbers.copy(), np.full(len(structure), "", dtype=object)
    numbers[10:13], codes[11:13] = numbers[10], ["A", "B"]
    path = tmp_path_factory.mktemp("antibody") / "antibody.pdb"
    write_structure(path, dataclasses.replace(structure, residue_numbers=numbers, insertion_codes=codes))
    return path


@pytest.fixture(scope="module")
def damaged(
    browser: Any, inputs: dict[str, str], antibody: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenReport]:
    """A structure that moves along helices, without a landscape; one section cannot be shown."""
    base = tmp_path_factory.mktemp("damaged")
    modes = read_reference(str(antibody), inputs["modes"])[1]
    write_modes(base / "modes", dataclasses.replace(modes, motion="helical", block_size=5))
    shown = {"structure": str(antibody), "modes": str(base / "modes")}
    page = write(base / "r.html", model=inputs["model"], evaluation=inputs["evaluation"], **shown)

    def break_trainings(content: dict[str, Any]) -> None:
        del content["trainings"][0]["networks"][0]["curves"]["train_loss"]

    with open_report(browser, rewrite(page, break_trainings)) as opened:
        opened.wait(STILL)
        yield opened
        assert len(opened.complaints) == 1


def test_one_bad_section_leaves_the_others(damaged: OpenReport) -> None:
    assert damaged.value("document.body.dataset.state") == "ready"
    assert "This part cannot be shown" in damaged.text("#trainings-section")
    assert damaged.page.is_visible("#evaluations table")
    assert damaged.page.is_visible("#molecule canvas")
    assert not damaged.page.is_visible("#status")
    assert not damaged.page.is_visible("#landscape")


def test_only_an_old_browser_is_blamed(browser: Any, inputs: dict[str, str], tmp_path: Path) -> None:
    page = write(tmp_path / "r.html", model=inputs["model"])
    context = browser.new_context(offline=True)
    context.add_init_script("delete window.DecompressionStream")
    old = OpenReport(context.new_page())
    old.load(page)
    assert "lacks DecompressionStream. It needs a browser of 2023" in old.text("#status")
    context.close()
    with open_report(browser, rewrite(page, lambda content: content.pop("colours"))) as opened:
        assert "browser" not in opened.text("#status")
        assert "This page is damaged" in opened.text("#status")


def test_unfinished_trainings_say_so(browser: Any, inputs: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(inputs["model"], tmp_path / "model")
    (tmp_path / "model" / "train.json").unlink()
    with open_report(browser, write(tmp_path / "r.html", model=str(tmp_path / "model"))) as opened:
        assert opened.text("#trainings").count("This training is not finished.") == 2
        assert not opened.page.is_visible("#records-section")


# ------------------------------------------------------------------ ways to use it


def test_the_wheel_scrolls_and_zooms_with_ctrl(opened: OpenReport) -> None:
    opened.page.set_viewport_size({"width": 1280, "height": 720})
    span = f"{PLOT}._fullLayout.xaxis.range[1] - {PLOT}._fullLayout.xaxis.range[0]"
    opened.wait(f"Math.abs({PLOT}._fullLayout.height - 0.7 * 720) < 1")
    assert opened.value(f"{PLOT}.clientHeight") == pytest.approx(0.7 * 720, abs=1)
    opened.page.mouse.move(*opened.at(0, 0))
    before = opened.value(span)
    opened.page.mouse.wheel(0, 120)
    opened.wait("scrollY > 50")
    opened.page.wait_for_timeout(300)
    assert opened.value(span) == before
    opened.value("scrollTo(0, 0)")
    opened.page.keyboard.down("Control")
    opened.page.mouse.wheel(0, -120)
    opened.wait(f"{span} < {0.99 * before}")
    opened.page.keyboard.up("Control")
    assert opened.value("scrollY") == 0
    opened.page.set_viewport_size({"width": 1440, "height": 1000})


def test_a_swipe_selects_nothing(browser: Any, plot_alone: Path) -> None:
    context = browser.new_context(offline=True, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    opened = OpenReport(context.new_page())
    opened.load(plot_alone)
    x, y = opened.at(0, 0)
    touch = context.new_cdp_session(opened.page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for i in range(10):
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x + i, "y": y - 15 * i}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    opened.page.wait_for_timeout(400)
    assert opened.value(f"{PLOT}.layout.dragmode") == "pan"
    assert opened.value("report.groups.selection") is None
    assert opened.value(f"({PLOT}.layout.selections ?? []).length") == 0
    require_quiet(opened)
    context.close()


def test_the_file_of_a_structure_says_what_it_is(moving: OpenReport, tmp_path: Path) -> None:
    assert moving.text("#download-told") == "Cα atoms only, centred"
    assert moving.download("#download-structure", tmp_path).name == "structure_at_rest.cif"
    moving.page.locator("#slider-8").evaluate("(s) => { s.value = -12.5; s.dispatchEvent(new Event('input')); }")
    file = moving.download("#download-structure", tmp_path)
    assert file.name == "structure_q7_0_0_q8_-12_5.cif"
    assert file.read_text().startswith("# q7 0.0 q8 -12.5: Cα atoms only, centred\ndata_")
    moving.page.locator("#frame").evaluate("(s) => { s.value = 2; s.dispatchEvent(new Event('input')); }")
    assert moving.download("#download-structure", tmp_path).name == "structure_path_frame_3.cif"


def test_residues_of_one_number_are_all_drawn(damaged: OpenReport, antibody: Path, tmp_path: Path) -> None:
    units = "report.panel.viewer.viewer.plugin.managers.structure.hierarchy.current.structures[0].cell.obj.data.units"
    atoms = len(read_structure(antibody))
    assert damaged.value(f"{units}.map((u) => [u.elements.length, u.residueCount])") == [[atoms] * 2]
    back = gemmi.make_structure_from_block(gemmi.cif.read(str(damaged.download("#download-structure", tmp_path)))[0])
    (chain,) = back[0]
    assert [str(r.seqid) for r in chain][9:14] == ["10", "11", "11A", "11B", "14"]
    assert [r.label_seq for r in chain][9:14] == [10, 11, 12, 13, 16]


def test_nothing_from_elsewhere_is_allowed(opened: OpenReport) -> None:
    """The page's policy itself, where a network there were."""
    blocked = opened.value("""new Promise((resolve) => {
        document.addEventListener("securitypolicyviolation", (event) => resolve(event.violatedDirective));
        document.body.append(Object.assign(document.createElement("img"), { src: "https://example.org/x.png" }));
        setTimeout(() => resolve("nothing"), 3000);
    })""")
    assert blocked == "img-src"
    assert all("Content Security Policy" in text for text in opened.complaints)
    opened.complaints.clear()
    opened.requests[:] = [url for url in opened.requests if not url.startswith("https://example.org")]
