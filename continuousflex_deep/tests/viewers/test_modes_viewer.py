"""The viewer of normal modes: its figures without a screen, and its window on one."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import gemmi
import numpy as np
import pytest

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    pytest.skip(scipion_missing(), allow_module_level=True)

import tkinter as tk

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.frames import write_swing
from continuousflex_deep.io.mode_table import ModeTable, write_mode_table
from continuousflex_deep.io.modes import NormalModes, write_modes
from continuousflex_deep.io.structures import Structure, write_structure
from continuousflex_deep.motion import motion_along
from continuousflex_deep.nma.network import compute_modes
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.tests.helpers.structures import beads, helix
from continuousflex_deep.tests.helpers.windows import button, run_until
from continuousflex_deep.trajectories import frames
from continuousflex_deep.viewers import modes_data, viewer_modes
from continuousflex_deep.viewers.modes_data import ModesData, make_modes_data, read_modes_data
from continuousflex_deep.viewers.modes_figure import DisplacementFigure, MotionFigure
from continuousflex_deep.viewers.modes_window import ModesWindow

pytestmark = [pytest.mark.scipion, pytest.mark.usefixtures("scipion_home")]


@pytest.fixture(scope="module")
def modes() -> tuple[Structure, NormalModes]:
    structure = helix(60, chains=2)
    options = NmaOptions(structure="s", output="o", cutoff_A=12.0, block_size=4, n_modes=12)
    return structure, compute_modes(structure, options)


@pytest.fixture
def data(modes: tuple[Structure, NormalModes]) -> ModesData:
    return make_modes_data(*modes)


def drawn(data: ModesData, mode: int = 7) -> MotionFigure:
    figure = Figure()
    FigureCanvasAgg(figure)
    view = MotionFigure(data, figure, mode)
    figure.canvas.draw()
    return view


# ---------------------------------------------------------------------------------------------------------- data


def test_of_many_residues_a_few_thousand_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    structure = helix(200, chains=3)
    vectors = np.ones((1, 600, 3)) / np.sqrt(1800)
    monkeypatch.setattr(modes_data, "MOST_SHOWN", 100)
    data = make_modes_data(structure, NormalModes((7,), vectors))
    assert len(data.shown) == 100
    chains = structure.chain_ids[data.shown]
    assert (chains[data.bonds[:, 0]] == chains[data.bonds[:, 1]]).all()
    assert len(data.bonds) == 97  # the chains are not joined
    # a shift of everything is no motion
    np.testing.assert_allclose(data.shown_motion.displacements(np.ones(1)), 0, atol=1e-12)


def test_gaps_are_not_bridged() -> None:
    structure = helix(40)
    kept = structure.select((structure.residue_numbers < 10) | (structure.residue_numbers > 30))
    data = make_modes_data(kept, NormalModes((7,), np.ones((1, len(kept), 3))))
    assert len(data.bonds) == len(kept) - 2


def test_swing_for_other_programs(data: ModesData, tmp_path: Path) -> None:
    path = data.write_swing(tmp_path, 8, rmsd_A=2.0)
    models = gemmi.read_structure(str(path))
    coords = [np.array([site.atom.pos.tolist() for site in models[k].all()]) for k in (0, 5, 15)]
    np.testing.assert_allclose(coords[0], data.structure.coords_A, atol=1e-3)
    np.testing.assert_allclose(coords[1] + coords[2], 2 * coords[0], atol=2e-3)
    assert np.sqrt(np.square(coords[1] - coords[0]).sum(axis=1).mean()) == pytest.approx(2.0, rel=1e-3)


def test_swing_is_the_file_that_the_commands_write(
    modes: tuple[Structure, NormalModes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where chains have long names, and where the structure is so large that its trace is written."""
    structure, normal = modes
    long_names = dataclasses.replace(structure, chain_ids=structure.chain_ids + "L50")
    q = np.array([2.0 * np.sqrt(len(structure))])
    monkeypatch.setattr("continuousflex_deep.io.frames.MOST_ATOMS", 50)
    for atoms in (structure, long_names):
        write_swing(tmp_path / "c.pdb", atoms, frames.swing_frames(motion_along(atoms, normal.select((8,))), q))
        path = make_modes_data(atoms, normal).write_swing(tmp_path, 8, rmsd_A=2.0)
        assert path.read_text() == (tmp_path / "c.pdb").read_text()
    assert [chain.name for chain in gemmi.read_structure(str(path))[0]] == ["A", "B"]
    assert "REMARK   6 chain A is AL50" in path.read_text()


