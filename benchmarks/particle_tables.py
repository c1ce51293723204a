"""How long reading and writing RELION's particle files takes, beside two other readers where they are installed.

    python benchmarks/particle_tables.py [--rows 500000] [--output particle_tables.json]

A file of the 25 columns of a refinement, padded as RELION writes them. Each run is a process of its own. "this program"
reads the file into particles, with ids and located images, and writes them; "its tables" reads and writes the tables
alone, as emtable (comes with Scipion) and starfile (0.5.13 was compared) do. All keep every column.

read, write   seconds of the processor
memory        peak of the process after reading, in GiB

Fills "Particle files" of docs/results.md. The default size takes about 2 minutes on one core.
"""

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from command_line import FULL, SMALLEST, benchmark_parser, parse
from measuring import Figures, Table, in_own_process, peak_memory_GiB, write_figures

from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.relion import is_number
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.io.star import read_star, write_star

NUMBERS = (
    "rlnCoordinateX", "rlnCoordinateY", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift",
    "rlnCtfBfactor", "rlnCtfScalefactor", "rlnCtfMaxResolution", "rlnCtfFigureOfMerit", "rlnAngleRot", "rlnAngleTilt",
    "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnNormCorrection", "rlnLogLikeliContribution",
    "rlnMaxValueProbDistribution",
)  # fmt: skip
WHOLE = ("rlnOpticsGroup", "rlnGroupNumber", "rlnClassNumber", "rlnNrOfSignificantSamples", "rlnRandomSubset")
IN_A_STACK = 500
SIZES = {FULL: {"rows": 500_000}, SMALLEST: {"rows": 1000}}


def main() -> None:
    """Print a row for each reader, and write the figures."""
    parser = benchmark_parser(__doc__, "particle_tables.json")
    parser.add_argument("--rows", type=int, help="particles in the file")
    arguments = parse(parser, SIZES)
    table, rows = Table("reader"), []
    readers: dict[str, Callable[[Path], Figures]] = {"this program": of_particles, "its tables": of_tables}
    readers |= {name: run for name, run in (("emtable", of_emtable), ("starfile", of_starfile)) if has(name)}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "particle_tables.star"
        write_file(file, arguments.rows)
        for name, run in readers.items():
            figures = in_own_process(run, file)
            table.row(name, figures)
            rows.append({"reader": name, **figures})
    write_figures(arguments.output, {"rows": rows, "particles": arguments.rows})


def has(module: str) -> bool:
    """Whether another reader is installed."""
    return importlib.util.find_spec(module) is not None


def write_file(path: Path, count: int) -> None:
    """A RELION 3.1 file of random particles in stacks of IN_A_STACK images, of which only the first exists."""
    rng = np.random.default_rng(0)
    write_stack(path.with_name("stack_00000.mrcs"), rng.normal(size=(1, 16, 16)).astype(np.float32), 1.0)
    optics = "_rlnOpticsGroup #1\n_rlnVoltage #2\n_rlnSphericalAberration #3\n_rlnAmplitudeContrast #4\n"
    optics += "_rlnImagePixelSize #5\n_rlnImageSize #6\n1 300.0 2.7 0.1 1.0 16\n"
    labels = ["rlnImageName", "rlnMicrographName", *NUMBERS, *WHOLE]
    with path.open("w", encoding="utf-8") as out:
        out.write(f"# version 30001\n\ndata_optics\n\nloop_\n{optics}\n# version 30001\n\ndata_particles\n\nloop_ \n")
        out.writelines(f"_{label} #{i} \n" for i, label in enumerate(labels, start=1))
        for i in range(count):
            stack, values = i // IN_A_STACK, rng.uniform(-180, 180, len(NUMBERS))
            values[2:4] = 1e4 + values[2:4] * 20
            cells = [f"{i % IN_A_STACK + 1:06d}@stack_{stack:05d}.mrcs", f"micrographs/{stack:05d}.mrc"]
            cells += [f"{value:12.6f}" for value in values]
            cells += [f"{number:12d}" for number in (1, stack + 1, 1, i % 37 + 1, i % 2 + 1)]
            out.write(" ".join(cells) + " \n")


def measured(read: Callable[[], Any], write: Callable[[Any], None]) -> Figures:
    """Times of the processor and the peak of memory."""
    started = time.process_time()
    content = read()
    done, memory = time.process_time(), peak_memory_GiB()
    write(content)
    return {"read_s": done - started, "write_s": time.process_time() - done, "memory_GiB": memory}


def of_particles(path: Path) -> Figures:
    """Particles, by this program."""
    out = path.with_name("written.star")
    return measured(lambda: read_particles(path), lambda particles: write_particles(particles, out))


def of_tables(path: Path) -> Figures:
    """Tables alone, by this program; numbers are read as numbers, and written as they were read."""
    out = path.with_name("written.star")
    return measured(lambda: read_star(path, is_number), lambda blocks: write_star(out, blocks))


def of_emtable(path: Path) -> Figures:
    """The table of the particles, by Scipion's emtable."""
    from emtable import Table as Emtable

    def read() -> Any:
        table = Emtable()
        table.read(str(path), tableName="particles")
        return table

    def write(table: Any) -> None:
        with path.with_name("written.star").open("w") as out:
            table.writeStar(out, tableName="particles")

    return measured(read, write)


def of_starfile(path: Path) -> Figures:
    """Both tables, by starfile."""
    import starfile

    out = path.with_name("written.star")
    return measured(lambda: starfile.read(path), lambda tables: starfile.write(tables, out, overwrite=True))


if __name__ == "__main__":
    main()
