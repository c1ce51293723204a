"""Shows a reconstruction: its central slices and Fourier shell correlations, or the map in ChimeraX."""

from functools import partial
from pathlib import Path
from typing import Any

from pwem.viewers import ChimeraView
from pyworkflow.protocol import params
from pyworkflow.viewer import DESKTOP_TKINTER, ProtocolViewer

from continuousflex_deep.figures.maps import FSC_INCH, draw_fsc, draw_slices, slices_size
from continuousflex_deep.io.file_names import FSC_CSV, MAP_MRC
from continuousflex_deep.io.fsc_table import read_fsc
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.protocols.protocol_reconstruct import CfdProtReconstruct
from continuousflex_deep.viewers.plotting import figure_window


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
        return str(self._folder() / MAP_MRC)

    def _showFsc(self, _param: str | None = None) -> list[Any]:
        curves = read_fsc(self._folder() / FSC_CSV)
        return [figure_window("Fourier shell correlation", FSC_INCH, partial(draw_fsc, curves))]

    def _showSlices(self, _param: str | None = None) -> list[Any]:
        volume, voxel_A = read_volume(self._map())
        return [figure_window("Central slices", slices_size(1), partial(draw_slices, {"map": volume}, voxel_A))]

    def _showMap(self, _param: str | None = None) -> list[Any]:
        return [ChimeraView(self._map())]

    def _showSeries(self, _param: str | None = None) -> list[Any]:
        return [ChimeraView(str(Path(self.protocol._outputFolder()) / "series.cxc"))]
