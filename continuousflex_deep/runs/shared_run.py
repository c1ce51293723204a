"""One output from many workers: all compute parts, one writes the output, none reports success before it is written."""

import hashlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.records import require_record, write_record
from continuousflex_deep.messages import note
from continuousflex_deep.runs.left_out import left_out_path
from continuousflex_deep.runs.parts import FinishedElsewhereError, PartStore
from continuousflex_deep.runs.pieces import Patience

_WRITING = "output"


class SharedRun:
    """One output that all workers of a store of parts make together. As a context, this process is one of them:

        with SharedRun(store, output) as run:
            while not run.is_written():
                …  # compute parts
                with run.writing() as mine:
                    if mine:
                        …  # write the output, and its record by write_record_of

    If this output is written already, for example for a worker that starts after the others have finished, there is
    nothing to do. Raises InputError if image stacks changed during the run.
    """

    def __init__(self, store: PartStore, output: Path) -> None:
        self.store, self.output = store, output
        self._patience = Patience(store)
        self._at_work = ExitStack()

    def __enter__(self) -> "SharedRun":
        if self.is_written():
            note(
                f"'{self.output}' exists already, made with the same options from the same files; remove it to compute "
                "it again"
            )
            self.store.remove_if_left()
            return self
        with ExitStack() as entered:
            entered.enter_context(_leaving_in_order())
            entered.enter_context(self.store.joined())
            self._at_work = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._at_work.__exit__(kind, error, trace)
        if not isinstance(error, FinishedElsewhereError):
            return False
        if not self.is_written():
            raise InputError(
                f"{error}, but '{self.output}' is not written: the folder was removed or moved during the run; run "
                "the same command again"
            ) from error
        return True

    def is_written(self) -> bool:
        """Whether the output exists as this run writes it."""
        return is_written(self.output, self.store.output_fingerprint)

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """After all parts are done: whether this worker is the one that writes the output. Once the output is written,
        the parts are removed. If it was not written, because a part turned out to be damaged, the run continues."""
        self.store.require_unchanged()
        with self.store.claimed([_WRITING]) as mine:
            yield mine is not None
            if mine and self.is_written():
                for path in (self.output, self.output.with_suffix(".json")):
                    _onto_disk(path)  # after a power failure the output must be there if the parts are gone
                self.store.remove()
        if not mine:
            self._patience.wait()


def require_free_names(output: Path, *inputs: str) -> None:
    """InputError if the output, the list of particles left out, or the record would overwrite an input or a file that
    is not a record."""
    written = (output, output.with_suffix(".json"), left_out_path(output))
    for given in inputs:
        for path in written:
            if given and path.exists() and Path(given).exists() and path.samefile(given):
                raise InputError(f"'{path}' is the input and would be overwritten; give another name for the output")
    require_record(output.with_suffix(".json"))


@contextmanager
def _leaving_in_order() -> Iterator[None]:
    """Within the block, SIGTERM of a scheduler or launcher raises an exception in this process. Its claims are then
    given up, and other workers need not wait until it counts as dead."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _onto_disk(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def write_record_of(output: Path, store: PartStore, command: str, options: Any, **facts: Any) -> None:
    """Write the record of an output, the last of its files. From then on the output counts as written."""
    written = {"fingerprint": store.output_fingerprint, "output_sha256": _digest(output)}
    write_record(output.with_suffix(".json"), command, options, **facts, **written)


def is_written(output: Path, fingerprint: str) -> bool:
    """Whether the output exists as a run with this fingerprint wrote it."""
    try:
        record = json.loads(output.with_suffix(".json").read_text())
        return record.get("fingerprint") == fingerprint and record.get("output_sha256") == _digest(output)
    except (OSError, ValueError, AttributeError):  # there is none, or the file is from another program
        return False


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
