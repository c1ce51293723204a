"""The `deform` command: frames of a structure, and of its map, that move along normal modes."""


import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.file_names import FRAMES_PDB, RECORD_JSON
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.frames import write_frame_table, write_swing
from continuousflex_deep.io.modes import NormalModes, parse_mode_list
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.records import begin_results, write_record
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion import amplitude_of_rmsd, motion_along
from continuousflex_deep.nma.placed_maps import placed_map, write_map_frames
from continuousflex_deep.options import DeformOptions
from continuousflex_deep.particles import AS_MODES
from continuousflex_deep.runs.sole_writer import sole_writer
from continuousflex_deep.trajectories.frames import path_frames, rmsd_from_rest_A, swing_frames, swing_phases

_FIRST_MODE = (7,)


@sole_writer
def run(options: DeformOptions) -> None:
    """Write frames.pdb, frames.csv, record.json and, with a map, frame_001.mrc … to options.output."""
    folder = require_writable_folder(options.output)
    mode_ids, points, motion = read_path(options)
    structure, modes = read_reference(options.structure, options.modes, mode_ids, options, motion)
    amplitudes, frames = _frames(structure, modes, points, options)
    facts: dict[str, object] = {"modes": list(modes.mode_ids), "frames": len(frames)}
    placed = placed_map(structure, options)
    if placed is not None:
        facts |= {"place": placed.place, "voxel_A": placed.voxel_A}
    begin_results(folder)
    write_swing(folder / FRAMES_PDB, structure, frames)
    rmsd_A = rmsd_from_rest_A(frames, structure.coords_A)
    write_frame_table(folder / "frames.csv", modes.mode_ids, amplitudes, rmsd_A)
    write_map_frames(folder, structure, frames, placed)
    write_record(folder / RECORD_JSON, "deform", options, **facts)
    print(f"{len(frames)} frames along modes {' '.join(map(str, modes.mode_ids))} are in {options.output}")


def read_path(options: DeformOptions) -> tuple[tuple[int, ...], Floats | None, str]:
    """The modes' numbers, the points (P, M) of the path in Å along them, or None for an oscillation, and the motion:
    that of the particles if there are any."""
    if options.amplitudes and options.particles:
        raise InputError("--amplitudes and --particles both define the motion; give one of them")
    asked = parse_mode_list(options.mode_list) if options.mode_list else None
    if options.particles:
        means, found, motions = zip(*(_mean_amplitudes(name, asked) for name in options.particles), strict=True)
        _require_one_motion({*motions, *({options.motion} - {AS_MODES})})
        if len(set(found)) > 1:
            raise InputError(
                f"the particles have amplitudes along different modes, {' and '.join(map(str, sorted(set(found))))}; "
                "give modes that all of them have by --mode-list"
            )
        return found[0], _from_rest(np.array(means)), motions[0]
    chosen = asked or _FIRST_MODE
    if options.amplitudes:
        return chosen, _from_rest(_parsed(options.amplitudes, chosen)), options.motion
    if len(chosen) > 1:
        raise InputError(
            f"--mode-list: got {len(chosen)} modes, an oscillation needs one; give one mode, or --amplitudes for all"
        )
    return chosen, None, options.motion


def _require_one_motion(motions: set[str]) -> None:
    if len(motions) > 1:
        raise InputError(
            f"the amplitudes are of different motions, {' and '.join(sorted(motions))}, with which the same numbers "
            "mean different conformations; give particles of one motion, and leave --motion out"
        )


def _from_rest(points: Floats) -> Floats:
    """The path to a single conformation starts from the structure itself."""
    return points if len(points) > 1 else np.concatenate([np.zeros_like(points), points])


def _mean_amplitudes(name: str, asked: tuple[int, ...] | None) -> tuple[list[float], tuple[int, ...], str]:
    particles = read_particles(name)
    amplitudes = particles.require_amplitudes("a deformation")
    chosen = asked or tuple(particles.mode_ids)
    missing = [mode for mode in chosen if mode not in particles.mode_ids]
    if missing:
        raise InputError(f"'{name}' has no amplitudes along modes {missing}; it has {list(particles.mode_ids)}")
    columns = [tuple(particles.mode_ids).index(mode) for mode in chosen]
    return amplitudes[:, columns].mean(axis=0).tolist(), chosen, particles.motion


def _parsed(text: str, modes: tuple[int, ...]) -> Floats:
    points = []
    for part in text.split(";"):
        try:
            point = [float(word) for word in part.replace(",", " ").split()]
        except ValueError:
            point = []
        if len(point) != len(modes) or not np.isfinite(point).all():
            raise InputError(
                f"--amplitudes: got '{part.strip()}', expected {len(modes)} numbers in Å, one for each of the modes "
                f"{' '.join(map(str, modes))}"
            )
        points.append(point)
    return np.array(points)


def _frames(
    structure: Structure, modes: NormalModes, points: Floats | None, options: DeformOptions
) -> tuple[Floats, list[Floats]]:
    motion = motion_along(structure, modes)
    if points is not None:
        if options.n_frames == 1:
            points = points[-1:]
        return path_frames(motion, points, options.n_frames)
    farthest = np.array([amplitude_of_rmsd(options.swing_rmsd_A, len(structure))])
    frames = swing_frames(motion, farthest, options.n_frames)
    return swing_phases(options.n_frames)[:, None] * farthest, frames
