"""The network, recipe by recipe and choice by choice, on the same images, labels and seed.

    python benchmarks/network.py [--only NAME …] [--size small|article] [--jobs 2] [--data ../shared/data]
                                 [--folder network_benchmark] [--device auto]

Images of adenylate kinase as the article makes them (our simulation; 128 px, SNR 0.1, all orientations, modes 7-9).
Image set 1 is labelled by HEMNMA (`align`), Image set 2 is predicted and compared with the truth. Everything is done by
the commands a user would give, each training on one core, --jobs of them at a time; what is finished in the folder is
not done again. Columns: mean absolute errors of amplitude (Å) and shift (Å), mean distance of rotated axes (°), the
share of particles more than 30° off, images learned from, minutes.

recipes     default against paper, for the same time: small takes less than 20 minutes on 2 cores. Then what the default
            network's error bars are worth, and what polishing makes of its predictions and at what cost
ablation    one choice of the default recipe changed at a time
labels      the same for choices that concern labelled images, without simulated ones
weights     labels of which half are spoilt, with error bars that say so: weighted by them or not

halves      what two networks on halves of the labels tell of errors
xmipp       the default network of `recipes`, which has seen none of them, on the images in ak_xmipp32

--size article is for a GPU, with --jobs 1: 20,000 labelled images, the default recipe at 128 px, ResNet34. The
article's own figures for its recipe are 7.5 Å, 2.5°, 0.2 Å after 19 hours on four GPUs for each type of parameters.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring import print_header, print_row

from continuousflex_deep.assessment.evaluation import evaluate
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix, random_rotations, rotation_distance_deg
from continuousflex_deep.hemnma.alignment import calibration_for
from continuousflex_deep.io.modes import read_modes
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.nn.checkpoint import LAST, load_checkpoint
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.batch import Batch

Arguments = tuple[str, ...]
Figures = dict[str, float | None]


@dataclass(frozen=True)
class Size:
    """How many images are labelled and tested, and the arguments of all trainings, of the recipes, of ablations and of
    trainings on labels alone."""

    labelled: int
    tested: int
    common: Arguments
    recipes: Mapping[str, Arguments]
    ablation: Arguments
    labels: Arguments


SIZES = {
    "small": Size(
        labelled=1000,
        tested=1000,
        common=("--box", "32", "--backbone", "resnet18"),
        recipes={
            "default": ("--simulated-images", "180000", "--epochs", "10"),
            "paper": ("--recipe", "paper", "--epochs", "3"),
        },
        ablation=("--simulated-images", "60000", "--epochs", "5"),
        labels=("--simulated-images", "0", "--epochs", "60"),
    ),
    "article": Size(
        labelled=20_000,
        tested=50_000,
        common=(),
        recipes={"default": ("--simulated-images", "4000000", "--epochs", "40")},
        ablation=(),
        labels=("--simulated-images", "0"),
    ),
}

# what is changed -> arguments
ABLATION: dict[str, Arguments] = {
    "default": (),
    "default, other seed": ("--seed", "1"),
    "labels alone": ("--simulated-images", "0", "--epochs", "65"),
    "labels alone, 3 times as long": ("--simulated-images", "0", "--epochs", "195"),
    "simulated alone": ("--change", "epochs=0"),
    "perceptron head": ("--change", "head=perceptron"),
    "absolute error": ("--change", "loss=absolute"),
    "quaternion, either sign": ("--rotation", "quaternion"),
    "quaternion, w >= 0": ("--rotation", "quaternion", "--change", "sign_free=false"),
    "Euler angles": ("--rotation", "euler"),
    "constant rate": ("--change", "schedule=step"),
    "no averaging": ("--change", "average=0"),
    "batches of 16": ("--batch", "16", "--learning-rate", "7e-4"),
    "one network each": ("--targets", "separate"),
    "float32": ("--change", "mixed_precision=false"),
    "no doubts": ("--change", "doubt=false"),
}
LABELS: dict[str, Arguments] = {
    "in-plane copies": (),
    "mirrored copies too": ("--augment", "mirror"),
    "no copies": ("--augment", "off"),
    "no whitening": ("--change", "whiten=false"),
}
WEIGHTS: dict[str, Arguments] = {"weighted": (), "not weighted": ("--change", "weighted=false")}


def main() -> None:
    """Run what is asked for and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=["recipes"])
    parser.add_argument("--size", choices=list(SIZES), default="small")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--folder", type=Path, default=Path("network_benchmark"))
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    bench = Bench(SIZES[given.size], given.data, given.folder, given.jobs, given.device)
    started = time.monotonic()
    bench.make_images()
    figures = {name: SECTIONS[name](bench) for name in given.only}
    target = given.folder / "figures.json"
    before = json.loads(target.read_text()) if target.exists() else {}
    target.write_text(json.dumps(before | figures, indent=2) + "\n")
    print(f"{(time.monotonic() - started) / 60:.1f} minutes; written: {target}")


