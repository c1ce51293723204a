"""Memory, workers and hosts: how an alignment goes with the number of particles and of processes.

    python benchmarks/scale.py [--only memory workers scheduler hosts] [--particles 20000 200000] [--output scale.json]

All run the align command itself, on images of adenylate kinase's Cα atoms (32 px, modes 7 and 8) made by our
simulation. Few different images are named again and again, each time as another particle.

memory    peak memory and time of one process for so many particles, from their true poses: a setting as cheap as there
          is, since it is reading, keeping parts and writing that are looked at. Target: under 4 GiB for 200,000.
workers   particles per second with 1, 2, … workers (--workers), one thread each, up to the number of cores, with a
          global search, once all workers are at work; time of the whole run, start and calibration included; and that
          all write the same.
scheduler a million particles of which nothing is computed, 64 a batch, by two workers: time for each batch beside that
          of one process without a scheduler, and memory of the process that has client and scheduler before and after.
hosts     two hosts, each a network namespace with a name of its own, connected by a virtual cable and sharing a folder:
          torchrun with two nodes; then one process on each as mpirun starts them, of which the second is killed. Needs
          root.

Fills the last lines of "HEMNMA alignment: speed" of docs/results.md. The default size takes about half an hour on 2
cores (estimated from its parts).
"""

import argparse
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cases import Reference, repeated, simulated, slowest_modes, written
from command_line import FULL, SMALLEST, add_only, benchmark_parser, parse
from measuring import Table, option_words, write_figures

from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.structures import read_structure

IMAGES = {
    "conformations": "uniform", "amplitude_range": 60, "box_px": 32, "pixel_size_A": 3, "final_box_px": 0, "snr": 0.5,
    "shift_range_px": 1, "threads": 1,
}  # fmt: skip
LOCAL = {"init": "local", "local_step_deg": 0}
GLOBAL = {"n_hypotheses": 4, "angular_step_deg": 20}
ADDRESSES = ("10.213.7.1", "10.213.7.2")
SIZES = {
    FULL: {"particles": [20_000, 200_000], "images": 500, "batch": 16, "workers": len(os.sched_getaffinity(0)),
           "trivial": 1_000_000},
    SMALLEST: {"particles": [20], "images": 4, "batch": 2, "workers": 2, "trivial": 1000},
}

Figures = dict[str, object]
# what processes write, by their number
_LOGS: dict[int, IO[bytes]] = {}


def main() -> None:
    """Print a row for each measurement and write the figures."""
    parser = benchmark_parser(__doc__, "scale.json")
    add_only(parser, list(MEASUREMENTS))
    parser.add_argument("--particles", nargs="+", type=int, help="numbers of particles for `memory`")
    parser.add_argument("--images", type=int, help="different images; `workers` aligns 8 times as many, `hosts` twice")
    parser.add_argument("--batch", type=int, help="particles of a part of `workers` and `hosts`")
    parser.add_argument("--trivial", type=int, help="particles of `scheduler`")
    parser.add_argument("--workers", type=int, help="the most workers (full: as many as cores)")
    arguments = parse(parser, SIZES)
    figures: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory() as folder:
        case = Case(Path(folder), arguments)
        for name in arguments.only:
            table, figures[name] = Table(name), []
            for line in MEASUREMENTS[name](case):
                table.row("", line)
                figures[name].append(line)
    write_figures(arguments.output, figures)


