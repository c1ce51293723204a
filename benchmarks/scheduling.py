"""A run of which nothing is computed, by one process and by two workers of Dask: what scheduling costs (scale.py)."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from continuousflex_deep.arrays import Rows
from continuousflex_deep.options.shared import WorkerOptions
from continuousflex_deep.runs.clusters import connected
from continuousflex_deep.runs.dask_workers import DaskWorkers
from continuousflex_deep.runs.part_rows import part_of_rows
from continuousflex_deep.runs.parts import Arrays, PartStore
from continuousflex_deep.runs.stage import Stage, pieces_of
from continuousflex_deep.runs.workers import ALONE

_BATCH = 64


class Nothing:
    """The work: says that the rows have results, which are empty."""

    def __call__(self, rows: Rows) -> Arrays:
        return part_of_rows(rows, rows[:0], np.zeros(0, "U1"))


def alone_and_by_dask(particles: int, folder: Path) -> Iterator[dict[str, object]]:
    """Time for each batch, and memory in MiB of this process, which has client and scheduler."""
    stage, first = (Stage(Nothing(), pieces_of(n, _BATCH, name)) for n, name in ((particles, "part"), (128, "first")))
    process, count = psutil.Process(), len(stage.pieces)
    options = WorkerOptions(workers=2, device="cpu")
    with DaskWorkers(partial(connected, options, folder), expected=2) as by_dask:
        for name, workers in (("none", ALONE), ("Dask", by_dask)):
            store = PartStore(folder / f"{name}.parts", name)
            with store.opened():
                workers.complete(first, store)  # who has to start does so
                before, started, used = process.memory_info().rss, time.monotonic(), time.process_time()
                workers.complete(stage, store)
                yield {
                    "scheduler": name,
                    "batches": count,
                    "ms_a_batch": 1e3 * (time.monotonic() - started) / count,
                    "cpu_ms_of_client_and_scheduler": 1e3 * (time.process_time() - used) / count,
                    "MiB_before": before / 2**20,
                    "MiB_after": process.memory_info().rss / 2**20,
                }
                store.remove()
