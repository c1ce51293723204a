"""Groups of particles, picked in a landscape."""

from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import SetOfParticlesFlex

from continuousflex_deep.convert import enabled_ids
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.file_names import GROUPS_JSON
from continuousflex_deep.io.groups import NamedGroup, file_names, read_groups
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.options import GroupOptions
from continuousflex_deep.protocols.form_options import add_options
from continuousflex_deep.protocols.group_base import CfdProtGroupBase, PossibleOutput, group_output


class CfdGroupOutputs(Enum):
    outputParticles = SetOfParticlesFlex


class CfdProtGroup(CfdProtGroupBase):
    """Selects the particles of a region of the landscape: by a condition, a box, or a list of ids.

    Of a file of named groups, each becomes a set of particles of that name. The landscape's viewer writes such lists
    and files for what one encircles in it.
    """

    _label = "landscape group"
    _possibleOutputs = CfdGroupOutputs
    COMMAND, OPTIONS = "group", GroupOptions

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addLandscapeParams(form)
        add_options(form, GroupOptions, ["expression", "box", "ids", "groups", "keep_outliers"])

    def _writeInputs(self) -> dict[str, Any]:
        output = self._outputFolder() if self._named() else self._getExtraPath("group.star")
        return {"landscape": self.inputLandscape.get().getFileName(), "output": output}

    def createOutputStep(self) -> None:
        if self._named():
            folder = Path(self._outputFolder())
            groups = read_groups(folder / GROUPS_JSON)
            files = [folder / f"{name}.star" for name in file_names(groups)]
            self._defineGroups(groups, [read_particles(file) for file in files])
            return
        output = self._newGroup(read_particles(self._getExtraPath("group.star")))
        self._defineOutputs(**{CfdGroupOutputs.outputParticles.name: output})
        self._relate(output)

    def getPossibleOutputs(self) -> Any:
        """Of a file of groups as many as it has; where it cannot be read, validation will say so."""
        if not self._named():
            return self._possibleOutputs
        try:
            groups = self.getGroups()
        except InputError:
            return []
        return [PossibleOutput(group_output(i + 1), SetOfParticlesFlex) for i in range(len(groups))]

    def getGroups(self) -> list[NamedGroup]:
        """The groups of the file that is given. Raises InputError or FormatError where it cannot be read."""
        return read_groups(self._named())

    def _named(self) -> str:
        """The file of groups; empty where a single group is asked for."""
        return (self.groups.get() or "").strip()

    def _validateInputs(self) -> list[str]:
        criteria = [name for name in ("expression", "box", "ids") if getattr(self, name).get()]
        if not criteria and not self._named():
            return [
                "Say which particles belong to the group: give a condition, a box, a file of ids, or a file of groups."
            ]
        if criteria and self._named():
            return ["A file of groups names the particles itself; leave condition, box and file of ids empty."]
        return [*(self._validateGroups() if self._named() else []), *super()._validateInputs()]

    def _validateGroups(self) -> list[str]:
        """Whether the file of groups can be read, and is of this landscape."""
        groups = self.getGroups()
        if not groups:
            return ["The file of groups has no groups."]
        mapped, errors = enabled_ids(self.inputLandscape.get().getParticles()), []
        for group in groups:
            unknown = sorted(set(group.ids.tolist()) - mapped)
            if unknown:
                errors.append(
                    f"Group '{group.name}' is not of this landscape, which lacks {len(unknown)} of its {len(group)} "
                    f"particles, for example {unknown[:5]}."
                )
            if not len(group):
                errors.append(f"Group '{group.name}' has no particles; remove it or choose some.")
        return errors
