"""What engine_speed.py measures: images of each case, the speed and errors of their alignment, and its profile."""

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import Reference, Setting, as_points, reduced_ribosome, repeated, simulated, slowest_modes, written
from cases import adenylate_kinase as adenylate_kinase_in
from measuring import errors_over_bound, machine, peak_memory_GiB
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from continuousflex_deep.assessment.evaluation import evaluate
from continuousflex_deep.devices import choose_device, fast_products
from continuousflex_deep.hemnma.alignment import calibration_for
from continuousflex_deep.hemnma.bound import cramer_rao_bound
from continuousflex_deep.hemnma.calibration import Calibration
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.results import BatchResult, merged_results
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.batch import Batch

# images to align on a CPU and on a GPU, and to simulate at most, where no number is given
_IMAGES = {"ak": (256, 4096, 512), "ribosome": (32, 1024, 128)}
_RANGES = (
    "batch", "images transformed", "search", "distinct orientations", "descent to ring", "projections",
    "hypotheses compared",
)  # fmt: skip
_MATRIX_PRODUCTS = {"aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm", "aten::baddbmm_"}
# torch counts the operations of the product that returns its sum, but not of the one in place
flop_registry[torch.ops.aten.baddbmm_] = flop_registry[torch.ops.aten.baddbmm]


@dataclass(frozen=True, eq=False)
class Case:
    """A reference, images of it with their truth, and seconds that making these took."""

    reference: Reference
    particles: Particles
    truth: Particles
    facts: dict[str, float]


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Figures of the cases that the command line asks for, printed as they come."""
    device = choose_device(arguments.device, arguments.threads)
    peak = peak_gflops(device)
    figures: dict[str, object] = {"device": machine(device), "peak_gflops": peak}
    print(f"{machine(device)}\npeak: " + ", ".join(f"{v:,.0f} GFLOP/s {k}" for k, v in peak.items()), flush=True)
    hardware = {"device": str(device), "threads": torch.get_num_threads()}
    options = AlignOptions(**arguments.setting.align, **hardware, batch=arguments.batch)
    for name in arguments.only:
        images = arguments.images or _IMAGES[name][device.type == "cuda"]
        distinct = min(images, arguments.simulated or _IMAGES[name][2])
        with tempfile.TemporaryDirectory() as folder:
            case = CASES[name](Path(folder), distinct, arguments.setting, arguments.points)
            figures[name] = measured(name, with_copies(case, images), options, peak)
    return figures


def adenylate_kinase(folder: Path, count: int, setting: Setting, _points: int | None) -> Case:
    """The article's images."""
    return timed_images(adenylate_kinase_in(folder), folder, count, **setting.simulate)


def ribosome(folder: Path, count: int, setting: Setting, points: int | None) -> Case:
    """Modes and images of the reduced ribosome: of all its points, or of so many about its centre."""
    whole = reduced_ribosome()
    outwards = np.argsort(np.linalg.norm(whole.coords_A - whole.center_A, axis=1))
    structure, started = whole.select(np.sort(outwards[:points])), time.perf_counter()
    modes = slowest_modes(structure, (7, 8, 9, 10), cutoff_A=15.0, block_size=10)
    modes_s = time.perf_counter() - started
    reference = written(as_points(structure), modes, folder)
    images = {
        "conformations": "uniform", "amplitude_range": 3 * len(structure) ** 0.5, "box_px": 128, "pixel_size_A": 3.0,
        "final_box_px": 0, "defocus_A": (10000.0, 20000.0), "b_factor_A2": 100.0,
    }  # fmt: skip
    case = timed_images(reference, folder, count, **images | dict(setting.simulate))
    return dataclasses.replace(case, facts={"modes_s": modes_s, **case.facts})


def timed_images(reference: Reference, folder: Path, count: int, **options: Any) -> Case:
    """Images of a reference, made as the article's but for some options."""
    started = time.perf_counter()
    made = {"count": count, "snr": 0.1, "seed": 1, "threads": torch.get_num_threads()} | options
    particles, truth = simulated(reference, folder / "images", **made)
    facts = {"simulated": count, "simulation_s": time.perf_counter() - started}
    # as it is read, which is what the images were made of
    as_read = dataclasses.replace(reference, structure=read_structure(reference.structure_file))
    return Case(as_read, particles, truth, facts)


CASES: dict[str, Callable[[Path, int, Setting, int | None], Case]] = {"ak": adenylate_kinase, "ribosome": ribosome}


def with_copies(case: Case, images: int) -> Case:
    """With so many particles, which share images where there are not as many."""
    particles, truth = (repeated(p, images) for p in (case.particles, case.truth))
    return dataclasses.replace(case, particles=particles, truth=truth)


