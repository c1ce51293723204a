"""The article's experiment by the commands that a user would give, in one folder.

images/          simulated images, phases flipped, with their truth; reduced/ has them in a smaller box
HEMNMA.star      Image set 1 aligned; labels.star is all of it but the small test set
model/           the network that learned from the labels
network.star     both test sets predicted by the network; polished.star is refined by HEMNMA
small/, large/   the two apart, small/ also with HEMNMA.star; and their assessment/
groups/          groups of the network's landscape and of the polished one, see article_tables.py
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from cases import Reference
from command_runs import Commands, Options

from continuousflex_deep.io.file_names import PARTICLES_STAR, RECORD_JSON, TRUTH_STAR
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.records import read_record
from continuousflex_deep.particles import Particles

SMALL, LARGE = "small", "large"


@dataclass(frozen=True)
class Plan:
    """Numbers of images and options of the commands.

    set_1: labelled by HEMNMA; tested: of these, kept from the training as the small test set; set_2: the large test
    set. box_px: to which the simulated images are reduced. training: of the network; ablation: of the networks that are
    compared with each other, with these backbones, of which the first is that of the others, and boxes. groups of
    group_size images, whose maps are of the original images or of the reduced ones.
    conditions: learned, of which a quarter validates, and tested images of each dataset of Supplementary Table 3.
    """

    set_1: int
    tested: int
    set_2: int
    groups: int
    group_size: int
    conditions: tuple[int, int]
    backbones: tuple[str, ...]
    boxes: tuple[int, int]
    box_px: int = 128
    original_maps: bool = True
    simulate: Options = field(default_factory=dict)
    align: Options = field(default_factory=dict)
    network: Options = field(default_factory=dict)
    training: Options = field(default_factory=dict)
    polish: Options = field(default_factory=dict)
    ablation: Options = field(default_factory=dict)
    conditions_images: Options = field(default_factory=dict)
    conditions_training: Options = field(default_factory=dict)


class Experiment:
    """The steps; each is done when its result is asked for, and once in a folder."""

    def __init__(
        self, plan: Plan, reference: Reference, commands: Commands, hardware: dict[str, Any], seed: int
    ) -> None:
        self.plan, self.reference, self.commands, self.hardware = plan, reference, commands, hardware
        self.folder, self.seed = commands.folder, seed
        self.seconds: dict[str, float | None] = {}

    @property
    def files(self) -> Options:
        """Structure and modes, as options."""
        return {name: self.reference.options[name] for name in ("structure", "modes")}

    @property
    def map_images(self) -> Path:
        """The images that groups are reconstructed from."""
        return self.images.with_name("images" if self.plan.original_maps else "reduced") / PARTICLES_STAR

    @property
    def truth(self) -> Path:
        """Of all images."""
        return self.folder / "images" / TRUTH_STAR

    def step(
        self, what: str, command: str, options: Options, *more: str, hardware: Sequence[str] = ("device", "threads")
    ) -> None:
        """A command with its options of hardware; its time is kept, and printed, by what it does."""
        options = dict(options) | {name: self.hardware[name] for name in hardware}
        self.seconds[what] = self.commands.once(command, options, *more)
        print(f"{what}: {_shown(self.seconds[what])}", flush=True)

    @cached_property
    def images(self) -> Path:
        """The folder of the simulated images, which are reduced and divided as well."""
        plan, folder = self.plan, self.folder / "images"
        made = {"count": plan.set_1 + plan.set_2, "seed": self.seed, "final_box_px": 0, "output": folder}
        simulated = dict(self.reference.options) | dict(plan.simulate) | made
        self.step("images", "simulate", simulated)
        reduced = {"particles": folder / PARTICLES_STAR, "box": plan.box_px, "output": self.folder / "reduced"}
        self.step("reduced images", "preprocess", reduced, hardware=())
        everything = read_particles(self.folder / "reduced" / PARTICLES_STAR)
        rows = np.arange(len(everything))
        self.write(everything.select(rows[: plan.set_1]), "set_1.star")
        self.write(everything.select(rows[plan.set_1 - plan.tested :]), "tested.star")
        self.write(everything.select(rows[plan.set_1 - plan.tested : plan.set_1]), "small/images.star")
        self.write(everything.select(rows[plan.set_1 :]), "large/images.star")
        return folder

    @cached_property
    def labels(self) -> Path:
        """Image set 1 aligned by HEMNMA, without the small test set."""
        self.align("HEMNMA of Image set 1", self.images.parent / "set_1.star", self.folder / "HEMNMA.star")
        found = read_particles(self.folder / "HEMNMA.star")
        last = len(found) - self.plan.tested
        self.write(found.select(np.arange(last, len(found))), "small/HEMNMA.star")
        return self.write(found.select(np.arange(last)), "labels.star")

    def align(self, what: str, particles: Path, output: Path) -> None:
        """Particles aligned by HEMNMA from nothing."""
        files = {"particles": particles, "output": output}
        self.step(what, "align", dict(self.reference.options) | dict(self.plan.align) | files)

    @cached_property
    def model(self) -> Path:
        """The network that learned from the labels."""
        files = {"particles": self.labels, "output": self.folder / "model", "resume": True}
        options = dict(self.files) | dict(self.plan.network) | dict(self.plan.training) | {"seed": self.seed}
        self.step("training", "train", options | files)
        return self.folder / "model"

    @cached_property
    def predictions(self) -> dict[str, dict[str, Path]]:
        """Results by test set and name: of the network, plain and polished; of HEMNMA for the small set. Both sets are
        predicted together."""
        results: dict[str, dict[str, Path]] = {SMALL: {}, LARGE: {}}
        asked = {"particles": self.folder / "tested.star", "model": self.model}
        polish = {"polish": True, **self.plan.polish, **self.files}
        for name, more in (("network", {}), ("polished", polish)):
            output = self.folder / f"{name}.star"
            self.step(name, "infer", asked | more | {"output": output})
            found = read_particles(output)
            rows = np.arange(len(found))
            for test, chosen in ((SMALL, rows[: self.plan.tested]), (LARGE, rows[self.plan.tested :])):
                results[test][name] = self.write(found.select(chosen), f"{test}/{name}.star")
        results[SMALL]["HEMNMA"] = self.folder / SMALL / "HEMNMA.star"
        return results

    def assessed(self, what: str, particles: Mapping[str, Path], output: Path, *more: str) -> dict[str, Any]:
        """The record of `evaluate`: results against the truth and each other, with further words."""
        results = [word for path in particles.values() for word in ("--particles", str(path))]
        asked = dict(self.files) | {"truth": self.truth, "output": output}
        self.step(f"assessment, {what}", "evaluate", asked, *results, *more)
        return read_record(output if output.suffix else output / RECORD_JSON)

    def write(self, particles: Particles, name: str) -> Path:
        """Particles in a file of the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_particles(particles, path)
        return path


def _shown(seconds: float | None) -> str:
    return "interrupted and continued, not timed" if seconds is None else f"{seconds:.0f} s"
