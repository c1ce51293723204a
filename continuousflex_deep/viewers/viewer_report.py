"""Opens a report in the browser."""

import webbrowser
from pathlib import Path
from typing import Any

from pyworkflow.viewer import DESKTOP_TKINTER, View, Viewer

from continuousflex_deep.protocols.protocol_report import CfdProtReport


class CfdReportViewer(Viewer):
    """The report's page, in whatever browser there is."""

    _name = "report in the browser"
    _targets = [CfdProtReport]
    _environments = [DESKTOP_TKINTER]

    def _visualize(self, protocol: CfdProtReport, **_kwargs) -> list[Any]:
        file = Path(protocol.getReportFile()).absolute()
        if not file.is_file():
            return [
                self.errorMessage(f"There is no '{file}' yet; look again when the protocol has finished.", "No report")
            ]
        return [BrowserView(file, self)]


class BrowserView(View):
    """A file in the browser; where there is none, a message that names the file."""

    def __init__(self, file: Path, viewer: Viewer) -> None:
        self._file, self._viewer = file, viewer

    def show(self) -> None:
        if not webbrowser.open(self._file.as_uri()):
            text = f"No browser was found here. Open this file in one, on any computer:\n{self._file}"
            self._viewer.infoMessage(text, "Report").show()
