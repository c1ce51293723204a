"""The network, recipe by recipe and choice by choice, on the same images, labels and seed.

    python benchmarks/network.py [--only NAME …] [--size small|article] [--jobs 2] [--device auto]
                                 [--folder network_benchmark] [--data ../shared/data] [--output network.json]

Images of adenylate kinase as the article makes them (our simulation; 128 px, SNR 0.1, all orientations, modes 7-9).
Image set 1 is labelled by HEMNMA (`align`), Image set 2 is predicted and compared with the truth. Everything is done by
the commands a user would give, each training on one core, --jobs of them at a time. What is finished in the folder is
not done again, and figures are added to those in the output. Columns: mean absolute errors of amplitude (Å) and shift
(Å), mean distance of rotated axes (°), the share of particles more than 30° off, images learned from, minutes.

recipes     default against paper, for the same time: small takes less than 20 minutes on 2 cores. Then what the default
            network's error bars are worth, and what polishing makes of its predictions and at what cost
ablation    one choice of the default recipe changed at a time
copies      the default network of `ablation`: predictions averaged over rotated and mirrored copies of images, or not
second      a second pass from that network, on half as many simulated images
batches     images a step, at a learning rate that grows as their square root (Adam's noise stays the same): what larger
            ones, in which a GPU learns from several times as many images a second, cost in accuracy for each image
labels      the same for choices that concern labelled images, without simulated ones
weights     labels of which half are spoilt, with error bars that say so: weighted by them or not
halves      what two networks on halves of the labels tell of errors
xmipp       the default network of `recipes`, which has seen none of them, on the images in ak_xmipp32 (needs the folder
            of data)

--size article is for a GPU, with --jobs 1: 20,000 labelled images, the default recipe at 128 px, ResNet34. The
article's own figures for its recipe are 7.5 Å, 2.5°, 0.2 Å after 19 hours on four GPUs for each type of parameters.

Fills "Network" of docs/results.md. The default size takes 20 minutes on 2 cores for `recipes`.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from cases import ARTICLE, TINY, adenylate_kinase, xmipp_images
from command_line import SMALLEST, add_data, add_hardware, add_only, benchmark_parser, parse
from measuring import Figures, Table, write_figures
from network_runs import Bench, Options, Plan, differences
from scipy.spatial.transform import Rotation

from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler, random_rotations, rotation_distance_deg
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.nn.recipes import RECIPES

SMALL = Plan(
    labelled=1000,
    tested=1000,
    setting=ARTICLE,
    common={"box": 32, "backbone": "resnet18"},
    recipes={
        "default": {"simulated_images": 180_000, "epochs": 10},
        "paper": {"recipe": "paper", "epochs": 3},
    },
    ablation={"simulated_images": 60_000, "epochs": 5},
    labels={"simulated_images": 0, "epochs": 60},
)
AS_THE_ARTICLE = Plan(
    labelled=20_000,
    tested=50_000,
    setting=ARTICLE,
    common={},
    recipes={"default": {"simulated_images": 4_000_000, "epochs": 40}},
    ablation={},
    labels={"simulated_images": 0},
)
TINIEST = Plan(
    labelled=20,
    tested=10,
    setting=TINY,
    common={"box": 32, "backbone": "resnet18"},
    recipes={
        "default": {"simulated_images": 16, "epochs": 1},
        "paper": {"recipe": "paper", "epochs": 1},
    },
    ablation={"simulated_images": 16, "epochs": 1},
    labels={"simulated_images": 0, "epochs": 1},
    of_xmipp=2,
    batches=(4, 8),
    longer=(1,),
)
SIZES = {
    "small": {"plan": SMALL, "jobs": 2},
    "article": {"plan": AS_THE_ARTICLE, "jobs": 2},
    SMALLEST: {"plan": TINIEST, "jobs": 1},
}

# what is changed -> options
COPIES = ("off", "rotated", "mirrored")
ABLATION: dict[str, Options] = {
    "default": {},
    "default, other seed": {"seed": 1},
    "labels alone": {"simulated_images": 0, "epochs": 65},
    "labels alone, 3 times as long": {"simulated_images": 0, "epochs": 195},
    "simulated alone": {"change": "epochs=0"},
    "perceptron head": {"change": "head=perceptron"},
    "absolute error": {"change": "loss=absolute"},
    "quaternion, either sign": {"rotation": "quaternion"},
    "quaternion, w >= 0": {"rotation": "quaternion", "change": "sign_free=false"},
    "Euler angles": {"rotation": "euler"},
    "Adam for all weights": {"change": "optimizer=adam"},
    "constant rate": {"change": "schedule=step"},
    "no averaging": {"change": "average=0"},
    "batches of 16": {"batch": 16, "learning_rate": 7e-4},
    "one network each": {"targets": "separate"},
    "float32": {"change": "mixed_precision=false"},
    "no doubts": {"change": "doubt=false"},
}
LABELS: dict[str, Options] = {
    "in-plane copies": {},
    "mirrored copies too": {"augment": "mirror"},
    "no copies": {"augment": "off"},
    "no whitening": {"change": "whiten=false"},
}
WEIGHTS: dict[str, Options] = {"weighted": {}, "not weighted": {"change": "weighted=false"}}


def variants(plan: Plan) -> dict[str, dict[str, Options]]:
    """The options of all trainings of each section, by what is changed."""
    on_labels = {**plan.labels, "outlier_distance": 0}
    return {
        "recipes": dict(plan.recipes),
        "ablation": {name: {**plan.ablation, **given} for name, given in ABLATION.items()},
        "batches": dict(batches_of(plan)),
        "labels": {name: {**plan.labels, **given} for name, given in LABELS.items()},
        "weights": {name: {**on_labels, **given} for name, given in WEIGHTS.items()},
    }


def batches_of(plan: Plan) -> Iterator[tuple[str, Options]]:
    """Sizes of batches and numbers of images, with the options of each."""
    default = RECIPES["default"]
    first, images = plan.batches[0], int(str(plan.ablation.get("simulated_images", default.simulated_images)))
    for times in plan.longer:
        for batch in plan.batches:
            rate = default.learning_rate * (batch / first) ** 0.5
            sized = {"batch": batch, "learning_rate": rate, "simulated_images": images * times}
            yield f"batches of {batch}" + (f", {times} times as long" if times > 1 else ""), {**plan.ablation, **sized}


def main() -> None:
    """Run what is asked for and write the figures."""
    parser = benchmark_parser(__doc__, "network.json")
    add_only(parser, list(SECTIONS), ["recipes"])
    parser.add_argument("--jobs", type=int, help="trainings at a time")
    parser.add_argument("--folder", type=Path, default=Path("network_benchmark"), help="of images, networks, results")
    add_data(parser)
    add_hardware(parser)
    given = parse(parser, SIZES)
    given.folder.mkdir(parents=True, exist_ok=True)
    hardware = {"device": given.device, "threads": given.threads}
    bench = Bench(given.plan, adenylate_kinase(given.folder), given.folder, given.data, given.jobs, hardware)
    started = time.monotonic()
    bench.make_images()
    figures = {name: SECTIONS[name](bench) for name in given.only}
    bench.commands.close()
    before = json.loads(given.output.read_text()) if given.output.exists() else {}
    print(f"{(time.monotonic() - started) / 60:.1f} minutes")
    write_figures(given.output, before | figures)


def recipes(bench: Bench) -> dict[str, Figures]:
    """Default against paper, and what the default network's predictions are good for."""
    figures = bench.table("recipes", variants(bench.plan)["recipes"])
    figures["error bars"] = error_bars(bench, bench.model("recipes", "default").with_suffix(".star"))
    from network_polish import polished  # imports the engine

    figures["polished"] = polished(bench)
    return figures


