"""Rank and size of this process among the workers of one run, from the environment variables of its launcher."""

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Launch:
    """Rank of a worker: rank of size in total, local_rank of local_size on its host. A single worker is 0 of 1.

    The rank decides which GPU and how many cores a worker uses, which one leads, and that this one reports for all.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def speaks(self) -> bool:
        """Whether this worker reports for the whole run: progress, notes on the input."""
        return self.rank == 0


# rank, size, local rank, local size; the first launcher whose first three variables are all set is used
_LAUNCHERS = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),  # torchrun
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),  # MPICH, Intel MPI
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"),  # srun
)


def current_launch(environ: Mapping[str, str] = os.environ) -> Launch:
    """The rank of this process from torchrun's, Open MPI's, MPICH's or srun's variables.

    A shell inside a Slurm allocation has SLURM_PROCID and SLURM_NTASKS, too, but is one process, not a step of many:
    its step, if any, has one task.
    """
    for names in _LAUNCHERS:
        if all(_is_number(environ.get(name, "")) for name in names[:3]):
            rank, size, local_rank = (int(environ[name]) for name in names[:3])
            return Launch(rank, size, local_rank, _local_size(environ.get(names[3], ""), size, local_rank))
    # a Slurm that does not count the step's tasks: only a rank above 0 proves that there is a step
    if _is_number(environ.get("SLURM_NTASKS", "")) and int(environ.get("SLURM_PROCID", "") or 0) > 0:
        rank, size, local_rank = (int(environ[k]) for k in ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"))
        return Launch(rank, size, local_rank, _local_size(environ.get("SLURM_TASKS_PER_NODE", ""), size, local_rank))
    return Launch()


def cores_of_this_worker(environ: Mapping[str, str] = os.environ) -> int:
    """CPU cores that this worker may use: as many as OMP_NUM_THREADS says, or else its part of those that the workers
    on this host share.

    A launcher that binds each worker to its own cores has already divided them.
    """
    if _is_number(environ.get("OMP_NUM_THREADS", "")):
        return max(1, int(environ["OMP_NUM_THREADS"]))
    own, launch = len(os.sched_getaffinity(0)), current_launch(environ)
    if launch.local_size == 1:
        return own
    if _is_number(environ.get("SLURM_CPUS_PER_TASK", "")):
        return min(own, int(environ["SLURM_CPUS_PER_TASK"]))
    return max(1, min(own, _cores_of_the_launcher(environ) // launch.local_size))


def limit_spinning(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let OpenMP's threads sleep where they wait for each other, unless the user has decided otherwise.

    They would spin, GNU's for some 10 ms at each of thousands of barriers. On a busy computer a thread so takes from
    another the time that this one needs to arrive, and a command takes ten times longer. The variables are read when
    torch is imported.
    """
    if environ.keys().isdisjoint({"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}):
        environ["OMP_WAIT_POLICY"] = "PASSIVE"
        # GNU's follow this instead: tens of µs, as by default where there are more threads than cores. Training alone
        # on a computer loses 15% of its speed so, and 25% where threads sleep at once
        environ["GOMP_SPINCOUNT"] = "1000"


def _cores_of_the_launcher(environ: Mapping[str, str]) -> int:
    """Cores that the launcher divides among its workers: its own, before it binds a worker to some of them."""
    if _is_number(environ.get("SLURM_CPUS_ON_NODE", "")):
        return int(environ["SLURM_CPUS_ON_NODE"])
    try:
        return len(os.sched_getaffinity(os.getppid()))
    except OSError:  # the launcher is another user's process or gone
        return len(os.sched_getaffinity(0))


def _local_size(text: str, size: int, local_rank: int) -> int:
    """Workers on this host; Slurm writes a list of hosts' numbers such as 2(x3),1, of which the largest is taken."""
    counts = [int(number) for number in (part.partition("(")[0] for part in text.split(",")) if _is_number(number)]
    return max(*counts, local_rank + 1) if counts else size


def _is_number(text: str) -> bool:
    return text.strip().isdigit()
