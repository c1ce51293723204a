"""Several reconstructions that belong together: one contrast, one grey scale, a movie and a ChimeraX script.

The maps of a series differ in scale where its groups' images do (and by what their filters leave of them). Each group's
signal is measured where it is free of noise, as the cross-power of its half maps within the mask over the shells that
all groups resolve, and its maps are multiplied so that all groups have the mean one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats, Map
from continuousflex_deep.figures.maps import save_slices, series_pictures
from continuousflex_deep.figures.movies import to_and_fro, write_gif
from continuousflex_deep.io.file_names import MAP_MRC, RECORD_JSON
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.maps import read_volume, write_volume
from continuousflex_deep.io.records import write_json
from continuousflex_deep.reconstruction.maps import contrast_sign

_MAPS = ("half1", "half2", "map", "local")
_RESOLVED = 0.5  # FSC of the shells in which the groups' signals are compared
_FRAME_MS = 300


@dataclass(frozen=True, eq=False)
class Member:
    """A group of a series: its folder, title, number of particles, the sign that its maps were given, and by shell
    (d//2 + 1,) the cross-power of its half maps within the mask and their corrected FSC."""

    folder: Path
    title: str
    particles: int
    sign: int
    power: Floats
    fsc: Floats


def grey_factors(members: Sequence[Member]) -> list[float]:
    """The factor by which each group's maps are multiplied, before their contrast; 1 where none can be told."""
    ends = [int((np.append(m.fsc[1:], -1) < _RESOLVED).argmax()) + 1 for m in members]
    shells = slice(1, max(min(ends), 3))
    signals = np.array([m.power[shells].sum() for m in members])
    if signals.min() <= 0:
        return [1.0] * len(members)
    return [float(f) for f in np.sqrt(signals.mean() / signals)]


def finish_series(folder: Path, members: Sequence[Member], mask: Map | None) -> list[float]:
    """Bring the groups' maps, in their folders, to one contrast and grey scale, and show them as series.gif and
    series.cxc in the folder. Gives the factors that each group's maps were multiplied by.

    mask: a soft mask (d, d, d) in which all groups together tell the contrast; None where a reference told it.
    """
    maps = [m.folder / MAP_MRC for m in members]
    factors = grey_factors(members)
    if mask is not None:
        total = sum(m.particles * m.sign * read_volume(file)[0] for m, file in zip(members, maps, strict=True))
        sign = contrast_sign(np.asarray(total, dtype=np.float32), mask)[0]
        factors = [f * sign * m.sign for f, m in zip(factors, members, strict=True)]
    for m, factor in zip(members, factors, strict=True):
        rescale(m.folder, factor)
    titles = [f"group {i} of {len(members)}: {m.title}, {m.particles} particles" for i, m in enumerate(members, 1)]
    write_movie(folder / "series.gif", maps, titles)
    write_chimerax(folder / "series.cxc", maps)
    return factors


def rescale(folder: Path, factor: float) -> None:
    """Multiply the maps of a reconstruction's folder; of a negative factor, its picture and record follow."""
    volumes = {name: read_volume(folder / f"{name}.mrc") for name in _MAPS if (folder / f"{name}.mrc").is_file()}
    for name, (volume, voxel_A) in volumes.items():
        write_volume(folder / f"{name}.mrc", volume * np.float32(factor), voxel_A)
    record = json.loads((folder / RECORD_JSON).read_text())
    record["multiplied_by"] = abs(factor)
    if factor < 0:
        volume, voxel_A = volumes["map"]
        save_slices(folder / "slices.png", {"map": -volume}, voxel_A)
        record |= {"maps_inverted": not record["maps_inverted"], "contrast_found_by": "skewness of all groups' maps"}
    write_json(folder / RECORD_JSON, record)


def write_movie(path: Path, maps: Sequence[Path], titles: Sequence[str]) -> None:
    """GIF of the central slices of maps and of their projections, there and back, all on the same grey scale."""
    voxel_A = read_volume(maps[0])[1]
    pictures = series_pictures((read_volume(file)[0] for file in maps), titles, voxel_A)
    write_gif(path, to_and_fro(pictures), _FRAME_MS)


def write_chimerax(path: Path, maps: Sequence[Path]) -> None:
    """Script for ChimeraX that opens the maps as the frames of one series, at one level, and plays it there and back.

    Maps are named as seen from the script's folder, where ChimeraX runs it. The level is three standard deviations
    above the mean of all maps.
    """
    moments = [(float(v.mean()), float(v.var())) for v in (read_volume(file)[0] for file in maps)]
    means, variances = np.array(moments).T
    level = means.mean() + 3 * np.sqrt((variances + (means - means.mean()) ** 2).mean())
    names = " ".join(f'"{file.relative_to(path.parent).as_posix()}"' for file in maps)
    lines = [
        f"open {names} vseries true",
        f"volume #1 style surface step 1 level {level:.6g}",
        "vseries play #1 direction oscillate loop true maxFrameRate 4",
    ]
    with atomic_path(path) as temporary:
        Path(temporary).write_text("\n".join(lines) + "\n", encoding="utf-8")
