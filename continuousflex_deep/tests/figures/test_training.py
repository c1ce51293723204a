"""Training curves, as a table and as a figure."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.figures.training import draw_training, save_training, training_size
from continuousflex_deep.io.training_curves import TABLE, curve_files, curves_of, read_curves, write_curves

HISTORY = [
    {"epoch": 1, "simulated": 1, "train_loss": 2.0, "validation_loss": 2.5, "angle_error_deg": 40.0},
    {"epoch": 2, "simulated": 0, "train_loss": 1.0, "validation_loss": 1.5, "angle_error_deg": 20.0},
]


def test_curves_are_read_as_they_were_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="first epoch has not finished"):
        read_curves(tmp_path / TABLE)
    write_curves(tmp_path, HISTORY)
    assert (tmp_path / TABLE).read_text().splitlines()[1] == "1,1,2,2.5,40"
    assert read_curves(tmp_path / TABLE) == curves_of(HISTORY)
    for damaged in ("epoch,train_loss\n", "epoch,train_loss\n1\n", "epoch,train_loss\n1,x\n"):
        (tmp_path / TABLE).write_text(damaged)
        with pytest.raises(FormatError, match="training curves"):
            read_curves(tmp_path / TABLE)


def test_a_folder_s_own_curves_come_before_those_below_it(tmp_path: Path) -> None:
    assert curve_files(tmp_path) == []
    for folder in ("shifts", "half2/angles", ""):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        write_curves(tmp_path / folder, HISTORY)
    found = [file.parent.relative_to(tmp_path).as_posix() for file in curve_files(tmp_path)]
    assert found == [".", "shifts", "half2/angles"]


def test_a_panel_for_the_losses_and_one_for_each_error(tmp_path: Path) -> None:
    curves = curves_of(HISTORY)
    figure = Figure(figsize=training_size(curves))
    draw_training(curves, figure)
    loss, angle = figure.axes
    assert [list(line.get_ydata()) for line in loss.lines] == [[2, 1], [2.5, 1.5]]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["simulated images", "training", "validation"]
    assert (angle.get_title(), list(angle.lines[0].get_ydata())) == ("angular distance [°]", [40, 20])
    save_training(tmp_path / "c.png", curves)
    assert (tmp_path / "c.png").stat().st_size > 5000


@pytest.mark.parametrize(("last", "scale"), [(0.5, "log"), (-0.5, "linear")])
def test_losses_that_may_be_negative_have_a_linear_axis(last: float, scale: str) -> None:
    figure = Figure()
    draw_training(curves_of([HISTORY[0], HISTORY[1] | {"train_loss": last}]), figure)
    assert figure.axes[0].get_yscale() == scale
