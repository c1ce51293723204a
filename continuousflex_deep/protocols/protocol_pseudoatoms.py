"""Pseudoatoms: an EM map as a structure that can have normal modes."""

import json
from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import AtomStruct, Transform
from pyworkflow.protocol import params

from continuousflex_deep.options import PseudoatomsOptions
from continuousflex_deep.programs import XMIPP, XMIPP_PSEUDOATOMS
from continuousflex_deep.protocols.form_options import add_advanced_options, add_options, installed_choices
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class CfdPseudoatomsOutputs(Enum):
    outputPdb = AtomStruct


class CfdProtPseudoatoms(CfdProtBase):
    """Approximates an EM map by pseudoatoms: equal Gaussians, as few as reach the requested error.

    Normal modes and alignment use them like an atomic structure, here or in ContinuousFlex.
    """

    _label = "map to pseudoatoms"
    _possibleOutputs = CfdPseudoatomsOutputs
    COMMAND, OPTIONS = "pseudoatoms", PseudoatomsOptions
    PATHS = ("map", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        form.addParam(
            "inputVolume", params.PointerParam, pointerClass="Volume", label="Map", important=True,
            help="Cubic map whose particle has positive density.",
        )  # fmt: skip
        form.addParam(
            "inputMask", params.PointerParam, pointerClass="VolumeMask", allowsNull=True, label="Mask (optional)",
            help="The map is approximated where the mask is above 0.5. Empty: the threshold below decides.",
        )  # fmt: skip
        add_options(form, PseudoatomsOptions, ["threshold", "sigma_A", "target_error_percent"])
        offered = installed_choices(PseudoatomsOptions, "engine", {"xmipp": (XMIPP, [XMIPP_PSEUDOATOMS])})
        add_advanced_options(form, PseudoatomsOptions, engine=offered)
        self._addComputeParams(form, gpu=False)

    def _writeInputs(self) -> dict[str, Any]:
        volume, mask = self.inputVolume.get(), self.inputMask.get()
        files = {"map": self._mrcFile(volume, "map"), "voxel_size_A": volume.getSamplingRate()}
        if mask is not None:
            files["mask"] = self._mrcFile(mask, "mask")
        return files | {"output": self._outputFile()}

    def createOutputStep(self) -> None:
        volume = self.inputVolume.get()
        structure = AtomStruct(self._outputFile(), pseudoatoms=True)
        structure.setVolume(volume.clone())
        structure.setOrigin(_place_of_the_middle(volume))
        self._defineOutputs(**{CfdPseudoatomsOutputs.outputPdb.name: structure})
        self._defineSourceRelation(self.inputVolume, structure)

    def _validateInputs(self) -> list[str]:
        volume, mask = self.inputVolume.get(), self.inputMask.get()
        x, y, z = volume.getDim()
        if not x == y == z:
            return [f"The map has {x} × {y} × {z} voxels; pad it to a cube."]
        if mask is not None and mask.getDim() != volume.getDim():
            return [f"The mask has {mask.getDim()} voxels, the map {volume.getDim()}; give a mask of the same size."]
        if self.engine.get() and self.max_pseudoatoms.get() != PseudoatomsOptions.max_pseudoatoms:
            return ["Xmipp's program has no limit of pseudoatoms; select the embedded engine for that."]
        return []

    def _summary(self) -> list[str]:
        record = Path(self._outputFile()).with_suffix(".json")
        if not record.is_file():
            return ["The pseudoatoms are not made yet."]
        facts = json.loads(record.read_text(encoding="utf-8"))
        return [
            f"{facts['pseudoatoms']} pseudoatoms of sigma {facts['sigma_A']:.2f} Å",
            f"error {facts['error_percent']:.2f}% (Xmipp's definition: {facts['xmipp_error_percent']:.2f}%)",
        ]

    def _citations(self) -> list[str]:
        return ["nogales2013", "jonic2016"]

    # -------------------------- utils ---------------------------------------
    def _outputFile(self) -> str:
        return self._getExtraPath("pseudoatoms.pdb")


def _place_of_the_middle(volume: Any) -> Transform:
    """Where voxel d//2, the origin of pseudoatoms' coordinates, is among the volume's own ones."""
    first_A, voxel_A = volume.getOrigin(force=True).getShifts(), volume.getSamplingRate()
    place = Transform()
    place.setShifts(*(start + (size // 2) * voxel_A for start, size in zip(first_A, volume.getDim(), strict=True)))
    return place
