"""The stages of gpu_check.py: figures of one device by their names."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import engine_speed_cases
import inference_speed_stages
import numpy as np
import torch
from cases import adenylate_kinase, repeated, simulated
from measuring import errors_over_bound, run_command
from scipy.spatial.transform import Rotation

from continuousflex_deep.assessment.evaluation import evaluate
from continuousflex_deep.devices import choose_device
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler
from continuousflex_deep.hemnma.alignment import calibration_for
from continuousflex_deep.hemnma.bound import cramer_rao_bound
from continuousflex_deep.hemnma.calibration import Calibration
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.results import merged_results
from continuousflex_deep.imaging.simulated_images import images_in_order, noise_level
from continuousflex_deep.imaging.simulation import draw_truth, prepare
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import read_images
from continuousflex_deep.nn.inference import polishing_options
from continuousflex_deep.options import AlignOptions, InferOptions, SimulateOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.batch import Batch

Found = dict[str, float]
_NETWORK_ERRORS = (6.8, 2.2, 0.16)  # Å, °, Å: deviations of predictions that are polished


def agreement(given: argparse.Namespace, folder: Path) -> Found:
    """The same images, alignments and predictions as on the CPU."""
    reference = adenylate_kinase(folder, setting=given.setting)
    particles, _ = simulated(reference, folder / "images", count=given.compared, device="cpu", **_made(given))
    simulated(reference, folder / "other", count=given.compared, device=given.device, **_made(given))
    images = [read_images(read_particles(folder / name / "particles.star")) for name in ("images", "other")]
    found = {"images: largest difference over deviation": float(np.abs(images[1] - images[0]).max() / images[0].std())}
    results = []
    for device in ("cpu", given.device):
        options = AlignOptions(**given.setting.align, device=device, threads=given.threads)
        engine = EmbeddedEngine(reference.structure, reference.modes, options)
        results.append(_aligned(engine, particles, calibration_for(engine, particles)))
    here, there = (r.require_amplitudes("this benchmark") for r in results)
    assert results[0].amplitudes_sd is not None
    apart = np.abs(here - there).max(axis=1) / results[0].amplitudes_sd.min(axis=1)
    return found | {"alignments: share that differ by an error bar": float((apart > 1).mean())}


def simulate(given: argparse.Namespace, folder: Path) -> Found:
    """Images a second, without writing them."""
    reference, device = adenylate_kinase(folder, setting=given.setting), choose_device(given.device, given.threads)
    torch.set_num_threads(1)  # one for each image
    made = {k: str(v) for k, v in reference.options.items()} | _made(given)
    options = SimulateOptions(output=str(folder), count=given.images, threads=given.threads, **made)
    simulator = prepare(options)
    truth, level = draw_truth(options, simulator, ""), noise_level(simulator, options)
    for _ in images_in_order(simulator, truth.select(np.arange(min(8, given.images))), level, options, device):
        pass  # what is made once
    started = time.perf_counter()
    count = sum(len(images) for images in images_in_order(simulator, truth, level, options, device))
    return {"simulate: images/s": count / (time.perf_counter() - started)}


def align(given: argparse.Namespace, _folder: Path) -> Found:
    """The article's images, from nothing."""
    return _engine_speed(given, "ak", given.aligned)


def ribosome(given: argparse.Namespace, _folder: Path) -> Found:
    """A large molecule."""
    return _engine_speed(given, "ribosome", given.ribosomes)


def train(given: argparse.Namespace, folder: Path) -> Found:
    """Simulated images learned from in a second: of two trainings, so that starting is left out."""
    reference = adenylate_kinase(folder, setting=given.setting)
    _, truth = simulated(reference, folder / "images", count=given.compared, **_made(given))
    write_particles(truth, folder / "labels.star")
    files = {"structure": reference.structure_file, "modes": reference.modes_folder}
    files |= {"particles": folder / "labels.star"}
    seconds = []
    for count in given.learned:
        options = {"simulated_images": count, "change": "epochs=0", "output": folder / f"model_{count}"}
        started = time.perf_counter()
        run_command("train", files | options | given.network | {"device": given.device, "threads": given.threads})
        seconds.append(time.perf_counter() - started)
    return {"train: images/s": (given.learned[1] - given.learned[0]) / (seconds[1] - seconds[0])}


