"""Shows how a network's training went, also while it runs."""

from functools import partial
from pathlib import Path
from typing import Any

from pyworkflow.viewer import DESKTOP_TKINTER, Viewer

from continuousflex_deep.errors import InputError
from continuousflex_deep.figures.training import draw_training, training_size
from continuousflex_deep.io.training_curves import TABLE, curve_files, read_curves
from continuousflex_deep.protocols.protocol_train import CfdProtTrain
from continuousflex_deep.viewers.plotting import figure_window


class CfdTrainingViewer(Viewer):
    """Loss of training and validation, and the validation errors in Å and degrees, by epoch; of each network, where
    several are trained."""

    _name = "training curves"
    _targets = [CfdProtTrain]
    _environments = [DESKTOP_TKINTER]

    def _visualize(self, protocol: CfdProtTrain, **_kwargs) -> list[Any]:
        folder = Path(protocol.getModelFolder())
        try:
            return [_window(folder, file) for file in curve_files(folder) or [folder / TABLE]]
        except InputError as error:
            return [self.errorMessage(str(error), "No curves")]


def _window(folder: Path, file: Path) -> Any:
    curves, network = read_curves(file), file.parent.relative_to(folder).as_posix()
    title = "Training" if network == "." else f"Training: {network}"
    return figure_window(title, training_size(curves), partial(draw_training, curves))
