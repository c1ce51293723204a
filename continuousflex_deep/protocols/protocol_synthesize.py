"""Images with known truth."""

from pathlib import Path
from typing import Any

from pwem.objects import SetOfParticlesFlex

from continuousflex_deep.convert import fill_set
from continuousflex_deep.io.modes import parse_mode_list
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.options import SimulateOptions
from continuousflex_deep.protocols.form_options import add_advanced_options, add_options
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class CfdProtSynthesize(CfdProtBase):
    """Makes images of a structure in known conformations and poses, with CTF and noise.

    It makes two sets: the images as from a microscope, and the same images with their true orientations, shifts and
    amplitudes, to compare results with or to train a network on.
    """

    _label = "synthesize images"
    _possibleOutputs = {"outputParticles": SetOfParticlesFlex, "outputTruth": SetOfParticlesFlex}
    COMMAND, OPTIONS = "simulate", SimulateOptions
    PATHS = ("structure", "modes", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addModesParams(form)
        names = ["mode_list", "count", "conformations", "amplitude_range"]
        add_options(form, SimulateOptions, names)
        form.addSection(label="Geometry")
        names = ["box_px", "pixel_size_A", "final_box_px", "shift_range_px", "rot_range_deg", "tilt_range_deg"]
        names += ["psi_range_deg", "tilt_sampling"]
        add_options(form, SimulateOptions, names)
        form.addSection(label="Microscope")
        names = ["snr", "ctf", "phase_flip", "defocus_A", "voltage_kV", "cs_mm", "amplitude_contrast"]
        add_options(form, SimulateOptions, names)
        add_advanced_options(form, SimulateOptions)
        self._addComputeParams(form, gpu=True)

    def _writeInputs(self) -> dict[str, Any]:
        return {"output": self._outputFolder(), **self._writeModes()}

    def createOutputStep(self) -> None:
        outputs = {}
        for name, file in (("outputParticles", "particles"), ("outputTruth", "truth")):
            outputs[name] = SetOfParticlesFlex.create(self._getPath(), suffix=file)
            fill_set(outputs[name], read_particles(Path(self._outputFolder()) / f"{file}.star"))
        self._defineOutputs(**outputs)
        for output in outputs.values():
            self._defineSourceRelation(self.inputModes, output)

    def _validateInputs(self) -> list[str]:
        return self._validateModes(parse_mode_list(self.mode_list.get()))

    def _summary(self) -> list[str]:
        if not hasattr(self, "outputParticles"):
            return ["The images are not made yet."]
        return [f"{self.outputParticles.getSize()} images of {self.outputParticles.getXDim()} pixels"]