def error_bars(bench: Bench, predicted: Path) -> Figures:
    """What the network's own error bars are worth: errors over deviations, in all and from the most to the least
    certain fifth; the share of particles within one and two deviations of the angle."""
    found = read_particles(predicted)
    truth = bench.truth.select(bench.truth.rows_of(found.ids))
    rotation, true = (euler_to_matrix(p.require_poses("this benchmark")[0]) for p in (found, truth))
    angle = rotation_distance_deg(rotation, true)
    q = np.abs(found.require_amplitudes("this benchmark") - truth.require_amplitudes("this benchmark"))
    told, q_told = np.asarray(found.angle_sd_deg), np.asarray(found.amplitudes_sd)
    print("\nthe network's error bars, from its most to its least certain fifth (root mean squares)")
    table, order = Table(""), np.argsort(told)
    for fifth, rows in enumerate(np.array_split(order, 5)):
        by_amplitude = np.array_split(np.argsort(q_told.mean(axis=1)), 5)[fifth]
        row = {
            "predicted_deg": _rms(told[rows]),
            "angle_deg": _rms(angle[rows]),
            "median_deg": float(np.median(angle[rows])),
            "predicted_A": _rms(q_told[by_amplitude]),
            "amplitude_A": _rms(q[by_amplitude]),
        }
        table.row(f"fifth {fifth + 1}", row)
    figures: Figures = {
        "angle_mean_over_told": float(angle.mean() / (told.mean() / (np.sqrt(3) / np.sqrt(8 / np.pi)))),
        "amplitude_rms_over_told": _rms(q / q_told),
        "amplitude_within_1": float((q < q_told).mean()),
        "amplitude_within_2": float((q < 2 * q_told).mean()),
        "angle_within_1": float((angle < told).mean()),
        "angle_within_2": float((angle < 2 * told).mean()),
        "rank_correlation": float(np.corrcoef(np.argsort(np.argsort(told)), np.argsort(np.argsort(angle)))[0, 1]),
    }
    Table("").row("error bars", figures)
    return figures


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


