"""Normal modes of an atomic structure."""

from enum import Enum
from typing import Any

from pwem.objects import SetOfNormalModes
from pyworkflow.protocol import params

from continuousflex_deep.convert import fill_modes
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.protocols.form_options import add_options
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class CfdNmaOutputs(Enum):
    outputModes = SetOfNormalModes


class CfdProtNma(CfdProtBase):
    """Normal modes of an atomic structure or of pseudoatoms, by an elastic network of rigid blocks.

    Modes 1-6 are motions of the rigid body. Choose among the modes from 7 on those of high collectivity and low score.
    """

    _label = "normal modes"
    _possibleOutputs = CfdNmaOutputs
    COMMAND, OPTIONS = "nma", NmaOptions
    PATHS = ("structure", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        form.addParam(
            "inputStructure",
            params.PointerParam,
            pointerClass="AtomStruct",
            label="Structure",
            important=True,
            help="Atomic structure or pseudoatoms.",
        )
        add_options(form, NmaOptions, ["n_modes", "cutoff_A"], n_modes={"label": "Number of modes"})
        self._addOtherOptions(form, cutoff_percent={"label": "Cutoff by distance distribution (%)"})

    def _writeInputs(self) -> dict[str, Any]:
        return {"structure": self.inputStructure.get().getFileName(), "output": self._outputFolder()}

    def createOutputStep(self) -> None:
        modes = SetOfNormalModes.create(self._getPath())
        fill_modes(modes, self._outputFolder())
        modes._pdbPointer.copy(self.inputStructure, copyId=False)  # setPdb would keep an id that other runs lack
        self._defineOutputs(**{CfdNmaOutputs.outputModes.name: modes})
        self._defineSourceRelation(self.inputStructure, modes)

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdNmaOutputs.outputModes.name):
            return ["The modes are not computed yet."]
        return [f"{self.outputModes.getSize()} modes of {self.inputStructure.get().getFileName()}"]

    def _citations(self) -> list[str]:
        return ["tama2000", "bakan2011"]
