"""The align command on the toy molecule, as processes: for tests of workers that share a run."""

from pathlib import Path

from continuousflex_deep.io.modes import write_modes
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.structures import write_structure
from continuousflex_deep.particles import Particles, concatenate
from continuousflex_deep.tests.helpers.engine_data import toy_modes, toy_particles, toy_structure
from continuousflex_deep.tests.helpers.processes import Running

COUNT, BATCH = 24, 2
# quick: one hypothesis from the pose that the particle file gives
_QUICK = ["--init", "local", "--local-step-deg", "0", "--calibration-particles", "8", "--threads", "1"]


def repeated(particles: Particles, times: int) -> Particles:
    """Many particles of few images, each with an id of its own."""
    return concatenate([particles.replace(ids=particles.ids + 10_000 * i) for i in range(times)])


class ToyRun:
    """The files of a toy alignment in a folder, and its command line."""

    def __init__(self, folder: Path, times: int = 1) -> None:
        self.folder = folder
        structure = toy_structure()
        write_structure(folder / "toy.pdb", structure)
        write_modes(folder / "modes", toy_modes(structure))
        self.particles = repeated(toy_particles(folder, count=COUNT), times)
        write_particles(self.particles, folder / "in.star")

    def arguments(self, output: str = "out.star", *more: str) -> list[str]:
        """Of the command, after the program."""
        files = {"particles": "in.star", "structure": "toy.pdb", "modes": "modes", "output": output}
        named = [word for name, file in files.items() for word in (f"--{name}", str(self.folder / file))]
        return ["align", *named, "--mode-list", "7-8", "--batch", str(BATCH), "--device", "cpu", *_QUICK, *more]

    def start(self, output: str = "out.star", *more: str, **environ: str) -> Running:
        """The command as a process, in an environment with further variables."""
        return Running(self.arguments(output, *more), environ)

    def parts(self, output: str = "out.star") -> list[Path]:
        """The finished parts of a run."""
        return list((self.folder / output).with_suffix(".parts").glob("part-*.npz"))
