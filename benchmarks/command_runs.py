"""Commands of the package in one folder: their output in a log, several at a time, and finished ones not again."""

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from measuring import option_words

from continuousflex_deep import cli
from continuousflex_deep.io.records import read_json, write_json

Options = Mapping[str, object]
R = TypeVar("R")
_OF_THE_MACHINE = ("device", "threads")  # options that change no result


class Commands:
    """Runs commands for a folder: one job in this process, several each in a process of their own."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.folder, self.jobs = folder, jobs
        folder.mkdir(parents=True, exist_ok=True)
        if jobs > 1:
            os.environ["OMP_NUM_THREADS"] = "1"  # of numpy in each process; torch's threads are an option
            self._pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("forkserver"))

    def close(self) -> None:
        """End the processes."""
        if self.jobs > 1:
            self._pool.shutdown()

    def run(self, name: str, options: Options, *more: str) -> float:
        """Run a command with options and further words; the seconds that it took. RuntimeError where it fails, with
        the end of the log."""
        log, words = str(self.folder / "log.txt"), [name, *option_words(options), *more]
        return self._pool.submit(_logged, log, words).result() if self.jobs > 1 else _logged(log, words)

    def once(self, name: str, options: Options, *more: str) -> float | None:
        """Run a command with an --output in the folder, unless it finished there before; the seconds that it took,
        None where it was interrupted. Ends the benchmark where the folder has the output of other options."""
        output = Path(str(options["output"])).relative_to(self.folder)
        note = self.folder / "finished" / f"{name} {'_'.join(output.parts)}.json"
        asked = option_words({k: v for k, v in options.items() if k not in _OF_THE_MACHINE})
        words = [word.replace(str(self.folder), "FOLDER") for word in (*asked, *more)]
        before = read_json(note, "finished command") if note.is_file() else {"words": words}
        if before["words"] != words:
            sys.exit(f"error: '{self.folder}' has '{output}' of other options; give another --folder, or delete it")
        if "seconds" not in before:
            note.parent.mkdir(exist_ok=True)
            interrupted = note.is_file()
            write_json(note, before)
            seconds = self.run(name, options, *more)
            before["seconds"] = None if interrupted else seconds
            write_json(note, before)
        return before["seconds"]

    def side_by_side(self, tasks: Mapping[str, Callable[[], R]]) -> Iterator[tuple[str, R]]:
        """The results of tasks by their names, in order; as many at a time as there are jobs."""
        if self.jobs == 1:
            yield from ((name, task()) for name, task in tasks.items())
            return
        with ThreadPoolExecutor(self.jobs) as threads:
            running = {name: threads.submit(task) for name, task in tasks.items()}
            yield from ((name, future.result()) for name, future in running.items())


def _logged(log: str, words: list[str]) -> float:
    """Run a command in this process, what it prints appended to a log; the seconds that it took."""
    started = time.monotonic()
    with open(log, "a", encoding="utf-8") as out, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = cli.main(words)
    if code:
        said = Path(log).read_text(encoding="utf-8")
        raise RuntimeError(f"{' '.join(words)}\n{said[-2000:]}")
    return time.monotonic() - started
