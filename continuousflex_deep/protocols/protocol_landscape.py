"""The conformational landscape of one or several particle sets."""

import os
from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import SetOfParticlesFlex
from pyworkflow.protocol import params

from continuousflex_deep.convert import enabled_ids, fill_set, mode_ids_of
from continuousflex_deep.io.file_names import LANDSCAPE_STAR
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.objects import CfdLandscape
from continuousflex_deep.options import LandscapeOptions
from continuousflex_deep.protocols.form_options import add_advanced_options, add_options, importable_choices
from continuousflex_deep.protocols.protocol_base import CfdProtBase
from continuousflex_deep.protocols.result_names import result_names


class CfdLandscapeOutputs(Enum):
    outputParticles = SetOfParticlesFlex
    outputLandscape = CfdLandscape


class CfdProtLandscape(CfdProtBase):
    """Maps particles by their amplitudes into a few dimensions, by principal components or a curved method.

    Several sets, say of aligned and of predicted particles, are merged by their ids; they must have been analysed with
    the same modes.
    """

    _label = "conformational landscape"
    _possibleOutputs = CfdLandscapeOutputs
    COMMAND, OPTIONS = "landscape", LandscapeOptions
    PATHS = ("output",)

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        form.addParam(
            "inputSets",
            params.MultiPointerParam,
            pointerClass="SetOfParticles",
            label="Particles with amplitudes",
            important=True,
            help="Sets from the alignment or the inference, ours or ContinuousFlex's. A particle may be in one only.",
        )
        names = ["method", "n_components", "n_neighbors", "kernel_width_A", "perplexity", "outlier_distance"]
        offered = importable_choices(LandscapeOptions, "method", {"umap": ("umap", "umap-learn")})
        add_options(form, LandscapeOptions, names, method=offered)
        add_advanced_options(form, LandscapeOptions)

    def _sets(self) -> list[Any]:
        return [pointer.get() for pointer in self.inputSets]

    def _options(self, **values: Any) -> Any:
        return super()._options(**({"particles": self._inputNames()} | values))

    def _inputNames(self) -> list[str]:
        """Named after the runs that made the sets, as legends will show them."""
        return [f"{name}.star" for name in result_names(self.inputSets)]

    def _writeInputs(self) -> dict[str, Any]:
        named = zip(self._sets(), self._inputNames(), strict=True)
        files = [self._writeParticles(image_set, os.path.join("sets", name)) for image_set, name in named]
        return {"particles": files, "output": self._outputFolder()}

    def createOutputStep(self) -> None:
        output = SetOfParticlesFlex.create(self._getPath())
        fill_set(output, read_particles(Path(self._outputFolder()) / LANDSCAPE_STAR), *self._sets())
        landscape = CfdLandscape(self._outputFolder())
        landscape.setParticles(self, CfdLandscapeOutputs.outputParticles.name, output.getSize())
        self._defineOutputs(
            **{CfdLandscapeOutputs.outputParticles.name: output, CfdLandscapeOutputs.outputLandscape.name: landscape}
        )
        for pointer in self.inputSets:
            self._defineSourceRelation(pointer, output)
            self._defineSourceRelation(pointer, landscape)

    def _validateInputs(self) -> list[str]:
        modes = [mode_ids_of(image_set) for image_set in self._sets()]
        if not all(modes):
            return ["Every set needs amplitudes of normal modes; align the particles or predict them first."]
        if len(set(modes)) > 1:
            return [f"The sets were analysed with different modes: {sorted(set(modes))}."]
        ids: set[int] = set()
        for image_set in self._sets():
            found = enabled_ids(image_set)
            if ids & found:
                twice = sorted(ids & found)
                return [f"{len(twice)} particles are in more than one set, for example {twice[:5]}."]
            ids |= found
        return []

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdLandscapeOutputs.outputLandscape.name):
            return ["The landscape is not computed yet."]
        size, method = self.outputParticles.getSize(), self.getEnumText("method")
        return [f"{size} particles of {len(self.inputSets)} sets, by {method}"]
