"""Shows how a network's training went, also while it runs."""

import csv
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from pwem.viewers import EmPlotter
from pyworkflow.viewer import DESKTOP_TKINTER, Viewer

from continuousflex_deep.errors import InputError
from continuousflex_deep.protocols.protocol_train import CfdProtTrain

_ERRORS = {
    "amplitude_error_A": "amplitudes, mean |error| (Å)",
    "angle_error_deg": "angular distance (°)",
    "shift_error_A": "shifts, mean |error| (Å)",
}


class CfdTrainingViewer(Viewer):
    """Loss of training and validation, and the validation errors in Å and degrees, by epoch; of each network, where
    several are trained."""

    _name = "training curves"
    _targets = [CfdProtTrain]
    _environments = [DESKTOP_TKINTER]

    def _visualize(self, protocol: CfdProtTrain, **_kwargs) -> list[Any]:
        folder, plotters = Path(protocol.getModelFolder()), []
        try:
            for path in curve_files(folder):
                curves = read_curves(path)
                of = path.parent.relative_to(folder).as_posix()
                title = "Training" if of == "." else f"Training: {of}"
                plotter = EmPlotter(windowTitle=title, figsize=(4 * (1 + len(error_columns(curves))), 4))
                draw_curves(curves, plotter.getFigure())
                plotters.append(plotter)
        except InputError as error:
            return [self.errorMessage(str(error), "No curves")]
        return plotters


def curve_files(folder: Path) -> list[Path]:
    """The tables of all networks in a model's folder; where there is none yet, the one that is expected."""
    return sorted(folder.rglob("curves.csv"), key=lambda path: (len(path.parts), path)) or [folder / "curves.csv"]


def read_curves(path: Path) -> dict[str, list[float]]:
    """Columns of the table that the train command writes after every epoch; InputError before the first."""
    if not path.is_file():
        raise InputError(f"there is no '{path}': no epoch is finished yet; look again later")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]} if rows else {}


def error_columns(curves: dict[str, list[float]]) -> list[str]:
    return [name for name in _ERRORS if name in curves]


def draw_curves(curves: dict[str, list[float]], figure: Figure) -> None:
    """One panel for the losses and one for each kind of error."""
    errors = error_columns(curves)
    panels = figure.subplots(1, 1 + len(errors), squeeze=False)[0]
    simulated = sum(curves.get("simulated", []))
    if simulated:
        panels[0].axvspan(0.5, simulated + 0.5, color="0.9", label="simulated images")
    for name, label in (("train_loss", "training"), ("validation_loss", "validation")):
        panels[0].plot(curves["epoch"], curves[name], label=label)
    panels[0].set(title="loss", xlabel="epoch", yscale="log")
    panels[0].legend()
    for panel, name in zip(panels[1:], errors, strict=True):
        panel.plot(curves["epoch"], curves[name])
        panel.set(title=_ERRORS[name], xlabel="epoch", ylim=(0, None))