def test_reading_what_the_commands_wrote(modes: tuple[Structure, NormalModes], tmp_path: Path) -> None:
    structure, normal = modes
    write_structure(tmp_path / "s.pdb", structure)
    write_modes(tmp_path / "modes", normal)
    alone = read_modes_data(tmp_path / "s.pdb", tmp_path / "modes")
    assert list(alone.table.columns) == ["energy", "collectivity", "score"]
    assert alone.table.columns["energy"][0] == 1
    table = ModeTable((7, 9), np.array([False, True]), {"overlap": np.array([0.2, 0.9])})
    write_mode_table(tmp_path / "modes.csv", table)
    found = read_modes_data(tmp_path / "s.pdb", tmp_path / "modes", tmp_path)
    assert (found.table.mode_ids, found.table.chosen_ids, found.motion.n_modes) == ((7, 9), (9,), 2)
    write_structure(tmp_path / "s.pdb", structure.select(np.arange(50)))
    with pytest.raises(InputError, match=r"120 atoms, structure .* has 50"):
        read_modes_data(tmp_path / "s.pdb", tmp_path / "modes")


# -------------------------------------------------------------------------------------------------------- figures


def test_the_trace_swings_by_the_rmsd(data: ModesData) -> None:
    view = drawn(data)
    assert isinstance(view._moving.drawn, LineCollection)
    rest = view.positions_A()
    np.testing.assert_allclose(rest, data.structure.coords_A, atol=1e-9)
    for rmsd_A in (1.0, 4.0):
        view.set_rmsd(rmsd_A)
        view.set_phase(np.pi / 2)
        moved = view.positions_A() - rest
        assert np.sqrt(np.square(moved).sum(axis=1).mean()) == pytest.approx(rmsd_A, rel=1e-3)
        assert view._colours.get_clim()[1] == pytest.approx(np.linalg.norm(moved, axis=1).max())
        view.set_phase(-np.pi / 2)
        np.testing.assert_allclose(view.positions_A() - rest, -moved, atol=1e-9)
    assert f"q = ±{4 * np.sqrt(120):.0f} Å" in view._title.get_text()


def test_segments_on_the_screen_are_the_structure_turned(data: ModesData) -> None:
    view = drawn(data)
    np.testing.assert_allclose(view.rotation @ view.rotation.T, np.eye(3), atol=1e-12)
    before = view.rotation
    view.turn(40, -25)
    assert not np.allclose(view.rotation, before)
    assert np.linalg.det(view.rotation) == pytest.approx(1.0)
    view.set_phase(1.0)
    expected = (view.positions_A() - data.structure.coords_A.mean(axis=0)) @ view.rotation.T
    lengths = sorted(np.linalg.norm(s[1] - s[0]) for s in view._moving.drawn.get_segments())
    bonds = data.bonds
    np.testing.assert_allclose(
        lengths, np.sort(np.linalg.norm(expected[bonds[:, 1], :2] - expected[bonds[:, 0], :2], axis=1)), atol=1e-9
    )
    view.zoom(2.0)
    assert view.axes.get_xlim()[1] == pytest.approx(1.08 * view._radius_A / 2)


def test_another_mode_moves_otherwise(data: ModesData) -> None:
    view = drawn(data)
    view.set_phase(np.pi / 2)
    first = view.positions_A()
    view.show_mode(9)
    assert np.abs(view.positions_A() - first).max() > 0.5


def test_pseudoatoms_are_dots() -> None:
    structure = beads(50)
    vectors = np.random.default_rng(1).normal(size=(2, 50, 3))
    vectors /= np.linalg.norm(vectors, axis=(1, 2), keepdims=True)
    view = drawn(make_modes_data(structure, NormalModes((7, 8), vectors)), 8)
    view.set_phase(1.0)
    view.figure.canvas.draw()
    assert len(view._moving.drawn.get_offsets()) == 50
    assert np.isfinite(np.asarray(view._moving.drawn.get_offsets())).all()


def test_displacements_of_residues(data: ModesData) -> None:
    figure = Figure()
    FigureCanvasAgg(figure)
    view = DisplacementFigure(data, figure, 7)
    view.set_rmsd(3.0)
    figure.canvas.draw()
    x, y = view._line.get_data()
    assert len(x) == 120
    assert np.sqrt(np.mean(np.square(y))) == pytest.approx(3.0, rel=1e-3)
    assert [text.get_text() for text in view.axes.texts] == ["A", "B"]
    view.show_mode(8)
    assert view.axes.get_title() == "mode 8 at an RMSD of 3.0 Å (dashed)"


# --------------------------------------------------------------------------------------------------------- window


@pytest.fixture
def opened() -> list[Path]:
    """The files that another program was asked to open."""
    return []


@pytest.fixture
def asked() -> list[str]:
    """The lists of modes of which sets were asked for."""
    return []


@pytest.fixture
def window(
    data: ModesData, tmp_path: Path, opened: list[Path], asked: list[str], screen: None
) -> Iterator[ModesWindow]:
    table = ModeTable(data.table.mode_ids, np.isin(data.table.mode_ids, [7, 9]), data.table.columns)
    made = ModesData(data.structure, data.motion, table, data.shown, data.bonds)

    def choose(mode_list: str) -> str:
        asked.append(mode_list)
        return ""

    try:
        window = ModesWindow(made, tmp_path, openers={"ChimeraX": opened.append, "VMD": None}, on_choose=choose)
    except tk.TclError as error:
        pytest.skip(f"Tk opens no window ({error}); set DISPLAY to a display that works")
    run_until(window.root, lambda: all(window.list.bbox(str(mode)) for mode in table.mode_ids))
    yield window
    if is_open(window):
        window.close()


