"""Normal modes of an atomic structure."""

from enum import Enum
from typing import Any

from pwem.objects import SetOfNormalModes
from pyworkflow.protocol import params

from continuousflex_deep.convert import fill_modes, write_atoms_beside
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.programs import ELNEMO, ELNEMO_ARPACK, ELNEMO_DIAGRTB, ELNEMO_PDBMAT
from continuousflex_deep.protocols.form_options import (
    add_advanced_options,
    add_options,
    installed_choices,
    package_home,
)
from continuousflex_deep.protocols.protocol_base import CfdProtBase

# of elNemo, which ContinuousFlex installs


class CfdNmaOutputs(Enum):
    outputModes = SetOfNormalModes


class CfdProtNma(CfdProtBase):
    """Normal modes of an atomic structure or of pseudoatoms, by an elastic network of rigid blocks.

    Cutoff and blocks have default values for atoms and for pseudoatoms. Modes 1-6 are motions of the rigid body. From
    mode 7 on, select modes of high collectivity and low score.
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
        add_options(form, NmaOptions, ["n_modes"])
        offered = installed_choices(NmaOptions, "engine", {"elnemo": (ELNEMO, [ELNEMO_PDBMAT, ELNEMO_DIAGRTB])})
        add_advanced_options(form, NmaOptions, engine=offered)

    def _writeInputs(self) -> dict[str, Any]:
        return {"structure": self.inputStructure.get().getFileName(), "output": self._outputFolder()}

    def _validateInputs(self) -> list[str]:
        errors = []
        if self.cutoff_A.get() > 0 and self.cutoff_percent.get() > 0:
            errors.append("Two cutoffs are given, in Å and by distance distribution; set one of them to 0.")
        size = self.block_size.get()
        without_blocks = size == 0 or (size < 0 and self._isPseudoatomic())
        if self.engine.get() and without_blocks and not ELNEMO.find(ELNEMO_ARPACK, package_home(ELNEMO)):
            errors.append(
                f"Without rigid blocks, as of pseudoatoms, elNemo needs {ELNEMO_ARPACK}, which is not installed; "
                "select the embedded engine, or blocks."
            )
        return errors

    def createOutputStep(self) -> None:
        modes = SetOfNormalModes.create(self._getPath())
        fill_modes(modes, self._outputFolder())
        write_atoms_beside(modes, self.inputStructure.get().getFileName(), self._outputFolder())
        modes._pdbPointer.copy(self.inputStructure, copyId=False)  # setPdb would keep an id that other runs lack
        self._defineOutputs(**{CfdNmaOutputs.outputModes.name: modes})
        self._defineSourceRelation(self.inputStructure, modes)

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdNmaOutputs.outputModes.name):
            return ["The modes are not computed yet."]
        return [f"{self.outputModes.getSize()} modes of {self.inputStructure.get().getFileName()}"]

    def _citations(self) -> list[str]:
        return ["tama2000", "bakan2011"]

    def _isPseudoatomic(self) -> bool:
        structure = self.inputStructure.get()
        return structure is not None and bool(structure.getPseudoAtoms())
