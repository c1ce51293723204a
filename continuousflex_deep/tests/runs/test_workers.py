"""Runs of the align command: the same result whoever computes, and whichever process dies."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from continuousflex_deep import cli
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.tests.helpers.fault_commands import infer
from continuousflex_deep.tests.helpers.processes import HANG_S, Running, ended_well, until
from continuousflex_deep.tests.helpers.warm_python import warm_python
from continuousflex_deep.tests.helpers.worker_data import ToyRun

TWO = ("--workers", "2")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ToyRun:
    return ToyRun(tmp_path_factory.mktemp("workers"), times=4)


@pytest.fixture(scope="module")
def alone(toy: ToyRun) -> bytes:
    """What one process writes."""
    ended_well(toy.start("alone.star"))
    return (toy.folder / "alone.star").read_bytes()


def parts_of(toy: ToyRun, output: str, count: int) -> bool:
    return len(toy.parts(output)) >= count


def workers_of(process: int) -> list[psutil.Process]:
    """The worker processes of a command."""
    found = []
    for child in psutil.Process(process).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def test_one_process_needs_no_scheduler(toy: ToyRun) -> None:
    code = "import sys\nfrom continuousflex_deep import cli\nassert cli.main(sys.argv[1:]) == 0\n"
    code += "assert not {'distributed', 'dask', 'bokeh'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code, *toy.arguments("no-dask.star")], check=True, timeout=HANG_S)


def test_two_workers_write_what_one_process_does(toy: ToyRun, alone: bytes) -> None:
    [said] = ended_well(toy.start("two.star", *TWO))
    assert (toy.folder / "two.star").read_bytes() == alone
    assert "96 particles aligned" in said
    assert "progress of the workers: http://127.0.0.1:" in said
    assert "Traceback" not in said
    assert "distributed" not in said
    assert not list(toy.folder.glob("two.parts*"))
    [late] = ended_well(toy.start("two.star", *TWO))
    assert "exists already" in late, "nothing is done again"
    assert "progress of the workers" not in late, "and nothing started"


def test_a_worker_dies(toy: ToyRun, alone: bytes) -> None:
    run = toy.start("die.star", *TWO)
    until(lambda: parts_of(toy, "die.star", 4))
    workers_of(run.pid)[0].kill()
    ended_well(run)
    assert (toy.folder / "die.star").read_bytes() == alone
    assert not list(toy.folder.glob("die.parts*"))


def test_all_killed_and_run_again(toy: ToyRun, alone: bytes) -> None:
    """kill -9 of the command, with its scheduler: its workers end, too. What they had finished is kept."""
    for count, words in ((2, TWO), (10, ())):
        run = toy.start("killed.star", *words)
        until(partial(parts_of, toy, "killed.star", count))
        workers = workers_of(run.pid)
        run.kill()
        run.wait()
        assert len(workers) == len(words)
        until(partial(all_gone, workers))
        assert not (toy.folder / "killed.star").exists()
        assert parts_of(toy, "killed.star", count), "parts are kept"
    kept = {path: path.stat().st_mtime_ns for path in toy.parts("killed.star")}
    stopped = toy.start("killed.star")
    until(partial(parts_of, toy, "killed.star", len(kept) + 1))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "and not computed again"
    ended_well(stopped)
    assert (toy.folder / "killed.star").read_bytes() == alone


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_told_to_end_it_ends_in_order(toy: ToyRun, alone: bytes, number: signal.Signals, status: int) -> None:
    """As a queue tells it before it kills, and as a terminal tells all of its processes."""
    output = f"told-{number}.star"
    command = [sys.executable, "-m", "continuousflex_deep", *toy.arguments(output, *TWO)]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True) as run:
        until(lambda: len(workers_of(run.pid)) >= 2)
        workers = workers_of(run.pid)  # takes a while, in which much would be aligned later
        until(lambda: parts_of(toy, output, 1))
        (os.killpg if number == signal.SIGINT else os.kill)(run.pid, number)
        _, said = run.communicate(timeout=HANG_S)
    assert run.returncode == status, said
    assert "Traceback" not in said
    until(partial(all_gone, workers))
    left = [path.name for path in (toy.folder / output).with_suffix(".parts").iterdir()]
    assert not {".lock", ".writer"} & set(left)
    ended_well(toy.start(output))
    assert (toy.folder / output).read_bytes() == alone


def test_a_second_run_of_the_same_output_waits_its_turn(toy: ToyRun, alone: bytes, capsys) -> None:
    first = toy.start("other.star")
    until(lambda: parts_of(toy, "other.star", 1))
    os.kill(first.pid, signal.SIGSTOP)
    for words in ((), ("--motion-prior-A", "5")):
        assert cli.main(toy.arguments("other.star", *words)) == 2
        assert f"is being written by process {first.pid} on" in capsys.readouterr().err
    os.kill(first.pid, signal.SIGCONT)
    ended_well(first)
    assert (toy.folder / "other.star").read_bytes() == alone
    assert cli.main(toy.arguments("other.star", "--motion-prior-A", "5")) == 0
    assert (toy.folder / "other.star").read_bytes() != alone


def test_full_disk_and_run_again(toy: ToyRun, alone: bytes, tmp_path: Path) -> None:
    """On a small file system of its own: the error says which, finished parts stay, no half file is left."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=112k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root; run the tests as root in a container that may mount")
    try:
        output = str(small / "out.star")
        process = toy.start(output)
        assert process.wait() == 2
        said = process.said()
        assert f"No space left on device on the file system mounted at '{small}'" in said
        assert "run the same command again" in said
        assert not (small / "out.star").exists()
        kept = len(toy.parts(output))
        assert kept >= 3
        assert not [p for p in (small / "out.parts").iterdir() if p.name.startswith((".", "part-x"))]
        subprocess.run(["mount", "-o", "remount,size=8m", str(small)], check=True)
        [said] = ended_well(toy.start(output))
        assert f"{100 * 2 * kept // 96}%" in said, "what was finished is not done again"
        columns = read_particles(output)
        whole = read_particles(toy.folder / "alone.star")
        assert (columns.amplitudes == whole.amplitudes).all()
        assert (columns.euler_deg == whole.euler_deg).all()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_bad_images_are_named_in_file_record_and_log(tmp_path: Path) -> None:
    run = ToyRun(tmp_path)
    stack = tmp_path / "toy.mrcs"
    with open(stack, "rb+") as file:  # the fifth image is destroyed
        file.seek(1024 + 4 * 40 * 40 * 4)
        file.write(b"\xff" * 40 * 40 * 4)
    [said] = ended_well(run.start("out.star", *TWO))
    assert "left out: particle 105 (image 5 of" in said
    assert len(read_particles(tmp_path / "out.star")) == 23
    assert read_particles(tmp_path / "out_bad.star").ids.tolist() == [105]
    record = json.loads((tmp_path / "out.json").read_text())
    assert [(bad["id"], bad["image"]) for bad in record["left_out"]] == [(105, f"5@{stack}")]
    assert "not finite" in record["left_out"][0]["reason"]


