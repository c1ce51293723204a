"""Shows a landscape and makes groups of what one encircles in it."""

from pathlib import Path
from typing import Any

from matplotlib.widgets import Button
from pwem.viewers import EmPlotter
from pyworkflow.protocol import params
from pyworkflow.viewer import DESKTOP_TKINTER, ProtocolViewer

from continuousflex_deep.errors import InputError
from continuousflex_deep.protocols.protocol_group import CfdProtGroup
from continuousflex_deep.protocols.protocol_landscape import CfdProtLandscape
from continuousflex_deep.viewers.landscape_data import LandscapeData, read_landscape_data
from continuousflex_deep.viewers.landscape_figure import DENSITY, NO_COLOUR, LandscapeFigure


class CfdLandscapeViewer(ProtocolViewer):
    """The landscape along any two of its axes, coloured by density or by any column."""

    _label = "landscape"
    _targets = [CfdProtLandscape]
    _environments = [DESKTOP_TKINTER]

    def _defineParams(self, form: Any) -> None:
        data = self._data()
        axes = data.axes()
        form.addSection(label="Landscape")
        for number, name in enumerate(("horizontal", "vertical")):
            default = min(number, len(axes) - 1)
            form.addParam(name, params.EnumParam, choices=axes, default=default, label=f"{name.capitalize()} axis")
        form.addParam(
            "colour",
            params.EnumParam,
            choices=[DENSITY, NO_COLOUR, *data.columns],
            default=1,
            label="Colour by",
            help="Density, or any column of the landscape.",
        )
        form.addParam("show", params.LabelParam, label="Show the landscape")

    def _getVisualizeDict(self) -> dict[str, Any]:
        return {"show": self._show}

    def _data(self) -> LandscapeData:
        return read_landscape_data(self.protocol.outputLandscape.getFileName())

    def _show(self, _param: str | None = None) -> list[Any]:
        plotter = EmPlotter(windowTitle="Landscape", figsize=(8, 7))
        choices = [self.getEnumText(name) for name in ("horizontal", "vertical", "colour")]
        view = LandscapeFigure(self._data(), plotter.getFigure(), *choices)
        view.enable_selection()
        plotter.tightLayoutOn = False  # it would spread the axes over the button's place
        plotter.getFigure().subplots_adjust(bottom=0.16)
        button = Button(plotter.getFigure().add_axes((0.79, 0.01, 0.2, 0.05)), "Make a group")
        button.on_clicked(lambda _event: self._make_group(view))
        self._kept = view, button  # matplotlib keeps no reference to widgets, and they die without one
        return [plotter]

    def _make_group(self, view: LandscapeFigure) -> None:
        """Start a group protocol with the particles that are chosen in the figure."""
        try:
            protocol = make_group(self.getProject(), self.protocol, view)
        except InputError as error:
            self.errorMessage(str(error), "No group").show()
            return
        self.infoMessage(f"The group is made by the protocol '{protocol.getObjLabel()}'.", "Group").show()


def make_group(project: Any, landscape_protocol: Any, view: LandscapeFigure, wait: bool = False) -> CfdProtGroup:
    """Write the chosen ids beside the landscape and launch the protocol that makes a group of them."""
    number = 1 + len(list(Path(landscape_protocol._getExtraPath()).glob("group_*.txt")))
    ids_file = landscape_protocol._getExtraPath(f"group_{number}.txt")
    chosen = view.save_selection(ids_file)
    protocol = project.newProtocol(CfdProtGroup, ids=ids_file, keep_outliers=True)
    protocol.setObjLabel(f"group {number}: {chosen} particles")  # newProtocol would put the default label over it
    protocol.inputLandscape.set(landscape_protocol)
    protocol.inputLandscape.setExtended("outputLandscape")
    project.launchProtocol(protocol, wait=wait)
    return protocol