@dataclass(frozen=True)
class Bench:
    """Where everything is, and how it is run."""

    size: Size
    data: Path
    folder: Path
    jobs: int
    device: str

    @property
    def reference(self) -> Arguments:
        """The arguments that name structure and modes."""
        return "--structure", str(self.data / "gold10" / "AK.pdb"), "--modes", str(self.data / "elnemo_ak")

    @property
    def truth(self) -> Particles:
        """Of all images."""
        return read_particles(self.folder / "images" / "truth.star")

    def command(self, name: str, *arguments: str, threads: int = 0) -> float:
        """Run a command of the package, its output into a log; minutes that it took."""
        log, started = self.folder / "log.txt", time.monotonic()
        line = [sys.executable, "-m", "continuousflex_deep", name, *arguments]
        threaded = () if name == "preprocess" else ("--threads", str(threads))
        if name not in ("simulate", "preprocess"):
            line += ["--device", self.device]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)} if threads else os.environ
        with open(log, "a", encoding="utf-8") as out:
            finished = subprocess.run(
                [*line, *threaded], stdout=out, stderr=subprocess.PIPE, text=True, check=False,
                env=environment,
            )  # fmt: skip
        if finished.returncode:
            raise SystemExit(f"{' '.join(line)}\n{finished.stderr[-2000:]}")
        return (time.monotonic() - started) / 60

    def make_images(self) -> None:
        """Images, the labels of set 1 by HEMNMA, and set 2."""
        images, size = self.folder / "images", self.size
        if not (images / "record.json").exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            count = size.labelled + size.tested
            minutes = self.command(
                "simulate", *self.reference, "--output", str(images), "--count", str(count), "--seed", "5"
            )
            print(f"{count} images simulated in {minutes:.1f} minutes")
            everything = read_particles(images / "particles.star")
            write_particles(everything.select(np.arange(size.labelled)), self.folder / "set1.star")
            write_particles(everything.select(np.arange(size.labelled, count)), self.folder / "set2.star")
        labels = self.folder / "labels.star"
        if not labels.exists():
            minutes = self.command(
                "align", *self.reference, "--particles", str(self.folder / "set1.star"), "--output", str(labels)
            )
            print(f"Image set 1 labelled by HEMNMA in {minutes:.1f} minutes: {self.shown(labels)}")

    def shown(self, path: Path) -> str:
        """Errors of a particle file, in a few words."""
        return ", ".join(f"{k} {v:.3g}" for k, v in self.errors(read_particles(path)).items() if v is not None)

    def errors(self, found: Particles) -> Figures:
        """Differences from the truth."""
        return differences(found, self.truth.select(self.truth.rows_of(found.ids)))

    def model(self, section: str, name: str) -> Path:
        """Where a network is kept; its predictions are beside it."""
        return self.folder / section / "".join(c if c.isalnum() else "-" for c in name)

    def trained(self, section: str, name: str, arguments: Arguments, labels: Path | None = None) -> Figures:
        """Train a network unless it is there, predict Image set 2, and compare."""
        model = self.model(section, name)
        predicted, minutes_file = model.with_suffix(".star"), model.with_suffix(".minutes")
        if not minutes_file.exists():
            minutes = self.command(
                "train", *self.reference, "--particles", str(labels or self.folder / "labels.star"), "--output",
                str(model), "--resume", *self.size.common, *arguments, threads=1,
            )  # fmt: skip
            minutes_file.write_text(str(minutes))
        if not predicted.exists():
            particles = str(self.folder / "set2.star")
            self.command(
                "infer", "--particles", particles, "--model", str(model), "--output", str(predicted), threads=1
            )
        learned = sum(_images_learned(last) for last in model.rglob(LAST) if "half" not in str(last))
        timed: Figures = {"images": learned, "minutes": float(minutes_file.read_text())}
        return self.errors(read_particles(predicted)) | timed

    def table(self, section: str, variants: Mapping[str, Arguments], labels: Path | None = None) -> dict[str, Figures]:
        """A line for each variant, several trained at a time."""
        with ThreadPoolExecutor(self.jobs) as pool:
            done = [pool.submit(self.trained, section, name, given, labels) for name, given in variants.items()]
            figures = {}
            for (name, _), future in zip(variants.items(), done, strict=True):
                figures[name] = future.result()
                if len(figures) == 1:
                    print_header("", list(figures[name]))
                print_row(name, figures[name])
        return figures


