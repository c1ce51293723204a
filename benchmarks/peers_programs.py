"""Programs that benchmarks/peers.py measures, each a process with a time limit: cryoDRGN and RECOVAR."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import ClassVar

import numpy as np

from continuousflex_deep.arrays import Floats, Map
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.records import read_json, write_json

VERSIONS = {"cryodrgn": "4.3.1", "recovar": "1.0.5"}
# by cryoDRGN's own Python, for pickles of other versions of numpy may not be read here
_PICKLE_TO_TABLE = "import pickle, sys, numpy; numpy.save(sys.argv[2], pickle.load(open(sys.argv[1], 'rb')))"
_KIB_IN_GIB = 2**20
_BATCH = 8  # images of a step of cryoDRGN: sets are small, and steps many


class Unfinished(Exception):
    """Why there are no figures of a program."""


@dataclass(frozen=True)
class Cost:
    """Of one or several processes."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_GiB: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        """Times of one after the other, and the larger peak."""
        memory_GiB = max(self.memory_GiB, other.memory_GiB)
        return Cost(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s, memory_GiB)


@dataclass(frozen=True)
class Processes:
    """Runs programs for a folder, with so many threads (0: all cores) and seconds; what has finished there is not run
    again."""

    folder: Path
    threads: int
    limit_s: float

    def once(self, name: str, words: Sequence[object], within: Path | None = None) -> Cost:
        """What a program costs, with its output in a log; within: the folder that it runs in. Unfinished if it fails or
        takes too long; the benchmark ends where the folder has a result of other words."""
        note, line = self.folder / "finished" / f"{name}.json", [str(word) for word in words]
        if note.is_file():
            before = read_json(note, "finished program")
            if before["words"] != line:
                sys.exit(f"error: '{self.folder}' has '{name}' of other options; give another --folder, or delete it")
            return Cost(**before["cost"])
        note.parent.mkdir(parents=True, exist_ok=True)
        cost = measured(line, self.folder / f"{name}.log", self.limit_s, within, self.environment())
        write_json(note, {"words": line, "cost": asdict(cost)})
        return cost

    def environment(self) -> dict[str, str]:
        """Variables for the number of threads of numpy, torch and jax; RECOVAR neither compiles its kernel nor takes
        all memory of a GPU, unless the user's own variables say so."""
        ours = {"RECOVAR_DISABLE_CUDA": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"} | dict(os.environ)
        if self.threads:
            ours |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(self.threads))
            ours["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={str(self.threads > 1).lower()}"
            ours["NPROC"] = str(self.threads)  # of XLA's other threads
        return ours


def measured(
    words: Sequence[str],
    log: Path,
    limit_s: float,
    within: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Cost:
    """The cost of a process and of all that it starts; Unfinished if it fails, or has not ended after limit_s seconds,
    when all of them are killed."""
    started, too_long = perf_counter(), threading.Event()
    with log.open("w") as out:
        process = subprocess.Popen(
            words, stdout=out, stderr=subprocess.STDOUT, cwd=within, env=environment, start_new_session=True
        )

        def end() -> None:
            too_long.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(limit_s, end)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:  # of Ctrl-C, which a session of its own does not get
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if too_long.is_set():
        raise Unfinished(f"not at its end after {limit_s:g} s")
    if process.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise Unfinished(f"failed: {said[-1] if said else process.returncode} (all of it in {log})")
    return Cost(perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / _KIB_IN_GIB)


def require_installed(name: str, python: Path) -> Path:
    """The folder of the programs of a Python that has a peer in its version; Unfinished where it has not, with the way
    to install it."""
    program = shutil.which(python)
    if program is None:
        raise Unfinished(f"there is no program '{python}' to run {name}; give its environment's Python by --{name}")
    asked = f"from importlib.metadata import version; print(version('{name}'))"
    answer = subprocess.run([program, "-c", asked], capture_output=True, text=True)
    wanted, found = VERSIONS[name], answer.stdout.strip()
    if answer.returncode or found != wanted:
        raise Unfinished(
            f"{python} has {found or 'no'} {name}, expected {wanted}; make an environment of its own for it "
            f"(python -m venv FOLDER; FOLDER/bin/pip install {name}=={wanted}) and give --{name} FOLDER/bin/python"
        )
    return Path(program).absolute().parent  # and not where a link in it leads to


@dataclass(frozen=True)
class Peer(ABC):
    """A program with its latent coordinates of particles with poses, and its maps at points among them.

    programs: folder of its executables; source: the particles; folder: of its output; dimensions of the latent space;
    epochs and width of a network.
    """

    processes: Processes
    programs: Path
    source: Path
    folder: Path
    dimensions: int
    epochs: int
    width: int
    name: ClassVar[str]

    def run(self, what: str, *words: object) -> Cost:
        """One of its programs, in the folder of the particles, for the names of images are relative to it."""
        return self.processes.once(f"{self.name}_{what}", [self.programs / self.name, *words], self.source.parent)

    @abstractmethod
    def latents(self) -> tuple[Floats, Cost]:
        """Latent coordinates (n, z), in the order of the particles, and what they cost."""

    @abstractmethod
    def maps(self, points: Floats) -> tuple[list[Map], Cost]:
        """Maps at latent points (m, z), and what they cost."""

    def written(self, points: Floats) -> Path:
        """Latent points as a file."""
        path = self.folder / "points.txt"
        np.savetxt(path, points)
        return path


class CryoDRGN(Peer):
    """cryoDRGN (Zhong et al. 2021): a variational autoencoder. It inverts the contrast by default, which is right for
    particles that are bright, as ours are."""

    name = "cryodrgn"

    def latents(self) -> tuple[Floats, Cost]:
        ctf, poses, model = (self.folder / part for part in ("ctf.pkl", "pose.pkl", "vae"))
        cost = self.run("ctf", "parse_ctf_star", self.source.name, "-o", ctf)
        cost += self.run("poses", "parse_pose_star", self.source.name, "-o", poses)
        network = ["--enc-dim", self.width, "--enc-layers", 3, "--dec-dim", self.width, "--dec-layers", 3]
        training = ["--zdim", self.dimensions, "-n", self.epochs, "-b", _BATCH, "--seed", 0, "--no-analysis"]
        files = [self.source.name, "--poses", poses, "--ctf", ctf, "-o", model]
        cost += self.run("training", "train_vae", *files, *training, *network)
        table = self.folder / "latents.npy"
        words = [self.programs / "python", "-c", _PICKLE_TO_TABLE, model / "z.pkl", table]
        self.processes.once(f"{self.name}_table", words)
        return np.load(table).astype(float), cost

    def maps(self, points: Floats) -> tuple[list[Map], Cost]:
        model, output = self.folder / "vae", self.folder / "maps"
        pixel_size_A = read_particles(self.source).pixel_size_A
        files = [model / "weights.pkl", "-c", model / "config.yaml", "-o", output, "--zfile", self.written(points)]
        cost = self.run("maps", "eval_vol", *files, "--Apix", pixel_size_A)
        return [read_volume(path)[0] for path in sorted(output.glob("vol_*.mrc"))], cost


class Recovar(Peer):
    """RECOVAR (Gilles and Singer 2025): principal components of a regularised covariance, and maps by kernel
    regression. It finds the contrast by itself."""

    name = "recovar"

    def latents(self) -> tuple[Floats, Cost]:
        output = ["-o", self.folder / "model", "--mask", "sphere", "--no-downsample", "--accept-cpu"]
        cost = self.run("pipeline", "pipeline", self.source.name, *output, "--zdim", self.dimensions)
        table = self.folder / "model" / "model" / f"zdim_{self.dimensions}" / "latent_coords.npy"
        return np.load(table).astype(float), cost

    def maps(self, points: Floats) -> tuple[list[Map], Cost]:
        output = self.folder / "states"
        files = [self.folder / "model", "-o", output, "--latent-points", self.written(points)]
        cost = self.run("maps", "compute_state", *files)
        return [read_volume(output / f"state{number:03d}.mrc")[0] for number in range(len(points))], cost


PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (CryoDRGN, Recovar)}
