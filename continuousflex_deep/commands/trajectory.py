"""The `trajectory` command: a path through a landscape, and the motion of the structure, and of a map, along it."""

import csv
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.figures.movies import to_and_fro, write_gif, write_mp4
from continuousflex_deep.figures.trajectory import LandscapePlane, trajectory_pictures
from continuousflex_deep.io.file_names import FRAMES_PDB, RECORD_JSON, TRAJECTORY_JSON
from continuousflex_deep.io.files import atomic_path, require_writable_folder
from continuousflex_deep.io.frames import write_swing
from continuousflex_deep.io.records import begin_results, write_record
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.io.trajectories import Trajectory, barrier_text, read_trajectory, write_trajectory
from continuousflex_deep.landscape.landscape import Landscape, read_landscape
from continuousflex_deep.motion import motion_along
from continuousflex_deep.nma.placed_maps import placed_map, write_map_frames
from continuousflex_deep.options import TrajectoryOptions
from continuousflex_deep.runs.sole_writer import sole_writer
from continuousflex_deep.trajectories.paths import density_of, make_trajectory
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
    write_table(folder / "trajectory.csv", trajectory, landscape, structure, frames)
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


def format_trajectory(trajectory: Trajectory) -> str:
    """What the command prints: kind, energies and, for a minimum-energy path, the barrier in both directions."""
    made, energy = trajectory.made, trajectory.energy_kT
    lines = [
        f"{len(trajectory)} frames, kind {trajectory.kind}, along modes {' '.join(map(str, trajectory.mode_ids))}; "
        f"energies from {max(energy.min(), 0.0):.2f} to {energy.max():.2f} kT, at least "
        f"{trajectory.particles_near.min()} particles near each frame"
    ]
    if "barrier_kT" in made:
        saddle = " ".join(f"{x:.4g}" for x in made["saddle"])
        blur = (
            f", lowered by smoothing by about {made['barrier_blur_kT']:.2f} and {made['barrier_back_blur_kT']:.2f} kT"
            if "barrier_blur_kT" in made else ""
        )  # fmt: skip
        lines.append(f"{barrier_text(made)}{blur}; saddle at {saddle}")
    if "error_sd" in made:
        sd = ", ".join(f"{x:.3g}" for x in made["error_sd"])
        lines.append(f"the density is deconvolved with the errors of the coordinates, on average {sd}")
    if "maxima" in made:
        places = "; ".join(" ".join(f"{x:.4g}" for x in m["place"]) for m in made["maxima"])
        lines.append(f"{len(made['maxima'])} maxima of the density, in this order: {places}")
    if "inverse_error_A" in made:
        lines.append(
            f"amplitudes are by a learned map, with an error of {made['inverse_error_A']:.1f} Å for held-out particles"
        )
    return "\n".join(lines)


def write_table(
    path: Path, trajectory: Trajectory, landscape: Landscape, structure: Structure, frames_A: list[Floats]
) -> None:
    """CSV with one row per frame: coordinates, amplitudes, energy, number of particles near, and RMSD from the
    structure."""
    prefix = "pc" if landscape.reduction.method == "pca" else "dim"
    head = [
        "frame",
        *(f"{prefix}{i}" for i in range(1, trajectory.points.shape[1] + 1)),
        *(f"amplitude{mode}_A" for mode in trajectory.mode_ids),
        "energy_kT",
        "energy_sd_kT",
        "particles_near",
        "rmsd_A",
    ]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for i, frame in enumerate(frames_A):
            rmsd_A = np.sqrt(np.square(frame - structure.coords_A).sum(axis=1).mean())
            numbers = [*trajectory.points[i], *trajectory.amplitudes_A[i], trajectory.energy_kT[i]]
            writer.writerow(
                [i + 1, *(f"{x:.6g}" for x in (*numbers, trajectory.energy_sd_kT[i])), trajectory.particles_near[i],
                 f"{rmsd_A:.3f}"]
            )  # fmt: skip


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
