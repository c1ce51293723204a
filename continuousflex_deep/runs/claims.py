"""Which of several workers does which piece of work, by files in a folder that they share.

A worker keeps a file whose modification time it renews while it is alive. It claims a piece by creating a file that
carries its name, which only one worker can do. A worker that dies leaves its claims behind; the others find that it is
dead and claim the piece again. If it is alive after all, the piece is done twice. This does no harm: both write the
same result, each in one step.
"""

import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from continuousflex_deep.io.files import create_exclusively
from continuousflex_deep.io.identity import host_identity, start_of_process

BEAT_S = 5.0
# a worker that has not renewed its file for this time counts as dead, by the clock of the file system that both use
STALE_S = 60.0
_WORKER, _CLAIM = "worker-", ".claim-"


class Worker:
    """This process as a worker in a folder, from `start` to `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / f"{_WORKER}{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._claims: set[Path] = set()
        self._stopped = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True, name="heartbeat")

    def start(self) -> None:
        """Create this worker's file, and renew it from now on."""
        create_exclusively(self.path, json.dumps(_identity(os.getpid())))
        self._heart.start()

    def stop(self) -> None:
        """Give up all claims and remove this worker's file."""
        self._stopped.set()
        self._heart.join()
        for claim in tuple(self._claims):
            self.release(claim)
        self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stopped.wait(BEAT_S):
            try:
                os.utime(self.path)
            except OSError:  # the folder is gone, or the file system away; who must know will meet it
                continue

    def claim(self, piece: str, listing: Iterable[str]) -> Path | None:
        """The claim to a piece of work, or None where a living worker has it. `listing`: names in the folder.

        Raises FileNotFoundError when the folder is gone.
        """
        earlier = [int(name.rpartition("-")[2]) for name in listing if name.startswith(piece + _CLAIM)]
        latest = max(earlier, default=-1)
        if latest >= 0 and self.holder(piece, latest):
            return None
        path = self.folder / f"{piece}{_CLAIM}{latest + 1}"
        self._claims.add(path)  # before it is made, for an exception may come at any moment
        if create_exclusively(path, self.path.name):
            return path
        self._claims.discard(path)
        return None

    def release(self, claim: Path) -> None:
        """Give up a claim of this worker."""
        with suppress(FileNotFoundError):
            if claim.read_text() == self.path.name:
                claim.unlink()
        self._claims.discard(claim)

    def holder(self, piece: str, number: int) -> str:
        """Description of the living worker that made the claim with this number; empty if there is none."""
        claim = self.folder / f"{piece}{_CLAIM}{number}"
        try:
            name = claim.read_text()
        except FileNotFoundError:  # the piece was finished just now
            return ""
        if not name:  # not yet written, or cut off by a full disk
            return "another worker" if is_recent(claim, self._now()) else ""
        worker = self.folder / name
        return _in_words(worker) if lives(worker, self._now()) else ""

    def _now(self) -> float:
        """Current time by the file system's clock, which may differ from this host's."""
        os.utime(self.path)
        return self.path.stat().st_mtime


def pieces_claimed(listing: Iterable[str]) -> dict[str, int]:
    """The claimed pieces of a folder, each with the number of its latest claim."""
    found: dict[str, int] = {}
    for name in listing:
        piece, claimed, number = name.rpartition(_CLAIM)
        if claimed and number.isdigit():
            found[piece] = max(found.get(piece, -1), int(number))
    return found


def living_workers(folder: Path) -> list[str]:
    """Descriptions of the living workers of a folder."""
    now = file_system_time(folder)
    return [_in_words(path) for path in folder.glob(_WORKER + "*") if lives(path, now)]


def file_system_time(folder: Path) -> float:
    """Current time by the clock of a folder's file system, by which the ages of its files are measured."""
    with tempfile.TemporaryFile(dir=folder) as clock:
        return os.fstat(clock.fileno()).st_mtime


def lives(worker: Path, now: float) -> bool:
    """Whether the worker that wrote this file is alive: on this host by its process, on another one by the age of the
    file at the time `now` of the file system's clock.

    A process of this host whose file is not of the present is given the time to renew it: the clock may have jumped,
    or the process may be suspended, which counts as dead.
    """
    try:
        stated = json.loads(worker.read_text() or "{}")
        renewed = is_recent(worker, now)
    except (FileNotFoundError, ValueError):
        return False
    seen = _identity(int(stated.get("process", 0)))
    if stated.get("host") != seen["host"]:
        return renewed
    exists = seen["started"] is not None and seen["started"] == stated.get("started")
    return exists and (renewed or _beats(worker))


def _beats(worker: Path) -> bool:
    """Whether a worker renews its file within the next seconds, by a clock that never jumps."""
    try:
        before, end = worker.stat().st_mtime_ns, time.monotonic() + 2 * BEAT_S
        while time.monotonic() < end:
            if worker.stat().st_mtime_ns != before:
                return True
            time.sleep(min(BEAT_S, 0.1))
    except FileNotFoundError:  # it has just ended
        pass
    return False


def is_recent(path: Path, now: float, seconds: float = STALE_S) -> bool:
    """Whether a file was written within some seconds of `now`. A time that lies further ahead is none of the present,
    either: it is from before the clock was set back."""
    with open(path) as file:  # opening makes a network file system fetch the current modification time
        return abs(now - os.fstat(file.fileno()).st_mtime) < seconds


def _in_words(worker: Path) -> str:
    host, process, _ = worker.name.removeprefix(_WORKER).rsplit("-", 2)
    return f"process {process} on {host}"


def _identity(process: int) -> dict[str, Any]:
    """What identifies a process: its host, its number, and its start (None if there is no such process)."""
    return {"host": host_identity(), "process": process, "started": start_of_process(process)}
