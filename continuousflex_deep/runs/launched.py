"""Workers that a launcher has started together (srun, mpirun, torchrun): the first leads, the others work for it.

They meet by a file in the folder of parts, which only its owner can read: it has the address of the first one's
scheduler, and the certificate that this scheduler accepts.
"""

import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from distributed import Security

from continuousflex_deep.errors import DeepError
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.launch import cores_of_this_worker, current_launch
from continuousflex_deep.options.shared import WorkerOptions
from continuousflex_deep.runs.clusters import LOOPBACK, be_quiet, scheduler, started, worker
from continuousflex_deep.runs.dask_workers import DaskWorkers

_MEETING = ".scheduler.json"
_LOOKS_S, _ANSWERS_S = 0.2, 5.0
_COMES_S = 180.0  # in which the first has started, on a node whose file system is slow
_LATE_S = 20.0  # which the first waits, at the end, for those that have not come


@contextmanager
def leading(options: WorkerOptions, folder: Path) -> Iterator[DaskWorkers]:
    """The processes of this launch as workers, this one's among them. They end with the block."""
    launch, security = current_launch(), Security.temporary()
    host = LOOPBACK if launch.local_size == launch.size else None
    with tempfile.TemporaryDirectory(prefix="cfd-workers-") as scratch:
        mine = worker(security, scratch, host, options, launch.local_rank, _threads(options))
        with (
            started(scheduler(security, host), [mine], security) as client,
            _met_at(folder / _MEETING, client.scheduler_info(n_workers=0)["address"], security),
            DaskWorkers(lambda: nullcontext(client), expected=launch.size) as workers,
        ):
            try:
                yield workers
            finally:
                if not isinstance(sys.exc_info()[1], KeyboardInterrupt | SystemExit):
                    with suppress(TimeoutError, OSError):  # who comes too late would wait for the next run
                        client.wait_for_workers(launch.size, timeout=_LATE_S)


def work_for_the_first(options: WorkerOptions, folder: Path) -> None:
    """Work until the first process of this launch ends. DeepError where it does not come, or is killed."""
    require_writable_folder(folder)
    meeting, until = folder / _MEETING, time.monotonic() + _COMES_S
    while (met := _answering(meeting)) is None:
        if time.monotonic() > until:
            raise DeepError(
                f"the first process of this launch has not come to '{meeting}' in {_COMES_S / 60:.0f} minutes; see "
                "what it says, and whether all processes see this folder under the same name"
            )
        time.sleep(_LOOKS_S)
    asyncio.run(_working(options, *met))
    if _read(meeting) == met:  # in order it removes the file first
        raise DeepError(
            "the first process of this launch was killed; finished parts are kept: run the same command again"
        )


async def _working(options: WorkerOptions, address: str, keys: dict[str, str]) -> None:
    """Keep a worker process until the scheduler ends."""
    be_quiet()
    launch, security = current_launch(), Security(require_encryption=True, **keys)
    host = LOOPBACK if launch.local_size == launch.size else None
    with tempfile.TemporaryDirectory(prefix="cfd-workers-") as scratch:
        described = worker(security, scratch, host, options, launch.local_rank, _threads(options))
        async with described["cls"](address, **described["options"]) as process:
            await process.finished()


def _threads(options: WorkerOptions) -> int:
    return options.threads or cores_of_this_worker()


@contextmanager
def _met_at(meeting: Path, address: str, security: Security) -> Iterator[None]:
    """Within the block, a file for the others tells where to come, and with what."""
    keys = {name: getattr(security, name) for name in ("tls_ca_file", "tls_worker_cert", "tls_worker_key")}
    handle, written = tempfile.mkstemp(prefix=_MEETING, dir=meeting.parent)  # which is its owner's
    with os.fdopen(handle, "w") as file:
        json.dump({"address": address, "keys": keys}, file)
    os.replace(written, meeting)
    try:
        yield
    finally:
        meeting.unlink(missing_ok=True)


def _read(meeting: Path) -> tuple[str, dict[str, str]] | None:
    with suppress(OSError, ValueError, KeyError):
        met = json.loads(meeting.read_text())
        return met["address"], met["keys"]
    return None


def _answering(meeting: Path) -> tuple[str, dict[str, str]] | None:
    """What the file says, where somebody listens at its address: it may be of an earlier run that was killed."""
    met = _read(meeting)
    if met is not None:
        host, _, port = met[0].removeprefix("tls://").rpartition(":")
        with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWERS_S):
            return met
    return None
