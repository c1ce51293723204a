"""Schedulers and workers of Dask: on this computer, by jobs of a queue, or those that are running already.

Whoever reaches a scheduler can run code on it. All that are started here therefore take only connections with the
certificate that is made for the run (TLS in both directions), and on one computer they listen on loopback only.
"""

import importlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import torch
from distributed import Client, Nanny, Scheduler, Security, SpecCluster
from distributed.deploy import Cluster

from continuousflex_deep.errors import InputError
from continuousflex_deep.messages import note
from continuousflex_deep.options.shared import WorkerOptions
from continuousflex_deep.runs.attempts import MOST

LOOPBACK = "127.0.0.1"
_QUEUES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "sge": "SGECluster", "lsf": "LSFCluster"}
# what goes wrong is told by the client; the libraries would tell it again, with tracebacks, also when all is well
_QUIET = {"silence_logs": logging.CRITICAL + 1}
_PATIENCE_S = 60  # of a worker for its scheduler
_ANSWERS_S = 10  # in which a scheduler answers that runs


@contextmanager
def connected(options: WorkerOptions, folder: Path) -> Iterator[Client]:
    """A client of the scheduler that the options ask for, which ends with the block if it was started here.

    folder: that workers of a queue read as well; it has their certificate meanwhile. Raises InputError and
    MissingDependencyError where that cannot be.
    """
    if options.scheduler:
        with _client_of_a_running_one(options.scheduler) as client:
            yield client
        return
    security = Security.temporary()
    if options.cluster == "none":
        with tempfile.TemporaryDirectory(prefix="cfd-workers-") as scratch:
            # one thread, where nothing else is said: those that wait for each other are slow on a busy computer
            threads = options.threads or 1
            workers = [worker(security, scratch, LOOPBACK, options, i, threads) for i in range(options.workers)]
            with started(scheduler(security, LOOPBACK), workers, security) as client:
                yield client
    else:
        with _jobs(options, folder, security) as client:
            yield client


# ----------------------------------------------------------------------------------------------------- on this computer
def scheduler(security: Security, host: str | None) -> dict[str, Any]:
    """How to start a scheduler; host: the address it listens on, None for that of this computer in its network. Its
    dashboard is for this computer only."""
    options = {
        "protocol": "tls", "security": security, "host": host, "dashboard_address": f"{LOOPBACK}:0",
        "allowed_failures": MOST - 1,
    }  # fmt: skip
    return {"cls": Scheduler, "options": options}


def worker(
    security: Security, scratch: str, host: str | None, options: WorkerOptions, number: int, threads: int
) -> dict[str, Any]:
    """How to start the worker process of a number on its computer. It does one task at a time."""
    of_worker = {
        "protocol": "tls", "security": security, "host": host, "nthreads": 1, "local_directory": scratch,
        "memory_limit": 0,  # or it would wait, silently, for memory that becomes free
        "env": environment(options, number, threads), "dashboard": False, "death_timeout": _PATIENCE_S,
        "preload": ["continuousflex_deep.runs.preload"], **_QUIET,
    }  # fmt: skip
    return {"cls": Nanny, "options": of_worker}


