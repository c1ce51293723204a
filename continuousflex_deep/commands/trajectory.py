"""The `trajectory` command: a path through a landscape, and the motion of the structure, and of a map, along it."""

from pathlib import Path

from continuousflex_deep.arrays import Floats
from continuousflex_deep.figures.movies import to_and_fro, write_gif, write_mp4
from continuousflex_deep.figures.trajectory import LandscapePlane, trajectory_pictures
from continuousflex_deep.io.file_names import FRAMES_PDB, RECORD_JSON, TRAJECTORY_JSON
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.frames import write_swing
from continuousflex_deep.io.records import begin_results, write_record
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.io.trajectories import Trajectory, read_trajectory, write_trajectory, write_trajectory_table
from continuousflex_deep.landscape.landscape import Landscape, read_landscape
from continuousflex_deep.motion import motion_along
from continuousflex_deep.nma.placed_maps import placed_map, write_map_frames
from continuousflex_deep.options import TrajectoryOptions
from continuousflex_deep.runs.sole_writer import sole_writer
from continuousflex_deep.trajectories.frames import rmsd_from_rest_A
from continuousflex_deep.trajectories.paths import density_of, format_trajectory, make_trajectory
from continuousflex_deep.trajectories.scripts import shown_map, write_scripts


@sole_writer
def run(options: TrajectoryOptions) -> None:
    """Write trajectory.json and .csv, frames.pdb, scripts, movies, record.json and, with a map, frame_001.mrc …"""
    folder = require_writable_folder(options.output)
    landscape = read_landscape(options.landscape)
    p = landscape.particles
    structure, modes = read_reference(options.structure, options.modes, p.mode_ids, options, p.motion)
    if options.reload:
        trajectory = read_trajectory(options.reload)
        density_of(landscape, trajectory)  # raises an error where it belongs to another landscape
    else:
        trajectory, _ = make_trajectory(landscape, options)
    placed = placed_map(structure, options)
    motion = motion_along(structure, modes)
    frames = [motion.coordinates(amplitudes_A) for amplitudes_A in trajectory.amplitudes_A]

    begin_results(folder)
    write_trajectory(folder / TRAJECTORY_JSON, trajectory)
    rmsd_A = rmsd_from_rest_A(frames, structure.coords_A)
    write_trajectory_table(folder / "trajectory.csv", trajectory, landscape.table().coordinate_names(), rmsd_A)
    write_swing(folder / FRAMES_PDB, structure, frames)
    write_map_frames(folder, structure, frames, placed)
    shown = shown_map(structure, placed) if placed is not None else None
    write_scripts(folder, structure, len(frames), options.frames_per_second, shown)
    movies = _write_movies(folder, trajectory, landscape, structure, frames, options)
    facts = {"kind": trajectory.kind, "frames": len(trajectory), "modes": list(trajectory.mode_ids), "movies": movies}
    if placed is not None:
        facts |= {"place": placed.place, "voxel_A": placed.voxel_A}
    write_record(folder / RECORD_JSON, "trajectory", options, **facts, made=trajectory.made)
    print(format_trajectory(trajectory))
    print(f"written: {folder}")


def _write_movies(
    folder: Path,
    trajectory: Trajectory,
    landscape: Landscape,
    structure: Structure,
    frames_A: list[Floats],
    options: TrajectoryOptions,
) -> list[str]:
    """Write the movies that the options request, remove those of an earlier run, and return their names."""
    names = ["trajectory.gif", "trajectory.mp4"]
    for name in names:
        (folder / name).unlink(missing_ok=True)
    if options.movie == "none":
        return []
    plane = LandscapePlane(landscape.coordinates[~landscape.outlier], landscape.table().axis_labels)
    pictures = to_and_fro(trajectory_pictures(trajectory, structure, frames_A, plane))
    write_gif(folder / names[0], pictures, round(1000 / options.frames_per_second))
    if options.movie == "gif":
        return names[:1]
    if write_mp4(folder / names[1], pictures, options.frames_per_second):
        return names
    print("no MP4 was written: the program ffmpeg is not installed; the GIF shows the same")
    return names[:1]
