"""HEMNMA: pose and normal-mode amplitudes of every particle."""

from enum import Enum
from typing import Any, get_args

from pwem.objects import SetOfParticlesFlex

from continuousflex_deep.convert import fill_set
from continuousflex_deep.io.modes import parse_mode_list
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.options import AlignOptions, Fit
from continuousflex_deep.protocols.form_options import add_options
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class CfdAlignOutputs(Enum):
    outputParticles = SetOfParticlesFlex


class CfdProtAlign(CfdProtBase):
    """HEMNMA: finds every particle's orientation, shift and amplitudes along normal modes, each with its error bar.

    The images' noise, their resolution and the contrast's sign are estimated from the images themselves. Particles with
    a CTF that are not phase flipped are compared with the reference's projections through their CTF.
    """

    _label = "HEMNMA alignment"
    _possibleOutputs = CfdAlignOutputs
    COMMAND, OPTIONS = "align", AlignOptions
    WORKERS = True
    PATHS = ("particles", "structure", "modes", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addParticlesParam(
            form, "Particle images; 128 pixels across or less are usually enough, so reduce larger ones first."
        )
        self._addModesParams(form, optional=" May be left out when only poses are to be found.")
        add_options(form, AlignOptions, ["mode_list"], mode_list={"label": "Modes to use"})
        form.addSection(label="Search")
        add_options(
            form,
            AlignOptions,
            ["fit", "init", "max_shift_percent"],
            fit={"label": "Find"},
            init={"label": "Start from", "condition": f"fit != {get_args(Fit).index('conformation')}"},
            max_shift_percent={"label": "Largest shift (% of the box)"},
        )
        self._addOtherOptions(
            form,
            n_hypotheses={"label": "Hypotheses per particle"},
            calibration_particles={"label": "Particles for calibration"},
        )
        self._addComputeParams(form, gpu=True)

    def _writeInputs(self) -> dict[str, Any]:
        return {
            "particles": self._writeParticles(self.inputParticles.get()),
            "output": self._getExtraPath("aligned.star"),
            **self._writeModes(),
        }

    def createOutputStep(self) -> None:
        output = SetOfParticlesFlex.create(self._getPath())
        fill_set(output, read_particles(self._getExtraPath("aligned.star")), self.inputParticles.get())
        self._defineOutputs(**{CfdAlignOutputs.outputParticles.name: output})
        self._defineTransformRelation(self.inputParticles, output)
        if self.inputModes.get() is not None:
            self._defineSourceRelation(self.inputModes, output)

    def _validateInputs(self) -> list[str]:
        only_poses = self.getEnumText("fit") == "pose" and self.inputModes.get() is None
        errors = [] if only_poses else self._validateModes(parse_mode_list(self.mode_list.get()))
        if only_poses:
            self._structure()
        near = self.getEnumText("init") == "local" or self.getEnumText("fit") == "conformation"
        if near and not self.inputParticles.get().hasAlignmentProj():
            errors.append(
                "A local start, or finding the conformation alone, needs particles with orientations and shifts, and "
                "these have none."
            )
        return errors

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdAlignOutputs.outputParticles.name):
            return ["The particles are not aligned yet."]
        aligned = f"{self.outputParticles.getSize()} particles aligned"
        if self.inputModes.get() is not None:
            aligned += f" with modes {self.mode_list.get()}"
        return [aligned, *self._leftOut(self._getExtraPath("aligned.star"))]
