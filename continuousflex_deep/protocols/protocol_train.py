"""Training of the network on aligned particles."""

from enum import Enum
from pathlib import Path
from typing import Any

from pyworkflow.protocol import params

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
        form.addParam(
            "inputParticles",
            params.PointerParam,
            pointerClass="SetOfParticles",
            pointerCondition="hasAlignmentProj",
            label="Labelled particles",
            important=True,
            help="Particles with orientations, shifts and amplitudes.",
        )
        add_options(
            form,
            TrainOptions,
            ["targets", "recipe", "epochs", "outlier_distance"],
            targets={"label": "What to learn"},
            outlier_distance={"label": "Outlier distance"},
        )
        form.addSection(label="Training")
        add_options(
            form,
            TrainOptions,
            ["box", "batch", "learning_rate", "validation_percent", "seed", "workers"],
            expert=["batch", "learning_rate", "validation_percent", "seed", "workers"],
        )
        self._addComputeParams(form, gpu=True)

    def _options(self, **values: Any) -> Any:
        return super()._options(resume=self._canResume(), **values)

    def _canResume(self) -> bool:
        """A continued run finds the checkpoint of the stopped one; a restarted run's folder is empty."""
        return self._getWorkingDirExists() and any(Path(self._outputFolder()).glob("last*"))

    def _getWorkingDirExists(self) -> bool:
        return bool(self.workingDir.get()) and Path(self._getExtraPath()).is_dir()

    def runCommandStep(self) -> None:
        # the options were written when the run began; whether there is a checkpoint is known only now
        self.convertInputStep()
        super().runCommandStep()

    def _writeInputs(self) -> dict[str, Any]:
        return {"particles": self._writeParticles(self.inputParticles.get()), "output": self._outputFolder()}

    def createOutputStep(self) -> None:
        network = CfdNetwork(self._outputFolder())
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
