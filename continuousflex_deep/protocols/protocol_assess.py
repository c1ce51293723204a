"""Results against the truth and against each other, and groups' maps against their centroids."""

from pathlib import Path
from typing import Any, ClassVar

from pwem.objects import AtomStruct, SetOfAtomStructs, SetOfFSCs, SetOfVolumes
from pyworkflow.protocol import params

from continuousflex_deep.convert import enabled_ids, mode_ids_of
from continuousflex_deep.io.file_names import PARTICLES_STAR, RECORD_JSON
from continuousflex_deep.io.fsc_table import CENTROID, REST, TRUE_CENTROID
from continuousflex_deep.io.modes import parse_mode_list
from continuousflex_deep.io.names import distinct
from continuousflex_deep.options import EvaluateOptions
from continuousflex_deep.protocols.form_options import add_advanced_options, add_options
from continuousflex_deep.protocols.protocol_base import CfdProtBase
from continuousflex_deep.protocols.protocol_reconstruct import add_curves, resolutions_told
from continuousflex_deep.protocols.result_names import result_name, result_names

# kinds of errors that the summary names, with their unit
_TOLD = {"amplitude": ("amplitudes", " Å"), "angle_deg": ("angle", "°"), "shift_A": ("shift", " Å")}
_TOLD |= {"rmsd_amplitude_A": ("RMSD of the conformation", " Å")}


