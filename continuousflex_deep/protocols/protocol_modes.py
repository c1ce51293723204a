"""Which normal modes to use."""

import os
from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import SetOfNormalModes
from pyworkflow.protocol import params

from continuousflex_deep.convert import write_atoms_beside
from continuousflex_deep.io.mode_table import MODES_CSV, ModeTable, mode_list_text, read_mode_table
from continuousflex_deep.io.modes import parse_mode_list
from continuousflex_deep.options import ModesOptions
from continuousflex_deep.protocols.form_options import add_advanced_options, add_options
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class CfdModesOutputs(Enum):
    outputModes = SetOfNormalModes


class CfdProtModes(CfdProtBase):
    """Selects normal modes: by energy and collectivity, or by the motion between two conformations.

    With a second conformation of the molecule, the modes that lead from the first towards it are selected. The viewer
    animates each mode and shows how far it moves each atom.
    """

    _label = "choose modes"
    _possibleOutputs = CfdModesOutputs
    COMMAND, OPTIONS = "modes", ModesOptions
    PATHS = ("structure", "modes", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addModesParams(form)
        form.addParam(
            "inputTarget",
            params.PointerParam,
            pointerClass="AtomStruct",
            allowsNull=True,
            label="Other conformation (optional)",
            help="Another conformation of the same molecule, anywhere in space. Its chains, residues and atoms are "
            "matched by their names; some may be missing. Empty: modes are suggested by energy and collectivity.",
        )
        add_options(
            form,
            ModesOptions,
            ["mode_list", "explained_percent", "max_energy"],
            explained_percent={"condition": "inputTarget is not None"},
            max_energy={"condition": "inputTarget is None"},
        )
        add_advanced_options(form, ModesOptions)

    def _writeInputs(self) -> dict[str, Any]:
        target = self.inputTarget.get()
        return {
            "output": self._outputFolder(),
            "target": os.path.abspath(target.getFileName()) if target is not None else "",
            **self._writeModes(),
        }

    def createOutputStep(self) -> None:
        chosen, inputs = set(self.getModeTable().chosen_ids), self.inputModes.get()
        modes = SetOfNormalModes.create(self._getPath())
        modes.copyInfo(inputs)
        if self.inputStructure.get() is not None:
            modes._pdbPointer.copy(self.inputStructure, copyId=False)  # setPdb would keep an id that other runs lack
        for mode in inputs.iterItems():
            if mode.getObjId() in chosen:
                modes.append(mode.clone())
        write_atoms_beside(modes, self._structure().getFileName(), self._modesFolder())
        self._defineOutputs(**{CfdModesOutputs.outputModes.name: modes})
        self._defineSourceRelation(self.inputModes, modes)
        if self.inputTarget.get() is not None:
            self._defineSourceRelation(self.inputTarget, modes)

    def _validateInputs(self) -> list[str]:
        text = (self.mode_list.get() or "").strip()
        return self._validateModes(parse_mode_list(text) if text else ())

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdModesOutputs.outputModes.name):
            return ["The modes are not selected yet."]
        table = self.getModeTable()
        lines = [f"Modes {mode_list_text(table.chosen_ids)} of {len(table.mode_ids)}"]
        record = self._record()
        if "rmsd_left_by_chosen_modes_A" in record:
            lines.append(
                f"They take the structure from {record['rmsd_from_target_A']:.2f} Å to "
                f"{record['rmsd_left_by_chosen_modes_A']:.2f} Å from the other conformation (RMSD); all modes to "
                f"{record['rmsd_left_by_all_modes_A']:.2f} Å."
            )
        return lines

    def _citations(self) -> list[str]:
        return ["tama2001", "jin2014", "hamitouche2022"]

    def getModeTable(self) -> ModeTable:
        """What the command found of every mode."""
        return read_mode_table(Path(self._outputFolder()) / MODES_CSV)
