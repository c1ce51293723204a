"""What launchers tell their workers, and what these make of it."""

import os
import subprocess
import sys

import pytest

from continuousflex_deep.devices import choose_device, images_at_once
from continuousflex_deep.launch import Launch, cores_of_this_worker, current_launch, limit_spinning
from continuousflex_deep.tests.helpers import needs

torch = needs.library("torch", "torch", extra="compute")

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
MPIRUN = {
    "OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
}  # fmt: skip
HYDRA = {"PMI_RANK": "5", "PMI_SIZE": "8", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "4"}
SRUN = {
    "SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
}  # fmt: skip


@pytest.mark.parametrize("environ", [TORCHRUN, MPIRUN, HYDRA, SRUN])
def test_every_launcher_says_the_same(environ: dict[str, str]) -> None:
    assert current_launch(environ) == Launch(rank=5, size=8, local_rank=1, local_size=4)
    assert not current_launch(environ).speaks


def test_torchrun_inside_a_slurm_step_is_torchrun() -> None:
    assert current_launch(SRUN | TORCHRUN | {"RANK": "0"}).rank == 0


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"RANK": "3"},
        # a batch script, or a shell that salloc opened: one process, though the allocation is for eight tasks
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0", "SLURM_TASKS_PER_NODE": "8"},
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0", "SLURM_STEP_NUM_TASKS": "1"},
    ],
)
def test_a_process_without_a_launcher_is_alone(environ: dict[str, str]) -> None:
    assert current_launch(environ) == Launch()
    assert cores_of_this_worker(environ) == len(os.sched_getaffinity(0))


def test_a_gpu_takes_as_many_images_as_its_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, free = torch.device("cuda", 0), {"bytes": 8 << 30}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free["bytes"], 80 << 30))
    for name in ("memory_reserved", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda device: 0)
    assert images_at_once(gpu, 128, 40, most=4096) == 1024, "an eighth of 8 GiB, for 1,638 of 640 KiB"
    assert images_at_once(gpu, 256, 40, most=4096) == 256
    assert images_at_once(gpu, 4096, 40, most=4096) == 1, "one at the least"
    free["bytes"] = 140 << 30
    assert images_at_once(gpu, 128, 40, most=4096) == 4096


def test_workers_of_one_host_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    def cores(own: int, launchers: int, **environ: str) -> int:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(launchers if pid else own)))
        return cores_of_this_worker({**TORCHRUN, **environ})

    assert cores(own=32, launchers=32) == 8
    assert cores(own=2, launchers=2) == 1
    assert cores(own=8, launchers=32) == 8, "the launcher has bound each worker to eight"
    assert cores(own=16, launchers=32) == 8, "two workers share each half"
    assert cores(own=32, launchers=64, SLURM_CPUS_ON_NODE="32") == 8
    assert cores(own=6, launchers=64, SLURM_CPUS_ON_NODE="32", SLURM_CPUS_PER_TASK="6") == 6


def test_each_worker_of_a_host_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    for local_rank, name, expected in (("0", "auto", 0), ("1", "auto", 1), ("3", "cuda", 1), ("1", "cuda:0", 0)):
        monkeypatch.setattr(os, "environ", os.environ | TORCHRUN | {"LOCAL_RANK": local_rank})
        monkeypatch.setattr("continuousflex_deep.devices.current_launch", lambda: current_launch(os.environ))
        assert choose_device(name, threads=1) == torch.device("cuda", expected)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("chosen", [{}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(chosen: dict[str, str]) -> None:
    environ = dict(chosen)
    limit_spinning(environ)
    assert environ == (chosen or {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"})


def test_the_command_line_limits_spinning_before_torch_is_there() -> None:
    """OpenMP reads the variable once, when its library is loaded."""
    lines = ["import os, sys", "from continuousflex_deep import cli", "assert 'torch' not in sys.modules"]
    lines += ["try: cli.main(['--version'])", "except SystemExit: print(os.environ['GOMP_SPINCOUNT'])"]
    environ = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", "\n".join(lines)]
    run = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "1000"