def environment(options: WorkerOptions, number: int, threads: int) -> dict[str, str]:
    """Variables of a worker process: a GPU of its own, and its number of threads."""
    variables = {"OMP_NUM_THREADS": str(threads)}
    gpus = visible_gpus()
    if options.device in ("auto", "cuda") and gpus:
        variables["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
    return variables


def visible_gpus() -> list[str]:
    """The names by which CUDA_VISIBLE_DEVICES calls the GPUs that this process sees."""
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    count = torch.cuda.device_count()
    return named[:count] if named else [str(number) for number in range(count)]


@contextmanager
def started(first: dict[str, Any], workers: list[dict[str, Any]], security: Security) -> Iterator[Client]:
    """A client of a scheduler in this process, and of workers that it starts."""
    be_quiet()
    cluster = SpecCluster(scheduler=first, workers=dict(enumerate(workers)), security=security, **_QUIET)
    with _shown(cluster) as client:
        yield client


@contextmanager
def _shown(cluster: Cluster) -> Iterator[Client]:
    with cluster, Client(cluster, set_as_default=False) as client:
        note(f"progress of the workers: {client.dashboard_link}")
        yield client


def be_quiet() -> None:
    """Have Dask log nothing but what is critical in this process."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)


# --------------------------------------------------------------------------------------------------------- of a queue
@contextmanager
def _jobs(options: WorkerOptions, folder: Path, security: Security) -> Iterator[Client]:
    """A client of jobs that dask-jobqueue submits, by the site's configuration. For one that ends another follows."""
    name = options.cluster
    jobqueue = importlib.import_module("dask_jobqueue")
    configured = {key: dask.config.get(f"jobqueue.{name}.{key}", None) for key in ("cores", "memory", "processes")}
    if configured["cores"] is None or configured["memory"] is None:
        raise InputError(
            f"--cluster {name}: the size of a job is not known; set cores and memory under jobqueue: {name}: in "
            "~/.config/dask/jobqueue.yaml, as docs/cluster.md shows"
        )
    extra = dask.config.get(f"jobqueue.{name}.worker-extra-args", None) or []
    processes = configured["processes"] or configured["cores"]
    threads = options.threads or max(1, configured["cores"] // processes)
    be_quiet()
    with _in_files(security, folder) as readable:
        cluster = getattr(jobqueue, _QUEUES[name])(
            security=readable,
            processes=processes,
            worker_extra_args=[*extra, "--nthreads", "1", "--memory-limit", "0"],
            job_script_prologue=[
                *(dask.config.get(f"jobqueue.{name}.job-script-prologue", None) or []),
                f"export OMP_NUM_THREADS={threads}",
            ],
            scheduler_options={
                **(dask.config.get(f"jobqueue.{name}.scheduler-options", None) or {}),
                "dashboard_address": f"{LOOPBACK}:0", "allowed_failures": MOST - 1,
            },
            **_QUIET,
        )  # fmt: skip
        cluster.adapt(minimum_jobs=options.jobs, maximum_jobs=options.jobs)
        with _shown(cluster) as client:
            yield client


@contextmanager
def _in_files(security: Security, folder: Path) -> Iterator[Security]:
    """Within the block, the certificate and its key as files, which only their owner can read."""
    of_worker = security.get_tls_config_for_role("worker")
    named = {"certificate": of_worker["cert"], "key": of_worker["key"]}
    paths = {name: folder.absolute() / f".{name}.pem" for name in named}
    try:
        for name, path in paths.items():
            path.unlink(missing_ok=True)  # of a run that was killed
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(named[name])
        roles = ("scheduler", "worker", "client")
        of_role = {f"tls_{role}_cert": str(paths["certificate"]) for role in roles}
        of_role |= {f"tls_{role}_key": str(paths["key"]) for role in roles}
        yield Security(require_encryption=True, tls_ca_file=str(paths["certificate"]), **of_role)
    finally:
        for path in paths.values():
            path.unlink(missing_ok=True)


# ---------------------------------------------------------------------------------------------------- a running one
@contextmanager
def _client_of_a_running_one(where: str) -> Iterator[Client]:
    """A client of a running scheduler, by its address or the file that it wrote. The certificates are those of Dask's
    configuration."""
    named = {"scheduler_file": where} if Path(where).is_file() else {"address": where}
    try:
        client = Client(**named, timeout=_ANSWERS_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise InputError(
            f"--scheduler {where}: no connection ({str(error).splitlines()[0]}); check that it runs, and that Dask's "
            "configuration names the certificates that it accepts"
        ) from error
    with client:
        address = client.scheduler_info(n_workers=0)["address"]
        if not address.startswith("tls://"):
            note(f"'{address}' is not protected: whoever reaches it can run code on its workers")
        yield client