class Case:
    """Structure, modes and images in a folder, and the align command on them."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        self.folder, self.given = folder, given
        self.reference = c_alpha_trace(folder)
        _, self.truth = simulated(self.reference, folder / "images", count=given.images, **IMAGES)

    def write(self, count: int) -> Path:
        """A particle file of so many rows."""
        path = self.folder / f"{count}.star"
        write_particles(repeated(self.truth, count), path)
        return path

    def command(self, particles: Path, output: Path, options: Figures) -> list[str]:
        """The align command, after the Python."""
        files = self.reference.options | {"particles": particles, "output": output}
        words = option_words(files | options | {"device": "cpu", "threads": 1})
        return ["-m", "continuousflex_deep", "align", *words]


def c_alpha_trace(folder: Path) -> Reference:
    """The Cα atoms of adenylate kinase with two of their modes."""
    whole = read_structure(ADENYLATE_KINASE)
    trace = whole.select(whole.atom_names == "CA")
    return written(trace, slowest_modes(trace, (7, 8), cutoff_A=12.0, block_size=2), folder)


def memory(case: Case) -> Iterator[Figures]:
    """Peak memory of one process by the number of particles."""
    for count in case.given.particles:
        output = case.folder / "memory.star"
        command = [sys.executable, *case.command(case.write(count), output, LOCAL)]
        started = time.monotonic()
        process = _quietly(command)
        status, usage = _waited(process)
        _require(status == 0 and len(read_particles(output)) == count, f"not all {count} were aligned", process)
        yield {
            "particles": count,
            "peak_GiB": usage.ru_maxrss / 2**20,
            "wall_s": time.monotonic() - started,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "output_MB": output.stat().st_size / 1e6,
        }


def workers(case: Case) -> Iterator[Figures]:
    """Particles a second by the number of workers of this computer."""
    particles, first, alone = case.write(8 * case.given.images), b"", 0.0
    for count in range(1, case.given.workers + 1):
        output = case.folder / f"workers-{count}.star"
        started = time.monotonic()
        command = case.command(particles, output, GLOBAL | {"batch": case.given.batch, "workers": count})
        process = _quietly([sys.executable, *command])
        rate = case.given.batch * _parts_per_s(output, process)
        status, usage = _waited(process)
        wall_s = time.monotonic() - started
        _require(status == 0, f"the run with {count} workers failed", process)
        first, alone = first or output.read_bytes(), alone or rate
        _require(output.read_bytes() == first, "another number of workers wrote something else")
        yield {
            "workers": count,
            "particles_per_s": rate,
            "speed_up": rate / alone,
            "wall_s": wall_s,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "same_output": True,
        }


def _parts_per_s(output: Path, process: "subprocess.Popen[bytes]") -> float:
    """Finished parts per second between the tenth and the last that was seen."""
    parts, seen = output.with_suffix(".parts"), {}
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if count := len(list(parts.glob("part-*.npz"))):
            seen.setdefault(count, time.monotonic())
        time.sleep(0.01)
    counts = [count for count in seen if count >= 10]
    _require(len(counts) > 1, "the run ended before it could be timed", process)
    low, high = min(counts), max(counts)
    return (high - low) / (seen[high] - seen[low])


def scheduler(case: Case) -> Iterator[Figures]:
    """What Dask costs for each batch, and how much it remembers."""
    from scheduling import alone_and_by_dask  # torch, which --help need not wait for

    yield from alone_and_by_dask(case.given.trivial, case.folder)


def hosts(case: Case) -> Iterator[Figures]:
    """Two hosts that share a folder."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        yield {"skipped": "making network namespaces needs root, ip and unshare"}
        return
    particles, alone = case.write(2 * case.given.images), case.folder / "one-host.star"
    single = _quietly([sys.executable, *case.command(particles, alone, LOCAL | {"batch": case.given.batch})])
    _require(single.wait() == 0, "one process failed", single)
    with _two_hosts() as prefixes:
        yield _by_torchrun(case, particles, alone, prefixes)
        yield _one_dies(case, particles, alone, prefixes)


def _by_torchrun(case: Case, particles: Path, alone: Path, prefixes: list[list[str]]) -> Figures:
    output = case.folder / "two-hosts.star"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    torchrun += ["--rdzv-backend=c10d", f"--rdzv-endpoint={ADDRESSES[0]}:29417", "--rdzv-id=scale"]
    align = case.command(particles, output, LOCAL | {"batch": case.given.batch})
    running = [
        _quietly([*prefix, *torchrun, f"--local-addr={address}", *align])
        for prefix, address in zip(prefixes, ADDRESSES, strict=True)
    ]
    statuses, usages = zip(*map(_waited, running), strict=True)
    _require(statuses == (0, 0), f"torchrun on two hosts ended with {statuses}", *running)
    _require(output.read_bytes() == alone.read_bytes(), "two hosts wrote something else than one process")
    return {"launcher": "torchrun", "cpu_s_of_each": [u.ru_utime + u.ru_stime for u in usages], "same_output": True}


