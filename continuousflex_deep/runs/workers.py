"""Who computes the stages of a run: this process, or the workers that Dask starts or that a launcher has started."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Protocol, TypeVar

from continuousflex_deep.errors import InputError
from continuousflex_deep.launch import current_launch
from continuousflex_deep.options import AlignOptions, InferOptions
from continuousflex_deep.options.shared import WorkerOptions
from continuousflex_deep.runs.parts import Parts, parts_folder
from continuousflex_deep.runs.sole_writer import writing_alone
from continuousflex_deep.runs.stage import Stage


class Workers(Protocol):
    """Whoever computes the parts of a stage."""

    def count(self) -> int:
        """How many there are."""

    def complete(self, stage: Stage, store: Parts) -> None:
        """Have the store hold a part of every piece of a stage. Raises what the work raises."""


class InThisProcess:
    """The default, which needs no scheduler."""

    def count(self) -> int:
        return 1

    def complete(self, stage: Stage, store: Parts) -> None:
        missing = stage.missing(store)
        with stage.progress(missing) as finished:
            for name in missing:
                store.save(name, stage.do(name))
                finished(name)


ALONE = InThisProcess()


Options = TypeVar("Options", AlignOptions, InferOptions)


def with_workers(run: Callable[[Options, Workers], None]) -> Callable[[Options], None]:
    """Decorator for `run` of a command whose particles workers share.

    One process runs the command, has the folder OUTPUT.parts for itself, and gets the workers that the options ask for.
    Of processes that a launcher started together it is the first; the others work for it.
    """

    @wraps(run)
    def shared(options: Options) -> None:
        folder = parts_folder(options.output)
        _require_one_way(options)
        if current_launch().rank > 0:
            from continuousflex_deep.runs.launched import work_for_the_first  # Dask is imported where it is used

            with leaving_in_order():
                work_for_the_first(options, folder)
            return
        with writing_alone(folder), leaving_in_order(), _workers_of(options, folder) as workers:
            run(options, workers)

    return shared


def _require_one_way(options: WorkerOptions) -> None:
    """InputError where options and launcher ask for workers in several ways."""
    ways = {
        "--workers": options.workers > 0,
        "--scheduler": bool(options.scheduler),
        "--cluster": options.cluster != "none",
        "a launcher's processes": current_launch().size > 1,
    }
    asked = [way for way, given in ways.items() if given]
    if len(asked) > 1:
        raise InputError(f"{' and '.join(asked)} are several ways to get workers; give one of them")


@contextmanager
def _workers_of(options: WorkerOptions, folder: Path) -> Iterator[Workers]:
    if current_launch().size > 1:
        from continuousflex_deep.runs.launched import leading

        with leading(options, folder) as workers:
            yield workers
    elif options.workers or options.scheduler or options.cluster != "none":
        from continuousflex_deep.runs.clusters import connected
        from continuousflex_deep.runs.dask_workers import DaskWorkers

        expected = 0 if options.scheduler else options.workers or options.jobs
        with DaskWorkers(partial(connected, options, folder), expected) as workers:
            yield workers
    else:
        yield ALONE


@contextmanager
def leaving_in_order() -> Iterator[None]:
    """Within the block, SIGTERM of a queue or launcher raises an exception in this process, which then ends in order:
    without its lock, and with its workers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
