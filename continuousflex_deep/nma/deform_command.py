"""The deform command: frames of a structure that moves along normal modes, and of the map around it."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from continuousflex_deep.animation import path_frames, swing_frames, swing_phases, write_swing
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import atomic_path, require_writable_folder
from continuousflex_deep.io.modes import NormalModes, parse_mode_list
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.records import write_record
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.stacks import read_volume, volume_origin_A, write_volume
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.nma.warp import warp_map
from continuousflex_deep.options import DeformOptions, TrajectoryOptions
from continuousflex_deep.progress import progress_bar

Floats = NDArray[np.float64]
Map = NDArray[np.float32]
_FIRST_MODE = (7,)
_CLEARLY = 1.1  # times denser than elsewhere, where atoms are taken to be in a map
_Options = DeformOptions | TrajectoryOptions  # both name a map, and how the structure lies in it


@dataclass(frozen=True, eq=False)
class PlacedMap:
    """A map (d, d, d) with its structure in it: coords_A (N, 3) from voxel d//2, and the kind of place that is.

    origin_A (3,) is where the first voxel is by the map's header, xyz.
    """

    volume: Map
    voxel_A: float
    origin_A: Floats
    coords_A: Floats
    place: str


def run(options: DeformOptions) -> None:
    """Write frames.pdb, frames.csv, record.json and, with a map, frame_001.mrc … to options.output."""
    folder = require_writable_folder(options.output)
    mode_ids, points = read_path(options)
    structure, modes = read_reference(options.structure, options.modes, mode_ids)
    amplitudes, frames = _frames(structure, modes, points, options)
    facts: dict[str, object] = {"modes": list(modes.mode_ids), "frames": len(frames)}
    placed = placed_map(structure, options)
    if placed is not None:
        facts |= {"place": placed.place, "voxel_A": placed.voxel_A}
    write_swing(folder / "frames.pdb", structure, frames)
    _write_amplitudes(folder / "frames.csv", modes, amplitudes, structure, frames)
    write_map_frames(folder, structure, frames, placed)
    write_record(folder / "record.json", "deform", options, **facts)
    print(f"{len(frames)} frames along modes {' '.join(map(str, modes.mode_ids))} are in {options.output}")


def placed_map(structure: Structure, options: _Options) -> PlacedMap | None:
    """The map that the options name, with the structure in it, which is told; None without a map."""
    if not options.map:
        return None
    volume, voxel_A, origin_A = read_map(options)
    coords_A, place = place_in_map(structure, volume, voxel_A, origin_A, options)
    _require_inside(coords_A, volume, voxel_A, place)
    print(f"the structure lies in the map by '{place}'", flush=True)
    return PlacedMap(volume, voxel_A, origin_A, coords_A, place)


def write_map_frames(folder: Path, structure: Structure, frames: list[Floats], placed: PlacedMap | None) -> None:
    """Write frame_001.mrc …: the map moved along with each frame (N, 3) in Å. Those of an earlier run are removed."""
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


def read_path(options: DeformOptions) -> tuple[tuple[int, ...], Floats | None]:
    """The modes' numbers, and the points (P, M) of the path in Å along them; None for a swing."""
    if options.amplitudes and options.particles:
        raise InputError("--amplitudes and --particles both name where to go; give one of them")
    asked = parse_mode_list(options.mode_list) if options.mode_list else None
    if options.particles:
        means, found = zip(*(_mean_amplitudes(name, asked) for name in options.particles), strict=True)
        if len(set(found)) > 1:
            raise InputError(
                f"the particles have amplitudes along different modes, {' and '.join(map(str, sorted(set(found))))}; "
                "name those of all by --mode-list"
            )
        return found[0], _from_rest(np.array(means))
    chosen = asked or _FIRST_MODE
    if options.amplitudes:
        return chosen, _from_rest(_parsed(options.amplitudes, chosen))
    if len(chosen) > 1:
        raise InputError(
            f"--mode-list: got {len(chosen)} modes, a swing is along one; name one, or give --amplitudes of all"
        )
    return chosen, None


def _from_rest(points: Floats) -> Floats:
    """A single conformation is gone to from the structure itself."""
    return points if len(points) > 1 else np.concatenate([np.zeros_like(points), points])


