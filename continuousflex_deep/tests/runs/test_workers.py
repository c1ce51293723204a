"""Several processes of the align command at one run: the same result however many there are, and whichever dies."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from continuousflex_deep import cli
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.tests.helpers.processes import ended_well, until
from continuousflex_deep.tests.helpers.warm_python import warm_python
from continuousflex_deep.tests.helpers.worker_data import ToyRun

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


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


def test_two_workers_write_what_one_does(toy: ToyRun, alone: bytes) -> None:
    """Started as the same command twice, without any launcher."""
    said = ended_well(toy.start("two.star"), toy.start("two.star"))
    assert (toy.folder / "two.star").read_bytes() == alone
    assert sum("96 particles aligned" in text for text in said) == 1, "one of them writes"
    assert not list(toy.folder.glob("two.parts*"))
    assert len(read_particles(toy.folder / "two.star")) == len(toy.particles)
    [late] = ended_well(toy.start("two.star"))
    assert "exists already" in late, "a worker that starts when all is done does nothing again"


def test_torchrun(toy: ToyRun, alone: bytes) -> None:
    command = [warm_python(), *TORCHRUN, "-m", "continuousflex_deep", *toy.arguments("t.star")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    assert (toy.folder / "t.star").read_bytes() == alone
    assert finished.stderr.count("aligning:   ") <= finished.stderr.count("\r") + 2, "one bar for all"


@pytest.mark.parametrize(
    "names",
    [
        ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE"),
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ],
)
def test_srun_and_mpirun(toy: ToyRun, alone: bytes, names: tuple[str, ...]) -> None:
    """By the variables that they set. The first worker alone shows progress."""
    output = f"{names[0]}.star"
    per_rank = [dict.fromkeys(names, "2") | {names[0]: str(rank), names[2]: str(rank)} for rank in range(2)]
    first, second = ended_well(*(toy.start(output, **environ) for environ in per_rank))
    assert (toy.folder / output).read_bytes() == alone
    assert "aligning" in first
    assert "aligning:" not in second


def test_when_a_worker_dies_the_others_do_everything(toy: ToyRun, alone: bytes) -> None:
    doomed, survivor = toy.start("die.star"), toy.start("die.star")
    until(lambda: parts_of(toy, "die.star", 4))
    doomed.kill()
    assert doomed.wait() == -signal.SIGKILL
    ended_well(survivor)
    assert (toy.folder / "die.star").read_bytes() == alone
    assert not list(toy.folder.glob("die.parts*"))


@pytest.mark.slow
def test_torchrun_starts_workers_anew(toy: ToyRun, alone: bytes) -> None:
    """torchrun ends all workers when one dies; told to, it starts them again, and they go on from the parts."""
    command = [sys.executable, *TORCHRUN, "--max-restarts=1", "-m", "continuousflex_deep"]
    run = subprocess.Popen([*command, *toy.arguments("again.star")])
    until(lambda: parts_of(toy, "again.star", 4))
    worker = next((toy.folder / "again.parts").glob("worker-*"))
    os.kill(json.loads(worker.read_text())["process"], signal.SIGKILL)
    assert run.wait(120) == 0
    assert (toy.folder / "again.star").read_bytes() == alone


def test_a_worker_told_to_end_gives_up_its_claims(toy: ToyRun, alone: bytes) -> None:
    """As a scheduler tells it before it kills: nobody then waits for signs of its life."""
    worker = toy.start("term.star")
    until(lambda: parts_of(toy, "term.star", 4))
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait() == 128 + signal.SIGTERM
    left = [path.name for path in (toy.folder / "term.parts").iterdir()]
    assert not [name for name in left if "worker" in name or "claim" in name]
    ended_well(toy.start("term.star"))
    assert (toy.folder / "term.star").read_bytes() == alone


def test_all_killed_and_run_again(toy: ToyRun, alone: bytes) -> None:
    for count in (2, 10):
        workers = [toy.start("killed.star"), toy.start("killed.star")]
        until(partial(parts_of, toy, "killed.star", count))
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.wait()
        assert not (toy.folder / "killed.star").exists()
        assert parts_of(toy, "killed.star", count), "parts are kept"
    ended_well(toy.start("killed.star"))
    assert (toy.folder / "killed.star").read_bytes() == alone


def test_a_run_with_other_options_waits_its_turn(toy: ToyRun, alone: bytes, capsys) -> None:
    first = toy.start("other.star")
    until(lambda: parts_of(toy, "other.star", 1))
    os.kill(first.pid, signal.SIGSTOP)
    assert cli.main(toy.arguments("other.star", "--motion-prior-A", "5")) == 2
    assert f"other options or particles: process {first.pid} on" in capsys.readouterr().err
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
        assert not [p for p in (small / "out.parts").iterdir() if p.name.startswith((".", "worker", "part-x"))]
        subprocess.run(["mount", "-o", "remount,size=8m", str(small)], check=True)
        [said] = ended_well(toy.start(output))
        assert f"{100 * 2 * kept // 96}%" in said, "what was finished is not done again"
        columns = read_particles(output)
        whole = read_particles(toy.folder / "alone.star")
        assert (columns.amplitudes == whole.amplitudes).all()
        assert (columns.euler_deg == whole.euler_deg).all()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_bad_images_are_named_in_file_record_and_log(toy: ToyRun, tmp_path: Path) -> None:
    run = ToyRun(tmp_path)
    stack = tmp_path / "toy.mrcs"
    with open(stack, "rb+") as file:  # the fifth image is destroyed
        file.seek(1024 + 4 * 40 * 40 * 4)
        file.write(b"\xff" * 40 * 40 * 4)
    [said] = ended_well(run.start())
    assert "left out: particle 105 (image 5 of" in said
    assert len(read_particles(tmp_path / "out.star")) == 23
    assert read_particles(tmp_path / "out_bad.star").ids.tolist() == [105]
    record = json.loads((tmp_path / "out.json").read_text())
    assert [(bad["id"], bad["image"]) for bad in record["left_out"]] == [(105, f"5@{stack}")]
    assert "not finite" in record["left_out"][0]["reason"]
