"""The demonstration's pipeline: every step is one command of the package, shown as a user would type it."""

import json
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from continuousflex_deep.demo import write_demo_structure
from continuousflex_deep.demo.starting import Run, warm_run
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.particle_files import read_particles, write_particles

_STATE = ".steps"  # folder with the state of each step
MODES = "7-9"


@dataclass(frozen=True)
class DemoSize:
    """Size of the demonstration. The default is meant for 6 minutes on 2 cores."""

    images: int = 500
    labelled: int = 300
    box_px: int = 128
    angular_step_deg: int = 15
    calibration: int = 128
    network_box_px: int = 32
    simulated: int = 15_000
    epochs: int = 8

    def checked(self) -> "DemoSize":
        """The size itself. InputError if both image sets cannot have images."""
        if not 1 < self.labelled < self.images - 1:
            raise InputError(
                f"--labelled: got {self.labelled} of {self.images} images, expected 2 to {self.images - 2}: Image set "
                "1 has the labelled images, Image set 2 the others"
            )
        return self


@dataclass(frozen=True)
class Step:
    """One step: its title, the arguments of the command (or a function in place of a command), and what it writes."""

    title: str
    arguments: tuple[str, ...]
    writes: tuple[str, ...]
    instead: Callable[[Path], None] | None = None


def steps_of(size: DemoSize) -> list[Step]:
    """All steps in order. Paths are relative to the demonstration's folder."""
    reference = ("--structure", "4ake.pdb", "--modes", "modes")

    def step(title: str, line: str, *writes: str) -> Step:
        return Step(title, tuple(line.format(modes=MODES, **vars(size)).split()), writes)

    def split(folder: Path) -> None:
        everything = read_particles(folder / "images" / "particles.star")
        rows = np.random.default_rng(0).permutation(len(everything))
        for name, part in (("set1.star", rows[: size.labelled]), ("set2.star", rows[size.labelled :])):
            write_particles(everything.select(np.sort(part)), folder / name)

    structure = Step("structure", ("4ake.pdb: adenylate kinase, PDB 4AKE, chain A",), ("4ake.pdb",), _write_structure)
    halves = Step("image sets", (f"set1.star: {size.labelled} random images; set2.star: the others",),
                  ("set1.star", "set2.star"), split)  # fmt: skip
    of_modes = " ".join(reference)
    return [
        structure,
        step("normal modes", "nma --structure 4ake.pdb --output modes", "modes"),
        step("images with known truth", f"simulate {of_modes} --mode-list {{modes}} --count {{images}} "
             "--final-box-px {box_px} --tilt-sampling uniform-sphere --output images", "images"),
        halves,
        step("labels of Image set 1 by HEMNMA", f"align --particles set1.star {of_modes} --mode-list {{modes}} "
             "--angular-step-deg {angular_step_deg} --calibration-particles {calibration} --output hemnma.star",
             "hemnma.star", "hemnma.json"),
        step("network trained on the labels", f"train --particles hemnma.star {of_modes} --box {{network_box_px}} "
             "--backbone resnet18 --simulated-images {simulated} --epochs {epochs} --resume --output model", "model"),
        step("predictions of Image set 2", "infer --particles set2.star --model model --output network.star",
             "network.star", "network.json"),
        step("predictions of Image set 2, polished", f"infer --particles set2.star --model model --polish {of_modes} "
             "--output polished.star", "polished.star", "polished.json"),
        step("landscape of both sets", "landscape --particles hemnma.star --particles polished.star "
             "--output landscape", "landscape"),
        *(part for name, condition in (("low", "pc1<0"), ("high", "pc1>=0")) for part in (
            step(f"group {name}", f"group --landscape landscape --expression {condition} --output {name}.star",
                 f"{name}.star", f"{name}.json"),
            step(f"map of group {name}", f"reconstruct --particles {name}.star --output map_{name}", f"map_{name}"),
        )),
        step("trajectory along the first axis", f"trajectory --landscape landscape {of_modes} --movie gif "
             "--output trajectory", "trajectory"),
        step("errors against the truth", "evaluate --particles network.star --particles polished.star "
             f"--particles hemnma.star --truth images/truth.star {of_modes} --reconstruction map_low "
             "--reconstruction map_high --bound --output assessment", "assessment"),
        step("report", f"report --landscape landscape --group low.star --group high.star {of_modes} "
             "--trajectory trajectory --reconstruction map_low --reconstruction map_high --model model "
             "--evaluation assessment --output report.html", "report.html"),
    ]  # fmt: skip


def run_pipeline(folder: Path, size: DemoSize, run: Run | None = None) -> None:
    """Run all steps in a folder. Steps that an earlier run with the same sizes finished are kept.

    run: how a command is run; by default each in a process that has imported everything. Raises InputError with the
    command if one fails.
    """
    (folder / _STATE).mkdir(parents=True, exist_ok=True)
    before: list[list[str]] = []
    again = False
    steps = steps_of(size.checked())
    run = run or warm_run()
    for number, step in enumerate(steps, start=1):
        before = [*before, list(step.arguments)]
        state = folder / _STATE / f"{number:02d}.json"
        begun = _read_state(state)
        same = begun.get("steps") == before
        whole = all((folder / name).exists() for name in step.writes)
        print(f"\n▸ {number}/{len(steps)} {step.title}", flush=True)
        if same and begun.get("finished") and whole and not again:
            print("  finished by an earlier run; kept", flush=True)
            continue
        if not same or begun.get("finished"):  # results of other sizes, or of inputs that are made again
            _remove(folder, step.writes)
        again = True
        state.write_text(json.dumps({"steps": before, "finished": False}))
        _run(folder, step, run)
        state.write_text(json.dumps({"steps": before, "finished": True}))


def _run(folder: Path, step: Step, run: Run) -> None:
    started = time.monotonic()
    if step.instead is not None:
        print(f"  {step.arguments[0]}", flush=True)
        step.instead(folder)
        return
    print(f"  python -m continuousflex_deep {shlex.join(step.arguments)}", flush=True)
    if status := run(step.arguments, folder):
        raise InputError(
            f"step '{step.title}' failed (exit {status}); its message is above. A new run of the "
            "demonstration continues from here"
        )
    print(f"  {time.monotonic() - started:.0f} s", flush=True)


def _write_structure(folder: Path) -> None:
    write_demo_structure(folder / "4ake.pdb")


def _read_state(path: Path) -> dict[str, object]:
    try:
        state = json.loads(path.read_text())
    except (OSError, ValueError):  # none yet, or cut off
        return {}
    return state if isinstance(state, dict) else {}


def _remove(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        shutil.rmtree(path.with_suffix(".parts"), ignore_errors=True)
