"""The landscape's window, driven as a user does: by its mouse, boxes and buttons."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    pytest.skip(scipion_missing(), allow_module_level=True)

import tkinter as tk
from tkinter import colorchooser, filedialog, messagebox, ttk

from continuousflex_deep.errors import DeepError, InputError
from continuousflex_deep.io.file_names import GROUPS_JSON
from continuousflex_deep.io.groups import NamedGroup, read_groups, write_groups
from continuousflex_deep.io.trajectories import SAMPLE, Trajectory, sample_of, write_trajectory
from continuousflex_deep.tests.helpers.landscape_view_data import CENTRES, small_model, three_clouds
from continuousflex_deep.tests.helpers.windows import Mouse, button, run_for, run_until, widgets
from continuousflex_deep.viewers.landscape_data import LandscapeData
from continuousflex_deep.viewers.landscape_groups_panel import GroupActions
from continuousflex_deep.viewers.landscape_window import LandscapeWindow

pytestmark = [pytest.mark.scipion, pytest.mark.usefixtures("scipion_home")]


class Asked:
    """What the window asked others to do, in order, and what was told to the user."""

    def __init__(self) -> None:
        self.to_do: list[tuple] = []
        self.told: list[str] = []

    def suggest(self, method: str, number: int, output: Path) -> str:
        self.to_do.append((method, number))
        time.sleep(0.3)  # the window goes on meanwhile
        if number == 12:
            raise DeepError("too many clusters")
        if number == 11:
            raise KeyError("a fault of ours")
        write_groups(output, [NamedGroup("cluster 1", "#123456", self.data.table.ids[:5])])
        return "Clusters overlap." if number == 2 else ""

    def write_star(self, groups: Path, folder: Path) -> str:
        self.to_do.append(("star", [g.name for g in read_groups(groups)], folder))
        return "written: there"

    def make_sets(self, groups: Path) -> str:
        self.to_do.append(("sets", [g.name for g in read_groups(groups)]))
        return "made"

    def reconstruct(self, groups: Path) -> str:
        raise DeepError("no images")

    def launch(self, points: str) -> str:
        self.to_do.append(("trajectory", points))
        return "launched"

    data: LandscapeData


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    for name in ("showinfo", "showerror"):
        monkeypatch.setattr(messagebox, name, lambda title, text, parent: asked.told.append(text))
    return asked


@pytest.fixture
def data() -> LandscapeData:
    return three_clouds()[0]


def open_window(data: LandscapeData, folder: Path, asked: Asked | None = None) -> LandscapeWindow:
    actions, launch = None, None
    if asked is not None:
        asked.data = data
        actions = GroupActions(asked.suggest, asked.write_star, asked.make_sets, asked.reconstruct)
        launch = asked.launch
    try:
        window = LandscapeWindow(data, folder, actions=actions, launch=launch)
    except tk.TclError as error:
        pytest.skip(f"Tk opens no window ({error}); set DISPLAY to a display that works")
    run_until(window.root, lambda: window.canvas.get_tk_widget().winfo_width() > 300)
    run_for(window.root, 0.2)  # the figure takes the canvas' size, and is drawn
    return window


@pytest.fixture
def window(data: LandscapeData, tmp_path: Path, asked: Asked, screen: None) -> Iterator[LandscapeWindow]:
    window = open_window(data, tmp_path, asked)
    yield window
    with suppress(tk.TclError):  # the test has closed it
        window.close()


@pytest.fixture
def mouse(window: LandscapeWindow) -> Mouse:
    return Mouse(window.canvas, window.view.axes)


def pick(window: LandscapeWindow, variable: tk.StringVar, value: str) -> None:
    """Choose a value in the box of a variable."""
    box = next(b for b in widgets(window.root, ttk.Combobox) if str(b.cget("textvariable")) == str(variable))
    assert value in box.cget("values")
    box.set(value)
    box.event_generate("<<ComboboxSelected>>")
    window.root.update()


def use(window: LandscapeWindow, tool: str) -> None:
    found = [r for r in widgets(window.root, ttk.Radiobutton) if str(r.cget("text")) == tool.capitalize()]
    found[0].invoke()
    run_for(window.root, 0.05)


def around(x: float, y: float, rx: float, ry: float) -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * np.pi, 40)
    return [(x + rx * np.cos(a), y + ry * np.sin(a)) for a in angles]


def ellipse(data: LandscapeData, x: float, y: float, rx: float, ry: float) -> np.ndarray:
    return ((data.column("pc1") - x) / rx) ** 2 + ((data.column("pc2") - y) / ry) ** 2 < 1


# ---------------------------------------------------------------------------------------------------------- choosing


def test_lasso_chooses_and_adds(window: LandscapeWindow, mouse: Mouse, data: LandscapeData) -> None:
    use(window, "lasso")
    mouse.drag(around(-150, 0, 40, 25))
    first = ellipse(data, -150, 0, 40, 25)
    assert np.mean(window.selection.chosen != first) < 0.01  # a polygon of 40 corners is no ellipse
    assert first.sum() > 50
    pick(window, window.how, "add")
    mouse.drag(around(150, 0, 40, 25))
    both = first | ellipse(data, 150, 0, 40, 25)
    assert np.mean(window.selection.chosen != both) < 0.01
    assert window.groups.told.get().startswith(f"{window.selection.chosen.sum()} of 600")
    button(window.root, "Undo").invoke()
    assert np.mean(window.selection.chosen != first) < 0.01
    button(window.root, "Select none").invoke()
    assert not window.selection.chosen.any()


def test_rectangle_and_condition_agree(window: LandscapeWindow, mouse: Mouse, data: LandscapeData) -> None:
    use(window, "rectangle")
    mouse.drag([(-60, 10), (0, 50), (60, 90)])
    x, y = data.column("pc1"), data.column("pc2")
    by_mouse = window.selection.chosen.copy()
    assert by_mouse.sum() > 50
    exact = (x > -60) & (x < 60) & (y > 10) & (y < 90)
    assert np.mean(by_mouse != exact) < 0.02  # a pixel is half an Å
    entry = next(e for e in widgets(window.root, ttk.Entry) if str(e.cget("textvariable")) == str(window.condition))
    entry.insert(0, "-60 < pc1 < 60 and pc2 > 10 and pc2 < 90")
    entry.focus_force()
    window.root.update()
    entry.event_generate("<Return>")
    window.root.update()
    np.testing.assert_array_equal(window.selection.chosen, exact)


def test_choosing_reaches_over_the_border(window: LandscapeWindow, mouse: Mouse, data: LandscapeData) -> None:
    """What the mouse encloses outside the axes belongs to the choice as far as it is seen."""
    seen = window.view.window
    x, y = data.column("pc1"), data.column("pc2")
    use(window, "rectangle")
    mouse.drag([(0, 0), (100, 30), (seen.right * 1.08, seen.top * 1.05)])
    exact = (x > 0) & (y > 0)
    assert np.mean(window.selection.chosen != exact) < 0.01
    use(window, "lasso")
    beyond = [(seen.left * 1.1, -5), (-100, -5), (-100, seen.bottom * 1.1), (seen.left * 1.1, seen.bottom * 1.1)]
    mouse.drag([(-150, -5), (-100, -5), (-100, -20), *beyond[2:], (seen.left * 1.1, -5), (-150, -5)])
    exact = (x < -100) & (y < -5)
    assert exact.sum() > 20
    assert np.mean(window.selection.chosen != exact) < 0.02


def test_a_column_without_numbers_is_refused(
    window: LandscapeWindow, mouse: Mouse, asked: Asked, data: LandscapeData
) -> None:
    data.table.score[:] = np.nan
    pick(window, window.colour, "score")
    assert "no value of 'score' is finite" in asked.told[0]
    assert (window.colour.get(), window.view.colour) == ("one colour", "one colour")
    mouse.wheel(0, 0)
    run_for(window.root, 0.1)
    assert len(asked.told) == 1


def test_a_wrong_condition_is_explained(window: LandscapeWindow, asked: Asked) -> None:
    window.condition.set("pc12 > 3")
    window.choose_by_condition()
    assert "unknown name 'pc12'" in asked.told[0]
    assert not window.selection.chosen.any()


def test_tools_do_not_disturb_each_other(window: LandscapeWindow, mouse: Mouse) -> None:
    before = window.view.window
    use(window, "lasso")
    mouse.drag(around(-150, 0, 40, 25))
    assert window.view.window == before
    use(window, "look")
    chosen = window.selection.chosen.copy()
    mouse.drag([(0, 0), (50, 20)])
    run_for(window.root, 0.1)
    np.testing.assert_array_equal(window.selection.chosen, chosen)
    assert window.view.window != before
    button(window.root, "See all").invoke()
    assert window.view.window == before


# ----------------------------------------------------------------------------------------------------------- looking


def test_wheel_enlarges_about_the_pointer(window: LandscapeWindow, mouse: Mouse) -> None:
    at = mouse.pixel(-150, 0)
    mouse.wheel(-150, 0)
    run_for(window.root, 0.1)
    width = window.view.window.right - window.view.window.left
    assert width == pytest.approx((window.view._whole.right - window.view._whole.left) / 1.25)
    assert np.abs(np.subtract(mouse.pixel(-150, 0), at)).max() <= 1


def test_pointing_shows_the_particle(window: LandscapeWindow, mouse: Mouse, data: LandscapeData) -> None:
    row = int(np.argmax(data.column("pc1")))  # nothing is near it
    mouse.move(*window.view.place(row))
    run_until(window.root, lambda: window.motion.particle.row == row)
    told = window.motion.told.get("1.0", "end")
    assert f"particle {data.table.ids[row]}, " in told
    assert f"q7 = {data.table.amplitudes[row, 0]:.1f} ± 2.0 Å" in told
    assert window.view._marker.get_xydata()[0] == pytest.approx(window.view.place(row))
    pick(window, window.y, "pc3")
    assert window.view._marker.get_xydata()[0] == pytest.approx(window.view.place(row))
    for place in CENTRES[:2, [0, 2]]:
        window.motion.add_corner(*place)
    window.motion.play_or_stop()
    run_for(window.root, 0.2)
    window.motion.play_or_stop()
    mouse.move(0, 0)
    mouse.move(*window.view.place(row))
    run_until(window.root, lambda: window.motion.shown_row == row)  # the same as before the path was played
    assert f"particle {data.table.ids[row]}, " in window.motion.told.get("1.0", "end")


def test_third_axis_turns_by_dragging(window: LandscapeWindow, mouse: Mouse) -> None:
    pick(window, window.z, "pc3")
    pick(window, window.colour, "score")
    assert (window.view.shown, window.view.colour) == (("pc1", "pc2", "pc3"), "score")
    before = window.view.rotation.copy()
    mouse.drag([(0, 0), (0.5, 0.2), (0.8, 0.3)])
    run_for(window.root, 0.1)
    assert not np.allclose(window.view.rotation, before)
    use(window, "path")
    assert window.tool.get() == "look"  # a path has two coordinates
    use(window, "lasso")
    mouse.drag(around(0, 0, 0.4, 0.4))
    inside = np.linalg.norm(window.view.screen, axis=0) < 0.4
    assert np.mean(window.selection.chosen != inside) < 0.02
    pick(window, window.z, "(none)")
    assert not window.view.is_3d


def test_a_larger_window_has_a_larger_view(window: LandscapeWindow) -> None:
    before = window.view.axes.bbox.width
    window.root.geometry("1390x900")
    run_until(window.root, lambda: window.view.axes.bbox.width > before + 20)


# ------------------------------------------------------------------------------------------------------------ groups


def test_groups_are_kept_and_found_again(
    window: LandscapeWindow, mouse: Mouse, data: LandscapeData, tmp_path: Path, asked: Asked
) -> None:
    use(window, "lasso")
    mouse.drag(around(-150, 0, 40, 25))
    chosen = window.selection.chosen.copy()
    window.groups.name.set("closed")
    button(window.root, "Add selected").invoke()
    mouse.drag(around(150, 0, 40, 25))
    button(window.root, "Add selected").invoke()  # the name that is proposed
    rows = window.groups.list.get_children()
    assert [window.groups.list.set(row, "name") for row in rows] == ["closed", "group 1"]
    assert window.groups.list.set("closed", "count") == str(chosen.sum())

    window.groups.list.selection_set("group 1")
    window.root.update()
    window.groups.name.set("open")
    button(window.root, "Rename").invoke()
    window.close()
    again = open_window(data, tmp_path)
    try:
        assert [g.name for g in again.selection.groups] == ["closed", "open"]
        np.testing.assert_array_equal(again.selection.groups[0].mask, chosen)
        assert [layer.colour for layer in again.view.layers] == [g.colour for g in again.selection.groups]
        assert set(read_groups(tmp_path / GROUPS_JSON)[0].ids) == set(data.table.ids[chosen])
    finally:
        again.close()
    assert not asked.told


@pytest.mark.parametrize("content", ["not JSON", "of another landscape"])
def test_groups_that_cannot_be_taken_are_not_written_over(
    data: LandscapeData, tmp_path: Path, asked: Asked, screen: None, content: str
) -> None:
    file = tmp_path / GROUPS_JSON
    if content == "not JSON":
        file.write_text(content)
    else:
        write_groups(file, [NamedGroup("else", "#123456", np.array([1]))])
    before = file.read_bytes()
    window = open_window(data, tmp_path)
    assert len(asked.told) == 2
    assert str(tmp_path / "groups_put_aside_1.json") in asked.told[1]
    window.condition.set("pc1 > 0")
    window.choose_by_condition()
    window.groups.add()
    window.close()
    assert (tmp_path / "groups_put_aside_1.json").read_bytes() == before
    assert [g.name for g in read_groups(file)] == ["group 1"]


def click_in_list(window: LandscapeWindow, row: str, column: str) -> None:
    window.root.update()
    x, y, width, height = (int(v) for v in window.groups.list.bbox(row, column))
    for event in ("<ButtonPress-1>", "<ButtonRelease-1>"):
        window.groups.list.event_generate(event, x=x + width // 2, y=y + height // 2)
    window.root.update()


def test_groups_are_hidden_chosen_and_removed(window: LandscapeWindow, data: LandscapeData) -> None:
    for name, condition in (("left", "pc1 < -80"), ("right", "pc1 > 80")):
        window.condition.set(condition)
        window.choose_by_condition()
        window.groups.name.set(name)
        window.groups.add()
    assert len(window.view.layers) == 2
    click_in_list(window, "left", "shown")
    assert [g.shown for g in window.selection.groups] == [False, True]
    assert len(window.view.layers) == 1
    click_in_list(window, "right", "name")
    assert window.groups.picked() == "right"
    button(window.groups.frame, "Select").invoke()
    np.testing.assert_array_equal(window.selection.chosen, data.column("pc1") > 80)
    button(window.root, "Remove").invoke()
    assert [g.name for g in window.selection.groups] == ["left"]
    button(window.root, "Undo").invoke()
    assert [window.groups.list.set(row, "name") for row in window.groups.list.get_children()] == ["left", "right"]


def test_a_click_on_the_colour_changes_it(window: LandscapeWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    window.condition.set("pc1 > 0")
    window.choose_by_condition()
    window.groups.add()
    monkeypatch.setattr(colorchooser, "askcolor", lambda colour, parent: ((0, 0, 0), "#0a0b0c"))
    click_in_list(window, "group 1", "colour")
    assert [layer.colour for layer in window.view.layers] == ["#0a0b0c"]


def test_a_typed_name_stays(window: LandscapeWindow) -> None:
    window.groups.name.set("open state")
    window.condition.set("pc1 > 0")
    window.choose_by_condition()
    assert window.groups.name.get() == "open state"
    window.groups.add()
    assert [g.name for g in window.selection.groups] == ["open state"]
    assert window.groups.name.get() == "group 1"
    click_in_list(window, "open state", "name")
    window.condition.set("pc1 < 0")
    window.choose_by_condition()
    window.groups.add()
    assert [g.name for g in window.selection.groups] == ["open state", "group 1"]


def add_by(window: LandscapeWindow, name: str, condition: str) -> None:
    """Make a group of what fulfils a condition, and wait until it is written."""
    window.condition.set(condition)
    window.choose_by_condition()
    window.groups.name.set(name)
    window.groups.add()
    kept(window)


def kept(window: LandscapeWindow) -> None:
    run_until(window.root, lambda: window.groups._timer is None and not window.groups._saver.is_busy)


@pytest.fixture
def other(data: LandscapeData, tmp_path: Path, screen: None) -> Iterator[LandscapeWindow]:
    """Another window on the same landscape."""
    other = open_window(data, tmp_path)
    yield other
    with suppress(tk.TclError):
        other.close()


def test_two_windows_keep_the_groups_of_both(
    window: LandscapeWindow, other: LandscapeWindow, tmp_path: Path, asked: Asked
) -> None:
    def names() -> list[str]:
        return [g.name for g in read_groups(tmp_path / GROUPS_JSON)]

    add_by(window, "from a", "pc1 > 0")
    add_by(other, "from b", "pc1 < 0")
    assert "added 'from a'" in asked.told[0]
    assert set(names()) == {"from a", "from b"}

    # what one window removes or renames does not come back from the other, which has its own changes meanwhile
    add_by(window, "more of a", "pc2 > 0")
    assert "added 'from b'" in asked.told[1]
    window.groups.list.selection_set("from b")
    window.groups.remove()
    window.groups.list.selection_set("from a")
    window.groups.name.set("right")
    window.groups.rename()
    kept(window)
    assert names() == ["right", "more of a"]
    add_by(other, "more of b", "pc2 < 0")
    assert asked.told[2].startswith("Another window on this landscape has added 'right', 'more of a' and removed 'from")
    assert set(names()) == {"right", "more of a", "more of b"}
    other.undo()  # its own last change alone
    kept(other)
    assert set(names()) == {"right", "more of a"}
    other.groups._change("right", colour="#0a0b0c")
    kept(other)
    window.groups._change("more of a", name="upper")
    kept(window)
    assert {g.name: g.colour for g in read_groups(tmp_path / GROUPS_JSON)}["right"] == "#0a0b0c"
    assert window.selection.group("right").colour == "#0a0b0c"

    # nothing is left to hand on once the other window has removed it
    other.groups.take_others()
    for name in ("right", "upper"):
        other.groups.list.selection_set(name)
        other.groups.remove()
    kept(other)
    told = len(asked.told)
    button(window.root, "Make sets").invoke()
    assert "removed" in asked.told[told]
    assert "there is no group yet" in asked.told[told + 1]
    assert asked.to_do == []


@pytest.mark.parametrize("closed", [False, True])
def test_a_window_that_was_slower_loses_nothing(
    window: LandscapeWindow, other: LandscapeWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    """The other window writes after this one has looked and before it writes."""
    take = window.groups.take_others
    add_by(other, "of the other", "pc1 < 0")
    monkeypatch.setattr(window.groups, "take_others", lambda: None)
    window.condition.set("pc1 > 0")
    window.choose_by_condition()
    window.groups.name.set("own")
    window.groups.add()
    run_until(window.root, lambda: window.groups._saver.was_refused and not window.groups._saver.is_busy)
    assert [g.name for g in read_groups(tmp_path / GROUPS_JSON)] == ["of the other"]
    monkeypatch.setattr(window.groups, "take_others", take)
    if closed:
        window.close()
    run_until(other.root, lambda: len(read_groups(tmp_path / GROUPS_JSON)) == 2)
    assert closed or {g.name for g in window.selection.groups} == {"own", "of the other"}


def test_a_broken_file_is_put_aside(window: LandscapeWindow, tmp_path: Path, asked: Asked) -> None:
    add_by(window, "a", "pc1 < 0")
    (tmp_path / GROUPS_JSON).write_text("{broken")
    add_by(window, "b", "pc1 > 0")
    assert [g.name for g in read_groups(tmp_path / GROUPS_JSON)] == ["a", "b"]
    assert "is kept as" in asked.told[0]
    assert (tmp_path / "groups_put_aside_1.json").read_text() == "{broken"


def test_what_is_shown_is_no_change_of_the_file(window: LandscapeWindow, tmp_path: Path) -> None:
    window.condition.set("pc1 > 0")
    window.choose_by_condition()
    window.groups.add()
    run_until(window.root, lambda: (tmp_path / GROUPS_JSON).is_file() and not window.groups._saver.is_busy)
    (tmp_path / GROUPS_JSON).unlink()
    click_in_list(window, "group 1", "shown")
    run_for(window.root, 0.6)
    assert not (tmp_path / GROUPS_JSON).exists()


def test_a_name_twice_is_explained(window: LandscapeWindow, asked: Asked) -> None:
    for _ in range(2):
        window.condition.set("pc1 > 0")
        window.choose_by_condition()
        window.groups.name.set("open")
        button(window.root, "Add selected").invoke()
    assert "already" in asked.told[0]
    button(window.root, "Select none").invoke()
    window.groups.name.set("other")
    button(window.root, "Add selected").invoke()
    assert "no particle is selected" in asked.told[1]
    assert len(window.selection.groups) == 1


def test_saving_and_opening_by_dialogs(
    window: LandscapeWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Asked, data: LandscapeData
) -> None:
    file = tmp_path / "mine.json"
    monkeypatch.setattr(filedialog, "asksaveasfilename", lambda **_: str(file))
    monkeypatch.setattr(filedialog, "askopenfilename", lambda **_: str(file))
    button(window.root, "Save as …").invoke()
    assert "no group yet" in asked.told.pop()
    window.condition.set("pc2 > 30")
    window.choose_by_condition()
    window.groups.add()
    button(window.root, "Save as …").invoke()
    button(window.root, "Remove").invoke()  # nothing is picked: nothing happens
    window.groups.list.selection_set("group 1")
    button(window.root, "Remove").invoke()
    assert window.selection.groups == []
    button(window.groups.frame, "Open …").invoke()
    np.testing.assert_array_equal(window.selection.groups[0].mask, data.column("pc2") > 30)
    write_groups(file, [NamedGroup("else", "#123456", np.array([1]))])
    button(window.groups.frame, "Open …").invoke()
    assert "not in this landscape" in asked.told.pop()
    assert [g.name for g in window.selection.groups] == ["group 1"]


def test_suggested_groups_come_beside_those_there_are(
    window: LandscapeWindow, asked: Asked, data: LandscapeData
) -> None:
    window.condition.set("pc2 > 30")
    window.choose_by_condition()
    window.groups.add()
    pick(window, window.groups.number, "auto")
    button(window.root, "Suggest groups").invoke()
    assert str(button(window.root, "working …").cget("state")) == "disabled"
    run_until(window.root, lambda: len(window.selection.groups) == 2)
    assert asked.to_do == [("gmm", 0)]
    np.testing.assert_array_equal(np.flatnonzero(window.selection.groups[1].mask), np.arange(5))
    assert asked.told == []
    pick(window, window.groups.method, "kmeans")
    for number, told in (
        ("2", "Clusters overlap."), ("12", "too many clusters"), ("11", "unexpected KeyError: 'a fault of ours'"),
    ):  # fmt: skip
        pick(window, window.groups.number, number)
        button(window.root, "Suggest groups").invoke()
        run_until(window.root, lambda: bool(asked.told))
        assert asked.told.pop() == told
        assert str(button(window.root, "Suggest groups").cget("state")) == "normal"
    assert [g.name for g in window.selection.groups] == ["group 1", "cluster 1", "cluster 1 (2)"]


def test_groups_are_handed_on(
    window: LandscapeWindow, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    button(window.root, "Make sets").invoke()
    assert "no group yet" in asked.told.pop()
    window.condition.set("pc2 > 30")
    window.choose_by_condition()
    window.groups.add()
    button(window.root, "Make sets").invoke()
    assert (asked.to_do, asked.told) == ([("sets", ["group 1"])], ["made"])
    button(window.root, "Reconstruct").invoke()
    assert asked.told[1:] == ["no images"]
    monkeypatch.setattr(filedialog, "askdirectory", lambda **_: str(tmp_path / "stars"))
    button(window.root, "STAR files …").invoke()
    run_until(window.root, lambda: window.groups.told.get() == "written: there")
    assert asked.to_do[-1] == ("star", ["group 1"], tmp_path / "stars")


# ------------------------------------------------------------------------------------------------------------- paths


def seen_places(window: LandscapeWindow, before: set[tuple[float, float]]) -> set[tuple[float, float]]:
    """Where the ring was seen so far."""
    before.add(tuple(window.view._marker.get_xydata()[0]))
    return before


def test_a_path_is_drawn_played_and_handed_on(window: LandscapeWindow, mouse: Mouse, asked: Asked) -> None:
    use(window, "path")
    for place in CENTRES[:, :2]:
        mouse.click(*place)
    np.testing.assert_allclose(window.motion.corners, CENTRES[:, :2], atol=1.0)
    mouse.click(0, 0, number=3)
    assert len(window.motion.corners) == 2
    assert len(window.view._path.get_xydata()) == 2
    button(window.root, "Play").invoke()
    run_until(window.root, lambda: window.view._marker.get_xydata().size > 0)
    seen: set[tuple[float, float]] = set()
    run_until(window.root, lambda: len(seen_places(window, seen)) > 5)  # it moves
    assert "frame" in window.motion.told.get("1.0", "end")
    button(window.root, "Stop").invoke()
    assert window.motion._timer is None
    button(window.root, "Trajectory").invoke()
    kind, points = asked.to_do[-1]
    assert kind == "trajectory"
    np.testing.assert_allclose([[float(x) for x in p.split()] for p in points.split(";")], CENTRES[:2, :2], atol=1.0)
    button(window.root, "Clear").invoke()
    assert window.view._path.get_xydata().size == 0
    assert window.view._marker.get_xydata().size == 0
    assert window.motion.told.get("1.0", "end").startswith("Point at a particle")
    button(window.root, "Play").invoke()
    assert "at least two places" in asked.told[-1]


def test_a_saved_trajectory_is_opened_in_any_axes(
    window: LandscapeWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Asked, data: LandscapeData
) -> None:
    points = np.linspace(CENTRES[0], CENTRES[2], 7)
    zeros = np.zeros(7)
    amplitudes = points @ np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]  # as three_clouds has it
    made = {SAMPLE: sample_of(data.table)}
    saved = Trajectory(points, amplitudes, (7, 8, 9), "points", (0, 1), zeros, zeros, zeros.astype(int), made)
    write_trajectory(tmp_path / "t.json", saved)
    monkeypatch.setattr(filedialog, "askopenfilename", lambda **_: str(tmp_path / "t.json"))
    button(window.motion.frame, "Open …").invoke()
    np.testing.assert_allclose(window.motion.corners, points[:, :2])
    pick(window, window.y, "q7")
    np.testing.assert_allclose(window.motion.corners, np.stack([points[:, 0], amplitudes[:, 0]], axis=1))
    pick(window, window.y, "score")  # of which trajectories say nothing
    assert window.motion.corners == []
    pick(window, window.y, "pc2")
    button(window.root, "Play").invoke()
    shown: set[int] = set()

    def four_frames_are_seen() -> bool:
        place = window.view._marker.get_xydata()[0]
        frame = int(np.linalg.norm(points[:, :2] - place, axis=1).argmin())
        numbers = "\n".join(f"q{mode} = {q:.1f} Å" for mode, q in zip((7, 8, 9), amplitudes[frame], strict=True))
        assert numbers in window.motion.told.get("1.0", "end")
        shown.add(frame)
        return len(shown) > 3

    run_until(window.root, four_frames_are_seen)
    window.motion.remove_corner()
    assert (len(window.motion.corners), window.motion.trajectory) == (6, None)
    assert window.motion.path_told.get() == "Path: 6 places"
    (tmp_path / "t.json").write_text("{}")
    button(window.motion.frame, "Open …").invoke()
    assert "is not a file of the trajectory command" in asked.told[-1]
    assert asked.told[:-1] == []


def test_the_model_moves_along_the_path(data: LandscapeData, tmp_path: Path, screen: None) -> None:
    model = small_model()
    try:
        window = LandscapeWindow(data, tmp_path, model=model)
    except tk.TclError as error:
        pytest.skip(f"Tk opens no window ({error}); set DISPLAY to a display that works")
    for place in CENTRES[:2, :2]:
        window.motion.add_corner(*place)
    window.motion.play_or_stop()
    seen: set[int] = set()
    places, amplitudes = window.motion._prepare_frames()
    view = window.motion.particle

    def moves() -> bool:
        frame = int(np.linalg.norm(places - window.view._marker.get_xydata()[0], axis=1).argmin())
        atoms = view._rest_A + model.shown_motion.displacements(amplitudes[frame])
        expected = (atoms @ view._front.T)[model.bonds][..., :2]
        drawn = np.array(view._trace.drawn.get_segments())
        np.testing.assert_allclose(np.sort(drawn.ravel()), np.sort(expected.ravel()), atol=1e-6)
        seen.add(frame)
        return len(seen) > 3

    run_until(window.root, moves)
    window.close()


def test_within_another_programs_window(data: LandscapeData, tmp_path: Path, screen: None) -> None:
    """As in Scipion: showing it returns at once, and closing it leaves the other window."""
    try:
        parent = tk.Tk()
    except tk.TclError as error:
        pytest.skip(f"Tk opens no window ({error}); set DISPLAY to a display that works")
    faults: list[str] = []
    parent.createcommand("bgerror", lambda *text: faults.append(" ".join(text)))
    asked = Asked()
    asked.data = data
    window = LandscapeWindow(data, tmp_path, parent=parent, actions=GroupActions(suggest=asked.suggest))
    window.show()
    run_for(parent, 0.2)
    assert str(button(window.root, "STAR files …").cget("state")) == "disabled"
    for place in CENTRES[:2, :2]:
        window.motion.add_corner(*place)
    window.motion.play_or_stop()
    button(window.root, "Suggest groups").invoke()
    Mouse(window.canvas, window.view.axes).move(0, 0)
    assert window.motion.playing
    window.close()  # while it plays, is pointed at, and waits for groups
    assert window.motion._timer is None
    run_for(parent, 0.8)
    assert faults == []
    assert parent.winfo_exists()
    parent.destroy()


AWKWARD = (
    r"$x^{2$", "<b>bold</b>", r"\frac{1}{2}", "%s %d", "[exit]", "{", "a; destroy .", "_", "-x", "007", "\"q", "開く",
)  # fmt: skip


def test_names_are_shown_as_they_are(data: LandscapeData, tmp_path: Path, asked: Asked, screen: None) -> None:
    """Groups, files of origin, columns and images: no signs are formulas of matplotlib or commands of Tk."""
    stacks = (f"{AWKWARD[0]}/%s [exit].mrcs",)
    data = LandscapeData(replace(data.table, source_names=AWKWARD[:2], stack_names=stacks, labels=AWKWARD[:3]))
    window = open_window(data, tmp_path, asked)
    for number, name in enumerate(AWKWARD):
        window.selection.choose(np.arange(len(data)) % len(AWKWARD) == number)
        window.groups.name.set(name)
        button(window.root, "Add selected").invoke()
    rows = window.groups.list.get_children()
    assert [window.groups.list.set(row, "name") for row in rows] == list(AWKWARD)
    for row, name in zip(rows, AWKWARD, strict=True):
        window.groups.list.selection_set(row)
        assert window.groups.picked() == name
        window.groups.choose()
        assert window.selection.chosen.sum() == len(data) / len(AWKWARD)
    pick(window, window.colour, "source")
    window.motion.show_particle(0)
    for canvas in (window.canvas, window.motion.canvas):
        canvas.draw()
    assert "%s [exit].mrcs" in window.motion.particle._told.get_text()
    assert asked.told == []
    window.close()
    assert [group.name for group in read_groups(tmp_path / GROUPS_JSON)] == list(AWKWARD)


def test_half_a_window_is_not_left_behind(
    data: LandscapeData, tmp_path: Path, screen: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        parent = tk.Tk()
    except tk.TclError as error:
        pytest.skip(f"Tk opens no window ({error}); set DISPLAY to a display that works")
    data.table.coordinates[:] = np.nan
    with pytest.raises(InputError, match="is finite"):
        LandscapeWindow(data, tmp_path, parent=parent)
    assert parent.winfo_children() == []
    parent.destroy()