def differences(found: Particles, truth: Particles) -> Figures:
    """Mean errors, and the share of particles far off."""
    (euler, shift), (true_euler, true_shift) = (p.require_poses("this benchmark") for p in (found, truth))
    here, there = euler_to_matrix(euler), euler_to_matrix(true_euler)
    q, true_q = (p.require_amplitudes("this benchmark") for p in (found, truth))
    return {
        "amplitude_A": float(np.abs(q - true_q).mean()),
        "angle_deg": float(axes_distance_deg(here, there).mean()),
        "median_deg": float(np.median(rotation_distance_deg(here, there))),
        "over_30_deg": float((rotation_distance_deg(here, there) > 30).mean()),
        "shift_A": float(np.abs(shift - true_shift).mean()),
    }


def _images_learned(last: Path) -> float:
    checkpoint = load_checkpoint(last)
    recipe, rows = checkpoint.recipe, checkpoint.history
    simulated = sum(row["simulated"] for row in rows)
    labelled = (len(rows) - simulated) * len(checkpoint.training_ids)
    return float(recipe["simulated_images"] + labelled)


def recipes(bench: Bench) -> dict[str, Figures]:
    """Default against paper, and what the default network's predictions are good for."""
    figures = bench.table("recipes", bench.size.recipes)
    figures["error bars"] = error_bars(bench, bench.model("recipes", "default").with_suffix(".star"))
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
    print_header("", ["told °", "angle °", "median °", "told Å", "amplitude Å"])
    order = np.argsort(told)
    rms = lambda values: float(np.sqrt((values**2).mean()))  # noqa: E731
    for fifth, rows in enumerate(np.array_split(order, 5)):
        by_amplitude = np.array_split(np.argsort(q_told.mean(axis=1)), 5)[fifth]
        row = {
            "told °": rms(told[rows]), "angle °": rms(angle[rows]), "median °": float(np.median(angle[rows])),
            "told Å": rms(q_told[by_amplitude]), "amplitude Å": rms(q[by_amplitude]),
        }  # fmt: skip
        print_row(f"fifth {fifth + 1}", row)
    figures: Figures = {
        "angle_mean_over_told": float(angle.mean() / (told.mean() / (np.sqrt(3) / np.sqrt(8 / np.pi)))),
        "amplitude_rms_over_told": rms(q / q_told),
        "amplitude_within_1": float((q < q_told).mean()),
        "amplitude_within_2": float((q < 2 * q_told).mean()),
        "angle_within_1": float((angle < told).mean()),
        "angle_within_2": float((angle < 2 * told).mean()),
        "rank_correlation": float(np.corrcoef(np.argsort(np.argsort(told)), np.argsort(np.argsort(angle)))[0, 1]),
    }
    print(", ".join(f"{k} {v:.3g}" for k, v in figures.items() if v is not None))
    return figures


