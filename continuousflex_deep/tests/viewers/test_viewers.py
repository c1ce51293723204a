"""The viewers' figures, drawn without a screen."""

from pathlib import Path

import pytest

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    pytest.skip(scipion_missing(), allow_module_level=True)

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from continuousflex_deep.errors import InputError
from continuousflex_deep.viewers.viewer_training import draw_curves, error_columns, read_curves

pytestmark = [pytest.mark.scipion, pytest.mark.usefixtures("scipion_home")]


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
