"""Our part of benchmarks/peers.py: alignment, structures and maps of a set of particles, from the commands."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter

import numpy as np
from measuring import option_words, run_command
from peers_programs import Cost, Processes
from peers_sets import ParticleSet, State, posed, without_amplitudes

from continuousflex_deep.arrays import Floats, Map
from continuousflex_deep.io.file_names import HALF_MAPS_MRC
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion import Motion, motion_along
from continuousflex_deep.nma.superposition import rigid_fit, superpose
from continuousflex_deep.options import SimulateOptions
from continuousflex_deep.particles import Particles


@dataclass(frozen=True, eq=False)
class Alignment:
    """The alignment of a set, from nothing or given poses. folder: of its output; hardware: options of commands."""

    processes: Processes
    particles: ParticleSet
    folder: Path
    poses_given: bool
    hardware: Mapping[str, object]

    @cached_property
    def cost(self) -> Cost:
        """What it costs, in a process of its own as peers have; it is run when this is asked for, before all else."""
        start = ("local", self.particles.given) if self.poses_given else ("global", self.particles.particles)
        files = {"init": start[0], "particles": start[1], "output": self.folder / "aligned.star"}
        options = self.particles.reference.options | dict(self.particles.align) | dict(self.hardware) | files
        options |= self.particles.held if self.poses_given else {}
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-m", "continuousflex_deep", "align", *option_words(options)]
        return self.processes.once(f"{self.folder.name}_align", words)

    @cached_property
    def found(self) -> Particles:
        """Poses and amplitudes."""
        found = read_particles(self.folder / "aligned.star")
        return found.select(found.rows_of(read_particles(self.particles.given).ids))

    @property
    def latents(self) -> Floats:
        """Amplitudes (n, modes)."""
        return self.found.require_amplitudes("this benchmark")

    @cached_property
    def motion(self) -> Motion[Floats]:
        """Of the reference about its centre."""
        reference = self.particles.reference
        return motion_along(reference.structure.centred(), reference.modes.moving(self.found.motion))

    def rmsd_A(self) -> float:
        """Median RMSD of the found structures from the true ones, superposed."""
        known = self.particles.known
        rmsds = []
        for row, q in enumerate(self.latents):
            true_A = self.particles.coords_A(row)[known]
            away_A = superpose(self.motion.coordinates(q), true_A) - true_A
            rmsds.append(np.sqrt(np.square(away_A).sum(axis=1).mean()))
        return float(np.median(rmsds))

    def structure_maps(self, points: Floats, states: Sequence[State]) -> list[Map]:
        """Maps of the structure deformed to latent points (m, modes), superposed on the true ones of the states."""
        structure, images = self.particles.reference.structure, read_particles(self.particles.given)
        maps = []
        for point, state in zip(points, states, strict=True):
            true_A = self.particles.coords_A(state.middle)[self.particles.known]
            model = structure.replace_coords(superpose(self.motion.coordinates(point), true_A))
            maps.append(density_of(model, images))
        return maps

    def group_maps(self, points: Floats, states: Sequence[State]) -> tuple[list[Map], float]:
        """Reconstructions of the particles that are nearest to latent points (m, modes), as many for each as its state
        has, in the frame of the true structures; and the seconds for them."""
        groups = []
        for point, state in zip(points, states, strict=True):
            away_A = np.square(self.latents - point).sum(axis=1)
            rows = np.sort(np.argsort(away_A, kind="stable")[: len(state.rows)])
            true_A = self.particles.coords_A(state.middle)[self.particles.known]
            groups.append(posed(self.found.select(rows), *rigid_fit(self.motion.coordinates(point), true_A)))
        return reconstructed(self.folder / "maps", groups, self.hardware)


def reconstructed(
    folder: Path, groups: Sequence[Particles], hardware: Mapping[str, object]
) -> tuple[list[Map], float]:
    """The map of each group, the mean of its half maps, for these are not filtered; and the seconds for all."""
    folder.mkdir(parents=True, exist_ok=True)
    words, started = [], perf_counter()
    for number, group in enumerate(groups, start=1):
        path = folder / f"region_{number}.star"
        write_particles(without_amplitudes(group), path)
        words += ["--particles", str(path)]
    run_command("reconstruct", {"output": folder} | dict(hardware), *words)
    several = len(groups) > 1
    places = [folder / f"group_{number}" if several else folder for number in range(1, len(groups) + 1)]
    halves = [[read_volume(place / half)[0] for half in HALF_MAPS_MRC] for place in places]
    return [(first + second) / 2 for first, second in halves], perf_counter() - started


def density_of(structure: Structure, images: Particles) -> Map:
    """The map of a structure whose coordinates are about the middle of the box, sampled as images are."""
    from continuousflex_deep.imaging.density import structure_to_map  # imports torch

    return structure_to_map(
        structure, images.box_px, images.pixel_size_A, center=False, b_factor_A2=SimulateOptions.b_factor_A2
    )
