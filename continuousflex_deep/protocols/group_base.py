"""What protocols that make groups of a landscape's particles do alike."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from pwem.objects import SetOfParticlesFlex
from pyworkflow.protocol import params

from continuousflex_deep.convert import enabled_ids, fill_set
from continuousflex_deep.io.groups import NamedGroup
from continuousflex_deep.particles import Particles
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class PossibleOutput(NamedTuple):
    """An output that a run will make, as Scipion's forms ask for it; members of one Enum cannot have one class."""

    name: str
    value: type


def group_output(number: int) -> str:
    """The name of the output that a group becomes, counted from 1, where a run makes several."""
    return f"outputParticles_{number}"


class CfdProtGroupBase(CfdProtBase):
    """Particles of a landscape as sets, on the landscape's images or those of the same particles at another size."""

    _label: ClassVar[str | None] = None
    PATHS = ("landscape", "output")

    def _addLandscapeParams(self, form: Any) -> None:
        self._addLandscapeParam(form, "The landscape that the group is a region of.", important=True)
        form.addParam(
            "inputParticles",
            params.PointerParam,
            pointerClass="SetOfParticles",
            allowsNull=True,
            label="Images for the group (optional)",
            help="The same particles (same ids) at another size, for example the original one, for the reconstruction. "
            "Shifts are scaled to it. Empty: the images that the landscape was made from.",
        )

    def getImages(self) -> Any:
        """The set whose images the groups show."""
        return self.inputParticles.get() or self.inputLandscape.get().getParticles()

    def _defineGroups(self, groups: Sequence[NamedGroup], particles: Sequence[Particles]) -> None:
        """Outputs of a run that makes several groups: each has its group's name as its label."""
        outputs = {}
        for number, (group, of_it) in enumerate(zip(groups, particles, strict=True), start=1):
            output = self._newGroup(of_it, suffix=str(number))
            output.setObjLabel(group.name)
            outputs[group_output(number)] = output
        self._defineOutputs(**outputs)
        for output in outputs.values():
            self._relate(output)

    def _newGroup(self, particles: Particles, suffix: str | None = None) -> SetOfParticlesFlex:
        output = SetOfParticlesFlex.create(self._getPath(), suffix=suffix)
        fill_set(output, particles, self.getImages())
        return output

    def _relate(self, output: SetOfParticlesFlex) -> None:
        """A group comes from the landscape, and shows other images where these were given."""
        self._defineSourceRelation(self.inputLandscape, output)
        if self.inputParticles.get() is not None:
            self._defineTransformRelation(self.inputParticles, output)

    def _validateInputs(self) -> list[str]:
        images = self.inputParticles.get()
        if images is None:
            return []
        mapped = enabled_ids(self.inputLandscape.get().getParticles())
        missing = mapped - enabled_ids(images)
        if missing == mapped:
            return ["None of the landscape's particles is in the images given for the group; the ids must be the same."]
        return []

    def _summary(self) -> list[str]:
        made = [output for _, output in self.iterOutputAttributes(SetOfParticlesFlex)]
        if not made:
            return ["The group is not made yet."]
        mapped = self.inputLandscape.get().getParticles().getSize()
        told = [(output.getObjLabel(), f"{output.getSize()} of {mapped} particles") for output in made]
        return [f"{label}: {size}" if label else size for label, size in told]
