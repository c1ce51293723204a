"""What benchmarks share: clocks, peaks of memory, processes of their own, and figures as rows and as JSON."""

import contextlib
import io
import json
import math
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from continuousflex_deep import cli
from continuousflex_deep.assessment.evaluation import Evaluation
from continuousflex_deep.io.records import read_json, write_json

if TYPE_CHECKING:
    import torch

Figures = dict[str, float | None]
P, R = ParamSpec("P"), TypeVar("R")


class Table:
    """Rows of figures, printed as they are measured; the names of the columns stand before the first row, and again
    wherever they change."""

    def __init__(self, name: str, width: int = 24) -> None:
        self._name, self._width, self._columns = name, width, list[str]()

    def row(self, name: str, figures: Mapping[str, object]) -> None:
        """Print a row: numbers with three digits, a dash where there is none."""
        if list(figures) != self._columns:
            self._columns = list(figures)
            self._print(self._name, self._columns)
        self._print(name, [_cell(value) for value in figures.values()])

    def _print(self, first: str, cells: list[str]) -> None:
        widths = [max(12, len(column) + 2) for column in self._columns]
        line = "".join(f" {cell:>{width - 1}}" for cell, width in zip(cells, widths, strict=True))
        print(f"{first:<{self._width}}{line}", flush=True)


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, list):
        return " ".join(map(_cell, value))
    return format(value, ".3g") if isinstance(value, float) else str(value)


def write_figures(path: Path, figures: Mapping[str, object]) -> None:
    """Write figures with the machine that they were measured on as JSON; null where there is no number."""
    path.write_text(json.dumps(_for_json({"machine": machine(), **figures}), indent=2) + "\n")
    print(f"written: {path}")


def _for_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _for_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_for_json(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def machine(device: "torch.device | None" = None) -> str:
    """Processor, cores and Python; with a device, that, torch and its threads as well."""
    words = [platform.processor() or platform.machine(), f"{len(os.sched_getaffinity(0))} cores"]
    words.append(f"Python {platform.python_version()}")
    if device is not None:
        import torch

        words += [f"torch {torch.__version__}", f"{torch.get_num_threads()} threads"]
        words[:0] = [torch.cuda.get_device_name(device)] if device.type == "cuda" else []
    return ", ".join(words)


def errors_over_bound(errors: Evaluation, bound: Mapping[str, float]) -> Figures:
    """Share of particles lost, and mean errors of the others in units of the Cramér-Rao bound; None where all are
    lost."""
    found = ~errors.lost
    figures: Figures = {"lost": float(errors.lost.mean())}
    for kind in ("amplitude", "angle_deg", "shift_A"):
        figures[f"{kind}_over_bound"] = float(errors.errors[kind][found].mean() / bound[kind]) if found.any() else None
    return figures


@contextlib.contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Note under a name how long the block takes."""
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started


def peak_memory_GiB() -> float:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


@contextlib.contextmanager
def folder_or_temporary(folder: Path | None) -> Iterator[Path]:
    """A folder that is kept, or one that is deleted with the block."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def require_settings(folder: Path, settings: Mapping[str, object]) -> None:
    """Keep the settings in the folder; end the benchmark where it has results of others."""
    kept = folder / "settings.json"
    if kept.is_file() and read_json(kept, "settings") != settings:
        raise SystemExit(f"error: '{folder}' has results of other settings; give another --folder, or delete it")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(kept, settings)


def in_own_process(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """The result of a function in a new process, whose peak of memory is that of the function. The process comes from
    a server that has imported the benchmark, for a process begins with the peak of the one that starts it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
        return pool.submit(function, *arguments, **named).result()


def run_command(command: str, options: Mapping[str, object], *more: str) -> None:
    """A command of the package with options by their names, and further words; without what it prints unless it
    fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = cli.main([command, *option_words(options), *more])
    if code:
        raise SystemExit(f"{command} failed:\n{said.getvalue()}")


def option_words(options: Mapping[str, object]) -> list[str]:
    """Options as the words of a command line; True is an option without a value."""
    words = []
    for name, value in options.items():
        values = value if isinstance(value, list | tuple) else [] if value is True else [value]
        words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return words
