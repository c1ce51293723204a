"""The viewers' figures, drawn without a screen."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    pytest.skip(scipion_missing(), allow_module_level=True)

from matplotlib.backend_bases import MouseButton, MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.viewers import landscape_figure
from continuousflex_deep.viewers.landscape_data import LandscapeData, read_landscape_data
from continuousflex_deep.viewers.landscape_figure import DENSITY, NO_COLOUR, LandscapeFigure
from continuousflex_deep.viewers.viewer_training import draw_curves, error_columns, read_curves

pytestmark = [pytest.mark.scipion, pytest.mark.usefixtures("scipion_home")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four particles at the corners of a square, one in its middle; ids are not rows."""
    coordinates = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1], [0, 0]], dtype=float)
    np.savez(
        tmp_path / "landscape.npz",
        ids=np.array([50, 11, 3, 29, 8]),
        mode_ids=np.array([7, 9]),
        amplitudes=coordinates * 100,
        coordinates=coordinates,
        distance=np.arange(5.0),
        source=np.array([1, 1, 2, 2, 2]),
        outlier=np.zeros(5, dtype=bool),
    )
    return tmp_path


def draw(data: LandscapeData, colour: str = NO_COLOUR) -> LandscapeFigure:
    figure = Figure()
    FigureCanvasAgg(figure)
    view = LandscapeFigure(data, figure, "PC 1", "q 9", colour)
    figure.canvas.draw()
    return view


def test_columns(folder: Path) -> None:
    data = read_landscape_data(folder)
    assert data.axes() == ["PC 1", "PC 2", "q 7", "q 9"]
    assert data.columns["q 9"].tolist() == [-100, 100, -100, 100, 0]


def test_encircled_particles_become_ids(folder: Path) -> None:
    view = draw(read_landscape_data(folder))
    view.select_inside([(-0.5, -150), (1.5, -150), (1.5, 50), (-0.5, 50)])
    assert view.selected_ids().tolist() == [3, 8]
    assert view.save_selection(folder / "ids.txt") == 2
    assert (folder / "ids.txt").read_text() == "3\n8\n"
    view.select_inside([(5, 5), (6, 5), (6, 6)])
    with pytest.raises(InputError, match="no particle is chosen"):
        view.save_selection(folder / "ids.txt")


def test_lasso_is_connected_to_the_mouse(folder: Path) -> None:
    """Real mouse events on the canvas, around the right half of the square."""
    view = draw(read_landscape_data(folder))
    view.enable_selection()
    canvas = view.figure.canvas
    corners = view.axes.transData.transform([(0.5, -106), (1.05, -106), (1.05, 106), (0.5, 106), (0.5, -106)])
    kinds = ["button_press_event", *["motion_notify_event"] * 3, "button_release_event"]
    for kind, (x, y) in zip(kinds, corners, strict=True):
        canvas.callbacks.process(kind, MouseEvent(kind, canvas, x, y, MouseButton.LEFT))
    assert sorted(view.selected_ids()) == [3, 29]


@pytest.mark.parametrize("colour", [DENSITY, "distance", "source"])
@pytest.mark.parametrize("most_points", [2, 100])
def test_colours_get_a_scale(folder: Path, monkeypatch: pytest.MonkeyPatch, colour: str, most_points: int) -> None:
    """Few particles are points, many are bins; each colouring has its scale beside it."""
    monkeypatch.setattr(landscape_figure, "MOST_POINTS", most_points)
    view = draw(read_landscape_data(folder), colour)
    assert len(view.figure.axes) == 2
    assert view.figure.axes[1].get_ylabel().endswith("particles" if colour == DENSITY else colour)


def test_unknown_column_and_broken_folder_are_errors(folder: Path) -> None:
    with pytest.raises(InputError, match="no column 'q 77'"):
        LandscapeFigure(read_landscape_data(folder), Figure(), "q 77", "PC 1")
    with pytest.raises(InputError, match="holds no landscape"):
        read_landscape_data(folder / "elsewhere")
    (folder / "landscape.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(FormatError, match="run it again"):
        read_landscape_data(folder)


def test_training_curves(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    with pytest.raises(InputError, match="no epoch is finished"):
        read_curves(path)
    path.write_text("epoch,train_loss,validation_loss,angle_error_deg\n1,2.0,2.5,40\n2,1.0,1.5,20\n")
    curves = read_curves(path)
    assert error_columns(curves) == ["angle_error_deg"]
    figure = Figure()
    FigureCanvasAgg(figure)
    draw_curves(curves, figure)
    loss, angle = figure.axes
    assert [list(line.get_ydata()) for line in loss.lines] == [[2, 1], [2.5, 1.5]]
    assert angle.get_title() == "angular distance (°)"
