"""The commands that the network's benchmark runs: images, labels, trainings and predictions in one folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cases import Reference, Setting
from command_runs import Commands, Options
from measuring import Figures, Table

from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix, rotation_distance_deg
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.particles import Particles


@dataclass(frozen=True)
class Plan:
    """How many images are labelled and tested, how they are made and labelled, and the options of all trainings, of the
    recipes, of ablations and of trainings on labels alone; how many of Xmipp's images are predicted; images a step, the
    recipe's first, and how many times as many images as of ablations."""

    labelled: int
    tested: int
    setting: Setting
    common: Options
    recipes: Mapping[str, Options]
    ablation: Options
    labels: Options
    of_xmipp: int = 32
    batches: tuple[int, ...] = (128, 512, 1024)
    longer: tuple[int, ...] = (1, 2)


class Bench:
    """Where everything is, and how it is run."""

    def __init__(
        self, plan: Plan, reference: Reference, folder: Path, data: Path, jobs: int, hardware: dict[str, Any]
    ) -> None:
        self.plan, self.reference, self.folder, self.data = plan, reference, folder, data
        self.commands, self.hardware = Commands(folder, jobs), hardware

    @property
    def truth(self) -> Particles:
        """Of all images."""
        return read_particles(self.folder / "images" / "truth.star")

    @property
    def files(self) -> Options:
        """Structure and modes, as options."""
        return {"structure": self.reference.structure_file, "modes": self.reference.modes_folder}

    def command(self, name: str, options: Options) -> float:
        """Run a command of the package; minutes that it took."""
        return self.commands.run(name, options) / 60

    def make_images(self) -> None:
        """Images, the labels of set 1 by HEMNMA, and set 2."""
        images, plan = self.folder / "images", self.plan
        if not (images / "record.json").exists():
            count = plan.labelled + plan.tested
            made = {"count": count, "seed": 5, "output": images, "threads": self.hardware["threads"]}
            minutes = self.command("simulate", self.reference.options | dict(plan.setting.simulate) | made)
            print(f"{count} images simulated in {minutes:.1f} minutes")
            everything = read_particles(images / "particles.star")
            write_particles(everything.select(np.arange(plan.labelled)), self.folder / "set1.star")
            write_particles(everything.select(np.arange(plan.labelled, count)), self.folder / "set2.star")
        labels = self.folder / "labels.star"
        if not labels.exists():
            files = {"particles": self.folder / "set1.star", "output": labels}
            options = self.reference.options | dict(plan.setting.align) | files | self.hardware
            minutes = self.command("align", options)
            errors = ", ".join(f"{k} {v:.3g}" for k, v in self.errors(read_particles(labels)).items() if v is not None)
            print(f"Image set 1 labelled by HEMNMA in {minutes:.1f} minutes: {errors}")

    def errors(self, found: Particles) -> Figures:
        """Differences from the truth."""
        return differences(found, self.truth.select(self.truth.rows_of(found.ids)))

    def model(self, section: str, name: str) -> Path:
        """Where a network is kept; its predictions are beside it."""
        return self.folder / section / "".join(c if c.isalnum() else "-" for c in name)

    def trained(self, section: str, name: str, options: Options, labels: Path | None = None) -> Figures:
        """Train a network unless it is there, predict Image set 2, and compare."""
        model = self.model(section, name)
        predicted, minutes_file = model.with_suffix(".star"), model.with_suffix(".minutes")
        one_thread = self.hardware | {"threads": 1}
        if not minutes_file.exists():
            files = {"particles": labels or self.folder / "labels.star", "output": model, "resume": True}
            minutes = self.command("train", self.files | self.plan.common | options | files | one_thread)
            minutes_file.write_text(str(minutes))
        if not predicted.exists():
            files = {"particles": self.folder / "set2.star", "model": model, "output": predicted}
            self.command("infer", files | one_thread)
        timed: Figures = {"images": _images_learned(model), "minutes": float(minutes_file.read_text())}
        return self.errors(read_particles(predicted)) | timed

    def table(self, section: str, variants: Mapping[str, Options], labels: Path | None = None) -> dict[str, Figures]:
        """A row for each variant, several trained at a time."""
        table, figures = Table(section, 32), dict[str, Figures]()
        tasks = {name: partial(self.trained, section, name, given, labels) for name, given in variants.items()}
        for name, row in self.commands.side_by_side(tasks):
            figures[name] = row
            table.row(name, row)
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


def _images_learned(model: Path) -> float:
    """Images, simulated ones and copies of labelled ones, that the networks of a folder have seen."""
    from continuousflex_deep.nn.checkpoint import LAST, load_checkpoint

    images = 0
    for last in model.rglob(LAST):
        checkpoint = load_checkpoint(last)
        simulated = sum(row["simulated"] for row in checkpoint.history)
        labelled = (len(checkpoint.history) - simulated) * len(checkpoint.training_ids)
        images += checkpoint.recipe["simulated_images"] + labelled
    return float(images)
