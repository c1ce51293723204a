"""Training of the network on aligned particles."""

from enum import Enum
from typing import Any

from continuousflex_deep.convert import mode_ids_of
from continuousflex_deep.objects import CfdNetwork
from continuousflex_deep.options import TrainOptions
from continuousflex_deep.protocols.form_options import add_options
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class CfdTrainOutputs(Enum):
    outputNetwork = CfdNetwork


class CfdProtTrain(CfdProtBase):
    """Trains a network to predict orientation, shift and amplitudes from an image.

    Labels are the poses and amplitudes of a set of aligned particles, from this package's or ContinuousFlex's HEMNMA.
    A run that was stopped goes on from its last epoch when it is continued.
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
        add_options(
            form,
            TrainOptions,
            ["targets", "recipe", "epochs", "outlier_distance"],
            targets={"label": "What to learn"},
            outlier_distance={"label": "Outlier distance"},
        )
        form.addSection(label="Training")
        add_options(form, TrainOptions, ["box", "backbone"])
        self._addOtherOptions(
            form, rotation={"label": "Rotations as"}, validation_percent={"label": "Held out for validation (%)"}
        )
        self._addComputeParams(form, gpu=True)

    def _options(self, **values: Any) -> Any:
        # a restarted run's folder is empty, and where there is no checkpoint the training begins anew
        return super()._options(resume=True, **values)

    def getModelFolder(self) -> str:
        """Where the model and the training curves are, also before the training ends."""
        return self._outputFolder()

    def _writeInputs(self) -> dict[str, Any]:
        return {"particles": self._writeParticles(self.inputParticles.get()), "output": self._outputFolder()}

    def createOutputStep(self) -> None:
        network = CfdNetwork(self.getModelFolder())
        particles, targets = self.inputParticles.get(), self.getEnumText("targets")
        network.describe(
            targets,
            mode_ids=mode_ids_of(particles) if targets in ("all", "amplitudes") else (),
            box_px=particles.getXDim(),
            pixel_size_A=particles.getSamplingRate(),
            phase_flipped=particles.isPhaseFlipped(),
        )
        self._defineOutputs(**{CfdTrainOutputs.outputNetwork.name: network})
        self._defineSourceRelation(self.inputParticles, network)

    def _validateInputs(self) -> list[str]:
        errors = []
        targets = self.getEnumText("targets")
        particles = self.inputParticles.get()
        if targets in ("all", "amplitudes") and not mode_ids_of(particles):
            errors.append("The particles have no amplitudes of normal modes to learn; align them first.")
        if targets != "amplitudes" and not particles.hasAlignmentProj():
            errors.append("The particles have no orientations and shifts to learn; align them first.")
        return errors

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdTrainOutputs.outputNetwork.name):
            return ["The network is not trained yet."]
        return [str(self.outputNetwork)]
