"""Results as one HTML file, to view without Scipion."""

import os
from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import EMFile
from pyworkflow.protocol import params

from continuousflex_deep.convert import mode_ids_of
from continuousflex_deep.options import ReportOptions
from continuousflex_deep.protocols.form_options import add_advanced_options, add_options
from continuousflex_deep.protocols.protocol_base import CfdProtBase
from continuousflex_deep.protocols.result_names import result_names

# parameter of runs, the command's option, the protocols that can be chosen, what they are called, and what is shown
_RUNS = (
    ("inputTrajectories", "trajectory", "CfdProtTrajectory", "Trajectories",
     "Runs whose paths are drawn in the landscape, and can be played."),
    ("inputReconstructions", "reconstruction", "CfdProtReconstruct, CfdProtUnbend", "Reconstructions",
     "Runs whose maps are shown, by their central slices, with their Fourier shell correlations."),
    ("inputTrainings", "model", "CfdProtTrain", "Trainings", "Runs whose training curves are shown."),
    ("inputAssessments", "evaluation", "CfdProtAssess", "Assessments", "Runs whose tables of errors are shown."),
)  # fmt: skip


class CfdReportOutputs(Enum):
    outputReport = EMFile


class CfdProtReport(CfdProtBase):
    """Collects results in one HTML file, which any browser shows without Scipion and without a network.

    In the landscape one can select particles and download their ids, for the protocol 'landscape group', and see the
    structure in the conformation of any particle or along a trajectory. Beside it are maps, curves, tables of errors
    and the options of all runs.
    """

    _label = "report"
    _possibleOutputs = CfdReportOutputs
    COMMAND, OPTIONS = "report", ReportOptions

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addLandscapeParam(
            form,
            "The conformational landscape, in which particles can be selected.",
            "Landscape (optional)",
            allowsNull=True,
            important=True,
        )
        form.addParam(
            "inputGroups",
            params.MultiPointerParam,
            pointerClass="SetOfParticles",
            allowsNull=True,
            condition="inputLandscape is not None",
            label="Groups (optional)",
            help="Groups of the landscape, drawn in it under the labels of their runs.",
        )
        self._addModesParams(form, optional=" With them the page shows the structure, as it moves.")
        for name, _, classes, label, text in _RUNS:
            form.addParam(
                name, params.MultiPointerParam, pointerClass=classes, allowsNull=True, label=f"{label} (optional)",
                help=text,
            )  # fmt: skip
        add_options(form, ReportOptions, ["title"])
        add_advanced_options(form, ReportOptions)

    def _options(self, **values: Any) -> Any:
        return super()._options(**({"title": self._title(), "output": self.getReportFile()} | self._given() | values))

    def _title(self) -> str:
        """As the form says, or by default the project's name."""
        project = self.getProject()
        return (self.title.get() or "").strip() or ("" if project is None else project.getShortName())

    def _given(self) -> dict[str, Any]:
        """The options of all inputs, by the files that a step will write."""
        found: dict[str, Any] = {option: list(self._runs(name)) for name, option, *_ in _RUNS}
        if self.inputLandscape.get() is not None:
            found["landscape"] = os.path.abspath(self.inputLandscape.get().getFileName())
            found["group"] = [self._getExtraPath("groups", f"{name}.star") for name in result_names(self.inputGroups)]
        if self.inputModes.get() is not None:
            found |= {"structure": self._structure().getFileName(), "modes": self._modesFolder()}
        return found

    def _runs(self, parameter: str) -> dict[str, str]:
        """The folders that runs wrote, by links to them, which are named as the page will name the results."""
        pointers = getattr(self, parameter)
        return {
            self._getExtraPath(parameter, name): os.path.abspath(pointer.get()._outputFolder())
            for name, pointer in zip(result_names(pointers), pointers, strict=True)
        }

    # -------------------------- steps ---------------------------------------
    def _writeInputs(self) -> dict[str, Any]:
        for name, *_ in _RUNS:
            for link, folder in self._runs(name).items():
                Path(link).parent.mkdir(exist_ok=True)
                Path(link).unlink(missing_ok=True)
                Path(link).symlink_to(folder)
        if self.inputLandscape.get() is not None:
            for name, pointer in zip(result_names(self.inputGroups), self.inputGroups, strict=True):
                self._writeParticles(pointer.get(), os.path.join("groups", f"{name}.star"))
        return self._writeModes() if self.inputModes.get() is not None else {}

    def createOutputStep(self) -> None:
        report = EMFile(self.getReportFile())
        self._defineOutputs(**{CfdReportOutputs.outputReport.name: report})
        if self.inputLandscape.get() is not None:
            self._defineSourceRelation(self.inputLandscape, report)

    def getReportFile(self) -> str:
        """The HTML file, which holds all that it shows and can be taken anywhere."""
        return self._getExtraPath("report.html")

    # -------------------------- information ---------------------------------
    def _validateInputs(self) -> list[str]:
        landscape, modes = self.inputLandscape.get(), self.inputModes.get()
        if landscape is None and modes is None and not any(len(getattr(self, name)) for name, *_ in _RUNS):
            return ["The report would be empty: give a landscape, normal modes, or runs to show."]
        if modes is None:
            return []
        return self._validateModes(() if landscape is None else tuple(mode_ids_of(landscape.getParticles())))

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdReportOutputs.outputReport.name):
            return ["The report is not written yet."]
        size = Path(self.getReportFile()).stat().st_size / 1e6
        return [f"{os.path.abspath(self.getReportFile())}, {size:.1f} MB", "Any browser shows it, without a network."]
