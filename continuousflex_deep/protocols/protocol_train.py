"""Training of the network on aligned particles."""

from enum import Enum
from typing import Any

from pyworkflow.protocol import params

from continuousflex_deep.convert import mode_ids_of
from continuousflex_deep.objects import CfdNetwork
from continuousflex_deep.options import TrainOptions
from continuousflex_deep.protocols.form_options import add_advanced_options, add_options
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class CfdTrainOutputs(Enum):
    outputNetwork = CfdNetwork


class CfdProtTrain(CfdProtBase):
    """Trains a network to predict orientation, shift and amplitudes from an image.

    Labels are the poses and amplitudes of a set of aligned particles, from this package's or ContinuousFlex's HEMNMA.
    Given their normal modes, it first learns from simulated images of the structure, in any number. A run that was
    stopped continues from its last epoch.
    """

    _label = "network training"
    _possibleOutputs = CfdTrainOutputs
    COMMAND, OPTIONS = "train", TrainOptions
    PATHS = ("particles", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addParticlesParam(
            form, "Particles with orientations, shifts and amplitudes.", label="Labelled particles", aligned=True
        )
        self._addModesParams(
            form,
            optional=" With them the network first learns from simulated images of the structure; without, from the "
            "labelled particles alone.",
        )
        form.addParam(
            "startNetwork",
            params.PointerParam,
            pointerClass="CfdNetwork",
            allowsNull=True,
            label="Start from network (optional)",
            help="Fine-tune this trained network, of the same modes, image size and pixel size, with these particles.",
        )
        add_options(form, TrainOptions, ["second_pass"])
        add_options(form, TrainOptions, ["targets", "recipe", "epochs", "simulated_images", "half_sets"])
        form.addSection(label="Training")
        add_options(form, TrainOptions, ["box", "backbone", "outlier_distance"])
        add_advanced_options(form, TrainOptions)
        self._addComputeParams(form, gpu=True)

    def _options(self, **values: Any) -> Any:
        # a restarted run's folder is empty; without a checkpoint the training starts from the beginning
        return super()._options(resume=True, **values)

    def getModelFolder(self) -> str:
        """Where the model and the training curves are, also before the training ends."""
        return self._outputFolder()

    def _writeInputs(self) -> dict[str, Any]:
        start = self.startNetwork.get()
        return {
            "particles": self._writeParticles(self.inputParticles.get()),
            "output": self._outputFolder(),
            "start_from": start.getFileName() if start is not None else "",
            **(self._writeModes() if self.inputModes.get() is not None else {}),
        }

    def createOutputStep(self) -> None:
        network = CfdNetwork(self.getModelFolder())
        particles, targets = self.inputParticles.get(), self._targets()
        network.describe(
            targets,
            mode_ids=mode_ids_of(particles) if targets in ("all", "amplitudes") else (),
            box_px=particles.getXDim(),
            pixel_size_A=particles.getSamplingRate(),
            phase_flipped=particles.isPhaseFlipped(),
        )
        self._defineOutputs(**{CfdTrainOutputs.outputNetwork.name: network})
        self._defineSourceRelation(self.inputParticles, network)
        if self.inputModes.get() is not None:
            self._defineSourceRelation(self.inputModes, network)

    def _targets(self) -> str:
        """What the network, or the networks together, predict."""
        chosen = self.getEnumText("targets")
        return chosen if chosen in ("amplitudes", "angles", "shifts") else "all"

    def _validateInputs(self) -> list[str]:
        targets, particles = self._targets(), self.inputParticles.get()
        errors = self._validateModes(mode_ids_of(particles)) if self.inputModes.get() is not None else []
        if self.second_pass.get() and self.startNetwork.get() is None:
            errors.append("A second pass refines the predictions of a trained network; give it as start network.")
        if targets in ("all", "amplitudes") and not mode_ids_of(particles):
            errors.append("The particles have no amplitudes of normal modes to learn; align them first.")
        if targets != "amplitudes" and not particles.hasAlignmentProj():
            errors.append("The particles have no orientations and shifts to learn; align them first.")
        return errors

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdTrainOutputs.outputNetwork.name):
            return ["The network is not trained yet."]
        return [str(self.outputNetwork)]
