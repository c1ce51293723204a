"""The article's experiment with the yeast ribosome (EMPIAR-10016), rehearsed on simulated particles of the same kind.

    python benchmarks/empiar_10016.py [--size small|full|smallest] [--folder empiar_10016_benchmark]
                                      [--device auto] [--threads 0] [--output empiar_10016.json]

Two classes of a ribosome (6ZU5, Cα and P atoms) in FREALIGN's files: one as it is, the other moved along its slowest
mode, and without a protein that weighs as much as a tRNA. The reference model lacks this protein, too. The commands are
those of docs/empiar-10016.md: parameter files and stack are converted, phases flipped, images reduced; modes of the
reference; a part of the images is aligned, a network learns from it and predicts the others, refined by HEMNMA; two
groups along the first principal axis of the landscape are reconstructed. Nothing but the images tells where the protein
is: its density in the map of the right group is compared with the truth.

images     of the map
right      share of them that are of the class with the protein
resolution of the map in Å: masked FSC of the half maps 0.143
protein    correlation of the map with the protein's density, in a mask around it and away from all other atoms

Rows: maps of FREALIGN's classes by the poses of their parameter files, which are the true ones; of the two groups; and
of the groups' difference. Goals: 0.8 in the group with the protein, at most 0.2 in the other.

A step that is finished in the folder is not done again. --size full has all Cα and P atoms, modes as in the article,
and images of 128 px; it is for a GPU. small has every twelfth atom, blurred, and images of 48 px.

Fills "EMPIAR-10016, rehearsed" of docs/results.md. The default size takes about 5 minutes on one core (estimated from
its steps on a busy machine).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from command_line import FULL, SMALLEST, add_hardware, benchmark_parser, parse
from command_runs import Commands, Options
from measuring import Figures, Table, write_figures
from ribosome_classes import MODES, WITH, WITHOUT, Ribosome, parameters_of, simulate_classes

from continuousflex_deep.io.file_names import FSC_JSON, MAP_MRC, PARTICLES_STAR
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.records import read_json

CA_AND_P = "//*//CA,P[C,P]"  # gemmi's selection of the article's coarse-grain model


@dataclass(frozen=True)
class Plan:
    """Numbers of images, and options of the commands.

    images: of each class; aligned: of both, to train on. every: of so many residues one is there. box_px: to which
    images are reduced. The second class is moved_rmsd_A from the first, and conformations in a class spread by
    spread_rmsd_A along each mode. excluded_rmsd_A: of the first principal axis, about 0, is in neither group.
    b_factor_A2: blurs the points, of which each stands for more atoms where they are few.
    """

    images: int
    aligned: int
    box_px: int
    every: int = 1
    moved_rmsd_A: float = 6.0
    spread_rmsd_A: float = 0.7
    excluded_rmsd_A: float = 0.75
    b_factor_A2: float = 50.0
    network: Options = field(default_factory=dict)
    simulate: Options = field(default_factory=dict)
    align: Options = field(default_factory=dict)
    train: Options = field(default_factory=dict)
    polish: Options = field(default_factory=dict)
    landscape: Options = field(default_factory=dict)


DEFOCUS_A = (10_000.0, 25_000.0)
SIZES = {
    "small": {
        "plan": Plan(
            images=60, aligned=80, box_px=48, every=12, network={"cutoff_A": 48.0, "block_size": 2}, b_factor_A2=500.0,
            simulate={"box_px": 60, "pixel_size_A": 6.3, "snr": 0.3, "shift_range_px": 2.0, "defocus_A": DEFOCUS_A},
            align={"angular_step_deg": 30.0, "finest_resolution_A": 20.0, "n_hypotheses": 16,
                   "calibration_particles": 32},
            train={"backbone": "resnet18", "box": 32, "simulated_images": 1500, "epochs": 2},
            polish={"search_above_deg": 0.0},
            landscape={"density": "raw"},
        ),
    },
    FULL: {
        "plan": Plan(
            images=1000, aligned=700, box_px=128, network={"cutoff_A": 20.0, "block_size": 20},
            simulate={"box_px": 160, "pixel_size_A": 2.36, "snr": 0.1, "defocus_A": DEFOCUS_A},
        ),
    },
    SMALLEST: {
        "plan": Plan(
            images=12, aligned=12, box_px=32, every=32, network={"cutoff_A": 65.0, "block_size": 2},
            excluded_rmsd_A=0.0, b_factor_A2=2000.0,
            simulate={"box_px": 40, "pixel_size_A": 9.44, "snr": 1.0, "shift_range_px": 1.0, "defocus_A": DEFOCUS_A},
            align={"n_hypotheses": 4, "angular_step_deg": 30.0},
            train={"backbone": "resnet18", "box": 32, "simulated_images": 16, "epochs": 1, "keep_ambiguous": True},
            polish={"search_above_deg": 0.0},
            landscape={"density": "raw"},
        ),
    },
}  # fmt: skip


def main() -> None:
    """Do the steps; print a row for each map, and write the figures."""
    parser = benchmark_parser(__doc__, "empiar_10016.json")
    parser.add_argument("--folder", type=Path, default=Path("empiar_10016_benchmark"), help="of images and results")
    add_hardware(parser)
    given = parse(parser, SIZES)
    commands = Commands(given.folder.absolute(), 1)
    rehearsal = Rehearsal(given.plan, commands, {"device": given.device, "threads": given.threads})
    table, rows = Table("map", width=36), dict[str, Figures]()
    for name, figures in rehearsal.maps():
        rows[name] = figures
        table.row(name, figures)
    write_figures(given.output, {"maps": rows, "seconds": rehearsal.seconds, "size": given.size})


class Rehearsal:
    """The steps in one folder; each is done when its result is asked for, and once in a folder."""

    def __init__(self, plan: Plan, commands: Commands, hardware: dict[str, Any]) -> None:
        self.plan, self.commands, self.hardware, self.folder = plan, commands, hardware, commands.folder
        self.seconds: dict[str, float | None] = {}
        self.ribosome = Ribosome.written(self.folder, plan.network, plan.every)
        made = {**plan.simulate, "b_factor_A2": plan.b_factor_A2}
        moved, spread = plan.moved_rmsd_A, plan.spread_rmsd_A
        self.truth = simulate_classes(commands, self.ribosome, plan.images, made, moved, spread)

    def step(self, what: str, command: str, options: Options, *more: str, hardware: bool = True) -> None:
        """A command; its time is kept, and printed, by what it does."""
        used = self.hardware if hardware else {}
        self.seconds[what] = self.commands.once(command, {**options, **used}, *more)
        seconds = self.seconds[what]
        print(f"{what}: {'interrupted once' if seconds is None else f'{seconds:.0f} s'}", flush=True)

    @cached_property
    def classes(self) -> dict[str, Path]:
        """FREALIGN's two classes, reduced, as particle files by their names."""
        found = {}
        for name, truth in self.truth.items():
            file, folder = self.folder / f"{name}.star", self.folder / f"{name} reduced"
            ctf = truth.require_ctf("this benchmark")
            microscope = {key: getattr(ctf, key)[0] for key in ("voltage_kV", "cs_mm", "amplitude_contrast")}
            read = {"particles": parameters_of(self.folder, name), "stack": self.folder / "stack.mrcs", **microscope}
            self.step(f"{name} read", "convert", {**read, "output": file}, hardware=False)
            reduced = {"particles": file, "output": folder, "box": self.plan.box_px, "phase_flip": True}
            self.step(f"{name} reduced", "preprocess", reduced, hardware=False)
            found[name] = folder / PARTICLES_STAR
        return found

    @cached_property
    def predicted(self) -> tuple[Path, Path]:
        """The particles that HEMNMA aligned, and the others, predicted by the network and refined."""
        plan, folder = self.plan, self.folder
        divided = {"output": folder / "set1.star", "rest": folder / "set2.star", "draw": plan.aligned}
        both = [word for file in self.classes.values() for word in ("--particles", str(file))]
        self.step("set divided", "convert", divided, *both, hardware=False)
        structure = {"structure": self.ribosome.reference}
        modes = {**plan.network, **structure, "select": CA_AND_P, "output": folder / "modes", "motion": "straight"}
        self.step("modes", "nma", {**modes, "n_modes": max(MODES)}, hardware=False)
        model = {**structure, "modes": folder / "modes"}
        labels = {"particles": folder / "set1.star", "output": folder / "labels.star", **plan.align, **model}
        self.step("alignment", "align", {**labels, "mode_list": " ".join(map(str, MODES))})
        learned = {"particles": folder / "labels.star", "output": folder / "network", "resume": True}
        self.step("training", "train", {**learned, **plan.train, **model})
        output = folder / "predicted.star"
        asked = {"particles": folder / "set2.star", "model": folder / "network", "output": output, "polish": True}
        self.step("prediction", "infer", {**asked, **plan.polish, **model})
        return folder / "labels.star", output

    @cached_property
    def groups(self) -> tuple[Path, Path]:
        """The two groups along the first principal axis, that of the domain's class first."""
        files = [word for file in self.predicted for word in ("--particles", str(file))]
        landscape = self.folder / "landscape"
        self.step("landscape", "landscape", {"output": landscape, **self.plan.landscape}, *files, hardware=False)
        found, least_A = [], self.plan.excluded_rmsd_A * len(self.ribosome.whole) ** 0.5
        for name, side in (("low", f"< {-least_A:.0f}"), ("high", f"> {least_A:.0f}")):
            file = self.folder / f"{name}.star"
            selected = {"landscape": landscape, "expression": f"pc1 {side}", "output": file}
            self.step(f"group, {name}", "group", selected, hardware=False)
            found.append(file)
        first, second = sorted(found, key=self.right, reverse=True)
        return first, second

    def right(self, file: Path) -> float:
        """Share of the particles of a file that are of the class with the domain."""
        return float(np.isin(read_particles(file).ids, self.truth[WITH].ids).mean())

    def maps(self) -> Iterator[tuple[str, Figures]]:
        """Figures of each map by its name."""
        for name, file in self.classes.items():
            yield f"FREALIGN, {name}", self.figures(name, file)[0]
        (first, with_map), (second, without_map) = (
            self.figures(f"group {number}", file) for number, file in enumerate(self.groups, 1)
        )
        yield "group with the protein", first
        yield "group without the protein", second
        resolution_A = max(float(first["resolution_A"] or 0), float(second["resolution_A"] or 0))
        difference = self.correlation(with_map - without_map, resolution_A)
        yield "their difference", {"images": None, "right": None, "resolution_A": resolution_A, "protein": difference}

    def figures(self, name: str, file: Path) -> tuple[Figures, np.ndarray]:
        """Figures of the map (d, d, d) of some particles, and the map."""
        output = self.folder / f"map of {name}"
        self.step(f"map of {name}", "reconstruct", {"output": output}, "--particles", str(file))
        volume = read_volume(output / MAP_MRC)[0]
        particles = read_particles(file)
        reached_A = read_json(output / FSC_JSON, "resolutions")["resolution_A"]["half maps, masked"]["0.143"]
        resolution_A = reached_A or 2 * particles.pixel_size_A
        protein = self.correlation(volume, resolution_A)
        return {
            "images": float(len(particles)),
            "right": self.right(file),
            "resolution_A": resolution_A,
            "protein": protein,
        }, volume

    def correlation(self, volume: np.ndarray, resolution_A: float) -> float:
        """Of a map with the domain's density at its resolution, in the domain's mask."""
        box_px = self.plan.box_px
        pixel_A = read_particles(self.classes[WITHOUT]).pixel_size_A
        mask = self.ribosome.domain_mask(box_px, pixel_A, self.plan.moved_rmsd_A)
        true = self.ribosome.domain_map(box_px, pixel_A, resolution_A, self.plan.b_factor_A2)
        return float(np.corrcoef(volume[mask], true[mask])[0, 1])


if __name__ == "__main__":
    main()