def polished(bench: Bench) -> Figures:
    """The engine from the default network's predictions against its full search, in CPU time of this process, with the
    same calibration; errors in units of the Cramér-Rao bound."""
    from continuousflex_deep.hemnma.bound import cramer_rao_bound
    from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
    from continuousflex_deep.hemnma.results import merged_results
    from continuousflex_deep.nn.inference import polishing_options
    from continuousflex_deep.options import AlignOptions, InferOptions

    structure, modes = read_structure(bench.reference[1]), read_modes(bench.reference[3], (7, 8, 9))
    predicted = read_particles(bench.model("recipes", "default").with_suffix(".star"))
    truth = bench.truth.select(bench.truth.rows_of(predicted.ids))
    blind = predicted.replace(euler_deg=None, shift_A=None, amplitudes=None, mode_ids=(), amplitudes_sd=None)
    local = EmbeddedEngine(structure, modes, AlignOptions(init="local", device=bench.device, threads=1))
    calibration = calibration_for(local, truth)
    bound = cramer_rao_bound(local, truth, calibration).as_errors()
    polish = polishing_options(InferOptions(device=bench.device, threads=1), modes.mode_ids)
    ways = {
        "full search": (blind, AlignOptions(device=bench.device, threads=1)),
        "polish": (predicted, polish),
    }
    figures: Figures = {}
    print("\nby the engine: lost (more than 5° off), errors of the others over the Cramér-Rao bound, CPU ms an image")
    for name, (start, options) in ways.items():
        engine = EmbeddedEngine(structure, modes, options)
        for rows in engine.batches(start):  # all is aligned once before the clock runs, which makes what is made once
            engine.align_batch(Batch.read(start, rows), calibration)
        clock = time.process_time if engine.device.type == "cpu" else time.perf_counter
        began = clock()
        parts = [engine.align_batch(Batch.read(start, rows), calibration) for rows in engine.batches(start)]
        spent = (clock() - began) / len(start)
        errors = evaluate(merged_results(start, modes.mode_ids, parts), truth, structure, modes)
        row: Figures = {"lost": float(errors.lost.mean())}
        row |= {
            k: float(errors.errors[k][~errors.lost].mean() / bound[k]) for k in ("amplitude", "angle_deg", "shift_A")
        }
        row["ms"] = 1e3 * spent
        if not figures:
            print_header("", list(row))
        print_row(name, row)
        figures |= {f"{name}: {k}": v for k, v in row.items()}
    figures["cost of polish over full search"] = figures["polish: ms"] / figures["full search: ms"]  # type: ignore[operator]
    print(f"polish costs {figures['cost of polish over full search']:.2f} of the full search")
    return figures


def xmipp(bench: Bench) -> dict[str, Figures]:
    """The default network of `recipes` on images that Xmipp made, plain and polished."""
    folder, source = bench.folder / "xmipp", bench.data / "ak_xmipp32"
    table = np.loadtxt(source / "ground_truth.txt")
    bench.command("preprocess", "--particles", str(source / "particles_256.star"), "--output", str(folder), "--box",
                  "128", "--phase-flip")  # fmt: skip
    print()
    figures: dict[str, Figures] = {}
    for name, more in (("network", ()), ("polished", ("--polish", *bench.reference))):
        out = folder / f"{name}.star"
        bench.command("infer", "--particles", str(folder / "particles.star"), "--model",
                      str(bench.model("recipes", "default")), "--output", str(out), *more)  # fmt: skip
        found = read_particles(out)
        truth = found.replace(
            amplitudes=table[:, 1:4], mode_ids=(7, 8, 9), euler_deg=table[:, 4:7], shift_A=0.325 * table[:, 7:9]
        )
        figures[name] = differences(found, truth)
        if len(figures) == 1:
            print_header("Xmipp's 32 images", list(figures[name]))
        print_row(name, figures[name])
    return figures


