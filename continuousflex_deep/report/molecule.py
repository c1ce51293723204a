"""What the page's molecular viewer moves: an atom of each residue, or pseudoatoms, along modes or through frames."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Integers
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.file_names import FRAMES_PDB, TRAJECTORY_JSON
from continuousflex_deep.io.frames import read_frames
from continuousflex_deep.io.landscape_table import LandscapeTable
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.io.trajectories import Trajectory, read_trajectory, require_of_landscape
from continuousflex_deep.motion import motion_along
from continuousflex_deep.report.packing import Pack

MOST_ATOMS = 20_000  # shown; more would neither move fluently nor be told apart
_MOST_NUMBERS = 6_000_000  # of all frames together, where these are not computed from modes
_TRACED = 0.8  # share of Cα and P among the atoms from which on they are drawn as a chain


def molecule_content(path: str, structure: Structure, modes: NormalModes, pack: Pack) -> dict[str, Any]:
    """The atoms shown, S of them, at rest (S, 3), and the kind and the parameters of their motion, by which
    static/motion.js moves them as the package motion does. The RMSD of straight motion, over all atoms, is
    rmsd_A² = qᵀ·gram·q.

    The weighted centre is the origin.
    """
    shown = shown_atoms(structure)
    motion = motion_along(structure.centred(), modes)
    moving = motion.select(shown)
    return _atoms_content(Path(path).name, structure, shown) | {
        "coordinates": pack.array(moving.rest_A.astype(np.float32)),
        **{name: pack.array(array.astype(np.float32)) for name, array in moving.parameters.items()},
        "motion": modes.motion,
        "gram": motion.gram.tolist(),
        "modes": list(modes.mode_ids),
    }


def read_path(folder: str, table: LandscapeTable | None) -> Trajectory:
    """What `trajectory` wrote into a folder. InputError where it is a way through another landscape than the table."""
    file = Path(folder) / TRAJECTORY_JSON
    trajectory = read_trajectory(file)
    for name, value in _barriers(trajectory).items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise FormatError(f"'{file}': its {name} is {value!r}, expected a number; run the trajectory command again")
    if table is not None:
        try:
            require_of_landscape(table, trajectory, f"trajectory '{folder}'")
        except InputError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"'{file}' is damaged where it tells its landscape ({error!r}); make it again") from error
    return trajectory


def trajectory_content(
    folder: str, name: str, trajectory: Trajectory, reference: tuple[Structure, NormalModes] | None, pack: Pack
) -> dict[str, Any]:
    """Path, energies and, unless the reference's modes give them, the frames (P, S, 3) of what `trajectory` wrote.

    Raises InputError where the trajectory is along other modes than the reference has, or of another motion.
    """
    content = _path_content(name, trajectory)
    if reference is None:
        return content | {"molecule": _frames_content(Path(folder) / FRAMES_PDB, len(trajectory), pack)}
    modes = reference[1].mode_ids
    if trajectory.motion != reference[1].motion:
        raise InputError(
            f"trajectory '{folder}': it is of {trajectory.motion} motion, but the structure is shown with "
            f"{reference[1].motion} motion, with which the same amplitudes are other conformations; give the landscape "
            "of the trajectory, too, by --landscape"
        )
    if missing := sorted(set(trajectory.mode_ids) - set(modes)):
        raise InputError(
            f"trajectory '{folder}': it leads along modes {missing}, but the structure is shown with modes "
            f"{list(modes)}; leave --structure and --modes away to show its own frames"
        )
    amplitudes = np.zeros((len(trajectory), len(modes)))
    amplitudes[:, [modes.index(m) for m in trajectory.mode_ids]] = trajectory.amplitudes_A
    return content | {"amplitudes": amplitudes.tolist()}


def shown_atoms(structure: Structure, most: int = MOST_ATOMS) -> Integers:
    """One atom of each residue; where these are too many, of every second, third, …."""
    every = structure.representative_atoms
    return every[:: -(-len(every) // most)]


def _atoms_content(name: str, structure: Structure, shown: Integers) -> dict[str, Any]:
    atoms = structure.select(shown)
    traced = np.isin(atoms.atom_names, ["CA", "P"]).mean() >= _TRACED
    whole = len(shown) == len(structure.representative_atoms)
    return {
        "name": name,
        "atoms": len(structure),
        "shown": len(shown),
        "pseudoatoms": structure.is_pseudoatomic,
        "trace": bool(traced and whole and not structure.is_pseudoatomic),
        "atom_names": atoms.atom_names.tolist(),
        "residues": atoms.residue_names.tolist(),
        "numbers": atoms.residue_numbers.tolist(),
        "insertions": (np.full(len(atoms), "") if atoms.insertion_codes is None else atoms.insertion_codes).tolist(),
        "chains": atoms.chain_ids.tolist(),
    }


def _path_content(name: str, trajectory: Trajectory) -> dict[str, Any]:
    return {
        "name": name,
        "kind": trajectory.kind,
        "points": trajectory.points.tolist(),
        "modes": list(trajectory.mode_ids),
        "path_amplitudes": trajectory.amplitudes_A.tolist(),
        "energy_kT": trajectory.energy_kT.tolist(),
        "energy_sd_kT": trajectory.energy_sd_kT.tolist(),
        "near": trajectory.particles_near.tolist(),
        "barriers": _barriers(trajectory),
    }


def _barriers(trajectory: Trajectory) -> dict[str, Any]:
    return {k: value for k, value in trajectory.made.items() if k.startswith("barrier")}


def _frames_content(file: Path, n_frames: int, pack: Pack) -> dict[str, Any]:
    structure, moved = read_frames(file)
    shown = shown_atoms(structure, max(min(MOST_ATOMS, _MOST_NUMBERS // (3 * n_frames)), 1))
    frames = [frame[shown] - structure.center_A for frame in moved]
    if len(frames) != n_frames:
        raise FormatError(f"'{file}' has {len(frames)} frames, but the trajectory beside it {n_frames}; make it again")
    content = _atoms_content(file.name, structure, shown)
    return content | {"coordinates": pack.array(frames[0].astype(np.float32)),
                      "frames": pack.array(np.array(frames, dtype=np.float32))}  # fmt: skip
