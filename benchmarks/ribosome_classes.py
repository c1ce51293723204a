"""Simulated particles like EMPIAR-10016's, in FREALIGN's files: classes with and without a domain.

The ribosome is 6ZU5, as Cα and P atoms that have the electrons of their residues. One class shows it as it is.
The other is moved along its slowest mode and lacks a protein of the small subunit (eS1, 196 residues), which is
as large as a tRNA. The reference, of plain Cα and P atoms, lacks it, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cases import as_points, reduced_ribosome, slowest_modes
from command_runs import Commands, Options
from scipy.spatial import cKDTree

from continuousflex_deep.io.file_names import PARTICLES_STAR, TRUTH_STAR
from continuousflex_deep.io.modes import NormalModes, write_modes
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.stacks import read_images, stack_writer
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.particles import Particles

WITH, WITHOUT = "class 1", "class 2"  # the domain
MODES = (7, 8, 9, 11)
_DOMAIN = "SB0"  # its chain
_SEED = {WITH: 1, WITHOUT: 2}
_MICROSCOPE = {"voltage_kV": 300.0, "cs_mm": 2.7, "amplitude_contrast": 0.07}
_ROW = "%7d%8.2f%8.2f%8.2f%10.2f%10.2f%8d%6d%9.1f%9.1f%8.2f%8.2f%10d%11.4f%8.2f%8.2f\n"
_HEAD = (
    "C           PSI   THETA     PHI       SHX       SHY     MAG  FILM      DF1      DF2  ANGAST     OCC      LogP"
    "      SIGMA   SCORE  CHANGE\n"
)
_REACH_A, _AWAY_A = 10.0, 8.0  # of the domain's mask: near its atoms, and away from all others


@dataclass(frozen=True, eq=False)
class Ribosome:
    """The whole ribosome about the reference's centre, its modes, and which atoms (N,) are the domain's.

    every: of so many residues one is kept; reference: the file of Cα and P atoms without the domain.
    """

    whole: Structure
    modes: NormalModes
    domain: np.ndarray
    reference: Path

    @classmethod
    def written(cls, folder: Path, network: Options, every: int = 1) -> "Ribosome":
        """With its reference in folder/reference.cif; network: options of the modes."""
        points = reduced_ribosome()
        points = points.select(np.arange(0, len(points), every))
        modes = slowest_modes(points, MODES, **network)
        domain = points.chain_ids == _DOMAIN
        file = folder / "reference.cif"
        write_structure(file, points.select(np.flatnonzero(~domain)))
        # as the program will centre it
        return cls(points.replace_coords(points.coords_A - read_structure(file).center_A), modes, domain, file)

    def moved(self, rmsd_A: float) -> np.ndarray:
        """Atoms (N, 3) along the slowest mode."""
        return self.whole.coords_A + rmsd_A * len(self.whole) ** 0.5 * self.modes.vectors[0]

    def write_class(self, folder: Path, name: str, rmsd_A: float) -> Options:
        """One of the classes as a structure with modes, in files; they as options."""
        atoms = np.arange(len(self.whole)) if name == WITH else np.flatnonzero(~self.domain)
        shown = as_points(self.whole.replace_coords(self.moved(0.0 if name == WITH else rmsd_A)).select(atoms))
        vectors = self.modes.vectors[:, atoms]
        norms = np.linalg.norm(vectors.reshape(len(vectors), -1), axis=1)
        write_structure(folder / name / "structure.cif", shown)
        write_modes(folder / name / "modes", NormalModes(self.modes.mode_ids, vectors / norms[:, None, None]))
        files = {"structure": folder / name / "structure.cif", "modes": folder / name / "modes"}
        return files | {"mode_list": " ".join(map(str, MODES)), "output": folder / name / "images"}

    def domain_map(self, box_px: int, pixel_size_A: float, resolution_A: float, b_factor_A2: float) -> np.ndarray:
        """Density (d, d, d) of the domain alone, where class 1 has it, as sharp as in the images."""
        from continuousflex_deep.imaging.density import structure_to_map  # --help needs no torch

        alone = as_points(self.whole.select(np.flatnonzero(self.domain)))
        return structure_to_map(alone, box_px, pixel_size_A, resolution_A, center=False, b_factor_A2=b_factor_A2)

    def domain_mask(self, box_px: int, pixel_size_A: float, rmsd_A: float) -> np.ndarray:
        """Voxels (d, d, d) near the domain, and away from all else in both classes."""
        axis = (np.arange(box_px) - box_px // 2) * pixel_size_A
        z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
        voxels = np.stack([x, y, z], axis=-1).reshape(-1, 3)
        inside = _near(self.whole.coords_A[self.domain], voxels, _REACH_A)
        for coords_A in (self.whole.coords_A, self.moved(rmsd_A)):
            inside &= ~_near(coords_A[~self.domain], voxels, _AWAY_A)
        return inside.reshape((box_px,) * 3)


def _near(atoms_A: np.ndarray, voxels_A: np.ndarray, reach_A: float) -> np.ndarray:
    """Which voxels (V,) are within reach of an atom."""
    return np.isfinite(cKDTree(atoms_A).query(voxels_A, distance_upper_bound=reach_A)[0])


def simulate_classes(
    commands: Commands, ribosome: Ribosome, images: int, made: Options, moved_rmsd_A: float, spread_rmsd_A: float
) -> Mapping[str, Particles]:
    """The truth of both classes by their names, with positions in the stack as ids: so many images of each, in one
    random order in stack.mrcs, and a parameter file for each class, class1.par and class2.par, with all particles."""
    folder, truths = commands.folder, dict[str, Particles]()
    for name, seed in _SEED.items():
        files = ribosome.write_class(folder, name, moved_rmsd_A)
        spread = {"conformations": "gaussian", "amplitude_range": 2 * spread_rmsd_A * len(ribosome.whole) ** 0.5}
        more = {"count": images, "seed": seed, "final_box_px": 0, "tilt_sampling": "uniform-sphere", **_MICROSCOPE}
        commands.once("simulate", {**files, **spread, **more, **made}, "--no-phase-flip")
        truths[name] = read_particles(Path(str(files["output"])) / TRUTH_STAR)
    order = np.random.default_rng(0).permutation(2 * images)
    _write_stack(folder, order)
    for number, (name, truth) in enumerate(truths.items()):
        places = np.flatnonzero(order // images == number)
        truths[name] = truth.select(order[places] % images).replace(ids=places + 1)
    for name, other in ((WITH, WITHOUT), (WITHOUT, WITH)):
        _write_parameters(parameters_of(folder, name), truths[name], truths[other])
    return truths


def parameters_of(folder: Path, name: str) -> Path:
    """The parameter file of a class."""
    return folder / f"{name.replace(' ', '')}.par"


def _write_stack(folder: Path, order: np.ndarray) -> None:
    """All images in one order, in stack.mrcs; each is read where it is needed."""
    sources = [read_particles(folder / name / "images" / PARTICLES_STAR) for name in _SEED]
    images = len(sources[0])
    with stack_writer(folder / "stack.mrcs", len(order), sources[0].box_px, sources[0].pixel_size_A) as writer:
        for row in order:
            writer.write(read_images(sources[row // images], [row % images]))


def _write_parameters(path: Path, members: Particles, others: Particles) -> None:
    """A parameter file of FREALIGN 9 of one class: its members, and the other particles with occupancy 0."""
    rows = []
    for particles, occupancy in ((members, 100.0), (others, 0.0)):
        euler_deg, shift_A = particles.require_poses("this benchmark")
        ctf = particles.require_ctf("this benchmark")
        for row, number in enumerate(particles.ids.tolist()):
            (rot, tilt, psi), (x, y) = euler_deg[row], -shift_A[row]
            defocus = ctf.defocus_u_A[row], ctf.defocus_v_A[row], ctf.defocus_angle_deg[row]
            rows.append((number, psi, tilt, rot, x, y, 50000, 1, *defocus, occupancy, 0, 0.5, 20.0, 0.0))
    path.write_text(_HEAD + "".join(_ROW % row for row in sorted(rows)), encoding="utf-8")
