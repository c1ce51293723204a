"""A path through a landscape, and a structure, and a map with it, moving along the path."""

import os
from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import AtomStruct, SetOfVolumes

from continuousflex_deep.convert import mode_ids_of
from continuousflex_deep.io.file_names import FRAMES_PDB
from continuousflex_deep.io.trajectories import barrier_text
from continuousflex_deep.options import TrajectoryOptions
from continuousflex_deep.protocols.form_options import add_advanced_options, add_options
from continuousflex_deep.protocols.map_frames import add_map_params, define_frames, placed_map_file
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class CfdTrajectoryOutputs(Enum):
    outputStructure = AtomStruct
    outputVolumes = SetOfVolumes


class CfdProtTrajectory(CfdProtBase):
    """Moves a structure, and a map with it, along a path through a landscape.

    The path is a principal axis, a path through given points or through maxima of the particles' density, or the
    minimum-energy path. The output contains the frames with their energies, scripts for ChimeraX and VMD, and a movie.
    The path itself is saved in a file that another run can reload.
    """

    _label = "trajectory"
    _possibleOutputs = CfdTrajectoryOutputs
    COMMAND, OPTIONS = "trajectory", TrajectoryOptions
    PATHS = ("landscape", "structure", "modes", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addLandscapeParam(form, "The conformational landscape of the path.", important=True)
        self._addModesParams(form)
        names = ["kind", "axis", "percentiles", "points", "points_file", "n_frames", "reload"]
        add_options(form, TrajectoryOptions, names)
        add_map_params(form, TrajectoryOptions)
        add_advanced_options(form, TrajectoryOptions)

    def _writeInputs(self) -> dict[str, Any]:
        landscape, volume = self.inputLandscape.get(), self.inputVolume.get()
        files = {"landscape": landscape.getFileName(), "output": self._outputFolder(), **self._writeModes()}
        if volume is not None:
            files |= {"map": placed_map_file(self, volume), "voxel_size_A": volume.getSamplingRate()}
        return files

    def createOutputStep(self) -> None:
        define_frames(self, self.getFramesFile(), [self.inputLandscape, self.inputModes])

    def _validateInputs(self) -> list[str]:
        points, file = (self.points.get() or "").strip(), (self.points_file.get() or "").strip()
        saved = (self.reload.get() or "").strip()
        kind = self._options(**dict.fromkeys(self.PATHS, "later")).kind
        if not saved and kind == "points" and bool(points) == bool(file):
            return ["Give the path by points or by a file of points, one of the two."]
        for path in (saved, file):
            if path and not os.path.isfile(path):
                return [f"There is no file '{path}'."]
        return self._validateModes(tuple(mode_ids_of(self.inputLandscape.get().getParticles())))

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdTrajectoryOutputs.outputStructure.name):
            return ["The trajectory is not computed yet."]
        record = self._record()
        lines = [f"{record['frames']} frames, path of kind {record['kind']}"]
        made = record["made"]
        if "barrier_kT" in made:
            text = barrier_text(made)
            lines.append(text[:1].upper() + text[1:])
        return [*lines, f"Movies and scripts for ChimeraX and VMD are in {self._outputFolder()}"]

    def getFramesFile(self) -> str:
        """The PDB file whose models are the frames."""
        return str(Path(self._outputFolder()) / FRAMES_PDB)
