"""Stages computed by the workers of a Dask scheduler.

A bounded number of tasks is under way, so that neither scheduler nor client grows with the number of pieces. A task is
a few words (runs/tasks.py), and workers save the parts themselves. Dask gives the task of a worker that has died to
another.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from queue import Empty, SimpleQueue
from types import TracebackType

from distributed import Client, Future, KilledWorker, get_worker

from continuousflex_deep.errors import DeepError
from continuousflex_deep.messages import note, note_once
from continuousflex_deep.runs.attempts import MOST, GivenUpError, forget_attempts
from continuousflex_deep.runs.parts import NamedParts, Parts, PartStore
from continuousflex_deep.runs.stage import Stage
from continuousflex_deep.runs.tasks import SentWork, make_part

_NOTES = "continuousflex_deep-notes"  # the topic of events by which workers tell what they note
# tasks under way for each thread of a worker: one at work, one that has arrived meanwhile
_EACH, _COUNTED_EVERY_S, _LISTENS_S, _SAID_AFTER_S = 2, 2.0, 1.0, 10.0


class DaskWorkers:
    """Workers of a scheduler, to which is connected when there is something to compute.

    connect: a context that gives a connected client; expected: the number of workers, 0 if only the scheduler knows.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[Client]], expected: int) -> None:
        self._connect, self._expected = connect, expected
        self._connected: Client | None = None
        self._open = ExitStack()

    def __enter__(self) -> "DaskWorkers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def count(self) -> int:
        return self._expected or max(1, len(self._client.nthreads()))

    def complete(self, stage: Stage, store: Parts) -> None:
        missing = stage.missing(store)
        if not missing:
            return
        assert isinstance(store, PartStore | NamedParts), "parts in memory are of one process"
        forget_attempts(store.folder)
        sent = SentWork.of(stage.work, store)
        with stage.progress(missing) as finished, _UnderWay(self._client) as under_way:
            todo = deque(missing)
            while todo or under_way:
                while todo and under_way.has_room():
                    rows = stage.pieces[todo[0]]
                    under_way.add(todo[0], _task, sent, todo.popleft(), rows.start, rows.stop)
                name, error = under_way.next()
                if isinstance(error, KilledWorker):  # perhaps not by this one: it was on its way to that worker
                    todo.appendleft(name)
                    continue
                if isinstance(error, GivenUpError):
                    _leave_out(stage, name, store)
                elif error is not None:
                    raise error
                finished(name)

    @property
    def _client(self) -> Client:
        if self._connected is None:
            self._connected = self._open.enter_context(self._connect())
            self._connected.subscribe_topic(_NOTES, lambda event: note_once(event[1]))
        return self._connected


class _UnderWay:
    """Tasks that are sent and not finished. At the end, those that are left are cancelled."""

    def __init__(self, client: Client) -> None:
        self._client, self._names = client, dict[Future, str]()
        self._ended: SimpleQueue[Future] = SimpleQueue()
        self._most, self._counted_at = 0, -_COUNTED_EVERY_S
        self._since, self._said = time.monotonic(), False

    def __enter__(self) -> "_UnderWay":
        return self

    def __exit__(self, *_: object) -> None:
        if self._names and self._client.status == "running":
            self._client.cancel(list(self._names), force=True)

    def __len__(self) -> int:
        return len(self._names)

    def has_room(self) -> bool:
        """Whether the workers that there are at present take another task."""
        if time.monotonic() - self._counted_at > _COUNTED_EVERY_S:
            self._most = max(_EACH, _EACH * self._threads())
            self._counted_at = time.monotonic()
        return len(self._names) < self._most

    def _threads(self) -> int:
        if self._client.status != "running":
            raise _lost()
        try:
            return sum(self._client.nthreads().values())
        except OSError as error:
            raise _lost() from error

    def add(self, name: str, task: Callable[..., None], *arguments: object) -> None:
        """Send a task. A key of its own lets it be tried again."""
        future = self._client.submit(task, *arguments, key=f"{name}-{time.monotonic_ns()}", pure=False)
        self._names[future] = name
        future.add_done_callback(self._ended.put)

    def next(self) -> tuple[str, BaseException | None]:
        """The name of a task that has ended, and its error, if any. DeepError where the scheduler is lost."""
        while True:
            try:
                future = self._ended.get(timeout=_LISTENS_S)
            except Empty:
                self._look_after()
                continue
            name = self._names.pop(future)
            if future.status == "finished":
                return name, None
            if future.status == "error":
                return name, future.exception()
            raise _lost()

    def _look_after(self) -> None:
        threads = self._threads()
        if not self._said and time.monotonic() - self._since > _SAID_AFTER_S:
            self._said = True
            if not threads:
                note(f"no worker has come to '{self._client.dashboard_link}' so far; the run waits for one")


def _task(sent: SentWork, name: str, start: int, stop: int) -> None:
    make_part(sent, name, start, stop, hear=lambda text: get_worker().log_event(_NOTES, text))


def _leave_out(stage: Stage, name: str, store: Parts) -> None:
    rows = stage.rows(name)
    what = f"rows {rows[0] + 1} to {rows[-1] + 1}" if len(rows) else name
    if stage.without is None:
        raise DeepError(
            f"{MOST} worker processes died at {what}, perhaps for lack of memory; start fewer of them on a computer, "
            "and run the same command again"
        )
    note(f"{MOST} worker processes died at {what}, whose particles are left out")
    store.save(name, stage.without(rows, f"{MOST} worker processes died while they worked on its batch"))


def _lost() -> DeepError:
    return DeepError("the connection to the scheduler is lost; finished parts are kept: run the same command again")
