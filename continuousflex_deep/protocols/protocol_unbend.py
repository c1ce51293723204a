"""Deformation-corrected reconstruction: one map of the structure's conformation from all particles."""

from pathlib import Path
from typing import Any, ClassVar

from pwem.objects import SetOfFSCs, Volume

from continuousflex_deep.convert import mode_ids_of
from continuousflex_deep.io.file_names import AVERAGE_MRC, FSC_JSON
from continuousflex_deep.io.fsc_table import read_resolutions
from continuousflex_deep.io.modes import parse_mode_list
from continuousflex_deep.options import UnbendOptions
from continuousflex_deep.protocols.form_options import add_advanced_options, add_options
from continuousflex_deep.protocols.protocol_base import CfdProtBase
from continuousflex_deep.protocols.protocol_reconstruct import add_curves, resolutions_told, volume_of


class CfdProtUnbend(CfdProtBase):
    """Reconstructs one map of the structure's conformation from particles in all conformations.

    Each particle is back-projected along rays that are bent according to its amplitudes, so that all contribute to one
    sharp map. Half maps are from separate particles. Since poses and amplitudes were found with one reference, their
    correlation measures what is reproducible, not what is free of reference bias.
    """

    _label = "deformation-corrected reconstruction"
    # an Enum would make two names of one class aliases
    _possibleOutputs: ClassVar = {"outputVolume": Volume, "outputAverage": Volume, "outputFSCs": SetOfFSCs}
    COMMAND, OPTIONS = "unbend", UnbendOptions
    PATHS = ("particles", "structure", "modes", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addParticlesParam(
            form, "Particles with orientations, shifts and amplitudes, of any conformations.", aligned=True
        )
        self._addModesParams(form)
        self._addImagesParam(form)
        add_options(form, UnbendOptions, ["mode_list", "mask_diameter_A", "ctf"])
        add_advanced_options(form, UnbendOptions)
        self._addComputeParams(form, gpu=True)

    def _writeInputs(self) -> dict[str, Any]:
        files = {"particles": self._writeParticles(self.inputParticles.get()), "output": self._outputFolder()}
        if self.inputImages.get() is not None:
            files["images"] = self._writeParticles(self.inputImages.get(), "input_images.star")
        return files | self._writeModes()

    def createOutputStep(self) -> None:
        folder = Path(self._outputFolder())
        sampling_A = (self.inputImages.get() or self.inputParticles.get()).getSamplingRate()
        average = Volume(str(folder / AVERAGE_MRC))
        average.setSamplingRate(sampling_A)
        curves = SetOfFSCs.create(self._getPath())
        add_curves(curves, folder)
        outputs = {
            "outputVolume": volume_of(folder, sampling_A),
            "outputAverage": average,
            "outputFSCs": curves,
        }
        self._defineOutputs(**outputs)
        for output in outputs.values():
            self._defineSourceRelation(self.inputParticles, output)

    def _validateInputs(self) -> list[str]:
        particles = self.inputParticles.get()
        known = mode_ids_of(particles)
        asked = parse_mode_list(self.mode_list.get()) if (self.mode_list.get() or "").strip() else known
        if not known:
            return ["The particles have no amplitudes; align them or predict them first."]
        errors = self._validateModes(asked)
        if missing := sorted(set(asked) - set(known)):
            errors.append(f"The particles have no amplitudes along modes {missing}; they have {list(known)}.")
        return errors + self._validateImages([particles], self.inputImages.get(), self.ctf.get())

    def _summary(self) -> list[str]:
        if not hasattr(self, "outputVolume"):
            return ["The map is not reconstructed yet."]
        found = read_resolutions(Path(self._outputFolder()) / FSC_JSON)
        lines = [f"{self.inputParticles.get().getSize()} particles, corrected for their deformation"]
        return lines + [f"FSC of {curve}: {resolutions_told(values)}" for curve, values in found.items()]
