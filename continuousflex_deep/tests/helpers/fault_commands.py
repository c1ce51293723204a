"""Commands with inputs that take a second, for tests of what happens to them."""

from pathlib import Path

from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.tests.helpers.faults import Command
from continuousflex_deep.tests.helpers.landscape_data import make_particles
from continuousflex_deep.tests.helpers.nn_toy import toy_model_files, toy_particles
from continuousflex_deep.tests.helpers.processes import ended_well
from continuousflex_deep.tests.helpers.worker_data import ToyRun

_SMALL = ["--threads", "1", "--device", "cpu"]


def align(folder: Path) -> Command:
    words = ToyRun(folder).arguments()
    at = words.index("--output")
    return Command([*words[:at], *words[at + 2 :]], folder / "out" / "aligned.star")


def train(folder: Path) -> Command:
    """With narrow networks (tests.helpers.quick_trainings)."""
    labels, _ = toy_particles(folder, n=20, noise=0.3)
    quick = ["--backbone", "resnet18", "--epochs", "2", "--batch", "10", "--readers", "1", "--checkpoint-seconds", "0"]
    return Command(["train", "--particles", labels, *quick, *_SMALL], folder / "out" / "model", ["--resume"])


def infer(folder: Path) -> Command:
    """With narrow networks (tests.helpers.quick_trainings)."""
    network = train(folder).to(folder / "network")
    network.words += ["--epochs", "1"]
    ended_well(network.start())
    particles, _ = toy_particles(folder, n=24, noise=0.3, seed=1, name="new")
    words = ["infer", "--particles", particles, "--model", str(network.output), "--polish", *_reference(folder)]
    more = ["--batch", "4", "--readers", "1", "--search-above-deg", "0"]
    return Command([*words, *more, *_SMALL], folder / "out" / "inferred.star")


def reconstruct(folder: Path) -> Command:
    """Of two groups, whose maps are brought to one scale when all are there."""
    groups = [toy_particles(folder, n=12, seed=seed, name=f"group{seed}")[0] for seed in (1, 2)]
    particles = [word for path in groups for word in ("--particles", path)]
    return Command(["reconstruct", *particles, "--no-ctf", *_SMALL], folder / "out" / "maps")


def landscape(folder: Path) -> Command:
    write_particles(make_particles(folder, n=60), folder / "in.star")
    words = ["landscape", "--particles", str(folder / "in.star"), "--method", "isomap", "--n-components", "2"]
    return Command(words, folder / "out" / "landscape")


def preprocess(folder: Path) -> Command:
    particles, _ = toy_particles(folder, n=40)
    return Command(["preprocess", "--particles", particles, "--box", "16"], folder / "out" / "smaller")


def simulate(folder: Path) -> Command:
    size = ["--count", "40", "--box-px", "32", "--final-box-px", "0", "--pixel-size-A", "4", "--threads", "1"]
    words = ["simulate", *_reference(folder), "--mode-list", "7-8", "--conformations", "uniform", *size]
    return Command(words, folder / "out" / "simulated")


def _reference(folder: Path) -> list[str]:
    return [word for name, path in toy_model_files(folder).items() for word in (f"--{name}", path)]
