"""Particles, groups and predictions as a RELION file."""

import os
from pathlib import Path
from typing import Any

from pyworkflow.protocol import params

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.particle_files import require_particle_suffix
from continuousflex_deep.options import ConvertOptions
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class CfdProtExport(CfdProtBase):
    """Writes particles with their orientations, shifts, CTF, half sets, optics groups and amplitudes into a STAR file
    that RELION 3.1 and later, and cryoSPARC's import, read. Images are named where they are.

    For results that were found on reduced images, give the original ones: shifts in Å hold for both.
    """

    _label = "export to RELION"
    COMMAND, OPTIONS = "convert", ConvertOptions
    PATHS = ("particles", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addParticlesParam(form, "The particles to export: a group, predictions, or any other set.")
        self._addImagesParam(
            form, "Images to name instead (optional)", "Their optics groups and CTF are exported."
        )
        form.addParam(
            "exportFile",
            params.StringParam,
            default="",
            label="File (optional)",
            help="The .star file to write, for example in the folder of a RELION project. Empty: particles.star in the "
            "protocol's own folder. A file that is there is replaced.",
        )

    def _writeInputs(self) -> dict[str, Any]:
        images = self.inputImages.get()
        return {
            "particles": [self._writeParticles(self.inputParticles.get())],
            "images": self._writeParticles(images, "input_images.star") if images is not None else "",
            "output": self.getExportedFile(),
        }

    def createOutputStep(self) -> None:
        if not Path(self.getExportedFile()).is_file():
            raise InputError(f"the command ended without writing '{self.getExportedFile()}'; see the protocol's log")

    def _validateInputs(self) -> list[str]:
        errors = self._validateImages([self.inputParticles.get()], self.inputImages.get())
        if self.exportFile.get():
            try:
                require_writable_folder(require_particle_suffix(self.getExportedFile()).parent)
            except InputError as error:
                errors.append(str(error))
        return errors

    def _summary(self) -> list[str]:
        if not self.isFinished():
            return ["The particles are not exported yet."]
        return [f"{self.inputParticles.get().getSize()} particles in {self.getExportedFile()}"]

    def getExportedFile(self) -> str:
        """The file that RELION reads."""
        given = (self.exportFile.get() or "").strip()
        return os.path.abspath(os.path.expanduser(given)) if given else self._getExtraPath("particles.star")
