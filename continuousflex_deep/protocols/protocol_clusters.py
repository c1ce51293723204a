"""Groups of particles, suggested by where they crowd in a landscape."""

import json
from pathlib import Path
from typing import Any

from pwem.objects import SetOfParticlesFlex

from continuousflex_deep.io.file_names import GROUPS_JSON, LANDSCAPE_STAR
from continuousflex_deep.io.groups import read_groups
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.options import ClustersOptions
from continuousflex_deep.protocols.form_options import add_advanced_options, add_options
from continuousflex_deep.protocols.group_base import CfdProtGroupBase, PossibleOutput, group_output


class CfdProtClusters(CfdProtGroupBase):
    """Suggests groups of a landscape: Gaussian clouds, whose number may be chosen, or parts by k-means.

    Each cluster becomes a set of particles. The file of groups that it writes can be loaded into the landscape's viewer
    and changed there.
    """

    _label = "landscape clusters"
    COMMAND, OPTIONS = "clusters", ClustersOptions

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addLandscapeParams(form)
        add_options(form, ClustersOptions, ["method", "n_clusters", "dimensions", "min_probability"])
        add_advanced_options(form, ClustersOptions)

    def _options(self, **values: Any) -> Any:
        if self.getEnumText("method") == "kmeans":  # the form hides it then
            values["min_probability"] = 0.0
        return super()._options(**values)

    def _writeInputs(self) -> dict[str, Any]:
        return {"landscape": self.inputLandscape.get().getFileName(), "output": self.getGroupsFile()}

    def getGroupsFile(self) -> str:
        """The file of groups that the run writes."""
        return self._getExtraPath(GROUPS_JSON)

    def getPossibleOutputs(self) -> Any:
        """How many are made is known beforehand where their number is asked for, and otherwise at least one."""
        return [PossibleOutput(group_output(i + 1), SetOfParticlesFlex) for i in range(max(1, self.n_clusters.get()))]

    def createOutputStep(self) -> None:
        groups = read_groups(self.getGroupsFile())
        particles = read_particles(Path(self.inputLandscape.get().getFileName()) / LANDSCAPE_STAR)
        self._defineGroups(groups, [particles.select(particles.rows_of(group.ids)) for group in groups])

    def getRemarks(self) -> list[str]:
        """What the command said of the clusters: whether they are one cloud, overlap, or are too many to be told."""
        record = Path(self._getExtraPath("groups_record.json"))
        return json.loads(record.read_text(encoding="utf-8"))["remarks"]

    def _summary(self) -> list[str]:
        remarks = self.getRemarks() if self.isFinished() else []
        return [*(f"{remark[:1].upper()}{remark[1:]}." for remark in remarks), *super()._summary()]
