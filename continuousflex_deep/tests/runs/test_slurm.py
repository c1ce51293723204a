"""Runs on a real Slurm of two nodes: as jobs of dask-jobqueue, by srun, as an array, ended, requeued, on a node that
goes down. The result is always the same."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from continuousflex_deep.nn.checkpoint import BEST, load_checkpoint
from continuousflex_deep.tests.helpers.nn_toy import toy_particles
from continuousflex_deep.tests.helpers.processes import HANG_S, ended_well, until
from continuousflex_deep.tests.helpers.slurm import Slurm, slurm
from continuousflex_deep.tests.helpers.worker_data import ToyRun

_JOBQUEUE = """
jobqueue:
  slurm:
    cores: 1
    memory: 1GB
    walltime: "01:00:00"
    job-extra-directives: []
    log-directory: "{folder}"
"""


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with slurm(tmp_path_factory.mktemp("slurm") / "s") as running:
        (running.folder / "jobqueue.yaml").write_text(_JOBQUEUE.format(folder=running.folder))
        own = {"DASK_CONFIG": str(running.folder), "OMP_NUM_THREADS": "1"}
        own["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        running.environ.update(own)
        yield running


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ToyRun:
    return ToyRun(tmp_path_factory.mktemp("toy"), times=8)


@pytest.fixture(scope="module")
def alone(toy: ToyRun) -> bytes:
    """What one process writes."""
    ended_well(toy.start("alone.star"))
    return (toy.folder / "alone.star").read_bytes()


def command(toy: ToyRun, output: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "continuousflex_deep", *toy.arguments(output, *more)]


def written(toy: ToyRun, output: str) -> bytes:
    assert not (toy.folder / output).with_suffix(".parts").exists()
    return (toy.folder / output).read_bytes()


def parts_of(toy: ToyRun, output: str, count: int) -> bool:
    return len(toy.parts(output)) >= count


def has_ended(queue: Slurm, job: int, state: str = "COMPLETED") -> bool:
    found = queue.state(job)
    assert found == state or found in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"), queue.output(job)
    return found == state


def hosts_of_jobs(queue: Slurm) -> list[str]:
    shown = queue.run("squeue", "-h", "-t", "running", "-o", "%N").stdout.split()
    return sorted(shown)


def started(queue: Slurm, words: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(words, env=queue.environ, stderr=subprocess.PIPE, text=True, cwd=queue.folder)


@pytest.mark.slow
def test_jobs_of_a_queue(queue: Slurm, toy: ToyRun, alone: bytes) -> None:
    with started(queue, command(toy, "jobs.star", "--cluster", "slurm", "--jobs", "2")) as run:
        until(lambda: hosts_of_jobs(queue) == ["n1", "n2"] or run.poll() is not None)
        _, said = run.communicate(timeout=HANG_S)
    assert run.returncode == 0, said
    assert written(toy, "jobs.star") == alone
    assert "Traceback" not in said
    until(lambda: not hosts_of_jobs(queue))


@pytest.mark.slow
def test_a_node_goes_down(queue: Slurm, toy: ToyRun, alone: bytes) -> None:
    """Its job is lost; the other one goes on, and a job that takes its place is submitted."""
    with started(queue, command(toy, "down.star", "--cluster", "slurm", "--jobs", "2")) as run:
        until(lambda: hosts_of_jobs(queue) == ["n1", "n2"] or run.poll() is not None)
        until(lambda: parts_of(toy, "down.star", 4) or run.poll() is not None)
        queue.run("scontrol", "update", "nodename=n2", "state=down", "reason=test")
        try:
            _, said = run.communicate(timeout=HANG_S)
        finally:
            queue.run("scontrol", "update", "nodename=n2", "state=resume")
    assert run.returncode == 0, said
    assert written(toy, "down.star") == alone
    until(lambda: not hosts_of_jobs(queue))


def test_srun_in_a_job(queue: Slurm, toy: ToyRun, alone: bytes) -> None:
    """One process on each node: the first leads, over the network, with the certificate of the run."""
    words = shlex.join(command(toy, "srun.star"))
    job = queue.submit(f"srun --ntasks=2 {words}", "--nodes=2", "--ntasks=2")
    until(lambda: has_ended(queue, job))
    assert written(toy, "srun.star") == alone
    assert "Traceback" not in queue.output(job)


@pytest.mark.slow
def test_a_job_array_of_workers(queue: Slurm, toy: ToyRun, alone: bytes) -> None:
    """As docs/cluster.md describes it."""
    page = (Path(__file__).parents[3] / "docs" / "cluster.md").read_text()
    blocks = [block.partition("```")[0] for block in page.split("```bash\n")[1:]]
    certificate = next(block for block in blocks if "openssl" in block)
    cluster = next(block for block in blocks if "dask scheduler" in block).replace("--array=1-8", "--array=1-2")
    align = shlex.join(command(toy, "array.star", "--scheduler", "scheduler.json"))
    script = f"set -e\n{certificate}\n{cluster}\nscheduler=$!\n{align}\nkill $scheduler\n"
    path = queue.folder / "array.sh"
    path.write_text(script)
    run = subprocess.run(
        ["bash", str(path)], env=queue.environ, cwd=queue.folder, capture_output=True, text=True, timeout=HANG_S,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert written(toy, "array.star") == alone
    assert "is not protected" not in run.stderr
    until(lambda: not hosts_of_jobs(queue))


@pytest.mark.slow
def test_a_job_is_requeued_in_the_middle(queue: Slurm, toy: ToyRun, alone: bytes) -> None:
    job = queue.submit(f"exec {shlex.join(command(toy, 'again.star'))}", "--requeue")
    until(lambda: parts_of(toy, "again.star", 4))
    queue.run("scontrol", "requeue", str(job))
    assert not (toy.folder / "again.star").exists()
    until(lambda: has_ended(queue, job))
    assert written(toy, "again.star") == alone


@pytest.mark.slow
def test_a_job_is_cancelled_and_submitted_again(queue: Slurm, toy: ToyRun, alone: bytes) -> None:
    script = f"exec {shlex.join(command(toy, 'cancelled.star'))}"
    job = queue.submit(script)
    until(lambda: parts_of(toy, "cancelled.star", 4))
    queue.run("scancel", str(job))
    until(lambda: has_ended(queue, job, "CANCELLED"))
    until(lambda: not hosts_of_jobs(queue))
    kept = {path: path.stat().st_mtime_ns for path in toy.parts("cancelled.star")}
    assert len(kept) >= 4
    again = queue.submit(script)
    until(lambda: parts_of(toy, "cancelled.star", len(kept) + 1))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    until(lambda: has_ended(queue, again))
    assert written(toy, "cancelled.star") == alone


@pytest.mark.slow
def test_training_on_two_nodes(queue: Slurm, tmp_path: Path) -> None:
    """By torchrun on each, over gloo: the network that two processes of one host train."""
    particles, _ = toy_particles(tmp_path, n=20, noise=0.3)
    quick = ["--backbone", "resnet18", "--epochs", "2", "--batch", "10", "--readers", "0"]
    train = ["-m", "continuousflex_deep", "train", "--particles", str(particles), *quick]
    train += ["--threads", "1", "--device", "cpu", "--output"]
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    meeting = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint={address}", "--rdzv-id=one"]
    words = shlex.join([*torchrun, *meeting, *train, str(tmp_path / "nodes")])
    job = queue.submit(f"srun --ntasks=2 {words}", "--nodes=2", "--ntasks=2")
    until(lambda: has_ended(queue, job))
    alone = [*torchrun, "--standalone", "--nproc-per-node=2", *train, str(tmp_path / "host")]
    subprocess.run(alone, check=True, timeout=HANG_S, capture_output=True)
    nodes, host = (load_checkpoint(tmp_path / name / BEST).weights for name in ("nodes", "host"))
    assert nodes.keys() == host.keys()
    assert all(torch.equal(nodes[name], host[name]) for name in nodes)
