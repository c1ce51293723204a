"""The article's Supplementary Tables 1 to 4 with the default recipe: one choice changed at a time."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from article_experiment import SMALL, Experiment, Plan
from article_published import CONDITIONS, NETWORK_TRUTH, Condition
from command_runs import Options

from continuousflex_deep.io.file_names import PARTICLES_STAR, TRUTH_STAR
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.records import read_record
from continuousflex_deep.particles import with_images

DEFAULT = "matrix"  # the representation of rotations of the default recipe
_ROTATIONS = {"Euler angles": "euler", "quaternion": "quaternion", DEFAULT: DEFAULT}


def rotation_variants(plan: Plan) -> dict[str, Options]:
    """Of Supplementary Table 1."""
    return {name: _variant(plan, rotation=value) for name, value in _ROTATIONS.items()}


def depth_variants(plan: Plan) -> dict[str, Options]:
    """Of Supplementary Table 2."""
    return {name: _variant(plan, backbone=name) for name in plan.backbones}


def box_variants(plan: Plan) -> dict[str, Options]:
    """Of Supplementary Table 4."""
    return {f"{box} px": _variant(plan, box=box) for box in plan.boxes}


def _variant(plan: Plan, **changed: object) -> Options:
    """Options of a training; those by which networks are named are always given."""
    named = {"backbone": plan.backbones[0], "rotation": DEFAULT, "box": plan.box_px}
    return {**named, **plan.network, **plan.ablation, **changed}


def condition_variants(plan: Plan) -> dict[Condition, Options]:
    """Of Supplementary Table 3: only images with true labels are learned, with rotated and shifted copies or without.
    Where there is no noise, nothing is whitened."""
    common = {"simulated_images": 0, "validation_percent": 25.0, "targets": "amplitudes"}
    return {
        condition: {
            **plan.network,
            **plan.conditions_training,
            **common,
            "augment": "in-plane" if condition.copies else "off",
            "change": f"whiten={str(condition.noisy).lower()}",
        }
        for condition in CONDITIONS
    }


def condition_images(plan: Plan, condition: Condition) -> Options:
    """Options of `simulate` for a row of Supplementary Table 3."""
    still: dict[str, object] = {} if condition.rotated else {"psi_range_deg": [0.0, 0.0]}
    centred: dict[str, object] = {} if condition.shifted else {"shift_range_px": 0.0}
    clean: dict[str, object] = {} if condition.noisy else {"snr": 0.0, "no_ctf": True, "no_phase_flip": True}
    made = {"count": sum(plan.conditions), "final_box_px": 0}
    return {**plan.simulate, **plan.conditions_images, **still, **centred, **clean, **made}


def rotations(experiment: Experiment) -> dict[str, Any]:
    """Supplementary Table 1."""
    return _compared(experiment, rotation_variants(experiment.plan))


def depths(experiment: Experiment) -> dict[str, Any]:
    """Supplementary Table 2."""
    return _compared(experiment, depth_variants(experiment.plan))


def boxes(experiment: Experiment) -> dict[str, Any]:
    """Supplementary Table 4. Where one box is larger than that of the reduced images, both networks have the original
    ones."""
    plan = experiment.plan
    return _compared(experiment, box_variants(plan), original=max(plan.boxes) > plan.box_px)


def conditions(experiment: Experiment) -> dict[str, Any]:
    """Supplementary Table 3."""
    tasks = {
        condition.name: partial(_on_condition, experiment, condition, options, _made(experiment, condition))
        for condition, options in condition_variants(experiment.plan).items()
    }
    return _each(experiment, tasks)


def _compared(experiment: Experiment, variants: Mapping[str, Options], original: bool = False) -> dict[str, Any]:
    """A network for each variant, and its errors of the small test set against the truth and HEMNMA."""
    labels, images, section = experiment.labels, experiment.folder / SMALL / "images.star", "ablations"
    if original:
        everything, section = read_particles(experiment.images / PARTICLES_STAR), "ablations_original"
        labels = experiment.write(with_images(read_particles(labels), everything), f"{section}/labels.star")
        tested = everything.select(everything.rows_of(read_particles(images).ids))
        images = experiment.write(tested, f"{section}/images.star")
    hemnma = {"HEMNMA": experiment.folder / SMALL / "HEMNMA.star"}
    tasks = {}
    for name, options in variants.items():
        folder = experiment.folder / section / f"{options['backbone']}_{options['rotation']}_{options['box']}"
        learned = dict(options) | dict(experiment.files)
        tasks[name] = partial(_learned, experiment, folder, learned, labels, images, hemnma, experiment.truth)
    return _each(experiment, tasks)


def _each(experiment: Experiment, tasks: Mapping[str, Callable[[], dict[str, Any]]]) -> dict[str, Any]:
    found = {}
    for name, row in experiment.commands.side_by_side(tasks):
        found[name] = row
        print(f"{name}: {row['comparisons'][NETWORK_TRUTH]['all']['amplitude']['mean']:.3g} Å", flush=True)
    return found


def _made(experiment: Experiment, condition: Condition) -> Path:
    """The folder of a dataset of Supplementary Table 3, divided into learned and tested images."""
    plan, images = experiment.plan, dataclasses.replace(condition, copies=False)
    folder = experiment.folder / "conditions" / images.name.replace(",", "").replace(" ", "_")
    made = {"seed": experiment.seed + 1, "output": folder, "threads": experiment.hardware["threads"]}
    experiment.commands.once("simulate", dict(experiment.reference.options) | condition_images(plan, condition) | made)
    learned, everything = plan.conditions[0], read_particles(folder / TRUTH_STAR)
    tested = read_particles(folder / PARTICLES_STAR).select(np.arange(learned, len(everything)))
    within = folder.relative_to(experiment.folder)
    experiment.write(everything.select(np.arange(learned)), str(within / "labels.star"))
    experiment.write(tested, str(within / "images.star"))
    return folder


def _on_condition(experiment: Experiment, condition: Condition, options: Options, dataset: Path) -> dict[str, Any]:
    folder = dataset / ("copies" if condition.copies else "network")
    truth = dataset / TRUTH_STAR
    return _learned(experiment, folder, options, dataset / "labels.star", dataset / "images.star", {}, truth)


def _learned(
    experiment: Experiment, folder: Path, options: Options, labels: Path, images: Path, others: Mapping[str, Path],
    truth: Path,
) -> dict[str, Any]:  # fmt: skip
    """Train a network, predict and compare: comparisons, the seconds of the training and the size of the network."""
    import torch

    from continuousflex_deep.nn.checkpoint import BEST, load_checkpoint

    commands = experiment.commands
    hardware = experiment.hardware | ({"threads": 1} if commands.jobs > 1 else {})
    learned = {"particles": labels, "output": folder / "model", "resume": True, "seed": experiment.seed}
    seconds = commands.once("train", dict(options) | learned | hardware)
    predicted, errors = folder / "network.star", folder / "errors.json"
    commands.once("infer", {"particles": images, "model": folder / "model", "output": predicted} | hardware)
    words = [word for path in (predicted, *others.values()) for word in ("--particles", str(path))]
    commands.once("evaluate", dict(experiment.files) | {"truth": truth, "output": errors} | hardware, *words)
    checkpoint = load_checkpoint(folder / "model" / BEST)
    weights = sum(w.numel() for w in checkpoint.network(torch.device("cpu")).parameters())
    return {
        "comparisons": read_record(errors)["comparisons"],
        "seconds": seconds,
        "million_parameters": weights / 1e6,
        "learned": len(checkpoint.training_ids),
    }

