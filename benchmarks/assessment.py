"""The article's Tables 1 to 4 and its assessment of reconstructions, for our engine and network, beside its figures.

    python benchmarks/assessment.py [--images 1000] [--groups 4] [--no-network] [--folder assessment]

Images of adenylate kinase as the article makes them: its Eq. 1 along modes 7 to 9, all orientations, defocus of 0.5 µm,
SNR 0.1, 128 px of 0.65 Å. All are aligned; a network (ResNet18 at 32 px) learns from the first half's labels and
predicts the second half, of which the tables are. Then all are mapped, split along the first principal axis and
reconstructed, by the poses that were found and by the true ones, and each map is compared with that of its centroid
structure, with the structure at rest and with the farthest other centroid.

The article's figures are for 2,000 images after training with 14,055, and for groups of 899 images (0.325 Å/px).

Fills "Against the article's tables" of docs/results.md. The default size takes about 15 minutes on 2 cores (estimated
from its parts).
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cases import ARTICLE, TINY, Reference, adenylate_kinase
from command_line import FULL, SMALLEST, add_hardware, benchmark_parser, parse
from measuring import run_command, timed, write_figures

from continuousflex_deep.assessment.article_tables import Cell, Table
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.options import EvaluateOptions
from continuousflex_deep.particles import join

if TYPE_CHECKING:
    from continuousflex_deep.assessment.assessment import Assessment

# Tables 1 to 4: mean over modes; mean and SD of each mode, the angle, shifts x and y; and of the RMSD
ARTICLE_DISTANCES = {
    "article: inferred vs. truth": (2000, 7.5, 5.4, 6.5, 8.2, 9.2, 8.9, 10.5, 2.5, 3.3, 0.2, 0.1, 0.2, 0.1),
    "article: inferred vs. HEMNMA": (2000, 6.9, 5.4, 6.7, 7.3, 9.0, 7.9, 9.6, 1.9, 3.4, 0.2, 0.1, 0.2, 0.1),
    "article: HEMNMA vs. truth": (2000, 6.6, 5.7, 8.4, 6.2, 7.2, 7.8, 7.2, 1.0, 0.9, 0.2, 0.2, 0.2, 0.2),
    "article: inferred vs. truth, large set": (50000, 7.8, 6.6, 8.7, 9.5, 10.6, 7.3, 9.9, 2.6, 3.4, 0.2, 0.2, 0.2, 0.2),
}
ARTICLE_RMSD = {
    "article: inferred vs. truth": (2000, 0.4, 0.2, 0.9, 1.0, 0.3, 0.2),
    "article: inferred vs. truth, large set": (50000, 0.4, 0.2, 0.9, 1.2, 0.3, 0.2),
}
ARTICLE_RESOLUTIONS = (
    "article, ten groups of 899 images with the true centroids: 3.7-4.4 Å by inferred or HEMNMA poses and 3.6-3.7 Å by "
    "true ones at FSC 0.5; 3.0-3.3 Å and 3.0-3.1 Å at 0.143"
)
# 128 px of 0.65 Å as they are, which the article reduces from 256 px of 0.325 Å
IMAGES = {"box_px": 128, "pixel_size_A": 0.65, "final_box_px": 0, "shift_range_px": 2.5}
NETWORK = {"box": 32, "backbone": "resnet18"}
SIZES = {
    FULL: {"images": 1000, "groups": 4, "simulated": 60_000, "epochs": 5, "setting": ARTICLE},
    SMALLEST: {"images": 20, "groups": 2, "simulated": 16, "epochs": 1, "setting": TINY},
}


def main() -> None:
    """Print the tables beside the article's and write them with curves and pictures."""
    parser = benchmark_parser(__doc__, "assessment.json")
    parser.add_argument("--images", type=int, help="images to simulate")
    parser.add_argument("--groups", type=int, help="groups to reconstruct")
    parser.add_argument("--network", action=argparse.BooleanOptionalAction, default=True, help="train a network, too")
    parser.add_argument("--simulated", type=int, help="images that the network learns from first")
    parser.add_argument("--epochs", type=int, help="passes over the labelled images")
    parser.add_argument("--folder", type=Path, default=Path("assessment"), help="of images, results, tables, pictures")
    add_hardware(parser)
    arguments = parse(parser, SIZES)
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    case = Case(folder, adenylate_kinase(folder), arguments)
    seconds: dict[str, float] = {}
    with timed(seconds, "images"):
        case.make_images()
    with timed(seconds, "HEMNMA"):
        results = case.aligned()
    if arguments.network:
        with timed(seconds, "network"):
            results = [*case.inferred(), *results]
    case.compare_tables(results)
    with timed(seconds, "groups"):
        case.compare_groups()
    print(f"\nseconds: {', '.join(f'{name} {s:.0f}' for name, s in seconds.items())}")
    print(f"written: {folder}")
    write_figures(arguments.output, {"seconds": seconds, "images": arguments.images})


