"""What polishing makes of the network's predictions, and at what cost."""

import time
from typing import Any

from measuring import Figures, Table, errors_over_bound
from network_runs import Bench

from continuousflex_deep.assessment.evaluation import evaluate
from continuousflex_deep.hemnma.alignment import calibration_for
from continuousflex_deep.hemnma.bound import cramer_rao_bound
from continuousflex_deep.hemnma.calibration import Calibration
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.results import merged_results
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.nn.inference import polishing_options
from continuousflex_deep.options import AlignOptions, InferOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.batch import Batch


def polished(bench: Bench) -> Figures:
    """The engine from the default network's predictions against its full search, in CPU time of this process, with the
    same calibration; errors in units of the Cramér-Rao bound."""
    structure, modes = bench.reference.structure, bench.reference.modes
    hardware: dict[str, Any] = bench.hardware | {"threads": 1}
    predicted = read_particles(bench.model("recipes", "default").with_suffix(".star"))
    truth = bench.truth.select(bench.truth.rows_of(predicted.ids))
    blind = predicted.replace(euler_deg=None, shift_A=None, amplitudes=None, mode_ids=(), amplitudes_sd=None)
    local = EmbeddedEngine(structure, modes, AlignOptions(init="local", **hardware))
    calibration = calibration_for(local, truth)
    bound = cramer_rao_bound(local, truth, calibration).as_errors()
    ways = {
        "full search": (blind, AlignOptions(**hardware, **bench.plan.setting.align)),
        "polish": (predicted, polishing_options(InferOptions(**hardware), modes.mode_ids)),
    }
    figures: Figures = {}
    print("\nby the engine: lost (more than 5° off), errors of the others over the Cramér-Rao bound, ms an image")
    table = Table("")
    for name, (start, options) in ways.items():
        engine = EmbeddedEngine(structure, modes, options)
        _aligned(engine, start, calibration)  # once before the clock runs, which makes what is made once
        clock = time.process_time if engine.device.type == "cpu" else time.perf_counter
        began = clock()
        aligned = _aligned(engine, start, calibration)
        spent = (clock() - began) / len(start)
        row = errors_over_bound(evaluate(aligned, truth, structure, modes), bound) | {"ms": 1e3 * spent}
        table.row(name, row)
        figures |= {f"{name}: {k}": v for k, v in row.items()}
    figures["cost of polish over full search"] = figures["polish: ms"] / figures["full search: ms"]  # type: ignore[operator]
    print(f"polish costs {figures['cost of polish over full search']:.2f} of the full search")
    return figures


def _aligned(engine: EmbeddedEngine, start: Particles, calibration: Calibration) -> Particles:
    """All batches by the engine in this process."""
    parts = [engine.align_batch(Batch.read(start, rows), calibration) for rows in engine.batches(start)]
    return merged_results(start, engine.mode_ids, engine.motion, parts)