def xmipp(bench: Bench) -> dict[str, Figures]:
    """The default network of `recipes` on images that Xmipp made, plain and polished."""
    folder, model = bench.folder / "xmipp", bench.model("recipes", "default")
    _, truth = xmipp_images(bench.data, folder, bench.plan.of_xmipp, bench.truth.box_px)
    table, figures = Table("Xmipp's images"), dict[str, Figures]()
    asked = {"particles": folder / "particles.star", "model": model} | bench.hardware
    for name, more in (("network", {}), ("polished", {"polish": True} | bench.files)):
        bench.command("infer", asked | {"output": folder / f"{name}.star"} | more)
        figures[name] = differences(read_particles(folder / f"{name}.star"), truth)
        table.row(name, figures[name])
    return figures


def halves(bench: Bench) -> dict[str, Figures]:
    """What two networks on halves of the labels report of errors, and what errors are."""
    model = bench.model("halves", "default")
    out = model.with_suffix(".star")
    if not out.exists():
        files = {"particles": bench.folder / "labels.star", "output": model, "resume": True, "half_sets": True}
        bench.command("train", bench.files | bench.plan.common | bench.plan.ablation | files | bench.hardware)
        files = {"particles": bench.folder / "set2.star", "model": model, "output": out, "half_sets": True}
        bench.command("infer", files | bench.hardware)
    told = json.loads(out.with_suffix(".json").read_text())["half_sets"]
    true = bench.errors(read_particles(out))
    named = {"amplitude_A": "amplitude_error_A", "angle_deg": "angle_error_deg", "shift_A": "shift_error_A"}
    figures: dict[str, Figures] = {k: {n: row[m] for n, m in named.items()} for k, row in told.items()}
    figures["true"] = {name: true[name] for name in named}
    print("\nhow far two networks on halves disagree, the errors that the error bars expect, and those of the network")
    table = Table("halves")
    for name, row in figures.items():
        table.row(name, row)
    return figures


def ablation(bench: Bench) -> dict[str, Figures]:
    """One choice changed at a time."""
    return bench.table("ablation", variants(bench.plan)["ablation"])


def copies(bench: Bench) -> dict[str, Figures]:
    """Averaging over copies of each image; minutes are those of the prediction."""
    options, table, figures = variants(bench.plan)["ablation"]["default"], Table("copies", 32), dict[str, Figures]()
    bench.trained("ablation", "default", options)
    model = bench.model("ablation", "default")
    for kind in COPIES:
        predicted = model.with_name(f"copies-{kind}.star")
        asked = {"particles": bench.folder / "set2.star", "model": model, "output": predicted, "copies": kind}
        minutes = bench.command("infer", asked | bench.hardware | {"threads": 1})
        figures[kind] = bench.errors(read_particles(predicted)) | {"minutes": minutes}
        table.row(kind, figures[kind])
    return figures


def second(bench: Bench) -> dict[str, Figures]:
    """The default network of `ablation`, and a second pass from it."""
    first, table = variants(bench.plan)["ablation"]["default"], Table("second pass", 32)
    images = int(str(first["simulated_images"])) // 2
    started = {"start_from": bench.model("ablation", "default"), "second_pass": True, "simulated_images": images}
    figures = {}
    for section, name, options in (("ablation", "default", first), ("second", "second pass", {**first, **started})):
        figures[name] = bench.trained(section, name, options)
        table.row(name, figures[name])
    return figures


def batches(bench: Bench) -> dict[str, Figures]:
    """Larger batches, for as many images and for more."""
    return bench.table("batches", variants(bench.plan)["batches"])


def on_labels(bench: Bench) -> dict[str, Figures]:
    """Copies of labelled images, where there are no others."""
    return bench.table("labels", variants(bench.plan)["labels"])


def weights(bench: Bench) -> dict[str, Figures]:
    """Labels of which every second is spoilt: amplitudes by 60 Å, angles by 20°, as their error bars say."""
    spoilt = bench.folder / "spoilt.star"
    if not spoilt.exists():
        labels, rng = read_particles(bench.folder / "labels.star"), np.random.default_rng(1)
        bad = np.arange(len(labels)) % 2 == 0
        turned = _small_turns(20.0 * bad, rng) @ euler_to_matrix(labels.require_poses("this benchmark")[0])
        q = labels.require_amplitudes("this benchmark")
        write_particles(
            labels.replace(
                euler_deg=matrix_to_euler(turned),
                amplitudes=q + 60.0 * bad[:, None] * rng.normal(size=q.shape),
                amplitudes_sd=np.hypot(np.asarray(labels.amplitudes_sd), 60.0 * bad[:, None]),
                angle_sd_deg=np.hypot(np.asarray(labels.angle_sd_deg), 20.0 * bad),
            ),
            spoilt,
        )
    return bench.table("weights", variants(bench.plan)["weights"], spoilt)


def _small_turns(angle_deg: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotations (n, 3, 3) by these angles about random axes."""
    axis = random_rotations(len(angle_deg), rng)[:, 0]
    return Rotation.from_rotvec(np.radians(angle_deg)[:, None] * axis).as_matrix()


SECTIONS: dict[str, Callable[[Bench], dict[str, Figures]]] = {
    "recipes": recipes,
    "ablation": ablation,
    "copies": copies,
    "second": second,
    "batches": batches,
    "labels": on_labels,
    "weights": weights,
    "halves": halves,
    "xmipp": xmipp,
}

if __name__ == "__main__":
    main()
