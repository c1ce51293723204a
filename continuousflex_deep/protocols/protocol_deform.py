"""A structure, and a map with it, in motion along normal modes."""

from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import AtomStruct, SetOfVolumes
from pyworkflow.protocol import params

from continuousflex_deep.convert import mode_ids_of
from continuousflex_deep.io.file_names import FRAMES_PDB
from continuousflex_deep.io.modes import parse_mode_list
from continuousflex_deep.options import DeformOptions
from continuousflex_deep.protocols.form_options import add_options
from continuousflex_deep.protocols.map_frames import add_map_params, define_frames, placed_map_file
from continuousflex_deep.protocols.protocol_base import CfdProtBase


class CfdDeformOutputs(Enum):
    outputStructure = AtomStruct
    outputVolumes = SetOfVolumes


class CfdProtDeform(CfdProtBase):
    """Moves a structure along its normal modes: to a conformation, from group to group of particles, or to and fro.

    The frames are the models of one PDB file, for ChimeraX or VMD. With a map, the map moves with its structure, and
    each frame of it is a volume. Without groups and amplitudes, the structure swings along one mode.
    """

    _label = "animate motion"
    _possibleOutputs = CfdDeformOutputs
    COMMAND, OPTIONS = "deform", DeformOptions
    PATHS = ("structure", "modes", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._addModesParams(form)
        form.addParam(
            "inputGroups",
            params.MultiPointerParam,
            pointerClass="SetOfParticles",
            allowsNull=True,
            label="Groups of particles (optional)",
            help="Particles with amplitudes, such as groups of a landscape. The motion leads through the means of "
            "their amplitudes, in the order given; from the structure itself to that of a single group.",
        )
        add_options(form, DeformOptions, ["amplitudes", "mode_list", "n_frames", "swing_rmsd_A", "motion"])
        add_map_params(form, DeformOptions)

    def _writeInputs(self) -> dict[str, Any]:
        groups = [
            self._writeParticles(group, f"input_group_{number}.star")
            for number, group in enumerate(self._groups(), start=1)
        ]
        files = {"particles": groups, "output": self._outputFolder(), **self._writeModes()}
        volume = self.inputVolume.get()
        if volume is not None:
            files |= {"map": placed_map_file(self, volume), "voxel_size_A": volume.getSamplingRate()}
        return files

    def createOutputStep(self) -> None:
        define_frames(self, self.getFramesFile(), [self.inputModes, *self.inputGroups])

    def _validateInputs(self) -> list[str]:
        text = (self.mode_list.get() or "").strip()
        asked = parse_mode_list(text) if text else ()
        groups, amplitudes = self._groups(), (self.amplitudes.get() or "").strip()
        if groups and amplitudes:
            return ["Groups and amplitudes both say where to go; give one of them."]
        if not groups and not amplitudes and len(asked) > 1:
            return [f"A swing is along one mode, got {len(asked)}; name one, or give amplitudes along all."]
        found = [mode_ids_of(group) for group in groups]
        if not all(found):
            return ["Every group needs amplitudes of normal modes; align the particles or predict them first."]
        if not asked and len(set(found)) > 1:
            return [f"The groups have amplitudes along different modes, {sorted(set(found))}; name those of all."]
        lacking = [mode for mode in asked if not all(mode in mode_ids for mode_ids in found)]
        if lacking:
            return [f"A group has no amplitudes along modes {lacking}; it cannot be moved to along them."]
        return self._validateModes(asked or (found[0] if found else ()))

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdDeformOutputs.outputStructure.name):
            return ["The motion is not computed yet."]
        record = self._record()
        lines = [f"{record['frames']} frames along modes {' '.join(map(str, record['modes']))}"]
        if "place" in record:
            lines.append(f"The structure lies in the map by '{record['place']}'.")
        return lines

    def getFramesFile(self) -> str:
        """The PDB file whose models are the frames."""
        return str(Path(self._outputFolder()) / FRAMES_PDB)

    # -------------------------- utils ---------------------------------------
    def _groups(self) -> list[Any]:
        return [pointer.get() for pointer in self.inputGroups if pointer.get() is not None]
