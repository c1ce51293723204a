"""Groups of particles, picked in a landscape."""

from enum import Enum
from typing import Any

from pwem.objects import SetOfParticlesFlex
from pyworkflow.protocol import params

from continuousflex_deep.convert import enabled_ids, fill_set
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.options import GroupOptions
from continuousflex_deep.protocols.form_options import add_options
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class CfdGroupOutputs(Enum):
    outputParticles = SetOfParticlesFlex


class CfdProtGroup(CfdProtBase):
    """Selects the particles of a region of the landscape: by a condition, a box, or a list of ids.

    The landscape's viewer writes such lists for what one encircles in it.
    """

    _label = "landscape group"
    _possibleOutputs = CfdGroupOutputs
    COMMAND, OPTIONS = "group", GroupOptions
    PATHS = ("landscape", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        form.addParam(
            "inputLandscape",
            params.PointerParam,
            pointerClass="CfdLandscape",
            label="Landscape",
            important=True,
            help="The landscape that the group is a region of.",
        )
        form.addParam(
            "inputParticles",
            params.PointerParam,
            pointerClass="SetOfParticles",
            allowsNull=True,
            label="Images for the group (optional)",
            help="The same particles (same ids) at another size, for example the original one, for the reconstruction. "
            "Shifts are scaled to it. Empty: the images that the landscape was made from.",
        )
        add_options(
            form,
            GroupOptions,
            ["expression", "box", "ids", "keep_outliers"],
            expression={"label": "Condition"},
            ids={"label": "File of ids", "paramClass": params.FileParam},
        )
        self._addOtherOptions(form)

    def _writeInputs(self) -> dict[str, Any]:
        return {"landscape": self.inputLandscape.get().getFileName(), "output": self._getExtraPath("group.star")}

    def _images(self) -> Any:
        return self.inputParticles.get() or self.inputLandscape.get().getParticles()

    def createOutputStep(self) -> None:
        output = SetOfParticlesFlex.create(self._getPath())
        fill_set(output, read_particles(self._getExtraPath("group.star")), self._images())
        self._defineOutputs(**{CfdGroupOutputs.outputParticles.name: output})
        self._defineSourceRelation(self.inputLandscape, output)
        if self.inputParticles.get() is not None:
            self._defineTransformRelation(self.inputParticles, output)

    def _validateInputs(self) -> list[str]:
        if not any(getattr(self, name).get() for name in ("expression", "box", "ids")):
            return ["Say which particles belong to the group: give a condition, a box, or a file of ids."]
        images = self.inputParticles.get()
        if images is None:
            return []
        mapped = enabled_ids(self.inputLandscape.get().getParticles())
        missing = mapped - enabled_ids(images)
        if missing == mapped:
            return ["None of the landscape's particles is in the images given for the group; the ids must be the same."]
        return []

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdGroupOutputs.outputParticles.name):
            return ["The group is not made yet."]
        mapped = self.inputLandscape.get().getParticles().getSize()
        return [f"{self.outputParticles.getSize()} of {mapped} particles"]
