"""What is measured for the article's Tables 1 to 4, Figures 6 and 7 and Supplementary Tables 5 to 7."""

from pathlib import Path
from typing import Any

import numpy as np
from article_experiment import LARGE, SMALL, Experiment

from continuousflex_deep.arrays import Floats
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.landscape.landscape import read_landscape
from continuousflex_deep.landscape.selection import group_particles
from continuousflex_deep.options import SimulateOptions
from continuousflex_deep.particles import concatenate, join

_POINTS = 2001  # of the trajectory


def tables(experiment: Experiment) -> dict[str, Any]:
    """Errors of both test sets with the Cramér-Rao bound (Tables 1 to 4), how far the amplitudes of the small set are
    from the trajectory (Figure 6), and what became of the labels."""
    found: dict[str, Any] = {"labels": labels(experiment)}
    for test in (SMALL, LARGE):
        results, folder = experiment.predictions[test], experiment.folder / test
        record = experiment.assessed(f"{test} set", results, folder / "assessment", "--bound")
        found[test] = {"comparisons": record["comparisons"], "bound": record["bound"]}
        found[test]["from_trajectory_A"] = {
            name: _mean_and_tail(from_trajectory_A(_amplitudes(path), experiment)) for name, path in results.items()
        }
    draw_figure_6(experiment)
    return found


def draw_figure_6(experiment: Experiment) -> None:
    """Amplitudes of the small test set: of the network, of HEMNMA and of the trajectory, which is the truth."""
    from article_pictures import save_amplitudes  # imports matplotlib

    results = {name: _amplitudes(path) for name, path in experiment.predictions[SMALL].items()}
    save_amplitudes(experiment.folder / SMALL / "amplitudes.png", results, trajectory_A(experiment))


def _amplitudes(path: Path) -> Floats:
    return read_particles(path).require_amplitudes("Figure 6")


def labels(experiment: Experiment) -> dict[str, Any]:
    """HEMNMA's errors of all of Image set 1, and the share of the labels that the training left out."""
    from continuousflex_deep.nn.checkpoint import BEST, load_checkpoint  # imports torch

    model, labelled = experiment.model, len(read_particles(experiment.labels))
    aligned = {"HEMNMA": experiment.folder / "HEMNMA.star"}
    record = experiment.assessed("Image set 1", aligned, experiment.folder / "HEMNMA_assessment.json")
    checkpoint = load_checkpoint(model / BEST)
    learned = len(checkpoint.training_ids), len(checkpoint.validation_ids)
    return {
        "comparisons": record["comparisons"],
        "labelled": labelled,
        "learned": learned[0],
        "validated": learned[1],
        "left_out": 1 - sum(learned) / labelled,
    }


def from_trajectory_A(amplitudes: Floats, experiment: Experiment) -> Floats:
    """Distances (n,) in Å of amplitudes (n, 3) from the nearest point of the trajectory."""
    curve = trajectory_A(experiment)
    return np.array([np.sqrt(((curve - q) ** 2).sum(axis=1).min()) for q in amplitudes])


def trajectory_A(experiment: Experiment) -> Floats:
    """Points (n, 3) of the article's Eq. 1: amplitudes in Å along modes 7 to 9."""
    range_A = float(str(experiment.plan.simulate.get("amplitude_range", SimulateOptions.amplitude_range)))
    r = np.linspace(0, 1, _POINTS)
    return range_A * np.stack([-r, np.sin(np.pi * r), np.cos(np.pi * r)], axis=1)


def _mean_and_tail(values: Floats) -> dict[str, float]:
    return {"mean": float(values.mean()), "of_95_percent": float(np.percentile(values, 95))}


def groups(experiment: Experiment) -> dict[str, Any]:
    """Maps of groups of the large set against their centroids (Figure 7): groups of the network's landscape, as in the
    article, and of the polished one, each by several poses."""
    found, results = {}, experiment.predictions[LARGE]
    for source, others in (("network", ("HEMNMA", "truth")), ("polished", ("truth",))):
        folder = experiment.folder / "groups" / source
        members = group_files(experiment, results[source], folder)
        by_poses = {source: members} | {poses: _posed(experiment, poses, members, folder) for poses in others}
        maps = []
        for poses, files in by_poses.items():
            options = {"images": experiment.map_images, "output": folder / poses}
            words = [word for path in files for word in ("--particles", str(path))]
            experiment.step(f"{source} landscape, maps by poses of {poses}", "reconstruct", options, *words)
            maps += ["--reconstruction", str(folder / poses)]
        what = f"{source} landscape"
        record = experiment.assessed(what, {source: results[source]}, folder / "assessment", *maps)
        found[source] = {
            poses: [g for g in record["groups"] if Path(g["folder"]).parent == folder / poses] for poses in by_poses
        }
    return found


def group_files(experiment: Experiment, particles: Path, folder: Path) -> list[Path]:
    """Particle files of groups of equal size in different regions of a landscape: regions with equal numbers of
    particles along the first principal component, and of each the particles nearest to its centre in the plane of the
    first two."""
    plan, files = experiment.plan, []
    mapped = {"particles": particles, "output": folder / "landscape"}
    experiment.step(f"{folder.name} landscape", "landscape", mapped, hardware=())
    landscape = read_landscape(folder / "landscape")
    kept = np.flatnonzero(~landscape.outlier)
    along = kept[np.argsort(landscape.coordinates[kept, 0])]
    for number, region in enumerate(np.array_split(along, plan.groups), start=1):
        plane = landscape.coordinates[region, :2]
        distance = ((plane - plane.mean(axis=0)) ** 2).sum(axis=1)
        rows = np.sort(region[np.argsort(distance)[: plan.group_size]])
        group = group_particles(landscape, rows)
        files.append(experiment.write(group, f"{folder.relative_to(experiment.folder)}/region_{number}.star"))
    return files


def _posed(experiment: Experiment, poses: str, members: list[Path], folder: Path) -> list[Path]:
    """The groups with other poses, those of the truth or of HEMNMA, in files of their own; amplitudes stay."""
    parts, source = [read_particles(path) for path in members], experiment.truth
    if poses == "HEMNMA":
        source, chosen = folder / "HEMNMA.star", folder / "chosen.star"
        images = read_particles(experiment.folder / LARGE / "images.star")
        write_particles(images.select(images.rows_of(concatenate(parts).ids)), chosen)
        experiment.align("HEMNMA of these groups", chosen, source)
    known, files = read_particles(source), []
    for number, part in enumerate(parts, start=1):
        euler_deg, shift_A = join(part, known).require_poses("maps of groups")
        files.append(folder / f"region_{number}_{poses}.star")
        write_particles(part.replace(euler_deg=euler_deg, shift_A=shift_A), files[-1])
    return files


def times(experiment: Experiment) -> dict[str, Any]:
    """How long alignment, training and predictions took (Supplementary Tables 5 to 7), and for how many images."""
    plan, results = experiment.plan, experiment.predictions
    tested = sum(len(read_particles(results[test]["network"])) for test in (SMALL, LARGE))
    counts = {
        "HEMNMA of Image set 1": plan.set_1,
        "training": plan.set_1 - plan.tested,
        "network": tested,
        "polished": tested,
    }
    return {name: {"images": n, "seconds": experiment.seconds[name]} for name, n in counts.items()}
