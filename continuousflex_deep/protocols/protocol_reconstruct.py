"""3D reconstruction of a group of particles."""

import csv
import json
import os
from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import FSC, SetOfFSCs, Volume
from pyworkflow.protocol import params

from continuousflex_deep.convert import enabled_ids
from continuousflex_deep.options import ReconstructOptions
from continuousflex_deep.programs import RELION, XMIPP
from continuousflex_deep.protocols.form_options import NOT_INSTALLED, add_options, installed_choices
from continuousflex_deep.protocols.protocol_base import CfdProtBase

# what the engines of other packages need
ENGINES = {"relion": (RELION, ["relion_reconstruct"]), "xmipp": (XMIPP, ["xmipp_reconstruct_fourier"])}
_SAME = 0.01  # relative difference below which the command takes two pixel sizes or widths as the same


class CfdReconstructOutputs(Enum):
    outputVolume = Volume
    outputFSCs = SetOfFSCs


class CfdProtReconstruct(CfdProtBase):
    """Reconstructs a map from particles of similar conformation, in two independent halves.

    The halves' Fourier shell correlation gives the resolution; with a reference map, its correlation is computed too.
    """

    _label = "reconstruct group"
    _possibleOutputs = CfdReconstructOutputs
    COMMAND, OPTIONS = "reconstruct", ReconstructOptions

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addParticlesParam(
            form, "Particles with orientations and shifts, for example a group of a landscape.", aligned=True
        )
        form.addParam(
            "inputImages",
            params.PointerParam,
            pointerClass="SetOfParticles",
            allowsNull=True,
            label="Images to use instead (optional)",
            help="The same particles (same ids) at another size, for example the original one. Shifts scale with it.",
        )
        form.addParam(
            "inputReference",
            params.PointerParam,
            pointerClass="Volume",
            allowsNull=True,
            label="Reference map (optional)",
            help="A map to compare with: of the images' pixel size, or as wide as they are.",
        )
        add_options(
            form,
            ReconstructOptions,
            ["symmetry", "mask_diameter_A", "ctf"],
            ctf={"label": "Correct for the CTF"},
        )
        self._addOtherOptions(form, engine=installed_choices(ReconstructOptions, "engine", ENGINES))
        self._addComputeParams(form, gpu=True)

    def _writeInputs(self) -> dict[str, Any]:
        files: dict[str, Any] = {"particles": [self._writeParticles(self.inputParticles.get())]}
        files["output"] = self._outputFolder()
        if self.inputImages.get() is not None:
            files["images"] = self._writeParticles(self.inputImages.get(), "input_images.star")
        if self.inputReference.get() is not None:
            files["reference"] = os.path.abspath(self.inputReference.get().getFileName().removesuffix(":mrc"))
        return files

    def createOutputStep(self) -> None:
        folder = Path(self._outputFolder())
        volume = Volume(str(folder / "map.mrc"))
        volume.setSamplingRate((self.inputImages.get() or self.inputParticles.get()).getSamplingRate())
        volume.setHalfMaps([str(folder / "half1.mrc"), str(folder / "half2.mrc")])
        curves = SetOfFSCs.create(self._getPath())
        for label, (frequency_per_A, correlation) in read_fsc(folder / "fsc.csv").items():
            curve = FSC(objLabel=label)
            curve.setData(frequency_per_A, correlation)
            curves.append(curve)
        outputs = {CfdReconstructOutputs.outputVolume.name: volume, CfdReconstructOutputs.outputFSCs.name: curves}
        self._defineOutputs(**outputs)
        for output in outputs.values():
            self._defineSourceRelation(self.inputParticles, output)

    def _validateInputs(self) -> list[str]:
        particles, images, reference = (p.get() for p in (self.inputParticles, self.inputImages, self.inputReference))
        errors = []
        offered, place = self.getParam("engine").choices, self.engine.get()
        if place >= len(offered) or NOT_INSTALLED in offered[place]:
            errors.append("The engine chosen is not installed here; install it or choose another.")
        if not particles.hasAlignmentProj():
            errors.append("The particles have no orientations and shifts; align them or predict them first.")
        shown = images or particles
        if self.ctf.get() and not shown.hasCTF():
            errors.append("The images have no CTF; switch the correction off, or assign a CTF to them.")
        if images is not None:
            missing = enabled_ids(particles) - enabled_ids(images)
            if missing:
                errors.append(f"{len(missing)} particles are not among the images, for example {sorted(missing)[:5]}.")
        if reference is not None and not _comparable(reference, shown):
            errors.append(
                f"The reference has {reference.getXDim()} voxels of {reference.getSamplingRate():g} Å, the images "
                f"{shown.getXDim()} pixels of {shown.getSamplingRate():g} Å; resample it to their pixel size or width."
            )
        return errors

    def getResolutions(self) -> dict[str, dict[str, float | None]]:
        """Resolution in Å by curve and threshold; None where a curve is below it from the start."""
        return json.loads((Path(self._outputFolder()) / "fsc.json").read_text(encoding="utf-8"))["resolution_A"]

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdReconstructOutputs.outputVolume.name):
            return ["The map is not reconstructed yet."]
        lines = [f"{self.inputParticles.get().getSize()} particles"]
        for curve, values in self.getResolutions().items():
            found = [f"{value:.2f} Å at {threshold}" for threshold, value in values.items() if value is not None]
            lines.append(f"FSC of {curve}: {', '.join(found) or 'below the thresholds'}")
        return lines


def _comparable(reference: Any, images: Any) -> bool:
    """Whether a map has the images' pixel size or their width, so that the command can bring it to their sampling."""
    scale = reference.getSamplingRate() / images.getSamplingRate()
    return any(abs(ratio - 1) < _SAME for ratio in (scale, scale * reference.getXDim() / images.getXDim()))


def read_fsc(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Frequencies in 1/Å and correlations by curve, from the table that the reconstruct command writes."""
    with path.open(encoding="utf-8", newline="") as file:
        names, *rows = list(csv.reader(file))
    columns = [[float(value) for value in column] for column in zip(*rows, strict=True)]
    return {name: (columns[0], column) for name, column in zip(names[1:], columns[1:], strict=True)}
