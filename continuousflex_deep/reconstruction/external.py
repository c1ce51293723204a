"""Maps by other packages' programs: RELION's relion_reconstruct and Xmipp's xmipp_reconstruct_fourier.

Each reads the particles from a file in its own format and writes a plain map, without a filter, of the same box, voxel
size, origin (voxel d//2) and scale (sums along a view are the images of that view) as the embedded reconstruction.
"""

import os
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from continuousflex_deep.arrays import Floats, Integers, Map
from continuousflex_deep.errors import DeepError
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.plain_stacks import with_plain_stacks
from continuousflex_deep.particles import Ctf, Particles
from continuousflex_deep.programs import RELION, RELION_RECONSTRUCT, XMIPP, XMIPP_RECONSTRUCT, Package, run_program
from continuousflex_deep.progress import progress_bar
from continuousflex_deep.reconstruction.fsc import shell_filter

_OUTPUT = "map.mrc"
_NOMINAL_CTF = (10000.0, 10000.0, 0.0, 300.0, 2.7, 0.1, 0.0)


@dataclass(frozen=True)
class MapProgram(ABC):
    """An installed program that reconstructs maps: its path, the log for its output, its threads."""

    path: Path
    log: Path
    threads: int

    package: ClassVar[Package]
    program: ClassVar[str]
    particles_file: ClassVar[str]

    def taken(self, particles: Particles) -> Particles:
        """The particles with all fields that the program requires."""
        return particles

    @abstractmethod
    def arguments(self, particles: Particles, ctf: bool, symmetry: str) -> list[str]:
        """The program's arguments; it runs in a folder with particles_file and writes map.mrc there."""

    def map(self, particles: Particles, ctf: bool, symmetry: str) -> Map:
        """The map (d, d, d) of particles with poses. Raises DeepError, with the end of the log, if it fails."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="cfd_reconstruct_") as folder:
            plain = with_plain_stacks(particles, Path(folder) / "images.mrcs")
            write_particles(self.taken(plain), Path(folder) / self.particles_file)
            command = [str(self.path), *self.arguments(particles, ctf, symmetry)]
            run_program(command, self.package.environment(self.path), Path(folder), self.log.absolute())
            output = Path(folder) / _OUTPUT
            if not output.is_file():
                raise DeepError(f"{self.program} wrote no map; see its log '{self.log}'")
            volume = np.array(read_volume(output)[0], dtype=np.float32)
        bad = int((~np.isfinite(volume)).sum())
        if volume.shape != (particles.box_px,) * 3 or bad:
            raise DeepError(
                f"{self.program} wrote a map of shape {volume.shape} with {bad} values that are not finite, "
                f"expected {particles.box_px} voxels a side; see its log '{self.log}'"
            )
        return volume


class RelionReconstruct(MapProgram):
    """relion_reconstruct of RELION 3.1 and later (Scheres 2012, J Struct Biol 180:519), without regularisation."""

    package, program, particles_file = RELION, RELION_RECONSTRUCT, "particles.star"

    def taken(self, particles: Particles) -> Particles:
        """With voltage, Cs and amplitude contrast: RELION requires them, although it does not use them without
        --ctf."""
        if particles.ctf is not None:
            return particles
        return particles.replace(ctf=Ctf(*(np.full(len(particles), value) for value in _NOMINAL_CTF)))

    def arguments(self, particles: Particles, ctf: bool, symmetry: str) -> list[str]:
        words = ["--i", self.particles_file, "--o", _OUTPUT, "--sym", symmetry.strip().lower()]
        words += ["--angpix", f"{particles.pixel_size_A:.6f}"]
        if ctf:
            words += ["--ctf", *(["--ctf_phase_flipped"] if particles.phase_flipped else [])]
        return words


class XmippReconstructFourier(MapProgram):
    """xmipp_reconstruct_fourier (Abrishami et al. 2015, Bioinformatics 31:3492); it divides by the CTF, not near 0."""

    package, program, particles_file = XMIPP, XMIPP_RECONSTRUCT, "particles.xmd"

    def arguments(self, particles: Particles, ctf: bool, symmetry: str) -> list[str]:
        words = ["-i", self.particles_file, "-o", _OUTPUT, "--sym", symmetry.strip().lower(), "--max_resolution", "0.5"]
        words += ["--thr", str(self.threads)]
        if ctf:
            words += ["--useCTF", "--sampling", f"{particles.pixel_size_A:.6f}"]
            words += ["--phaseFlipped"] if particles.phase_flipped else []
        return words


PROGRAMS: dict[str, type[MapProgram]] = {"relion": RelionReconstruct, "xmipp": XmippReconstructFourier}


def map_program(engine: str, home: str, log: Path, threads: int = 0) -> MapProgram:
    """The program of an engine, `relion` or `xmipp`, found in `home`, its package's variable or PATH.

    threads: 0 for all cores that this process may use. MissingDependencyError, with advice, if it is not installed.
    """
    chosen = PROGRAMS[engine]
    path = chosen.package.require([chosen.program], home)[chosen.program]
    return chosen(path, log, threads or len(os.sched_getaffinity(0)))


class ProgramSums:
    """The half maps and the whole map of a program, with the interface of the embedded engine's sums."""

    def __init__(self, program: MapProgram, particles: Particles, ctf: bool, symmetry: str) -> None:
        self.program, self.particles, self.ctf, self.symmetry = program, particles, ctf, symmetry

    def half_maps(self, first: Integers, second: Integers) -> tuple[Map, Map]:
        """Plain maps (d, d, d) of the particles of these rows."""
        with progress_bar(self.program.program, 2, "half map") as bar:
            maps = []
            for rows in (first, second):
                maps.append(self.program.map(self.particles.select(rows), self.ctf, self.symmetry))
                bar.update(1)
        return maps[0], maps[1]

    def whole(self, signal_to_noise: Floats) -> Map:
        """The map (d, d, d) of all particles, Wiener filtered: times SNR / (1 + SNR), (d//2 + 1,) by shell."""
        plain = self.program.map(self.particles, self.ctf, self.symmetry)
        return shell_filter(plain, signal_to_noise / (1 + signal_to_noise))