def infer(given: argparse.Namespace, _folder: Path) -> Found:
    """The command's steady speed, from a smaller and a larger run, and the seconds that it takes to start."""
    figures = inference_speed_stages.measure(given)
    counts = (given.particles // 10, given.particles)
    few_s, many_s = (float(str(figures[f"whole: {count} particles, time [s]"])) for count in counts)
    speed = (counts[1] - counts[0]) / (many_s - few_s)
    return {"infer: images/s": speed, "infer: start, s": few_s - counts[0] / speed}


def polish(given: argparse.Namespace, folder: Path) -> Found:
    """The engine from predictions that are off as the network's are."""
    reference = adenylate_kinase(folder, setting=given.setting)
    distinct = min(given.polished, given.compared)
    _, truth = simulated(reference, folder / "images", count=distinct, **_made(given))
    truth = repeated(truth, given.polished)
    hardware = {"device": given.device, "threads": given.threads}
    engine = EmbeddedEngine(
        reference.structure, reference.modes, polishing_options(InferOptions(**hardware), reference.modes.mode_ids)
    )
    start = _as_predicted(truth)
    calibration = calibration_for(engine, start)
    _aligned(engine, start, calibration)  # what is made once
    started = time.perf_counter()
    found = _aligned(engine, start, calibration)
    seconds = time.perf_counter() - started
    errors = evaluate(found, truth, reference.structure, reference.modes)
    over = errors_over_bound(errors, cramer_rao_bound(engine, truth, calibration).as_errors())
    return {"polish: images/s": given.polished / seconds} | {f"polish: {k}": float(v or 0) for k, v in over.items()}


STAGES: dict[str, Callable[[argparse.Namespace, Path], Found]] = {
    one.__name__: one for one in (agreement, simulate, align, ribosome, train, infer, polish)
}


def _made(given: argparse.Namespace) -> dict[str, object]:
    return {"seed": 1, **given.setting.simulate}


def _aligned(engine: EmbeddedEngine, start: Particles, calibration: Calibration) -> Particles:
    parts = [engine.align_batch(Batch.read(start, rows), calibration) for rows in engine.batches(start)]
    return merged_results(start, engine.mode_ids, engine.motion, parts)


def _engine_speed(given: argparse.Namespace, name: str, images: int) -> Found:
    """Speed and errors of one case of engine_speed.py."""
    case = argparse.Namespace(**{**vars(given), "only": [name], "images": images, "simulated": 0, "batch": 0})
    figures = engine_speed_cases.measure(case)[name]
    assert isinstance(figures, dict)
    return {
        f"{name}: images/s": figures["images_per_s"],
        f"{name}: lost": figures["lost"],
        f"{name}: amplitude over bound": figures["amplitude_over_bound"] or 0.0,
    }


def _as_predicted(truth: Particles) -> Particles:
    """Poses and amplitudes away from the truth as the network's are."""
    rng, n = np.random.default_rng(3), len(truth)
    (euler, shift), q = truth.require_poses("this benchmark"), truth.require_amplitudes("this benchmark")
    amplitude_A, angle_deg, shift_A = _NETWORK_ERRORS
    turned = Rotation.from_rotvec(np.radians(angle_deg / 3**0.5) * rng.normal(size=(n, 3))).as_matrix()
    return truth.replace(
        euler_deg=matrix_to_euler(turned @ euler_to_matrix(euler)),
        shift_A=shift + shift_A * rng.normal(size=shift.shape),
        amplitudes=q + amplitude_A * rng.normal(size=q.shape),
    )
