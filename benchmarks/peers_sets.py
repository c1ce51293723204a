"""Particles of known conformations for benchmarks/peers.py: adenylate kinase along a mode and by Eq. 1, an antibody."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import conformations
import numpy as np
from cases import MODES, Reference, adenylate_kinase, slowest_modes, written
from measuring import run_command

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler
from continuousflex_deep.io.file_names import PARTICLES_STAR, TRUTH_STAR
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.structures import Structure, write_structure
from continuousflex_deep.motion import motion_along
from continuousflex_deep.particles import JOINTED, Particles

_AK_WIDTH_A, _IGG_WIDTH_A = 83.2, 384.0  # fields of view
_AK_ATOMS, _AK_RANGE_A = 1656, 200.0  # amplitudes of the article: the largest, for all atoms of adenylate kinase
_IGG_MODES = tuple(range(7, 13))
# peers do not know of flipped phases; views are even, for an uneven distribution is no subject here
_IMAGES = {"tilt_sampling": "uniform-sphere", "no_phase_flip": True, "final_box_px": 0}


@dataclass(frozen=True, eq=False)
class State:
    """A region of the way: rows (m,) of its particles, and the number of the particle in its middle, whose conformation
    is that of the region."""

    rows: Integers
    middle: int


@dataclass(frozen=True, eq=False)
class ParticleSet:
    """Images in a folder with their truth.

    reference: which our alignment knows, with its options, and held: further ones from given poses. particles: without
    poses; given: with the poses of the part that does not move. shown: the atoms of the images; coords_A: takes the
    number of a particle to their coordinates (N, 3) about the centre that all conformations share; known (m,): those of
    them that the reference has.
    place (n,): on the way, by which conformations are ordered; amplitudes (n, d): the whole conformation.
    """

    folder: Path
    reference: Reference
    align: Mapping[str, object]
    shown: Structure
    coords_A: Callable[[int], Floats]
    known: Integers
    place: Floats
    amplitudes: Floats
    held: Mapping[str, object] = field(default_factory=dict)

    @property
    def particles(self) -> Path:
        return self.folder / PARTICLES_STAR

    @property
    def given(self) -> Path:
        return self.folder / "given.star"

    def states(self, count: int) -> list[State]:
        """Regions of the way with equal numbers of particles."""
        regions = np.array_split(np.argsort(self.place, kind="stable"), count)
        return [State(np.sort(region), int(region[len(region) // 2])) for region in regions]


def mode_7(arguments: argparse.Namespace, folder: Path) -> ParticleSet:
    """Adenylate kinase with amplitudes of mode 7 that are uniform in a range."""
    return _along_modes(arguments, folder, (7,), "uniform")


def eq_1(arguments: argparse.Namespace, folder: Path) -> ParticleSet:
    """Adenylate kinase on the trajectory of the article's Eq. 1, along modes 7 to 9."""
    return _along_modes(arguments, folder, MODES, "trajectory")


def _along_modes(arguments: argparse.Namespace, folder: Path, moved: tuple[int, ...], kind: str) -> ParticleSet:
    reference = adenylate_kinase(folder, setting=arguments.setting)
    structure, images = reference.structure, folder / "images"
    range_A = _AK_RANGE_A * np.sqrt(len(structure) / _AK_ATOMS)
    drawn = {"conformations": kind, "amplitude_range": range_A, "mode_list": " ".join(map(str, moved))}
    options = _IMAGES | {"shift_range_px": 2.0, "snr": 0.1} | sampling(arguments, _AK_WIDTH_A) | drawn
    run_command("simulate", dict(reference.options) | options | {"output": images})
    truth = read_particles(images / TRUTH_STAR)
    write_particles(without_amplitudes(truth), images / "given.star")
    amplitudes = truth.require_amplitudes("this benchmark")
    motion = motion_along(structure.centred(), reference.modes.select(moved))
    return ParticleSet(
        images, reference, arguments.setting.align, structure, lambda row: motion.coordinates(amplitudes[row]),
        np.arange(len(structure)), -amplitudes[:, 0], amplitudes,
    )  # fmt: skip


def igg(arguments: argparse.Namespace, folder: Path) -> ParticleSet:
    """An antibody of which one Fab is turned, as in CryoBench's IgG-1D; our reference is its Cα atoms."""
    case, images = conformations.igg(arguments.data), folder / "images"
    write_structure(folder / "whole.cif", case.structure)
    write_structure(folder / "frames.cif", case.structure, list(case.frames_A))
    asked = {"structure": folder / "whole.cif", "conformations": folder / "frames.cif", "output": images}
    run_command("simulate", asked | case.simulate | _IMAGES | sampling(arguments, _IGG_WIDTH_A))
    truth = read_particles(images / TRUTH_STAR)
    write_particles(conformations.given(case, truth), images / "given.star")
    trace = np.flatnonzero(case.structure.atom_names == "CA")
    structure = case.structure.select(trace)
    modes = slowest_modes(structure, _IGG_MODES, cutoff_A=conformations.TRACE_CUTOFF_A)
    frame = truth.extra["cfdConformation"].astype(int) - 1
    frames_A = case.frames_A - case.structure.center_A
    return ParticleSet(
        images,
        written(structure, modes, folder),
        case.align | {"motion": JOINTED},
        case.structure,
        lambda row: frames_A[frame[row]],
        trace,
        case.way[frame],
        case.way[frame, None],
        case.given,
    )


def sampling(arguments: argparse.Namespace, width_A: float) -> dict[str, object]:
    """Options of `simulate` for the number of images and their box over a field of view."""
    return {"count": arguments.images, "box_px": arguments.box, "pixel_size_A": width_A / arguments.box}


def without_amplitudes(particles: Particles) -> Particles:
    """Poses alone."""
    return particles.replace(amplitudes=None, amplitudes_sd=None, mode_ids=())


def posed(particles: Particles, turn: Floats, shift_A: Floats) -> Particles:
    """The particles with poses in another frame, where points (n, 3) of a model, about its centre, stand at
    points @ turn + shift_A."""
    euler_deg, here_A = particles.require_poses("this benchmark")
    matrices = euler_to_matrix(euler_deg) @ turn
    return particles.replace(euler_deg=matrix_to_euler(matrices), shift_A=here_A + (matrices @ shift_A)[:, :2])


SETS: dict[str, Callable[[argparse.Namespace, Path], ParticleSet]] = {"mode-7": mode_7, "eq-1": eq_1, "igg": igg}
