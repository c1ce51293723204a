"""3D reconstruction of groups of particles."""

import os
from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import FSC, SetOfFSCs, SetOfVolumes, Volume
from pyworkflow.protocol import params

from continuousflex_deep.io.file_names import FSC_CSV, FSC_JSON, HALF_MAPS_MRC, MAP_MRC
from continuousflex_deep.io.fsc_table import read_fsc, read_resolutions
from continuousflex_deep.io.names import numbered_names
from continuousflex_deep.options import ReconstructOptions
from continuousflex_deep.programs import RELION, RELION_RECONSTRUCT, XMIPP, XMIPP_RECONSTRUCT
from continuousflex_deep.protocols.form_options import (
    NOT_INSTALLED,
    add_advanced_options,
    add_options,
    installed_choices,
)
from continuousflex_deep.protocols.protocol_base import CfdProtBase
from continuousflex_deep.sampling import same_pixel_size, same_width

PARTICLES, GROUPS, LANDSCAPE = range(3)  # where the groups come from
# what the engines of other packages need
ENGINES = {"relion": (RELION, [RELION_RECONSTRUCT]), "xmipp": (XMIPP, [XMIPP_RECONSTRUCT])}


class CfdReconstructOutputs(Enum):
    outputVolume = Volume
    outputVolumes = SetOfVolumes
    outputFSCs = SetOfFSCs


class CfdProtReconstruct(CfdProtBase):
    """Reconstructs a map from particles of similar conformation, in two independent halves.

    The halves' Fourier shell correlation gives the resolution; with a reference map, its correlation is computed too.
    For several groups, or a landscape split along one of its axes, the output is a set of volumes on one grey scale,
    and a movie of them.
    """

    _label = "reconstruct group"
    _possibleOutputs = CfdReconstructOutputs
    COMMAND, OPTIONS = "reconstruct", ReconstructOptions

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        form.addParam(
            "source", params.EnumParam, choices=["one set of particles", "several sets", "a landscape along an axis"],
            default=PARTICLES, label="Reconstruct",
            help="One map of a set of particles, or one of each group: sets that are given, or consecutive parts of a "
            "landscape.",
        )  # fmt: skip
        self._addParticlesParam(
            form,
            "Particles with orientations and shifts, for example a group of a landscape.",
            aligned=True,
            condition=f"source == {PARTICLES}",
        )
        form.addParam(
            "inputGroups", params.MultiPointerParam, pointerClass="SetOfParticles", pointerCondition="hasAlignmentProj",
            allowsNull=True, condition=f"source == {GROUPS}", label="Groups",
            help="Sets of particles with orientations and shifts, each of which becomes a map.",
        )  # fmt: skip
        self._addLandscapeParam(
            form,
            "The landscape that is split; its particles need orientations and shifts.",
            allowsNull=True,
            condition=f"source == {LANDSCAPE}",
        )
        along = {"condition": f"source == {LANDSCAPE}"}
        names = ["axis", "groups", "split", "keep_outliers"]
        add_options(form, ReconstructOptions, names, **dict.fromkeys(names, along))
        self._addImagesParam(form)
        form.addParam(
            "inputReference",
            params.PointerParam,
            pointerClass="Volume",
            allowsNull=True,
            label="Reference map (optional)",
            help="A map to compare with: of the images' pixel size, or as wide as they are.",
        )
        add_options(form, ReconstructOptions, ["symmetry", "mask_diameter_A", "ctf", "local_filter"])
        offered = installed_choices(ReconstructOptions, "engine", ENGINES)
        add_advanced_options(form, ReconstructOptions, engine=offered)
        self._addComputeParams(form, gpu=True)

    def _writeInputs(self) -> dict[str, Any]:
        files: dict[str, Any] = {"output": self._outputFolder()}
        if self.source.get() == LANDSCAPE:
            files["landscape"] = self.inputLandscape.get().getFileName()
        elif self.source.get() == GROUPS:
            names = numbered_names(self._groupNames(len(self.inputGroups)))  # the movie shows them
            files["particles"] = [
                self._writeParticles(s, f"{name}.star") for s, name in zip(self._sets(), names, strict=True)
            ]
        else:
            files["particles"] = [self._writeParticles(self.inputParticles.get())]
        if self.inputImages.get() is not None:
            files["images"] = self._writeParticles(self.inputImages.get(), "input_images.star")
        if self.inputReference.get() is not None:
            files["reference"] = os.path.abspath(self.inputReference.get().getFileName().removesuffix(":mrc"))
        return files

    def createOutputStep(self) -> None:
        folder = Path(self._outputFolder())
        sampling_A = (self.inputImages.get() or self._sets()[0]).getSamplingRate()
        curves = SetOfFSCs.create(self._getPath())
        if self.source.get() == PARTICLES:
            volume = volume_of(folder, sampling_A)
            volume.setObjLabel(self.inputParticles.get().getObjLabel())
            add_curves(curves, folder)
            outputs = {CfdReconstructOutputs.outputVolume.name: volume}
        else:
            volumes = SetOfVolumes.create(self._getPath())
            volumes.setSamplingRate(sampling_A)
            groups = self.getGroups()
            for name, facts in zip(self._groupNames(len(groups)), groups, strict=True):
                volume = volume_of(folder / facts["folder"], sampling_A)
                volume.setObjLabel(name)
                volume.setObjComment(_told(facts))
                volumes.append(volume)
                add_curves(curves, folder / facts["folder"], f"{name}: ")
            outputs = {CfdReconstructOutputs.outputVolumes.name: volumes}
        outputs[CfdReconstructOutputs.outputFSCs.name] = curves
        self._defineOutputs(**outputs)
        for source in self._sources():
            for output in outputs.values():
                self._defineSourceRelation(source, output)

    def _sets(self) -> list[Any]:
        """The sets of particles that are reconstructed; of a landscape, all its particles."""
        if self.source.get() == LANDSCAPE:
            return [self.inputLandscape.get().getParticles()]
        return [pointer.get() for pointer in self._sources()]

    def _sources(self) -> list[Any]:
        """The pointers to what is reconstructed."""
        return [[self.inputParticles], list(self.inputGroups), [self.inputLandscape]][self.source.get()]

    def _validateInputs(self) -> list[str]:
        if self.source.get() == LANDSCAPE and self.inputLandscape.get() is None:
            return ["Give the landscape that is to be split."]
        images, reference, sets = self.inputImages.get(), self.inputReference.get(), self._sets()
        if self.source.get() == GROUPS and len(sets) < 2:
            return ["Give at least two groups, or reconstruct one set of particles."]
        if any(particles is None for particles in sets):  # of a run that is scheduled before they are made
            return ["Some of the particles do not exist yet; the run that makes them must finish first."]
        errors = []
        offered, place = self.getParam("engine").choices, self.engine.get()
        if place >= len(offered) or NOT_INSTALLED in offered[place]:
            errors.append("The selected engine is not installed here; install it or select another.")
        if not all(particles.hasAlignmentProj() for particles in sets):
            errors.append("The particles have no orientations and shifts; align them or predict them first.")
        shown = images or sets[0]
        errors += self._validateImages(sets, images, self.ctf.get())
        if reference is not None and not _comparable(reference, shown):
            errors.append(
                f"The reference has {reference.getXDim()} voxels of {reference.getSamplingRate():g} Å, the images "
                f"{shown.getXDim()} pixels of {shown.getSamplingRate():g} Å; resample it to their pixel size or width."
            )
        return errors

    def getResolutions(self, group: str = "") -> dict[str, dict[str, float | None]]:
        """Resolution in Å by curve and threshold, of a group's folder where there are several; None where a curve is
        below the threshold from the start."""
        return read_resolutions(Path(self._outputFolder()) / group / FSC_JSON)

    def getGroups(self) -> list[dict[str, Any]]:
        """Of several groups: each one's folder in the output, number of particles and place along the axis."""
        return self._record().get("groups", [])

    def _groupNames(self, count: int) -> list[str]:
        """Of so many groups: what their sets are called, where all have names that differ; else group 1, group 2, …."""
        labels = [particles.getObjLabel() for particles in self._sets()] if self.source.get() == GROUPS else []
        if labels and all(labels) and len(set(labels)) == len(labels):
            return labels
        return [f"group {number}" for number in range(1, count + 1)]

    def _summary(self) -> list[str]:
        if hasattr(self, CfdReconstructOutputs.outputVolumes.name):
            told = []
            for volume, facts in zip(self.outputVolumes, self.getGroups(), strict=True):
                values = self.getResolutions(facts["folder"])["half maps, corrected"]
                told.append(f"{volume.getObjLabel()}, {_told(facts)}: {resolutions_told(values)}")
            return told
        if not hasattr(self, CfdReconstructOutputs.outputVolume.name):
            return ["The map is not reconstructed yet."]
        lines = [f"{self.inputParticles.get().getSize()} particles"]
        curves = self.getResolutions().items()
        return lines + [f"FSC of {curve}: {resolutions_told(values)}" for curve, values in curves]