def _mean_amplitudes(name: str, asked: tuple[int, ...] | None) -> tuple[list[float], tuple[int, ...]]:
    particles = read_particles(name)
    amplitudes = particles.require_amplitudes("a deformation")
    chosen = asked or tuple(particles.mode_ids)
    missing = [mode for mode in chosen if mode not in particles.mode_ids]
    if missing:
        raise InputError(f"'{name}' has no amplitudes along modes {missing}; it has {list(particles.mode_ids)}")
    columns = [tuple(particles.mode_ids).index(mode) for mode in chosen]
    return amplitudes[:, columns].mean(axis=0).tolist(), chosen


def _parsed(text: str, modes: tuple[int, ...]) -> Floats:
    points = []
    for part in text.split(";"):
        try:
            point = [float(word) for word in part.replace(",", " ").split()]
        except ValueError:
            point = []
        if len(point) != len(modes) or not np.isfinite(point).all():
            raise InputError(
                f"--amplitudes: got '{part.strip()}', expected {len(modes)} numbers, one in Å for each of the modes "
                f"{' '.join(map(str, modes))}"
            )
        points.append(point)
    return np.array(points)


def _frames(
    structure: Structure, modes: NormalModes, points: Floats | None, options: DeformOptions
) -> tuple[Floats, list[Floats]]:
    if points is not None:
        if options.n_frames == 1:
            points = points[-1:]
        return path_frames(structure, modes.vectors, points, options.n_frames)
    farthest = np.array([options.swing_rmsd_A * np.sqrt(len(structure))])
    frames = swing_frames(structure, modes.vectors, farthest, options.n_frames)
    return swing_phases(options.n_frames)[:, None] * farthest, frames


def read_map(options: _Options) -> tuple[Map, float, Floats]:
    """The map (d, d, d), its voxel size and where its first voxel is by its header (xyz)."""
    volume, voxel_A = read_volume(options.map)
    voxel_A = options.voxel_size_A or voxel_A
    if voxel_A <= 0:
        raise InputError(f"map '{options.map}': its header has no voxel size; give it by --voxel-size-A")
    if not np.isfinite(volume).all():
        raise InputError(
            f"map '{options.map}': {int((~np.isfinite(volume)).sum())} voxels are not finite; make the map anew"
        )
    return volume, voxel_A, volume_origin_A(options.map, voxel_A)


def place_in_map(
    structure: Structure, volume: Map, voxel_A: float, origin_A: Floats, options: _Options
) -> tuple[Floats, str]:
    """The structure's coordinates (N, 3) in Å from the map's voxel d//2, and which kind of place that is."""
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
        raise InputError(
            f"map '{options.map}': the structure might lie in it by any of {' '.join([best, *rivals])} (mean density "
            f"above the map's mean {', '.join(f'{n} {density[n]:.3g}' for n in (best, *rivals))}); say by --place how"
        )
    return places[best], best


def _density_at(volume: Map, voxel_A: float, coords_A: Floats) -> float:
    """Mean density at places in Å from voxel d//2, above that of the whole map; nothing is beyond it."""
    middle, mean = np.array(volume.shape) // 2, float(volume.mean())
    grid = coords_A[:, ::-1].T / voxel_A + middle[:, None]
    return float(ndimage.map_coordinates(volume, grid, order=1, mode="constant", cval=mean).mean()) - mean


def _require_inside(coords_A: Floats, volume: Map, voxel_A: float, place: str) -> None:
    half_A = np.array(volume.shape)[::-1] * voxel_A / 2
    outside = int((np.abs(coords_A) > half_A + voxel_A).any(axis=1).sum())
    if outside:
        raise InputError(
            f"{outside} of {len(coords_A)} atoms lie outside the map, placed in it by '{place}'; check that structure "
            "and map belong together, and --place"
        )


def _write_amplitudes(
    path: Path, modes: NormalModes, amplitudes: Floats, structure: Structure, frames: list[Floats]
) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *(f"amplitude{mode}_A" for mode in modes.mode_ids), "rmsd_A"])
        for number, (row, frame) in enumerate(zip(amplitudes, frames, strict=True), start=1):
            rmsd_A = np.sqrt(np.square(frame - structure.coords_A).sum(axis=1).mean())
            writer.writerow([number, *(f"{q:.3f}" for q in row), f"{rmsd_A:.3f}"])