def test_two_workers_predict_and_polish_what_one_process_does(tmp_path: Path) -> None:
    command = infer(tmp_path)
    ended_well(command.start())
    two = command.to(tmp_path / "two" / command.output.name)
    [said] = ended_well(two.start(*TWO, patched=False))
    assert "progress of the workers" in said
    assert two.output.read_bytes() == command.output.read_bytes()
    assert read_particles(two.output).amplitudes_sd is not None
    assert not two.output.with_suffix(".parts").exists()


@pytest.mark.parametrize("words", [(*TWO, "--scheduler", "tls://host:8786"), (*TWO, "--cluster", "slurm")])
def test_workers_are_asked_for_in_one_way(toy: ToyRun, words: tuple[str, ...], capsys) -> None:
    assert cli.main(toy.arguments("ways.star", *words)) == 2
    assert "are several ways to get workers; give one of them" in capsys.readouterr().err


# --------------------------------------------------------------------------------------- started by a launcher together
def launched(toy: ToyRun, output: str, rank: int, names: tuple[str, ...]) -> Running:
    """One of two processes, by the variables that their launcher sets: rank, size, local rank, …"""
    environ = dict.fromkeys(names, "2") | {names[0]: str(rank), names[2]: str(rank)}
    return toy.start(output, **environ)


SLURM = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE")
MPI = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")


@pytest.mark.parametrize("names", [pytest.param(SLURM, marks=pytest.mark.slow), MPI])
def test_srun_and_mpirun(toy: ToyRun, alone: bytes, names: tuple[str, ...]) -> None:
    """By the variables that they set. The first leads, and shows progress; the other one ends with it."""
    output = f"{names[0]}.star"
    first, second = ended_well(*(launched(toy, output, rank, names) for rank in range(2)))
    assert (toy.folder / output).read_bytes() == alone
    assert "aligning" in first
    assert second == ""
    assert not list(toy.folder.glob(f"{names[0]}.parts*"))


@pytest.mark.slow
def test_torchrun(toy: ToyRun, alone: bytes) -> None:
    command = [warm_python(), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "continuousflex_deep", *toy.arguments("t.star")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert finished.returncode == 0, finished.stderr
    assert (toy.folder / "t.star").read_bytes() == alone


def test_when_the_first_of_a_launch_is_killed_the_others_end(toy: ToyRun, alone: bytes) -> None:
    first, second = (launched(toy, "first.star", rank, MPI) for rank in range(2))
    until(lambda: parts_of(toy, "first.star", 4))
    first.kill()
    first.wait()
    assert second.wait() == 2
    assert "the first process of this launch was killed" in second.said()
    ended_well(toy.start("first.star"))
    assert (toy.folder / "first.star").read_bytes() == alone


def test_when_the_first_of_a_launch_fails_the_others_end(toy: ToyRun) -> None:
    words = ("--mode-list", "7-30")
    first, second = (
        toy.start("fails.star", *words, **dict.fromkeys(MPI, "2") | {MPI[0]: str(rank), MPI[2]: str(rank)})
        for rank in range(2)
    )
    assert first.wait() == 2
    assert second.wait() == 0
    assert not list(toy.folder.glob("fails*"))
