"""HEMNMA: pose and normal-mode amplitudes of every particle."""

from enum import Enum
from typing import Any

from pwem.objects import SetOfNormalModes, SetOfParticlesFlex
from pyworkflow.protocol import params

from continuousflex_deep.convert import fill_modes, fill_set, write_atoms_beside
from continuousflex_deep.io.modes import parse_mode_list
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.options import AUTO, AlignOptions, options_of
from continuousflex_deep.programs import XMIPP, XMIPP_ALIGN, XMIPP_ALIGN_MPI
from continuousflex_deep.protocols.form_options import (
    add_advanced_options,
    add_options,
    installed_choices,
    package_home,
)
from continuousflex_deep.protocols.protocol_base import CfdProtBase

_ENGINES = options_of(AlignOptions)["engine"].choices


class CfdAlignOutputs(Enum):
    outputParticles = SetOfParticlesFlex
    outputModes = SetOfNormalModes


class CfdProtAlign(CfdProtBase):
    """HEMNMA: finds every particle's orientation, shift and amplitudes along normal modes, each with its error bar.

    The images' noise, their resolution and the contrast's sign are estimated from the images themselves. Particles with
    a CTF that are not phase flipped are compared with the reference's projections through their CTF.

    If Xmipp is installed, its HEMNMA can be selected instead, for CPU clusters: minutes a particle and no error bars.
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
        offered = installed_choices(AlignOptions, "engine", {"xmipp": (XMIPP, [XMIPP_ALIGN])})
        add_options(form, AlignOptions, ["mode_list", "engine"], engine=offered)
        form.addSection(label="Search")
        add_options(form, AlignOptions, ["fit", "init", "max_shift_percent", "xmipp_method", "xmipp_step_deg"])
        if XMIPP.find(XMIPP_ALIGN_MPI, package_home(XMIPP)):
            self._addMpiParam(form)
        add_advanced_options(form, AlignOptions)
        self._addComputeParams(form, gpu=True)

    @staticmethod
    def _addMpiParam(form: Any) -> None:
        form.addParam(
            "xmippMpi",
            params.BooleanParam,
            default=False,
            expertLevel=params.LEVEL_ADVANCED,
            condition=f"engine == {_ENGINES.index('xmipp')}",
            label="Use Xmipp's MPI program",
            help="No: MPI is the number of workers that run Xmipp's serial program, each on its own batches, on any "
            "nodes of a queue. Yes: one worker runs Xmipp's MPI program on that many processes.",
        )

    def _writeInputs(self) -> dict[str, Any]:
        return {
            "particles": self._writeParticles(self.inputParticles.get()),
            "output": self._getExtraPath("aligned.star"),
            **self._writeModes(),
        }

    # -------------------------- engines -------------------------------------
    def _isXmipp(self) -> bool:
        return bool(self.engine.get() == _ENGINES.index("xmipp"))

    def _isXmippMpi(self) -> bool:
        chosen = getattr(self, "xmippMpi", None)
        return bool(self._isXmipp() and chosen is not None and chosen.get() and self.numberOfMpi.get() > 1)

    def _workers(self) -> int:
        return 1 if self._isXmippMpi() else super()._workers()

    def usesGpu(self) -> bool:
        return bool(super().usesGpu()) and not self._isXmipp()

    def _options(self, **values: Any) -> Any:
        if self._isXmippMpi():
            values |= {"xmipp_processes": self.numberOfMpi.get(), "xmipp_launcher": self._launcher()}
        return super()._options(**values)

    def _launcher(self) -> str:
        """How this host starts processes, by Scipion's own settings."""
        words = {"JOB_NODES": self.numberOfMpi.get(), "COMMAND": "{command}"}
        return str(self.getHostConfig().mpiCommand.get()) % words

    # -------------------------- output --------------------------------------
    def createOutputStep(self) -> None:
        output = SetOfParticlesFlex.create(self._getPath())
        fill_set(output, read_particles(self._getExtraPath("aligned.star")), self.inputParticles.get())
        self._defineOutputs(**{CfdAlignOutputs.outputParticles.name: output})
        self._defineTransformRelation(self.inputParticles, output)
        if self.inputModes.get() is not None:
            self._defineSourceRelation(self.inputModes, output)
        if self._learnsModes():
            self._makeLearnedModes()

    def _learnsModes(self) -> bool:
        return bool((self.mode_list.get() or "").strip() == AUTO and self.inputModes.get() is not None)

    def _makeLearnedModes(self) -> None:
        """The motions that were learned, as modes for the steps that follow."""
        folder, structure = self._getExtraPath("aligned_modes"), self._structure()
        modes = SetOfNormalModes.create(self._getPath())
        modes.copyInfo(self.inputModes.get())
        if self.inputStructure.get() is not None:
            modes._pdbPointer.copy(self.inputStructure, copyId=False)  # setPdb would keep an id that other runs lack
        fill_modes(modes, folder)
        write_atoms_beside(modes, structure.getFileName(), folder)
        self._defineOutputs(**{CfdAlignOutputs.outputModes.name: modes})
        self._defineSourceRelation(self.inputModes, modes)

    def _validateInputs(self) -> list[str]:
        if self.engine.get() >= len(self.getParam("engine").choices):
            return [f"Xmipp's HEMNMA is not installed here; {XMIPP.remedy}, or select the embedded engine."]
        only_poses = not self._isXmipp() and self.getEnumText("fit") == "pose" and self.inputModes.get() is None
        listed = () if self._learnsModes() else parse_mode_list(self.mode_list.get() or "")
        errors = [] if only_poses else self._validateModes(listed)
        if self._learnsModes() and (self._isXmipp() or self.getEnumText("fit") == "pose"):
            errors.append(
                "The modes are learned by the embedded engine, which has to find amplitudes; name the modes, for "
                "example 7-9, for Xmipp's engine or for poses alone."
            )
        if only_poses:
            self._structure()
        if self._isXmippMpi() and self.useQueueForSteps():
            errors.append(
                "Xmipp's MPI program cannot be used where each step is a job of its own; leave it out: then MPI is the "
                "number of workers that run its serial program."
            )
        near = self.getEnumText("init") == "local" or self.getEnumText("fit") == "conformation"
        if not self._isXmipp() and near and not self.inputParticles.get().hasAlignmentProj():
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
            learned = getattr(self, CfdAlignOutputs.outputModes.name, None)
            aligned += f" with modes {self.mode_list.get()}" if learned is None else (
                f" along {learned.getSize()} motions that were learned from them"
            )
        return [aligned, *self._leftOut(self._getExtraPath("aligned.star"))]