def click(window: ModesWindow, mode: int, column: str) -> None:
    x, y, width, height = (int(number) for number in window.list.bbox(str(mode), column))
    for event in ("<ButtonPress-1>", "<ButtonRelease-1>"):
        window.list.event_generate(event, x=x + width // 2, y=y + height // 2)
    window.root.update()


def test_clicking_a_mode_shows_it(window: ModesWindow) -> None:
    assert (window.mode, window.motion.mode) == (7, 7)
    click(window, 10, "mode")
    assert (window.mode, window.motion.mode, window.displacement.mode) == (10, 10, 10)
    assert window.ticked == {7, 9}


def test_ticks_make_the_list(window: ModesWindow, asked: list[str], tmp_path: Path) -> None:
    click(window, 8, "tick")
    click(window, 12, "tick")
    assert window.choice.get() == "Ticked: 7-9 12"
    click(window, 12, "tick")
    assert window.mode_list() == "7-9"
    button(window.root, "Copy list").invoke()
    assert window.root.clipboard_get() == "7-9"
    window.save_list(tmp_path / "list.txt")
    assert (tmp_path / "list.txt").read_text() == "7-9\n"
    button(window.root, "Make a set of the ticked modes").invoke()
    assert asked == ["7-9"]


def test_it_plays_and_pauses(window: ModesWindow) -> None:
    start = window.motion.phase
    run_until(window.root, lambda: window.motion.phase != start)
    button(window.root, "Pause").invoke()
    window.root.update()
    phase = window.motion.phase
    end = time.monotonic() + 0.3
    run_until(window.root, lambda: time.monotonic() > end)
    assert window.motion.phase == phase
    button(window.root, "Play").invoke()
    run_until(window.root, lambda: window.motion.phase != phase)


def test_the_slider_sets_the_motion(window: ModesWindow) -> None:
    window.slider.set(5.0)
    window.root.update()
    assert (window.motion.rmsd_A, window.displacement.rmsd_A, window.rmsd_text.get()) == (5.0, 5.0, "5.0 Å")


def test_dragging_turns_and_the_wheel_enlarges(window: ModesWindow) -> None:
    widget, before = window.moving.get_tk_widget(), window.motion.rotation.copy()
    widget.event_generate("<ButtonPress-1>", x=100, y=100)
    widget.event_generate("<Motion>", x=150, y=120, state=0x100)  # the first button is down
    widget.event_generate("<Button-4>", x=100, y=100)
    window.root.update()
    assert not np.allclose(window.motion.rotation, before)
    assert window.motion._zoom == pytest.approx(1.1)


def test_columns_sort(window: ModesWindow) -> None:
    window._sort_by("collectivity")
    order = [int(row) for row in window.list.get_children()]
    kappa = window.data.table.columns["collectivity"]
    assert order == [window.data.table.mode_ids[i] for i in np.argsort(-kappa)]
    window._sort_by("mode")
    assert [int(row) for row in window.list.get_children()] == list(window.data.table.mode_ids)


def test_other_programs_open_the_swing_as_shown(window: ModesWindow, opened: list[Path]) -> None:
    button(window.root, "Open in ChimeraX").invoke()
    assert [path.name for path in opened] == ["swing_7.pdb"]
    assert opened[0].is_file()
    assert str(button(window.root, "VMD is not installed").cget("state")) == "disabled"


def test_closing_ends_the_animation(window: ModesWindow) -> None:
    window.close()
    assert window._timer is None
    assert not is_open(window)


def test_within_another_programs_window(data: ModesData, tmp_path: Path, screen: None) -> None:
    """As in Scipion: showing it returns at once, and closing it leaves the other window. No mode is ticked yet."""
    try:
        parent = tk.Tk()
    except tk.TclError as error:
        pytest.skip(f"Tk opens no window ({error}); set DISPLAY to a display that works")
    window = ModesWindow(data, tmp_path, parent=parent)
    window.show()
    parent.update()
    assert window.choice.get().startswith("No mode is ticked")
    window.close()
    parent.update()
    assert parent.winfo_exists()
    parent.destroy()


def is_open(window: ModesWindow) -> bool:
    try:
        return bool(window.root.winfo_exists())
    except tk.TclError:
        return False


def test_programs_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VMD_HOME", str(tmp_path / "vmd"))
    assert viewer_modes.openers() == {"ChimeraX": None, "VMD": None}
    (tmp_path / "vmd" / "bin").mkdir(parents=True)
    program = tmp_path / "vmd" / "bin" / "vmd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert viewer_modes.vmd_program() == str(program)