def _one_dies(case: Case, particles: Path, alone: Path, prefixes: list[list[str]]) -> Figures:
    output = case.folder / "one-dies.star"
    align = [sys.executable, *case.command(particles, output, LOCAL | {"batch": case.given.batch})]
    survivor, doomed = (
        _quietly([*prefix, "env", *(f"OMPI_COMM_WORLD_{name}" for name in _of_rank(rank)), *align])
        for rank, prefix in enumerate(prefixes)
    )
    while doomed.poll() is None and not any(output.with_suffix(".parts").glob("part-*.npz")):
        time.sleep(0.01)
    _require(doomed.poll() is None, "the host ended before it could be killed", doomed)
    os.killpg(doomed.pid, signal.SIGKILL)
    died = time.monotonic()
    doomed.wait()
    _require(survivor.wait() == 0, "the surviving host failed", survivor)
    _require(output.read_bytes() == alone.read_bytes(), "the surviving host wrote something else than one process")
    return {
        "launcher": "mpirun",
        "one_host_killed": True,
        "the_other_took_s": time.monotonic() - died,
        "same_output": True,
    }


def _of_rank(rank: int) -> list[str]:
    """What mpirun tells a process of two, each alone on its host."""
    return [f"RANK={rank}", "SIZE=2", "LOCAL_RANK=0", "LOCAL_SIZE=1"]


@contextlib.contextmanager
def _two_hosts() -> Iterator[list[list[str]]]:
    """Two network namespaces with a virtual cable between them; gives what to write before a command to run it there,
    under another host name."""
    names = [f"cfdscale{i}" for i in (1, 2)]
    known = "127.0.0.1 localhost\n" + "".join(f"{a} {n}\n" for a, n in zip(ADDRESSES, names, strict=True))
    try:
        for name in names:
            _ip("netns", "add", name)
            hosts_file = Path("/etc/netns") / name / "hosts"  # which ip netns exec shows as /etc/hosts
            hosts_file.parent.mkdir(parents=True, exist_ok=True)
            hosts_file.write_text(known)
        _ip("link", "add", "cfdveth1", "netns", names[0], "type", "veth", "peer", "name", "cfdveth2", "netns", names[1])
        for i, (name, address) in enumerate(zip(names, ADDRESSES, strict=True), start=1):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", f"cfdveth{i}")
            _ip("-n", name, "link", "set", f"cfdveth{i}", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        rename = 'hostname "$0"; exec "$@"'
        yield [["ip", "netns", "exec", name, "unshare", "--uts", "bash", "-c", rename, name] for name in names]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
            shutil.rmtree(Path("/etc/netns") / name, ignore_errors=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _quietly(command: list[str]) -> "subprocess.Popen[bytes]":
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    log = tempfile.TemporaryFile()  # noqa: SIM115
    process = subprocess.Popen(command, stdout=log, stderr=log, env=environ, start_new_session=True)
    _LOGS[process.pid] = log
    return process


def _waited(process: "subprocess.Popen[bytes]") -> tuple[int, resource.struct_rusage]:
    """Exit status and use of resources of a process, its children included."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def _require(holds: bool, message: str, *processes: "subprocess.Popen[bytes]") -> None:
    """End with a message, and with what the processes said last, unless the condition holds."""
    if holds:
        return
    for process in processes:
        log = _LOGS[process.pid]
        log.seek(0)
        print(log.read().decode(errors="replace")[-2000:], file=sys.stderr)
    sys.exit(f"error: {message}")


MEASUREMENTS = {"memory": memory, "workers": workers, "scheduler": scheduler, "hosts": hosts}

if __name__ == "__main__":
    main()
