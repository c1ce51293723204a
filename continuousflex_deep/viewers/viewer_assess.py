"""Shows an assessment: the article's tables, histograms of errors, and correlations of groups' maps."""

from functools import partial
from pathlib import Path
from typing import Any

from pyworkflow.protocol import params
from pyworkflow.viewer import DESKTOP_TKINTER, ProtocolViewer

from continuousflex_deep.figures.assessment import (
    draw_errors,
    draw_groups,
    draw_text,
    errors_size,
    groups_size,
    text_size,
)
from continuousflex_deep.io.error_table import ERRORS_FILE, read_errors
from continuousflex_deep.io.file_names import FSC_CSV, TABLES_TXT
from continuousflex_deep.io.fsc_table import read_fsc
from continuousflex_deep.protocols.protocol_assess import CfdProtAssess
from continuousflex_deep.viewers.plotting import figure_window


class CfdAssessViewer(ProtocolViewer):
    """Tables, errors and groups of an assessment."""

    _label = "assessment"
    _targets = [CfdProtAssess]
    _environments = [DESKTOP_TKINTER]

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Assessment")
        form.addParam("showTables", params.LabelParam, label="Tables")
        if self._file(ERRORS_FILE).is_file():
            form.addParam("showErrors", params.LabelParam, label="Histograms of errors")
        if self.protocol.getGroups():
            form.addParam("showGroups", params.LabelParam, label="Fourier shell correlation of groups")

    def _getVisualizeDict(self) -> dict[str, Any]:
        return {"showTables": self._showTables, "showErrors": self._showErrors, "showGroups": self._showGroups}

    def _file(self, name: str) -> Path:
        return Path(self.protocol._outputFolder()) / name

    def _showTables(self, _param: str | None = None) -> list[Any]:
        text = self._file(TABLES_TXT).read_text(encoding="utf-8")
        return [figure_window("Tables", text_size(text), partial(draw_text, text))]

    def _showErrors(self, _param: str | None = None) -> list[Any]:
        errors = read_errors(self._file(ERRORS_FILE))
        return [figure_window("Errors", errors_size(errors), partial(draw_errors, errors))]

    def _showGroups(self, _param: str | None = None) -> list[Any]:
        groups = {}
        for facts in self.protocol.getGroups():
            groups[facts["group"]] = read_fsc(self._file(facts["group"]) / FSC_CSV)
        return [figure_window("Groups", groups_size(groups), partial(draw_groups, groups))]