class CfdProtAssess(CfdProtBase):
    """Compares results with a known truth and with each other, in the article's tables, and maps with their groups.

    It reports means and deviations of the errors of amplitudes, angles and shifts, and of the atomic displacements that
    each of them causes. Each map of a group is compared with that of the structure in the mean conformation of the
    group's particles and, as controls, with the structure at rest and the conformation of the farthest other group.
    """

    _label = "assess against truth"
    _possibleOutputs: ClassVar = {"outputFSCs": SetOfFSCs, "outputCentroids": SetOfAtomStructs}
    COMMAND, OPTIONS = "evaluate", EvaluateOptions
    PATHS = ("structure", "modes")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        form.addParam(
            "inputSets",
            params.MultiPointerParam,
            pointerClass="SetOfParticles",
            label="Results",
            important=True,
            help="Particles with poses or amplitudes from the alignment or the inference, ours or ContinuousFlex's. "
            "Tables name each set by the label of its run. Particles are joined by their ids.",
        )
        form.addParam(
            "inputTruth",
            params.PointerParam,
            pointerClass="SetOfParticles",
            allowsNull=True,
            label="Truth (optional)",
            help="The same particles with their true parameters, such as those of synthesised images; it may hold more "
            "of them. Without it, results are compared with each other only.",
        )
        self._addModesParams(form, optional=" May be left out of particles without amplitudes.")
        form.addParam(
            "inputVolumes",
            params.MultiPointerParam,
            pointerClass="Volume, SetOfVolumes",
            allowsNull=True,
            label="Maps of groups (optional)",
            help="Outputs of 'reconstruct group', each compared with the mean conformation of its particles.",
        )
        names = ["mode_list", "lost_deg", "symmetry", "bound"]
        add_options(form, EvaluateOptions, names, bound={"condition": "inputTruth is not None"})
        add_advanced_options(form, EvaluateOptions)
        self._addComputeParams(form, gpu=True)

    def _options(self, **values: Any) -> Any:
        named = {"particles": self._setNames(), "output": self._outputFolder()}
        return super()._options(**(named | {"truth": "", "reconstruction": []} | values))

    def _sets(self) -> list[Any]:
        return [pointer.get() for pointer in self.inputSets]

    def _setNames(self) -> list[str]:
        return result_names(self.inputSets)

    def _groupFolders(self) -> dict[str, Path]:
        """The folders of the maps' reconstructions, by the labels of their runs, and of several groups their own."""
        labels, folders = [], []
        for pointer in self.inputVolumes:
            several = isinstance(pointer.get(), SetOfVolumes)
            for volume in pointer.get().iterItems() if several else [pointer.get()]:
                name = result_name(pointer)
                labels.append(f"{name} {volume.getObjLabel()}".strip() if several else name)
                folders.append(Path(volume.getFileName().removesuffix(":mrc")).parent)
        return dict(zip(distinct(labels), folders, strict=True))

    # -------------------------- steps ---------------------------------------
    def _writeInputs(self) -> dict[str, Any]:
        sets = zip(self._sets(), self._setNames(), strict=True)
        files: dict[str, Any] = {"particles": [self._writeParticles(one, f"results/{name}.star") for one, name in sets]}
        files |= {"reconstruction": [self._link(name, folder) for name, folder in self._groupFolders().items()]}
        if self.inputTruth.get() is not None:
            files["truth"] = self._writeParticles(self.inputTruth.get(), "truth.star")
        return {**files, **self._writeModes(), "output": self._outputFolder()}

    def _link(self, name: str, folder: Path) -> str:
        """A link to a group's folder, after which the command will name the group."""
        link = Path(self._getExtraPath("groups", name))
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(folder.absolute())
        return str(link)

    def createOutputStep(self) -> None:
        if not self.getGroups():
            return
        curves, centroids = SetOfFSCs.create(self._getPath()), SetOfAtomStructs.create(self._getPath())
        for facts in self.getGroups():
            name, folder = facts["group"], Path(self._outputFolder()) / facts["group"]
            add_curves(curves, folder, f"{name}: ")
            centroid = AtomStruct(str(folder / "centroid.pdb"))
            centroid.setObjLabel(name)
            centroids.append(centroid)
        outputs = {"outputFSCs": curves, "outputCentroids": centroids}
        self._defineOutputs(**outputs)
        modes = [] if self.inputModes.get() is None else [self.inputModes]
        for source in (*modes, *self.inputVolumes):
            for output in outputs.values():
                self._defineSourceRelation(source, output)

    # -------------------------- information ---------------------------------
    def _validateInputs(self) -> list[str]:
        sets, truth, volumes = self._sets(), self.inputTruth.get(), self.inputVolumes
        if truth is None and len(sets) < 2 and not len(volumes):
            return ["One set of results has nothing to compare with: give the truth, another set, or maps of groups."]
        if truth is None and self.bound.get():
            return ["The Cramér-Rao bound is that at the true parameters; give the truth."]
        errors = [
            f"The map in '{folder}' is not of 'reconstruct group'; give its output, whose particles are known."
            for folder in self._groupFolders().values()
            if not ((folder / RECORD_JSON).is_file() and (folder / PARTICLES_STAR).is_file())
        ]
        for name, one in zip(self._setNames(), sets, strict=True) if truth is not None else ():
            if missing := enabled_ids(one) - enabled_ids(truth):
                errors.append(f"{len(missing)} particles of '{name}' are not in the truth, as {sorted(missing)[:5]}.")
        return errors + self._validateCompared({mode_ids_of(one) for one in sets} - {()})

    def _validateCompared(self, found: set[tuple[int, ...]]) -> list[str]:
        """Whether the modes to compare are told, and known; found: those of each set of results."""
        text = (self.mode_list.get() or "").strip()
        if not text and len(found) > 1:
            return [f"The results are of different modes, {sorted(found)}; name those to compare."]
        asked = parse_mode_list(text) if text else next(iter(found), ())
        if asked or self.inputModes.get() is not None:
            return self._validateModes(asked)
        self._structure()
        return []

    def getRecord(self) -> dict[str, Any]:
        """What the command wrote of its results."""
        return self._record()

    def getGroups(self) -> list[dict[str, Any]]:
        """Figures of the groups' maps."""
        return self.getRecord()["groups"]

    def _summary(self) -> list[str]:
        if not (Path(self._outputFolder()) / RECORD_JSON).is_file():
            return ["The results are not assessed yet."]
        record = self.getRecord()
        lines = [f"{name}: {_told(figures)}" for name, figures in record["comparisons"].items()]
        return lines + [f"{facts['group']}: {_groupTold(facts)}" for facts in record["groups"]]


def _told(figures: dict[str, Any]) -> str:
    """A comparison in words: means and deviations."""
    known = {kind: figures["all"][kind] for kind in _TOLD if kind in figures["all"]}
    errors = [f"{_TOLD[k][0]} {f['mean']:.3g} ± {f['sd']:.2g}{_TOLD[k][1]}" for k, f in known.items()]
    lost = f", {figures['lost']} misaligned" if figures["lost"] else ""
    return f"{figures['particles']} particles{lost}; {', '.join(errors)}"


def _groupTold(facts: dict[str, Any]) -> str:
    """A group's map in words: what it agrees with, and how far."""
    found = facts["resolution_A"]
    told = [
        f"with the {name} {resolutions_told(found[name])}" for name in (CENTROID, TRUE_CENTROID, REST) if name in found
    ]
    return f"{facts['particles']} particles; FSC {'; '.join(told)}"
