"""Maps that move with a structure, between Scipion and the commands that move them."""

from pathlib import Path
from typing import Any

import numpy as np
from pwem.objects import AtomStruct, SetOfVolumes, Volume
from pyworkflow.protocol import params

from continuousflex_deep.arrays import Floats
from continuousflex_deep.io.frames import read_frames
from continuousflex_deep.io.maps import read_volume, write_volume
from continuousflex_deep.protocols.form_options import add_options


def add_map_params(form: Any, options_class: type) -> None:
    """The map that moves along, and where the structure is in it."""
    form.addParam(
        "inputVolume",
        params.PointerParam,
        pointerClass="Volume",
        allowsNull=True,
        label="Map (optional)",
        help="A map of the structure, which moves with it.",
    )
    add_options(form, options_class, ["place"], place={"condition": "inputVolume is not None"})


def placed_map_file(protocol: Any, volume: Any) -> str:
    """The map as an MRC file whose header says where Scipion has it, if it has been placed anywhere."""
    file, origin_A = protocol._mrcFile(volume, "map"), _given_origin_A(volume)
    if origin_A is None:
        return file
    placed = protocol._getExtraPath("placed_map.mrc")
    write_volume(placed, read_volume(file)[0], volume.getSamplingRate(), origin_A)
    return placed


def define_frames(protocol: Any, file: str, sources: list[Any]) -> None:
    """The outputs of a motion: its structures, and its maps where there is one; made from `sources` and the map."""
    outputs: dict[str, Any] = {"outputStructure": AtomStruct(file, pseudoatoms=read_frames(file)[0].is_pseudoatomic)}
    if protocol.inputVolume.get() is not None:
        outputs["outputVolumes"] = frame_volumes(protocol, protocol.inputVolume.get())
        sources = [*sources, protocol.inputVolume]
    protocol._defineOutputs(**outputs)
    for source in sources:
        for output in outputs.values():
            protocol._defineSourceRelation(source, output)


def frame_volumes(protocol: Any, volume: Any) -> SetOfVolumes:
    """The map's frames, at the place and of the sampling rate of the map."""
    volumes = SetOfVolumes.create(protocol._getPath())
    volumes.setSamplingRate(volume.getSamplingRate())
    for file in sorted(Path(protocol._outputFolder()).glob("frame_*.mrc")):
        frame = Volume(location=str(file), objLabel=file.stem.replace("_", " "))
        frame.setSamplingRate(volume.getSamplingRate())
        if volume.hasOrigin():
            frame.setOrigin(volume.getOrigin())
        volumes.append(frame)
    return volumes


def _given_origin_A(volume: Any) -> Floats | None:
    """Where the first voxel (xyz) was said to be; None where it is at Scipion's default, its centre at the origin."""
    if not volume.hasOrigin():
        return None
    origin_A, voxel_A = np.array(volume.getOrigin().getShifts(), dtype=np.float64), volume.getSamplingRate()
    default_A = -np.array(volume.getDim(), dtype=np.float64) / 2 * voxel_A
    return None if np.abs(origin_A - default_A).max() < voxel_A else origin_A
