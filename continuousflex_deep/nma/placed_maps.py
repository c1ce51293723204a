"""An EM map with its structure placed in it, and the map moved with the structure."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from continuousflex_deep.arrays import Floats, Map
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.maps import read_map, volume_origin_A, write_volume
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.nma.warp import warp_map
from continuousflex_deep.options import DeformOptions, TrajectoryOptions
from continuousflex_deep.progress import progress_bar

_CLEARLY = 1.1  # ratio of the densities at the atoms, above which one place in the map is preferred to another
_Options = DeformOptions | TrajectoryOptions  # both contain a map, and the place of the structure in it


@dataclass(frozen=True, eq=False)
class PlacedMap:
    """A map (d, d, d) with its structure: coords_A (N, 3) in Å from voxel d//2; place: the rule of the placement.

    origin_A (3,): position (xyz) of the first voxel in the map's header.
    """

    volume: Map
    voxel_A: float
    origin_A: Floats
    coords_A: Floats
    place: str


def placed_map(structure: Structure, options: _Options) -> PlacedMap | None:
    """The map of the options with the structure placed in it; the placement is printed. None without a map."""
    if not options.map:
        return None
    volume, voxel_A = read_map(options.map, options.voxel_size_A)
    origin_A = volume_origin_A(options.map, voxel_A)
    coords_A, place = place_in_map(structure, volume, voxel_A, origin_A, options)
    _require_inside(coords_A, volume, voxel_A, place)
    print(f"the structure is placed in the map by '{place}'", flush=True)
    return PlacedMap(volume, voxel_A, origin_A, coords_A, place)


def write_map_frames(folder: Path, structure: Structure, frames: list[Floats], placed: PlacedMap | None) -> None:
    """Write frame_001.mrc …: the map moved with each frame (N, 3) in Å. Maps of an earlier run are removed."""
    for stale in folder.glob("frame_[0-9][0-9][0-9].mrc"):
        stale.unlink()
    if placed is None:
        return
    with progress_bar("deform", len(frames), unit="frame") as bar:
        for number, frame in enumerate(frames, start=1):
            moved_A = frame - structure.coords_A + placed.coords_A
            volume = warp_map(placed.volume, placed.voxel_A, placed.coords_A, moved_A)
            write_volume(folder / f"frame_{number:03d}.mrc", volume, placed.voxel_A, placed.origin_A)
            bar.update(1)


def place_in_map(
    structure: Structure, volume: Map, voxel_A: float, origin_A: Floats, options: _Options
) -> tuple[Floats, str]:
    """The structure's coordinates (N, 3) in Å from the map's voxel d//2, and the rule of the placement."""
    middle_A = (np.array(volume.shape)[::-1] // 2) * voxel_A
    places = {
        "middle": structure.coords_A,
        "centre": structure.coords_A - structure.center_A,
        "header": structure.coords_A - origin_A - middle_A,
    }
    if options.place != "auto":
        return places[options.place], options.place
    if structure.is_pseudoatomic:
        return places["middle"], "middle"
    density = {name: _density_at(volume, voxel_A, coords) for name, coords in places.items()}
    best = max(density, key=lambda name: density[name])
    apart = [n for n, c in places.items() if np.abs(c - places[best]).max() > voxel_A]
    rivals = [n for n in apart if density[best] < _CLEARLY * density[n]]
    if rivals or density[best] <= 0:
        possible = [best, *rivals] if density[best] > 0 else list(places)
        raise InputError(
            f"map '{options.map}': the structure may be placed by any of {' '.join(possible)} (mean density above the "
            f"map's mean: {', '.join(f'{n} {density[n]:.3g}' for n in possible)}); select one by --place"
        )
    return places[best], best


def _density_at(volume: Map, voxel_A: float, coords_A: Floats) -> float:
    """Mean density at coordinates (N, 3) in Å from voxel d//2, minus the map's mean, which also counts outside."""
    middle, mean = np.array(volume.shape) // 2, float(volume.mean())
    grid = coords_A[:, ::-1].T / voxel_A + middle[:, None]
    return float(ndimage.map_coordinates(volume, grid, order=1, mode="constant", cval=mean).mean()) - mean


def _require_inside(coords_A: Floats, volume: Map, voxel_A: float, place: str) -> None:
    half_A = np.array(volume.shape)[::-1] * voxel_A / 2
    outside = int((np.abs(coords_A) > half_A + voxel_A).any(axis=1).sum())
    if outside:
        raise InputError(
            f"{outside} of {len(coords_A)} atoms are outside the map with the placement '{place}'; check that "
            "structure and map belong together, and --place"
        )
