"""Shows a reconstruction: its central slices and Fourier shell correlations, or the map in ChimeraX."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pwem.viewers import ChimeraView, EmPlotter
from pyworkflow.protocol import params
from pyworkflow.viewer import DESKTOP_TKINTER, ProtocolViewer

from continuousflex_deep.arrays import Floats
from continuousflex_deep.io.fsc_table import THRESHOLDS, read_fsc
from continuousflex_deep.io.stacks import read_volume
from continuousflex_deep.protocols.protocol_reconstruct import CfdProtReconstruct


class CfdReconstructionViewer(ProtocolViewer):
    """Slices, FSC and map of a reconstruction."""

    _label = "reconstruction"
    _targets = [CfdProtReconstruct]
    _environments = [DESKTOP_TKINTER]

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Reconstruction")
        if self._several():
            form.addParam(
                "group", params.IntParam, default=1, label="Group", help="Number of the group whose map is shown.",
                validators=[params.Range(1, len(self.protocol.getGroups()), error="there is no such group")],
            )  # fmt: skip
            form.addParam("showSeries", params.LabelParam, label="All groups as a series in ChimeraX")
        form.addParam("showFsc", params.LabelParam, label="Fourier shell correlation")
        form.addParam("showSlices", params.LabelParam, label="Central slices")
        form.addParam("showMap", params.LabelParam, label="Map in ChimeraX")

    def _getVisualizeDict(self) -> dict[str, Any]:
        shown = {"showFsc": self._showFsc, "showSlices": self._showSlices, "showMap": self._showMap}
        return shown | ({"showSeries": self._showSeries} if self._several() else {})

    def _several(self) -> bool:
        return hasattr(self.protocol, "outputVolumes")

    def _folder(self) -> Path:
        folder = Path(self.protocol._outputFolder())
        return folder / self.protocol.getGroups()[self.group.get() - 1]["folder"] if self._several() else folder

    def _map(self) -> str:
        return str(self._folder() / "map.mrc")

    def _showFsc(self, _param: str | None = None) -> list[Any]:
        plotter = EmPlotter(windowTitle="Fourier shell correlation")
        draw_fsc(read_fsc(self._folder() / "fsc.csv"), plotter.getFigure())
        return [plotter]

    def _showSlices(self, _param: str | None = None) -> list[Any]:
        plotter = EmPlotter(windowTitle="Central slices", figsize=(9, 3.5))
        draw_slices(read_volume(self._map())[0], plotter.getFigure())
        return [plotter]

    def _showMap(self, _param: str | None = None) -> list[Any]:
        return [ChimeraView(self._map())]

    def _showSeries(self, _param: str | None = None) -> list[Any]:
        return [ChimeraView(str(Path(self.protocol._outputFolder()) / "series.cxc"))]


def draw_fsc(curves: Mapping[str, tuple[Floats, Floats]], figure: Figure) -> None:
    """All curves over frequency in 1/Å, with the usual thresholds."""
    axes = figure.add_subplot()
    for name, (frequency_per_A, correlation) in curves.items():
        axes.plot(frequency_per_A, correlation, label=name)
    for threshold in THRESHOLDS:
        axes.axhline(threshold, color="grey", linestyle=":")
    axes.set(xlabel="frequency (1/Å)", ylabel="FSC", ylim=(-0.1, 1.05))
    axes.legend()


def draw_slices(volume: np.ndarray, figure: Figure) -> None:
    """The slices through the centre across z, y and x."""
    centre = len(volume) // 2
    slices = {"z": volume[centre], "y": volume[:, centre], "x": volume[:, :, centre]}
    low, high = np.percentile(volume, [1, 99.9])
    panels = figure.subplots(1, 3, squeeze=False)[0]
    for axes, (name, image) in zip(panels, slices.items(), strict=True):
        axes.imshow(image, cmap="gray", origin="lower", vmin=low, vmax=high)
        axes.set_title(f"across {name}")
        axes.set_axis_off()
