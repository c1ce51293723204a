"""The view of a landscape and what is chosen in it, without a window."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    pytest.skip(scipion_missing(), allow_module_level=True)

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.io.groups import NamedGroup
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.tests.helpers.double_well import double_well, landscape_of
from continuousflex_deep.tests.helpers.landscape_view_data import CENTRES, plane_density, small_model, three_clouds
from continuousflex_deep.viewers import landscape_view
from continuousflex_deep.viewers.landscape_data import LandscapeData
from continuousflex_deep.viewers.landscape_path import conformations_along, places_of, points_text
from continuousflex_deep.viewers.landscape_selection import CHOSEN_COLOUR, Selection
from continuousflex_deep.viewers.landscape_view import DENSITY, ENERGIES, LOG_DENSITY, PLAIN, LandscapeView, Layer
from continuousflex_deep.viewers.modes_figure import MotionFigure
from continuousflex_deep.viewers.particle_view import ParticleView, describe_particle
from continuousflex_deep.viewers.raster import Raster, Window

pytestmark = [pytest.mark.scipion, pytest.mark.usefixtures("scipion_home")]


@pytest.fixture
def data() -> LandscapeData:
    return three_clouds()[0]


def pixels(view: LandscapeView) -> np.ndarray:
    """The picture (rows, columns, 3), from 0 to 1."""
    canvas: Any = view.figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255


def view_of(data: LandscapeData, x: str = "pc1", y: str = "pc2") -> LandscapeView:
    figure = Figure(figsize=(8, 7))
    FigureCanvasAgg(figure)
    view = LandscapeView(data, figure, x, y)
    figure.canvas.draw()
    return view


# ------------------------------------------------------------------------------------------------------------ raster


def test_raster_counts_as_a_histogram_does() -> None:
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(2, 5000)).astype(np.float32)
    xy[:, :3] = np.nan
    raster = Raster.of(xy, Window(-1.5, 2.0, -1.0, 1.2), (11, 7))
    expected = np.histogram2d(xy[1, 3:], xy[0, 3:], bins=(11, 7), range=[(-1.0, 1.2), (-1.5, 2.0)])[0]
    np.testing.assert_array_equal(raster.counts(), expected)
    chosen = xy[0] > 0
    assert raster.counts(chosen).sum() == (raster.seen & chosen).sum()
    values = rng.normal(size=5000)
    values[5] = np.nan
    sums = np.histogram2d(xy[1], xy[0], (11, 7), [(-1.0, 1.2), (-1.5, 2.0)], weights=np.nan_to_num(values))[0]
    finite = Raster.of(xy[:, np.isfinite(values)], Window(-1.5, 2.0, -1.0, 1.2), (11, 7)).counts()
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(raster.means(values), np.where(finite, sums / finite, np.nan), rtol=1e-9)


def test_most_frequent_class_is_that_of_a_count() -> None:
    rng = np.random.default_rng(2)
    xy, classes = rng.uniform(size=(2, 400)).astype(np.float32), rng.integers(0, 5, 400).astype(np.int32)
    raster = Raster.of(xy, Window(0, 0.8, 0, 1), (3, 8))
    found = raster.most_frequent(classes, 5)
    for cell in range(24):
        inside = classes[raster.cell == cell]
        expected = np.bincount(inside, minlength=5).argmax() if len(inside) else np.nan
        np.testing.assert_equal(found.ravel()[cell], expected)


def test_zoom_keeps_the_point_under_the_pointer() -> None:
    window = Window(0, 10, 0, 4).zoomed(2.0, 2.5, 1.0)
    assert window == Window(1.25, 6.25, 0.5, 2.5)
    assert window.moved(1, -1) == Window(2.25, 7.25, -0.5, 1.5)


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
def test_no_side_of_a_cube_is_cut_off_whatever_the_windows_shape(aspect: float) -> None:
    window = Window(-1, 3, 0, 4).with_aspect(aspect)
    width, height = window.right - window.left, window.top - window.bottom
    assert (width / height, min(width, height)) == (aspect, 4)
    assert ((window.left + window.right) / 2, (window.bottom + window.top) / 2) == (1, 2)
    assert window.with_aspect(aspect) == window


# -------------------------------------------------------------------------------------------------------------- view


def test_columns_are_named_as_conditions_name_them(data: LandscapeData) -> None:
    assert data.axes[:6] == ["pc1", "pc2", "pc3", "q7", "q8", "q9"]
    assert {"score", "q7_sd", "defocus"} <= set(data.axes)
    assert not {"source", "outlier", "ambiguous"} & set(data.axes)
    assert {"score", "defocus", "source", "q7_sd", "angle_sd", "outlier"} <= set(data.colours)
    assert data.label("pc2") == "PC2 [Å]"
    assert data.label("q8_sd") == "q8 deviation [Å]"
    found = data.classes("source")
    assert found is not None
    names, places = found
    assert names == ["labelled", "predicted"]
    np.testing.assert_array_equal(places + 1, data.column("source"))
    assert data.classes("score") is None
    with pytest.raises(InputError, match="no column 'q77'"):
        view_of(data).show("q77", "pc1")


def test_few_particles_are_points_at_their_places(data: LandscapeData, monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_of(data)
    assert view.colour == PLAIN
    with monkeypatch.context() as few:
        few.setattr(landscape_view, "MOST_POINTS", 100)
        assert view_of(data).colour == LOG_DENSITY
    view.show("pc1", "q9", colour="score")
    np.testing.assert_allclose(
        np.asarray(view._points.get_offsets()), np.stack([data.column("pc1"), data.column("q9")], axis=1), rtol=1e-5
    )
    np.testing.assert_array_equal(view._points.get_array(), data.column("score"))
    assert view._points.get_visible()
    assert not view._image.get_visible()
    assert view._scale_axes.get_ylabel() == "score"
    assert view.axes.get_xlabel() == "PC1 [Å]"


def test_free_energies_are_drawn_in_their_plane(data: LandscapeData) -> None:
    plane = plane_density()
    view = view_of(LandscapeData(data.table, [plane]))
    for colour, name in ENERGIES.items():
        view.show("pc1", "pc2", colour=colour)
        view.figure.canvas.draw()
        assert view._image.get_visible()
        assert not view._points.get_visible()
        picture = view._image.get_array()
        density = getattr(plane, name)
        np.testing.assert_allclose(picture[4], -np.log(density / density.max())[:, 4])
        assert tuple(view._image.get_extent()) == (-210, 210, -60, 120)
        assert view._scale_axes.get_ylabel() == "−ln p [kT]"
    with pytest.raises(InputError, match="free energies are known of pc1 and pc2 only"):
        view.show("pc1", "pc3", colour=colour)
    with pytest.raises(InputError, match="free energies are known of pc1 and pc2 only"):
        view.show("pc1", "pc2", "pc3", colour=colour)
    view.show("pc1", "pc3", colour="score")
    assert view._points.get_visible()


def test_without_densities_there_are_no_energies(data: LandscapeData) -> None:
    assert data.plane is None
    with pytest.raises(InputError, match="free energies"):
        view_of(data).show("pc1", "pc2", colour=next(iter(ENERGIES)))


@pytest.mark.parametrize("colour", [LOG_DENSITY, DENSITY, PLAIN, "score", "q7_sd", "source", "ambiguous"])
def test_many_particles_are_a_raster(data: LandscapeData, monkeypatch: pytest.MonkeyPatch, colour: str) -> None:
    """Each cell says what its particles are on average, or which class most of them are of."""
    monkeypatch.setattr(landscape_view, "MOST_POINTS", 10)
    view = view_of(data)
    view.show("pc1", "pc2", colour=colour)
    view.figure.canvas.draw()
    assert view._image.get_visible()
    picture = np.ma.filled(view._image.get_array(), np.nan)
    raster = Raster.of(view.screen, view.window, picture.shape)
    assert (np.isfinite(picture) == (raster.counts() > 0)).all()
    if colour == LOG_DENSITY:
        np.testing.assert_allclose(np.nansum(10**picture), len(data))
    elif colour == DENSITY:
        assert np.nansum(picture) == len(data)
    elif colour == "score":
        cell = raster.cell[17]
        inside = raster.cell == cell
        assert picture.ravel()[cell] == pytest.approx(data.column("score")[inside].mean())
    elif colour == "source":
        assert {text.get_text() for text in view._scale_axes.get_yticklabels()} == {"labelled", "predicted"}
        assert set(np.unique(picture[np.isfinite(picture)])) == {0, 1}
    elif colour == "ambiguous":  # the share, which a rare mark would not have in a vote
        cell = raster.cell[data.column("ambiguous") > 0][0]
        assert picture.ravel()[cell] == pytest.approx(data.column("ambiguous")[raster.cell == cell].mean())
        assert view._image.norm.vmax == 1


def test_encircling_is_the_same_for_points_and_for_a_million(data: LandscapeData) -> None:
    view = view_of(data)
    x, y = data.column("pc1"), data.column("pc2")
    corners = [(-50.0, 0.0), (50.0, 0.0), (50.0, 200.0), (-50.0, 200.0)]
    np.testing.assert_array_equal(view.inside(corners), (x > -50) & (x < 50) & (y > 0))
    # a bent polygon, against the sum of angles around each point
    bent = np.array([(-200, -50), (200, -50), (200, 100), (0, 0), (-200, 100)], dtype=float)
    directions = bent[None] - np.stack([x, y], axis=1)[:, None]
    angle = np.arctan2(directions[..., 1], directions[..., 0])
    turns = np.diff(np.concatenate([angle, angle[:, :1]], axis=1), axis=1)
    winding = ((turns + np.pi) % (2 * np.pi) - np.pi).sum(axis=1)
    np.testing.assert_array_equal(view.inside([tuple(c) for c in bent]), np.abs(winding) > np.pi)
    assert not view.inside([(0, 0), (1, 1)]).any()


def test_nearest_particle_is_that_on_the_screen(data: LandscapeData) -> None:
    view = view_of(data)
    view.zoom(3.0, 0.0, 50.0)
    for row in (3, 77, 200):
        assert view.nearest(*view.place(row)) == row
    scale = np.array([view.axes.bbox.width, view.axes.bbox.height]) / [
        view.window.right - view.window.left, view.window.top - view.window.bottom,
    ]  # fmt: skip
    place = np.array([12.0, 48.0])
    distance = np.linalg.norm((view.screen.T - place) * scale, axis=1)
    assert view.nearest(float(place[0]), float(place[1]), within_px=1e9) == distance.argmin()
    assert view.nearest(1e6, 1e6) is None


def test_three_axes_are_turned_as_a_body(data: LandscapeData) -> None:
    view = view_of(data)
    view.show("pc1", "pc2", "pc3")
    before = view.rotation.copy()
    for _ in range(5):
        view.turn(33, -21)
    np.testing.assert_allclose(view.rotation @ view.rotation.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(view.rotation) == pytest.approx(1.0, abs=1e-5)
    assert not np.allclose(view.rotation, before)
    np.testing.assert_allclose(view.screen, (view.rotation @ view._cloud)[:2], atol=1e-6)
    low, high = view._cloud.min(axis=1), view._cloud.max(axis=1)
    np.testing.assert_allclose([low, high], [[-1] * 3, [1] * 3], atol=1e-5)
    view.redraw()
    view.figure.canvas.draw()
    assert [text.get_text()[:7] for text in view._names] == ["PC1 [Å]", "PC2 [Å]", "PC3 [Å]"]
    for axis, text in enumerate(view._names):  # in the middle of an edge along its axis, a little outside
        other = [i for i in range(3) if i != axis]
        middles = [sum(s * view.rotation[:2, i] for s, i in zip(signs, other, strict=True))
                   for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1))]  # fmt: skip
        assert min(np.linalg.norm(np.array(text.get_position()) - 1.1 * m) for m in middles) < 1e-5
    width, height = view.window.right - view.window.left, view.window.top - view.window.bottom
    assert width / view.axes.bbox.width == pytest.approx(height / view.axes.bbox.height)  # a body is not sheared
    view.show("pc1", "pc2")
    assert [text.get_text() for text in view._names] == [""] * 3


def test_dragging_takes_the_cloud_along(data: LandscapeData) -> None:
    """What is near the eye goes where the mouse goes, what is far the other way; the nearest is drawn last."""
    view = view_of(data)
    view.show("pc1", "pc2", "pc3", colour="score")
    order = view._drawn_rows(np.arange(len(data)))
    depth = (view.rotation @ view._cloud)[2]
    assert (np.diff(depth[order]) >= 0).all()
    before, near = view.screen.copy(), depth.argmax()
    far = depth.argmin()
    view.turn(20, 0)
    assert view.screen[0, near] > before[0, near]
    assert view.screen[0, far] < before[0, far]
    before = view.screen.copy()
    depth = (view.rotation @ view._cloud)[2]
    view.turn(0, 20)
    assert view.screen[1, depth.argmax()] < before[1, depth.argmax()]
    view.show("pc1", "pc2")
    left, top = view.window.left, view.window.top
    view.move(10, 20)  # to the right and down: what lies left of and above the window comes into it
    assert view.window.left < left
    assert view.window.top > top


def test_a_column_without_a_number_is_refused_and_nothing_changes(data: LandscapeData) -> None:
    data.table.score[:] = np.nan
    view = view_of(data)
    with pytest.raises(InputError, match="no value of 'score' is finite"):
        view.show("pc1", "pc2", colour="score")
    with pytest.raises(InputError, match="no value of 'score' is finite"):
        view.show("score", "pc2")
    assert (view.shown, view.colour) == (("pc1", "pc2"), PLAIN)
    view.zoom(2.0, 0, 0)
    view.redraw()


def test_zooming_ends_where_numbers_do(data: LandscapeData) -> None:
    view = view_of(data)
    for factor in (2.0, 0.5):
        for _ in range(200):
            view.zoom(factor, 10.0, 10.0)
        view.redraw()
        view.figure.canvas.draw()
        assert np.isfinite([view.window.left, view.window.top]).all()
    view.reset()
    assert view.window == view._whole


def test_many_sets_of_origin_have_colours_of_their_own(data: LandscapeData) -> None:
    data.table.source[:] = 1 + np.arange(len(data)) % 20
    view = view_of(data)
    view.show("pc1", "pc2", colour="source")
    view.figure.canvas.draw()
    colours: Any = view._points.get_cmap()
    assert len({tuple(np.round(c, 3)) for c in colours(np.linspace(0, 1, 20))}) == 20
    assert view._points.norm.vmax == 19.5
    names = [text.get_text() for text in view._scale_axes.get_yticklabels()]
    assert names[:3] == ["labelled", "predicted", "set 3"]


def test_colours_span_the_column(data: LandscapeData) -> None:
    view = view_of(data)
    view.show("pc1", "pc2", colour="defocus")
    expected = np.percentile(data.column("defocus"), [1, 99])
    np.testing.assert_allclose([view._points.norm.vmin, view._points.norm.vmax], expected)


@pytest.mark.parametrize("most", [10, 10_000])
def test_groups_are_drawn_in_their_colours(data: LandscapeData, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(landscape_view, "MOST_POINTS", most)
    view = view_of(data)
    view.show("pc1", "pc2", colour=PLAIN)
    left = data.column("pc1") < -80
    view.set_layers([Layer("#ee6677", np.flatnonzero(left))])
    picture = pixels(view)
    assert (view._over.get_visible(), view._over_points.get_visible()) == (most == 10, most != 10)
    red = np.linalg.norm(picture - to_rgb("#ee6677"), axis=-1) < 0.25
    columns = np.flatnonzero(red.any(axis=0))
    edge = view.axes.transData.transform((-80, 0))[0]
    assert len(columns) > 20
    assert columns.max() < edge + 6
    view.set_layers([])
    assert not (np.linalg.norm(pixels(view) - to_rgb("#ee6677"), axis=-1) < 0.25).any()


def test_outliers_do_not_set_the_scale(data: LandscapeData) -> None:
    table = data.table
    table.coordinates[0] = 1e5
    table.outlier[0] = True
    view = view_of(LandscapeData(table))
    assert view.window.right < 1000


# --------------------------------------------------------------------------------------------------------- selection


def test_choices_combine(data: LandscapeData) -> None:
    selection, x, y = Selection(data), data.column("pc1"), data.column("pc2")
    selection.choose_by("pc1 > 0")
    selection.choose_by("pc2 > 30", "add")
    np.testing.assert_array_equal(selection.chosen, (x > 0) | (y > 30))
    selection.choose_by("pc1 < -50", "remove")
    selection.choose_by("pc2 > 0", "intersect")
    np.testing.assert_array_equal(selection.chosen, ((x > 0) | (y > 30)) & (x >= -50) & (y > 0))
    selection.undo()
    np.testing.assert_array_equal(selection.chosen, ((x > 0) | (y > 30)) & (x >= -50))
    chosen = selection.chosen
    selection.add_group("a")
    selection.change("a", name="b")
    selection.take([NamedGroup("c", "#123456", data.table.ids[:3])])
    selection.remove_group("c")
    for expected in (["c"], ["b"], ["a"], []):
        selection.undo()
        assert [g.name for g in selection.groups] == expected
    np.testing.assert_array_equal(selection.chosen, chosen)
    for wrong, told in (
        ("pc9 > 0", "unknown name"),
        ("pc1 > 1e9", "no particle fulfils .* pc1 from"),
        ("pc1", "expected a condition"),
    ):
        with pytest.raises(InputError, match=told):
            selection.choose_by(wrong)


def test_groups_have_names_and_may_overlap(data: LandscapeData) -> None:
    selection = Selection(data)
    with pytest.raises(InputError, match="no particle is selected"):
        selection.add_group("a")
    selection.choose_by("pc1 > 0")
    right = selection.add_group(selection.free_name())
    assert (right.name, len(right)) == ("group 1", (data.column("pc1") > 0).sum())
    assert not selection.chosen.any()
    selection.choose_by("pc2 > 0")
    with pytest.raises(InputError, match="already"):
        selection.add_group("group 1")
    upper = selection.add_group("upper")
    assert upper.colour != right.colour
    assert selection.shared() == ((data.column("pc1") > 0) & (data.column("pc2") > 0)).sum()
    assert [layer.colour for layer in selection.layers()] == [right.colour, upper.colour]
    selection.change("group 1", name="right", shown=False)
    selection.choose_by("score > 0.5")
    assert [layer.colour for layer in selection.layers()] == [upper.colour, CHOSEN_COLOUR]
    for changes in ({"name": "upper"}, {"name": " "}, {"colour": "red"}):
        with pytest.raises(InputError):
            selection.change("right", **changes)
    assert [g.name for g in selection.groups] == ["right", "upper"]


def test_groups_go_by_ids(data: LandscapeData) -> None:
    first, second = Selection(data), Selection(data)
    first.choose_by("pc1 > 0")
    first.add_group("right")
    second.take(first.named_groups())
    np.testing.assert_array_equal(second.groups[0].mask, data.column("pc1") > 0)
    assert set(first.named_groups()[0].ids) == set(data.table.ids[data.column("pc1") > 0])
    second.take(first.named_groups(), beside=second.groups)
    assert [g.name for g in second.groups] == ["right", "right (2)"]
    assert second.groups[0].colour != second.groups[1].colour
    with pytest.raises(InputError, match=r"group 'else'.*1 of 2 particles are not in this landscape"):
        second.take([NamedGroup("else", "#123456", np.array([data.table.ids[0], 10**9]))])
    assert len(second.groups) == 2


def test_what_others_did_and_took_back_is_there_once(data: LandscapeData) -> None:
    selection = Selection(data)
    selection.choose_by("pc1 > 0")
    selection.add_group("right")
    ours = selection.named_groups()
    selection.change("right", name="other")
    selection.merge(ours, ["other"], {})
    assert [g.name for g in selection.groups] == ["right"]
    selection.undo()
    assert [g.name for g in selection.groups] == ["right"]
    selection.change("right", shown=False)
    selection.merge(recoloured={"right": "#123456"})
    assert (selection.groups[0].colour, selection.groups[0].shown) == ("#123456", False)
    selection.undo()
    assert (selection.groups[0].colour, selection.groups[0].shown) == ("#123456", True)
    with pytest.raises(InputError, match="no group 'else'"):
        selection.merge(removed=["else"])


def test_what_was_there_at_first_is_not_undone(data: LandscapeData) -> None:
    selection = Selection(data)
    ids = data.table.ids
    selection.load([NamedGroup(name, "#123456", ids[:3]) for name in ("a", "b")])
    selection.undo()
    assert [(g.name, g.colour) for g in selection.groups] == [("a", "#123456"), ("b", "#123456")]


def test_what_others_did_is_not_undone(data: LandscapeData) -> None:
    selection, names = Selection(data), lambda: [g.name for g in selection.groups]
    for name, condition in (("right", "pc1 > 0"), ("upper", "pc2 > 0")):
        selection.choose_by(condition)
        selection.add_group(name)
    selection.change("right", colour="#123456")
    selection.change("upper", shown=False)
    others = [NamedGroup("upper", selection.group("right").colour, data.table.ids[:3])]
    selection.merge(others, ["right"])
    assert names() == ["upper", "upper (2)"]
    assert len({g.colour for g in selection.groups}) == 2
    selection.undo()
    assert (names(), selection.group("upper").shown) == (["upper", "upper (2)"], True)
    selection.undo()  # of the colour of what is gone
    selection.undo()  # of making the other group
    assert names() == ["upper (2)"]  # by the name that it has now
    assert len(selection.group("upper (2)")) == 3
    for _ in range(3):
        selection.undo()
    assert (names(), selection.chosen.any()) == (["upper (2)"], False)
    with pytest.raises(InputError, match="from another landscape"):
        selection.merge([NamedGroup("else", "#123456", np.array([10**9]))], ["upper (2)"])
    assert names() == ["upper (2)"]


# ------------------------------------------------------------------------------------------------------------- paths


def test_along_a_path_conformations_are_those_around(data: LandscapeData) -> None:
    """From one cloud to another, the amplitudes lead from the mean of one to that of the other."""
    places, amplitudes = conformations_along(data, ("pc1", "pc2"), CENTRES[:2, :2])
    np.testing.assert_allclose(places[[0, -1]], CENTRES[:2, :2])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
    turned = CENTRES @ np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]
    np.testing.assert_allclose(amplitudes[[0, -1]], turned[:2], atol=8.0)
    with pytest.raises(InputError, match="no length"):
        conformations_along(data, ("pc1", "pc2"), CENTRES[:1, :2])


def test_a_path_is_told_in_the_landscapes_coordinates(data: LandscapeData) -> None:
    corners = CENTRES[[0, 2]][:, [2, 0]]  # drawn in pc3 and pc1
    points = np.array([list(map(float, p.split())) for p in points_text(data, ("pc3", "pc1"), corners).split(";")])
    np.testing.assert_allclose(points[:, [0, 2]], CENTRES[[0, 2]][:, [0, 2]])
    np.testing.assert_allclose(points[:, 1], CENTRES[[0, 2], 1], atol=8.0)  # as the particles around have it
    assert points_text(data, ("pc1", "pc2"), CENTRES[:2, :2]) == "-150 0; 0 60"
    for axes in (("q7", "pc1"), ("pc1", "pc1"), ("pc1", "pc2", "pc3")):
        with pytest.raises(InputError, match="draw the path in two of pc1, pc2, pc3"):
            points_text(data, axes, CENTRES[:2, :2])
    with pytest.raises(InputError, match="at least two places"):
        points_text(data, ("pc1", "pc2"), CENTRES[:1, :2])


def test_saved_trajectories_are_shown_where_they_lead() -> None:
    from continuousflex_deep.options import TrajectoryOptions
    from continuousflex_deep.trajectories.paths import make_trajectory

    landscape = landscape_of(double_well(2000, seed=1))
    options = TrajectoryOptions(landscape="l", structure="s", modes="m", output="o", kind="axis", n_frames=5)
    trajectory, _ = make_trajectory(landscape, options)
    here = LandscapeData(landscape.table())
    np.testing.assert_allclose(places_of(here, trajectory, ("pc1", "pc2")), trajectory.points[:, :2])
    mode = f"q{here.table.mode_ids[-1]}"
    np.testing.assert_allclose(places_of(here, trajectory, ("pc1", mode))[:, 1], trajectory.amplitudes_A[:, -1])
    with pytest.raises(InputError, match="to another landscape"):
        places_of(three_clouds()[0], trajectory, ("pc1", "pc2"))
    other = landscape_of(double_well(2000, seed=1) + np.array([30.0, 0.0]))
    with pytest.raises(InputError, match="to another landscape"):
        places_of(LandscapeData(other.table()), trajectory, ("pc1", "pc2"))


# ---------------------------------------------------------------------------------------------------------- particle


def test_a_particle_is_centred_by_its_shift(tmp_path: Path) -> None:
    images = np.zeros((3, 16, 16), dtype=np.float32)
    images[1, 8 - 2, 8 + 3] = 100.0  # the particle sits at minus its shift
    write_stack(tmp_path / "s.mrcs", images + np.random.default_rng(0).normal(size=images.shape), 4.0)
    data, _ = three_clouds(3, stack=str(tmp_path / "s.mrcs"))
    data.table.shift_A[1] = [-12.0, 8.0]
    figure = Figure()
    FigureCanvasAgg(figure)
    view = ParticleView(data.table, figure)
    view.show(1)
    figure.canvas.draw()
    shown = np.asarray(view._image.get_array())
    assert np.unravel_index(shown.argmax(), shown.shape) == (8, 8)
    left, right, bottom, top = view._image.get_extent()
    assert (left + 8.5 * 4, top + 8.5 * 4) == (0, 0)  # pixel d//2 is the origin, as of the model
    assert (right - left, bottom - top) == (64, 64)


def test_the_model_is_seen_as_the_image_is(data: LandscapeData) -> None:
    """At the first two components of R·(X + q·v), y downwards as in images, and what is nearer to the eye, which looks
    along +z there, in front: otherwise a right-handed helix would be seen left-handed."""
    table, model = data.table, small_model()
    figure = Figure()
    FigureCanvasAgg(figure)
    view = ParticleView(table, figure, model)
    view.show(5)
    rotation = euler_to_matrix(table.euler_deg[5])
    moved = model.motion.displacements(table.amplitudes[5])
    seen = (model.structure.coords_A - model.structure.center_A + moved) @ rotation.T
    expected = seen[model.shown][model.bonds]
    order = np.argsort(-expected[..., 2].sum(axis=1))
    np.testing.assert_allclose(np.array(view._trace.drawn.get_segments()), expected[order][..., :2], atol=1e-6)
    bottom, top = view._model_axes.get_ylim()
    assert bottom > 0 > top
    told = describe_particle(table, 5, model)
    rmsd = np.sqrt(np.square(moved).sum(axis=1).mean())
    for part in (f"particle {table.ids[5]}", f"q8 = {table.amplitudes[5, 1]:.1f} ± 2.0 Å", f"{rmsd:.2f} Å", "± 0.3 °"):
        assert part in told, told


def test_at_rest_both_windows_show_the_model_from_one_side(data: LandscapeData) -> None:
    model = small_model()
    figure, other = Figure(), Figure()
    FigureCanvasAgg(figure), FigureCanvasAgg(other)
    here = ParticleView(data.table, figure, model)
    there = MotionFigure(model, other, 7)
    first = np.array(here._trace.drawn.get_segments()) * [1, -1]  # y is downwards here
    second = np.array(there._moving.drawn.get_segments())
    np.testing.assert_allclose(first - first.mean(axis=(0, 1)), second - second.mean(axis=(0, 1)), atol=1e-6)


def test_a_missing_image_is_told(data: LandscapeData) -> None:
    figure = Figure()
    FigureCanvasAgg(figure)
    view = ParticleView(data.table, figure)
    view.show(0)
    assert "none.mrcs" in view._told.get_text()
    assert not view._image.get_visible()