class Case:
    """A folder with images, results and comparisons, and the commands that make them."""

    def __init__(self, folder: Path, reference: Reference, arguments: argparse.Namespace) -> None:
        self.folder, self.reference, self.arguments = folder, reference, arguments
        self._hardware = {"device": arguments.device, "threads": arguments.threads}

    def make_images(self) -> None:
        """Images with their truth."""
        made = {"count": self.arguments.images, "output": self.folder / "sim", "threads": self.arguments.threads}
        run_command("simulate", self.reference.options | IMAGES | self.arguments.setting.simulate | made)

    def aligned(self) -> list[Path]:
        """All images aligned; the second half's results, to be compared with the network's."""
        everything = self.folder / "aligned.star"
        files = {"particles": self.folder / "sim" / "particles.star", "output": everything}
        run_command("align", self.reference.options | self.arguments.setting.align | files | self._hardware)
        found = read_particles(everything)
        half = len(found) // 2
        write_particles(found.select(np.arange(half)), self.folder / "labels.star")
        write_particles(found.select(np.arange(half, len(found))), self.folder / "HEMNMA.star")
        return [self.folder / "HEMNMA.star"]

    def inferred(self) -> list[Path]:
        """The second half predicted by a network that learned from the first half's labels; plain, and polished."""
        images = read_particles(self.folder / "sim" / "particles.star")
        write_particles(images.select(np.arange(len(images) // 2, len(images))), self.folder / "set_2.star")
        files = {name: self.reference.options[name] for name in ("structure", "modes")}
        learned = {"simulated_images": self.arguments.simulated, "epochs": self.arguments.epochs}
        labels = {"particles": self.folder / "labels.star", "output": self.folder / "model"}
        run_command("train", files | NETWORK | learned | labels | self._hardware)
        asked = {"particles": self.folder / "set_2.star", "model": self.folder / "model"} | self._hardware
        plain, polished = self.folder / "inferred.star", self.folder / "polished.star"
        run_command("infer", asked | {"output": plain})
        run_command("infer", asked | files | {"output": polished, "polish": True})
        return [plain, polished]

    def compare_tables(self, results: list[Path]) -> None:
        """The article's tables, with its own rows beside ours."""
        assessment = self._assessed("tables", results)
        distances, rmsd = assessment.tables()
        print(_beside(distances, ARTICLE_DISTANCES).text(), end="\n\n")
        print(_beside(rmsd, ARTICLE_RMSD).text(), end="\n\n")

    def compare_groups(self) -> None:
        """Maps of the same groups by the poses found and by the true ones."""
        from continuousflex_deep.assessment.assessment import group_tables

        landscape, found, true = (self.folder / name for name in ("landscape", "found", "true"))
        run_command("landscape", {"particles": self.folder / "aligned.star", "output": landscape})
        split = {"landscape": landscape, "groups": self.arguments.groups, "output": found}
        run_command("reconstruct", split | self._hardware)
        truth, files = read_particles(self.folder / "sim" / "truth.star"), []
        for number in range(1, self.arguments.groups + 1):
            group = read_particles(found / f"group_{number}" / "particles.star")
            poses = join(group, truth).replace(mode_ids=group.mode_ids, amplitudes=group.amplitudes)
            files += ["--particles", str(self.folder / f"true_{number}.star")]
            write_particles(poses, files[-1])
        run_command("reconstruct", {"output": true} | self._hardware, *files)
        for poses, output in (("found", found), ("true", true)):
            assessment = self._assessed(f"groups_{poses}", [self.folder / "aligned.star"], (str(output),))
            print(f"by {poses} poses:\n")
            for table in group_tables(assessment.groups):
                print(table.text(), end="\n\n")
            for group in assessment.groups:
                apart = ", ".join(f"{rmsd:.2f} Å from the {name}" for name, rmsd in group.rmsd_A.items())
                print(f"centroid of {group.group.name}: {apart}")
            print()
        print(ARTICLE_RESOLUTIONS)

    def _assessed(self, name: str, particles: list[Path], reconstruction: tuple[str, ...] = ()) -> "Assessment":
        """Results against the truth, and maps against centroids; written to a folder of this name."""
        from continuousflex_deep.assessment.assessment import write_assessment
        from continuousflex_deep.assessment.comparisons import assess

        files = {key: str(value) for key, value in self.reference.options.items()}
        truth, compared = str(self.folder / "sim" / "truth.star"), tuple(map(str, particles))
        assessment = assess(
            EvaluateOptions(**files, particles=compared, truth=truth, reconstruction=reconstruction, **self._hardware)
        )
        write_assessment(self.folder / name, assessment)
        return assessment


def _beside(table: Table, article: dict[str, tuple[float, ...]]) -> Table:
    """The table with the article's rows."""
    rows: list[tuple[Cell, ...]] = [(name, "", *values) for name, values in article.items()]
    return Table(table.name, table.title, table.head, (*table.rows, *rows))


if __name__ == "__main__":
    main()