def halves(bench: Bench) -> dict[str, Figures]:
    """What two networks on halves of the labels say of errors, and what errors are."""
    model = bench.model("halves", "default")
    out = model.with_suffix(".star")
    if not out.exists():
        bench.command(
            "train", *bench.reference, "--particles", str(bench.folder / "labels.star"), "--output", str(model),
            "--resume", "--half-sets", *bench.size.common, *bench.size.ablation,
        )  # fmt: skip
        bench.command(
            "infer", "--particles", str(bench.folder / "set2.star"), "--model", str(model), "--output", str(out),
            "--half-sets",
        )  # fmt: skip
    told = json.loads(out.with_suffix(".json").read_text())["half_sets"]
    print(
        "\nhow far two networks on halves disagree, what the error bars expect, and the errors (network on all labels)"
    )
    true = bench.errors(read_particles(out))
    named = {"amplitude_A": "amplitude_error_A", "angle_deg": "angle_error_deg", "shift_A": "shift_error_A"}
    figures: dict[str, Figures] = {k: {n: row[m] for n, m in named.items()} for k, row in told.items()}
    figures["true"] = {name: true[name] for name in named}
    print_header("", list(named))
    for name, row in figures.items():
        print_row(name, row)
    return figures


def ablation(bench: Bench) -> dict[str, Figures]:
    """One choice changed at a time."""
    return bench.table("ablation", {name: (*bench.size.ablation, *given) for name, given in ABLATION.items()})


def on_labels(bench: Bench) -> dict[str, Figures]:
    """Copies of labelled images, where there are no others."""
    return bench.table("labels", {name: (*bench.size.labels, *given) for name, given in LABELS.items()})


def weights(bench: Bench) -> dict[str, Figures]:
    """Labels of which every second is spoilt: amplitudes by 60 Å, angles by 20°, as their error bars say."""
    spoilt = bench.folder / "spoilt.star"
    if not spoilt.exists():
        labels, rng = read_particles(bench.folder / "labels.star"), np.random.default_rng(1)
        bad = np.arange(len(labels)) % 2 == 0
        turned = euler_to_matrix(labels.require_poses("this benchmark")[0])
        turned = _small_turns(20.0 * bad, rng) @ turned
        q = labels.require_amplitudes("this benchmark")
        from continuousflex_deep.geometry import matrix_to_euler

        write_particles(
            labels.replace(
                euler_deg=matrix_to_euler(turned),
                amplitudes=q + 60.0 * bad[:, None] * rng.normal(size=q.shape),
                amplitudes_sd=np.hypot(np.asarray(labels.amplitudes_sd), 60.0 * bad[:, None]),
                angle_sd_deg=np.hypot(np.asarray(labels.angle_sd_deg), 20.0 * bad),
            ),
            spoilt,
        )
    variants = {name: (*bench.size.labels, "--outlier-distance", "0", *given) for name, given in WEIGHTS.items()}
    return bench.table("weights", variants, spoilt)


def _small_turns(angle_deg: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotations (n, 3, 3) by these angles about random axes."""
    from scipy.spatial.transform import Rotation

    axis = random_rotations(len(angle_deg), rng)[:, 0]
    return Rotation.from_rotvec(np.radians(angle_deg)[:, None] * axis).as_matrix()


SECTIONS: dict[str, Callable[[Bench], dict[str, Figures]]] = {
    "recipes": recipes,
    "ablation": ablation,
    "labels": on_labels,
    "weights": weights,
    "halves": halves,
    "xmipp": xmipp,
}

if __name__ == "__main__":
    main()
