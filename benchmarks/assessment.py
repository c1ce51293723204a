"""The article's Tables 1 to 4 and its assessment of reconstructions, for our engine and network, beside its figures.

    python benchmarks/assessment.py [--images 1000] [--groups 4] [--no-network] [--output assessment]

Images of adenylate kinase (4AKE) as the article makes them: its Eq. 1 along modes 7 to 9, all
orientations, defocus of 0.5 µm, SNR 0.1, 128 px of 0.65 Å. All are aligned; a network (ResNet18 at 32 px) learns from
the first half's labels and predicts the second half, of which the tables are. Then all are mapped, split along the
first principal axis and reconstructed, by the poses that were found and by the true ones, and each map is compared with
that of its centroid structure, with the structure at rest and with the farthest other centroid.

The article's figures are for 2,000 images after training with 14,055, and for groups of 899 images (0.325 Å/px).
"""

import argparse
import contextlib
import io
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from continuousflex_deep import cli
from continuousflex_deep.assessment.article_tables import Cell, Table
from continuousflex_deep.assessment.assessment import group_tables, write_assessment
from continuousflex_deep.commands.evaluate import assess
from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.options import EvaluateOptions
from continuousflex_deep.particles import join

MODES = "7-9"
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


def main() -> None:
    """Print the tables beside the article's and write them with curves and pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--network", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--simulated", type=int, default=60000, help="images that the network learns from first")
    parser.add_argument("--epochs", type=int, default=5, help="passes over the labelled images")
    parser.add_argument("--output", type=Path, default=Path("assessment"))
    arguments = parser.parse_args()
    folder: Path = arguments.output
    seconds: dict[str, float] = {}
    flexible = ["--structure", str(ADENYLATE_KINASE), "--modes", str(folder / "modes"), "--mode-list", MODES]
    with _timed(seconds, "images"):
        _make(folder, flexible, arguments.images)
    with _timed(seconds, "HEMNMA"):
        results = _aligned(folder, flexible)
    if arguments.network:
        with _timed(seconds, "network"):
            results = [*_inferred(folder, flexible, arguments), *results]
    _compare_tables(folder, results)
    with _timed(seconds, "groups"):
        _compare_groups(folder, arguments.groups)
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores"
    figures = {"machine": machine, "seconds": seconds, "images": arguments.images}
    (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\n{machine}; seconds: {', '.join(f'{name} {s:.0f}' for name, s in seconds.items())}")
    print(f"written: {folder}")


def _make(folder: Path, flexible: list[str], count: int) -> None:
    _run("nma", "--structure", str(ADENYLATE_KINASE), "--output", str(folder / "modes"), "--n-modes", "9")
    made = ["--count", str(count), "--box-px", "128", "--pixel-size-A", "0.65", "--final-box-px", "0"]
    _run("simulate", *flexible, *made, "--shift-range-px", "2.5", "--output", str(folder / "sim"))


def _aligned(folder: Path, flexible: list[str]) -> list[Path]:
    """All images aligned; the second half's results, to be compared with the network's."""
    everything = folder / "aligned.star"
    _run("align", *flexible, "--particles", str(folder / "sim" / "particles.star"), "--output", str(everything))
    found = read_particles(everything)
    half = len(found) // 2
    write_particles(found.select(np.arange(half)), folder / "labels.star")
    write_particles(found.select(np.arange(half, len(found))), folder / "HEMNMA.star")
    return [folder / "HEMNMA.star"]


def _inferred(folder: Path, flexible: list[str], arguments: argparse.Namespace) -> list[Path]:
    """The second half predicted by a network that learned from the first half's labels; plain, and polished."""
    images = read_particles(folder / "sim" / "particles.star")
    set_2 = folder / "set_2.star"
    write_particles(images.select(np.arange(len(images) // 2, len(images))), set_2)
    reference = flexible[:4]
    learned = ["--box", "32", "--backbone", "resnet18", "--simulated-images", str(arguments.simulated)]
    learned += ["--epochs", str(arguments.epochs)]
    model = str(folder / "model")
    _run("train", *reference, *learned, "--particles", str(folder / "labels.star"), "--output", model)
    files = [folder / "inferred.star", folder / "polished.star"]
    asked = ["infer", "--particles", str(set_2), "--model", model]
    _run(*asked, "--output", str(files[0]))
    _run(*asked, "--output", str(files[1]), "--polish", *reference)
    return files


def _compare_tables(folder: Path, results: list[Path]) -> None:
    options = _options(folder, [str(path) for path in results])
    assessment = assess(options)
    write_assessment(folder / "tables", assessment)
    distances, rmsd = assessment.tables()
    print(_beside(distances, ARTICLE_DISTANCES).text(), end="\n\n")
    print(_beside(rmsd, ARTICLE_RMSD).text(), end="\n\n")


def _compare_groups(folder: Path, groups: int) -> None:
    """Maps of the same groups by the poses found and by the true ones."""
    _run("landscape", "--particles", str(folder / "aligned.star"), "--output", str(folder / "landscape"))
    found, true = folder / "found", folder / "true"
    _run("reconstruct", "--landscape", str(folder / "landscape"), "--groups", str(groups), "--output", str(found))
    truth, files = read_particles(folder / "sim" / "truth.star"), []
    for number in range(1, groups + 1):
        group = read_particles(found / f"group_{number}" / "particles.star")
        poses = join(group, truth).replace(mode_ids=group.mode_ids, amplitudes=group.amplitudes)
        files += ["--particles", str(folder / f"true_{number}.star")]
        write_particles(poses, files[-1])
    _run("reconstruct", *files, "--output", str(true))
    for poses, output in (("found", found), ("true", true)):
        assessment = assess(_options(folder, [str(folder / "aligned.star")], (str(output),)))
        write_assessment(folder / f"groups_{poses}", assessment)
        print(f"by {poses} poses:\n")
        for table in group_tables(assessment.groups):
            print(table.text(), end="\n\n")
        for group in assessment.groups:
            apart = ", ".join(f"{rmsd:.2f} Å from the {name}" for name, rmsd in group.rmsd_A.items())
            print(f"centroid of {group.group.name}: {apart}")
        print()
    print(ARTICLE_RESOLUTIONS)


def _options(folder: Path, particles: list[str], reconstruction: tuple[str, ...] = ()) -> EvaluateOptions:
    return EvaluateOptions(
        particles=tuple(particles), truth=str(folder / "sim" / "truth.star"), structure=str(ADENYLATE_KINASE),
        modes=str(folder / "modes"), mode_list=MODES, reconstruction=reconstruction,
    )  # fmt: skip


def _beside(table: Table, article: dict[str, tuple[float, ...]]) -> Table:
    """The table with the article's rows."""
    rows: list[tuple[Cell, ...]] = [(name, "", *values) for name, values in article.items()]
    return Table(table.name, table.title, table.head, (*table.rows, *rows))


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started


def _run(*arguments: str) -> None:
    """A command of the package, silent unless it fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = cli.main(arguments)
    if code:
        raise SystemExit(f"{arguments[0]} failed:\n{said.getvalue()}")


if __name__ == "__main__":
    main()
