"""Our results as a run that ContinuousFlex's own dimension reduction, viewers and clusters accept.

There is such a protocol only where ContinuousFlex can be imported, which needs Xmipp's Python binding.
"""

import shutil
from typing import Any

import numpy as np
from pwem.objects import AtomStruct, SetOfParticlesFlex
from pyworkflow.constants import BETA
from pyworkflow.protocol import params

from continuousflex_deep.constants import AMPLITUDES_ATTRIBUTE, ATOMS_FILE, COST_ATTRIBUTE
from continuousflex_deep.convert import atoms_beside, fill_set, mode_ids_of, particles_from_set
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.xmipp import IMAGES_XMD, MODES_XMD, modes_table, write_xmd

try:
    from continuousflex.protocols import FlexProtAlignmentNMA
except (ImportError, AttributeError):  # not installed, or Xmipp's binding, which it takes names from, is not
    FlexProtAlignmentNMA = None


if FlexProtAlignmentNMA is not None:

    class CfdProtToContinuousFlex(FlexProtAlignmentNMA):
        """Hands particles with amplitudes, estimated or predicted, to ContinuousFlex.

        Its dimension reduction, its viewers and what follows take this run as if its own alignment had found them.
        """

        _label = "to ContinuousFlex"
        _devStatus = BETA

        def _defineParams(self, form: Any) -> None:
            form.addSection(label="Input")
            form.addParam(
                "inputParticles",
                params.PointerParam,
                pointerClass="SetOfParticles",
                pointerCondition="hasAlignmentProj",
                label="Particles",
                important=True,
                help="Particles with orientations, shifts and amplitudes, from HEMNMA alignment or inference.",
            )
            form.addParam(
                "inputModes",
                params.PointerParam,
                pointerClass="SetOfNormalModes",
                label="Normal modes",
                help="The modes along which the amplitudes are.",
            )

        def _insertAllSteps(self) -> None:
            self._insertFunctionStep(self.createOutputStep, needsGPU=False)

        def createOutputStep(self) -> None:
            """The files that ContinuousFlex's protocols look for, and the set."""
            particles = particles_from_set(self.inputParticles.get())
            if particles.score is None:  # its viewers colour by a cost that every particle must have
                particles = particles.replace(score=np.ones(len(particles)))
            write_particles(particles, self._getExtraPath(IMAGES_XMD))
            files = {mode.getObjId(): mode.getModeFile() for mode in self.inputModes.get().iterItems()}
            write_xmd(self._getExtraPath(MODES_XMD), modes_table({m: files[m] for m in particles.mode_ids}))
            name = "pseudoatoms.pdb" if self.getInputPdb().getPseudoAtoms() else ATOMS_FILE
            shutil.copyfile(self.getInputPdb().getFileName(), self._getExtraPath(name))
            output = SetOfParticlesFlex.create(self._getPath())
            fill_set(output, particles, self.inputParticles.get())
            self._defineOutputs(outputParticles=output)
            self._defineTransformRelation(self.inputParticles, output)
            self._defineSourceRelation(self.inputModes, output)

        def getInputPdb(self) -> AtomStruct:
            """The very atoms that the modes move."""
            return atoms_beside(self.inputModes.get()) or super().getInputPdb()

        def _validate(self) -> list[str]:
            particles, modes = self.inputParticles.get(), self.inputModes.get()
            item = particles.getFirstItem()
            if item is None or getattr(item, AMPLITUDES_ATTRIBUTE, None) is None:
                return ["The particles have no amplitudes; align or predict them first."]
            missing = sorted(set(mode_ids_of(particles)) - {int(number) for number in modes.getIdSet()})
            return [f"The amplitudes are along modes {missing}, which are not among those given."] if missing else []

        def _summary(self) -> list[str]:
            if not hasattr(self, "outputParticles"):
                return ["Nothing is handed over yet."]
            lines = [f"{self.outputParticles.getSize()} particles as ContinuousFlex's alignment gives them"]
            if getattr(self.inputParticles.get().getFirstItem(), COST_ATTRIBUTE, None) is None:
                lines.append("They have no score, as network predictions have none; colours by cost mean nothing.")
            return lines
