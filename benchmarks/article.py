"""The article's experiment with simulated images (Hamitouche & Jonić 2022), each of its tables beside ours.

    python benchmarks/article.py [--size small|full|half|smallest] [--only NAME …] [--jobs 2] [--seed 0]
                                 [--device auto] [--threads 0] [--folder article_benchmark] [--output article.json]

Images of adenylate kinase as the article makes them: its Eq. 1 along modes 7 to 9, all orientations, 256 px of 0.325 Å
reduced to 128 px, defocus of 0.5 µm, SNR 0.1. Image set 1 is labelled by HEMNMA (`align`), a network learns from it by
the default recipe (`train`), and predicts (`infer`), plain and polished, the images of set 1 that were kept from the
training (small test set) and Image set 2 (large test set).

tables      Tables 1 to 4 with the Cramér-Rao bound, and Figure 6
groups      Figure 7 and Supplementary Figure 3: maps of groups of the landscape against their centroids
rotations   Supplementary Table 1: representations of rotations by the network
depths      Supplementary Table 2: ResNets of three depths
conditions  Supplementary Table 3: images with and without rotation, shift, noise with CTF, and copies
boxes       Supplementary Table 4: sizes of the network's images
times       Supplementary Tables 5 to 7: times of alignment, training and prediction

Each part does what it needs. A step that is finished in the folder is not done again, and one that was interrupted goes
on where its command can; figures are added to those in the output. The folder has the tables as a page (article.md) and
results as report.html. Goals are printed with the figures, as met or not met.

--size full is the article's: 20,000 images in set 1, of which 2,000 are the small test set, and 50,000 in set 2. full
and half are for a GPU. small has few images and small networks, which are far from the article's.

Fills "Against the article's tables" of docs/results.md. The default size takes about 20 minutes on 2 cores
(estimated from its steps on a busy machine).
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from article_ablations import boxes, conditions, depths, rotations
from article_experiment import LARGE, SMALL, Experiment, Plan
from article_page import all_tables, page
from article_tables import groups, tables, times
from cases import TINY, adenylate_kinase
from command_line import FULL, SMALLEST, add_hardware, add_only, benchmark_parser, parse
from command_runs import Commands
from measuring import machine, write_figures

from continuousflex_deep.io.file_names import RECORD_JSON

_RESNETS = ("resnet34", "resnet50", "resnet101")
AS_THE_ARTICLE = Plan(
    set_1=20_000, tested=2000, set_2=50_000, groups=10, group_size=899, conditions=(8000, 2000), backbones=_RESNETS,
    boxes=(256, 128),
    ablation={"simulated_images": 200_000, "epochs": 20}, conditions_training={"epochs": 40},
)  # fmt: skip
HALF = Plan(
    set_1=10_000, tested=1000, set_2=25_000, groups=10, group_size=899, conditions=(4000, 1000), backbones=_RESNETS,
    boxes=(256, 128),
    training={"simulated_images": 250_000}, ablation={"simulated_images": 100_000, "epochs": 20},
    conditions_training={"epochs": 40},
)  # fmt: skip
FEW = Plan(
    set_1=1300, tested=300, set_2=1000, groups=4, group_size=150, conditions=(800, 200), original_maps=False,
    backbones=("resnet18", "resnet34", "resnet50"), boxes=(48, 32), network={"backbone": "resnet18", "box": 32},
    training={"simulated_images": 80_000, "epochs": 10}, ablation={"simulated_images": 8000, "epochs": 3},
    conditions_images={"box_px": 64, "pixel_size_A": 1.3, "shift_range_px": 1.25}, conditions_training={"epochs": 8},
)  # fmt: skip
TINIEST = Plan(
    set_1=18, tested=4, set_2=12, groups=2, group_size=5, conditions=(16, 4), box_px=32,
    simulate=TINY.simulate, align=TINY.align, backbones=("resnet18", "resnet34"), boxes=(40, 32),
    network={"backbone": "resnet18", "box": 32}, training={"simulated_images": 16, "epochs": 1},
    polish={"search_above_deg": 0.0}, ablation={"simulated_images": 16, "epochs": 1},
    conditions_training={"epochs": 1},
)  # fmt: skip
SIZES = {
    "small": {"plan": FEW, "jobs": 2},
    FULL: {"plan": AS_THE_ARTICLE, "jobs": 1},
    "half": {"plan": HALF, "jobs": 1},
    SMALLEST: {"plan": TINIEST, "jobs": 1},
}
PARTS: dict[str, Callable[[Experiment], dict[str, Any]]] = {
    "tables": tables,
    "groups": groups,
    "rotations": rotations,
    "depths": depths,
    "conditions": conditions,
    "boxes": boxes,
    "times": times,
}


def main() -> None:
    """Do what is asked for; print the tables, and write figures, page and report."""
    parser = benchmark_parser(__doc__, "article.json")
    add_only(parser, list(PARTS))
    parser.add_argument("--jobs", type=int, help="trainings at a time; 1 on a GPU")
    parser.add_argument("--seed", type=int, default=0, help="of images and trainings (default 0)")
    parser.add_argument("--folder", type=Path, default=Path("article_benchmark"), help="of images, networks, results")
    add_hardware(parser)
    given = parse(parser, SIZES)
    commands = Commands(given.folder, given.jobs)
    hardware = {"device": given.device, "threads": given.threads}
    experiment = Experiment(given.plan, adenylate_kinase(given.folder), commands, hardware, given.seed)
    figures = json.loads(given.output.read_text()) if given.output.exists() else {}
    for name in given.only:
        figures[name] = PARTS[name](experiment)
    commands.close()
    figures |= {"size": given.size, "seed": given.seed, "seconds": (figures.get("seconds") or {}) | experiment.seconds}
    for table in all_tables(figures):
        print(f"\n{table.text()}")
    (given.folder / "article.md").write_text(page(figures, _conditions(given), given.folder), encoding="utf-8")
    write_figures(given.output, figures)
    report(experiment)


def _conditions(given: argparse.Namespace) -> str:
    """What the page says of the measurement."""
    plan: Plan = given.plan
    return (
        f"`python benchmarks/article.py --size {given.size} --seed {given.seed}` on {machine()}, device "
        f"{given.device}: {plan.set_1:,} images in set 1, {plan.tested:,} of them the small test set, {plan.set_2:,} "
        f"in set 2 (the large test set), all reduced to {plan.box_px} px; maps of groups are from "
        f"{'the original' if plan.original_maps else 'these'} images. Distances are absolute errors over all "
        "particles, mean ± standard deviation; angles are the mean of the three rotated axes. Misaligned: more than 5° "
        "from the truth. Polished results are the network's, refined by HEMNMA. Goals are for --size full on one GPU "
        "(H200). They are compared with errors of Image set 1 (HEMNMA) and of the large test set; those of HEMNMA and "
        "of polished results leave out misaligned particles."
    )


def report(experiment: Experiment) -> None:
    """The page of results for a browser, of what is finished in the folder."""
    folder = experiment.folder
    sources = {
        "landscape": [folder / "groups" / "network" / "landscape"],
        "reconstruction": [folder / "groups" / "network" / "network", folder / "groups" / "polished" / "polished"],
        "model": [folder / "model"],
        "evaluation": [folder / test / "assessment" for test in (SMALL, LARGE)],
    }
    last_written = {"model": "train.json"}
    words = [
        word
        for name, paths in sources.items()
        for path in paths
        if (path / last_written.get(name, RECORD_JSON)).is_file()
        for word in (f"--{name}", str(path))
    ]
    if words:
        title = {"title": "The article's experiment", "output": folder / "report.html"}
        experiment.commands.run("report", dict(experiment.files) | title, *words)
        print(f"written: {folder / 'article.md'}, {folder / 'report.html'}")


if __name__ == "__main__":
    main()
