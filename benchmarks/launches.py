"""Kernels that a GPU would launch for each image, and how often it would be waited for, counted without a GPU.

    python benchmarks/launches.py [--only search polish] [--batches 64 256] [--output launches.json]

The engine runs on a GPU that is emulated on the CPU, along the same lines of code as on a real one, with the memory of
a card of 8 GB. Every operation that a GPU would launch as a kernel is counted, and every point at which the program
would wait for the GPU's result. A launch takes some µs whatever it does, so that small batches leave the GPU idle.

search   alignment from nothing, of the article's images of adenylate kinase
polish   alignment from poses and amplitudes that are nearly right

launches  for each image; a batch: for all of its images
waits     for each batch

Fills "On a GPU" of docs/results.md. The default size takes ten minutes on one core.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from cases import ARTICLE, TINY, adenylate_kinase, simulated
from command_line import FULL, SMALLEST, add_only, benchmark_parser, parse
from measuring import Figures, Table, write_figures

SIZES = {
    FULL: {"batches": [64, 256], "setting": ARTICLE},
    SMALLEST: {"batches": [2, 4], "setting": TINY},
}
STAGES = ("search", "polish")
# where the host needs a value of the GPU's to go on
_WAITS = {
    "item", "__bool__", "__int__", "__float__", "tolist", "cpu", "nonzero", "unique_consecutive", "bincount",
    "repeat_interleave",
}  # fmt: skip


def main() -> None:
    """Print a row for each stage and batch, and write the figures."""
    parser = benchmark_parser(__doc__, "launches.json")
    add_only(parser, STAGES)
    parser.add_argument("--batches", nargs="+", type=int, help="numbers of images that are worked on together")
    arguments = parse(parser, SIZES)
    table, figures = Table("stage"), {}
    with TemporaryDirectory() as folder, on_emulated_gpu():
        for name, work in stages(arguments, Path(folder)):
            for batch in arguments.batches:
                launches, waits = counted(work(batch))
                row: Figures = {"launches": launches / batch, "a batch": float(launches), "waits": float(waits)}
                figures[f"{name}, {batch}"] = row
                table.row(f"{name}, {batch} together", row)
    write_figures(arguments.output, figures)


def stages(arguments: Any, folder: Path) -> Iterator[tuple[str, Callable[[int], Callable[[], object]]]]:
    """Of each stage, the function that prepares a batch of a size and gives what is counted."""
    from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
    from continuousflex_deep.options import AlignOptions
    from continuousflex_deep.runs.batch import Batch

    reference, most = adenylate_kinase(folder, setting=arguments.setting), max(arguments.batches)
    made = {**arguments.setting.simulate, "count": most, "device": "cpu", "threads": 1}
    particles, truth = simulated(reference, folder / "images", **made)
    for name, start, how in (("search", particles, {}), ("polish", truth, {"init": "local", "local_step_deg": 0.0})):
        if name in arguments.only:
            options = AlignOptions(**{**arguments.setting.align, "device": "cuda", "threads": 1, **how})
            engine = EmbeddedEngine(reference.structure, reference.modes, options)
            calibration = engine.calibrate(Batch.read(start, np.arange(min(64, most))))

            def of_batch(batch: int, source=start, engine=engine, calibration=calibration) -> Callable[[], object]:
                some = Batch.read(source, np.arange(batch))
                engine.align_batch(some, calibration)  # what is made once
                return lambda: engine.align_batch(some, calibration)

            yield name, of_batch


@contextmanager
def on_emulated_gpu() -> Iterator[None]:
    """Within the block there is a GPU, emulated on one core."""
    import pytest
    import torch

    from continuousflex_deep.tests.helpers.emulated_gpu import emulated_gpu

    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch, emulated_gpu(patch):
        yield


def counted(work: Callable[[], object]) -> tuple[int, int]:
    """Kernels that some work launches, and how often it waits for them."""
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    from continuousflex_deep.tests.helpers.emulated_gpu import OnGpu

    class Launches(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            # views and empty tensors are not computed
            self.count += not (func.is_view or "empty" in func.name() or func.name() == "aten::detach")
            return func(*args, **(kwargs or {}))

    class Waits(TorchFunctionMode):
        count = 0

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name, on_gpu = getattr(func, "__name__", ""), bool(args) and isinstance(args[0], OnGpu)
            masked = name == "__getitem__" and getattr(args[1], "dtype", None) == torch.bool
            fetched = name == "to" and any(str(a) == "cpu" for a in (*args[1:], *(kwargs or {}).values()))
            self.count += on_gpu and (name in _WAITS or masked or fetched)
            return func(*args, **(kwargs or {}))

    with Launches() as launches, Waits() as waits:
        work()
    return launches.count, waits.count


if __name__ == "__main__":
    main()