def measured(name: str, case: Case, options: AlignOptions, peak: dict[str, float]) -> dict[str, object]:
    """Speed, errors, memory and profile of one case, printed as they come."""
    facts = {"atoms": len(case.reference.structure), "images": len(case.particles), **case.facts}
    print(f"\n{name}: " + ", ".join(f"{k} {v:,.4g}" for k, v in facts.items()), flush=True)
    if options.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    engine = EmbeddedEngine(case.reference.structure, case.reference.modes, options)
    started = time.perf_counter(), time.process_time()
    calibration = calibration_for(engine, case.particles)
    now = time.perf_counter(), time.process_time()
    figures: dict[str, float | None] = {"calibration_s": now[0] - started[0], "calibration_cpu_s": now[1] - started[1]}
    results, speed = steady_state(engine, case.particles, calibration)
    figures |= speed
    figures["finest_ring"] = calibration.fine_px
    figures |= accuracy(engine, case, calibration, results) | memory(engine.device)
    print("\n".join(f"  {k:<32}{'–' if v is None else format(v, '.4g')}" for k, v in figures.items()), flush=True)
    profile_of_batch = profiled(engine, case.particles, calibration, peak)
    return {**facts, **figures, "profile": profile_of_batch}


def steady_state(
    engine: EmbeddedEngine, particles: Particles, calibration: Calibration
) -> tuple[list[BatchResult], dict[str, float | None]]:
    """Results of all batches, and their speed once everything is warm; images are read, results come back."""
    batches = list(engine.batches(particles))
    for rows in batches:
        engine.align_batch(Batch.read(particles, rows), calibration)
    results, wall, cpu = [], [], []
    for rows in batches:
        synchronize(engine.device)
        started = time.perf_counter(), time.process_time()
        results.append(engine.align_batch(Batch.read(particles, rows), calibration))
        synchronize(engine.device)
        wall.append((time.perf_counter() - started[0]) / len(rows))
        cpu.append((time.process_time() - started[1]) / len(rows))
    share = np.array([len(rows) for rows in batches]) / len(particles)
    mean_wall, mean_cpu = float(share @ wall), float(share @ cpu)
    return results, {
        "batch": len(batches[0]),
        "images_per_s": 1 / mean_wall,
        "wall_s_per_image": mean_wall,
        "cpu_s_per_image": mean_cpu,
        "fastest_batch_images_per_s": 1 / min(wall),
        "fastest_batch_cpu_s_per_image": min(cpu),
    }


def accuracy(
    engine: EmbeddedEngine, case: Case, calibration: Calibration, results: list[BatchResult]
) -> dict[str, float | None]:
    """Share lost, and mean errors of the found: over the bound at the truth, and as they are."""
    modes = case.reference.modes
    aligned = merged_results(case.particles, modes.mode_ids, modes.motion, results)
    errors = evaluate(aligned, case.truth, case.reference.structure, modes)
    bound = cramer_rao_bound(engine, case.truth, calibration).as_errors()
    mean = {kind: errors.found[kind].mean for kind in ("amplitude", "angle_deg", "shift_A")}
    return errors_over_bound(errors, bound) | mean


def memory(device: torch.device) -> dict[str, float | None]:
    """Peaks in GiB: of this process so far, and of the GPU's tensors since the case began."""
    gpu = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
    return {"host_peak_gib": peak_memory_GiB(), "gpu_peak_gib": gpu}


def profiled(
    engine: EmbeddedEngine, particles: Particles, calibration: Calibration, peak: dict[str, float]
) -> dict[str, object]:
    """Where the time of one batch goes, printed: named ranges, each with what runs within it; operations, each without
    those that it calls; and the rate of the matrix products."""
    rows, on_gpu = next(iter(engine.batches(particles))), engine.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    batch = Batch.read(particles, rows)
    with profile(activities=activities) as profiler, record_function("batch"):
        engine.align_batch(batch, calibration)
    averages = profiler.key_averages()
    print(averages.table(sort_by=f"self_{'cuda' if on_gpu else 'cpu'}_time_total", row_limit=20))
    ranges = {
        event.key: {"calls": event.count, "ms_per_image": event.cpu_time_total / 1e3 / len(rows)}
        for event in averages
        if event.key.startswith(_RANGES) and event.device_type == DeviceType.CPU
    }
    for name, figures in ranges.items():
        print(f"  {name:<32}{figures['ms_per_image']:>10.3g} ms an image, {figures['calls']} calls")
    with FlopCounterMode(display=False) as counter:
        engine.align_batch(batch, calibration)
    products = [event for event in averages if event.key in _MATRIX_PRODUCTS]
    seconds = sum(e.self_device_time_total if on_gpu else e.self_cpu_time_total for e in products) / 1e6
    gflops = counter.get_total_flops() / seconds / 1e9
    shares = {f"share_of_{name}_peak": gflops / value for name, value in peak.items()}
    print(f"  matrix products: {gflops:,.0f} GFLOP/s, {shares}", flush=True)
    return {"ranges": ranges, "matrix_products_gflops": gflops, **shares}


def peak_gflops(device: torch.device) -> dict[str, float]:
    """Of a large product of float32 matrices, best of several; on a GPU in full and in reduced precision."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device) for _ in range(2))

    def best() -> float:
        seconds = []
        for _ in range(6):
            synchronize(device)
            started = time.perf_counter()
            a @ b
            synchronize(device)
            seconds.append(time.perf_counter() - started)
        return 2.0 * size**3 / min(seconds) / 1e9

    figures = {"fp32": best()}
    if device.type == "cuda":
        with fast_products(device):
            figures["tf32"] = best()
    return figures


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