def resolutions_told(values: dict[str, float | None]) -> str:
    """Resolutions by threshold, in words."""
    found = [f"{value:.2f} Å at {threshold}" for threshold, value in values.items() if value is not None]
    return ", ".join(found) or "below the thresholds"


def _told(facts: dict[str, Any]) -> str:
    where = f", {facts['axis']} {facts['low']:.4g} to {facts['high']:.4g}" if "axis" in facts else ""
    return f"{facts['particles']} particles{where}"


def volume_of(folder: Path, sampling_A: float) -> Volume:
    """The map of a reconstruction's folder with its half maps."""
    volume = Volume(str(folder / MAP_MRC))
    volume.setSamplingRate(sampling_A)
    volume.setHalfMaps([str(folder / name) for name in HALF_MAPS_MRC])
    return volume


def add_curves(curves: SetOfFSCs, folder: Path, before: str = "") -> None:
    """Append the curves of a reconstruction's folder."""
    for label, (frequency_per_A, correlation) in read_fsc(folder / FSC_CSV).items():
        curve = FSC(objLabel=before + label)
        curve.setData(frequency_per_A.tolist(), correlation.tolist())
        curves.append(curve)


def _comparable(reference: Any, images: Any) -> bool:
    """Whether a map has the images' pixel size or their width, so that the command can bring it to their sampling."""
    voxel_A, pixel_A = reference.getSamplingRate(), images.getSamplingRate()
    return same_pixel_size(voxel_A, pixel_A) or same_width(reference.getXDim(), voxel_A, images.getXDim(), pixel_A)
