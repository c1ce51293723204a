"""Poses and amplitudes predicted by trained networks."""

from enum import Enum
from typing import Any

from pwem.objects import SetOfParticlesFlex
from pyworkflow.protocol import params

from continuousflex_deep.convert import fill_set
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.objects import CfdNetwork
from continuousflex_deep.options import InferOptions
from continuousflex_deep.protocols.form_options import add_advanced_options, add_options
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class CfdInferOutputs(Enum):
    outputParticles = SetOfParticlesFlex


class CfdProtInfer(CfdProtBase):
    """Predicts orientation, shift and amplitudes of every particle with a trained network.

    Each value comes with the network's own error bar. Networks that were trained separately for amplitudes, angles and
    shifts work together. Polishing refines each prediction by a few steps of the HEMNMA engine, and searches all poses
    again where the network is uncertain.
    """

    _label = "network inference"
    _possibleOutputs = CfdInferOutputs
    COMMAND, OPTIONS = "infer", InferOptions
    WORKERS = True
    PATHS = ("particles", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addParticlesParam(
            form, "Images prepared as those that the network was trained on: same pixel size and contrast."
        )
        form.addParam(
            "inputNetworks",
            params.MultiPointerParam,
            pointerClass="CfdNetwork",
            label="Trained networks",
            important=True,
            help="One network for all, or one each for amplitudes, angles and shifts.",
        )
        add_options(form, InferOptions, ["polish"])
        self._addModesParams(form, " Polishing needs those that the network's labels were made with.", "polish")
        add_advanced_options(form, InferOptions)
        self._addComputeParams(form, gpu=True)

    def _networks(self) -> list[CfdNetwork]:
        return [pointer.get() for pointer in self.inputNetworks]

    def _options(self, **values: Any) -> Any:
        return super()._options(model=[network.getFileName() for network in self._networks()], **values)

    def _writeInputs(self) -> dict[str, Any]:
        files = {
            "particles": self._writeParticles(self.inputParticles.get()),
            "output": self._getExtraPath("predicted.star"),
        }
        return files | (self._writeModes() if self.polish.get() else {})

    def createOutputStep(self) -> None:
        output = SetOfParticlesFlex.create(self._getPath())
        fill_set(output, read_particles(self._getExtraPath("predicted.star")), self.inputParticles.get())
        self._defineOutputs(**{CfdInferOutputs.outputParticles.name: output})
        self._defineTransformRelation(self.inputParticles, output)

    def _validateInputs(self) -> list[str]:
        predicted = {kind for network in self._networks() for kind in network.getPredicted()}
        errors = [error for network in self._networks() for error in self._unlikeTraining(network)]
        if self.polish.get() and self.inputModes.get() is None:
            errors.append("Polishing needs the normal modes.")
        elif self.polish.get():
            mode_ids = {mode for network in self._networks() for mode in network.getModeIds()}
            errors += self._validateModes(tuple(sorted(mode_ids)))
            if missing := {"amplitudes", "angles", "shifts"} - predicted:
                errors.append(f"Polishing needs predictions of {', '.join(sorted(missing))} too; add those networks.")
        return errors

    def _unlikeTraining(self, network: CfdNetwork) -> list[str]:
        """How the particles differ from those that a network was trained on, as far as it minds."""
        particles = self.inputParticles.get()
        facts = [
            ("box", network.getBoxSize(), particles.getXDim(), "px"),
            ("pixel size", round(network.getSamplingRate(), 3), round(particles.getSamplingRate(), 3), "Å"),
            ("phase flipping", network.isPhaseFlipped(), particles.isPhaseFlipped(), ""),
        ]
        return [
            f"{network.getObjLabel() or 'The network'} was trained on particles with {name} {trained} {unit}, these "
            f"have {here} {unit}; preprocess them in the same way."
            for name, trained, here, unit in facts
            if trained != here
        ]

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdInferOutputs.outputParticles.name):
            return ["Nothing is predicted yet."]
        predicted = f"{self.outputParticles.getSize()} particles" + (", polished" if self.polish.get() else "")
        return [predicted, *self._leftOut(self._getExtraPath("predicted.star"))]
