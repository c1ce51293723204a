"""Phase flipping, reduction and normalisation of particle images."""

from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import SetOfParticlesFlex

from continuousflex_deep.convert import fill_set
from continuousflex_deep.io.file_names import PARTICLES_STAR
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.options import PreprocessOptions
from continuousflex_deep.protocols.form_options import add_options
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class CfdPreprocessOutputs(Enum):
    outputParticles = SetOfParticlesFlex


class CfdProtPreprocess(CfdProtBase):
    """Prepares images for the analysis: phase flip, reduction to a smaller box over the same field, normalisation.

    Ids, orientations and amplitudes stay; shifts are scaled.
    """

    _label = "preprocess images"
    _possibleOutputs = CfdPreprocessOutputs
    COMMAND, OPTIONS = "preprocess", PreprocessOptions
    PATHS = ("particles", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addParticlesParam(form, "The images to prepare.")
        add_options(form, PreprocessOptions, ["box", "phase_flip", "normalize", "invert"])

    def _writeInputs(self) -> dict[str, Any]:
        return {"particles": self._writeParticles(self.inputParticles.get()), "output": self._outputFolder()}

    def createOutputStep(self) -> None:
        output = SetOfParticlesFlex.create(self._getPath())
        done = read_particles(Path(self._outputFolder()) / PARTICLES_STAR)
        fill_set(output, done, self.inputParticles.get(), new_images=True)
        self._defineOutputs(**{CfdPreprocessOutputs.outputParticles.name: output})
        self._defineTransformRelation(self.inputParticles, output)

    def _validateInputs(self) -> list[str]:
        particles, errors = self.inputParticles.get(), []
        box, box_now = self.box.get(), particles.getXDim()
        if box > box_now:
            errors.append(f"The box can only become smaller: got {box} px, the images have {box_now} px.")
        if self.phase_flip.get() and particles.isPhaseFlipped():
            errors.append("The images are phase flipped already.")
        if self.phase_flip.get() and not particles.hasCTF():
            errors.append("Phase flipping needs the CTF, and these particles have none.")
        return errors

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdPreprocessOutputs.outputParticles.name):
            return ["The images are not prepared yet."]
        return [f"{self.outputParticles.getSize()} images of {self.outputParticles.getXDim()} pixels"]
