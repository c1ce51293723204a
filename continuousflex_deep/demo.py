"""`make demo`: the whole pipeline in a Scipion project that a user can open, on images made of adenylate kinase.

Structure → normal modes → synthetic images → HEMNMA labels for Image set 1 → network → predictions for Image set 2,
plain and polished → landscape of both sets → two groups → 3D reconstructions → all of it against the truth, in the
article's tables and in pictures → all of it as one HTML file.
"""

import argparse
import gzip
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.errors import DeepError, InputError
from continuousflex_deep.scipion_env import ProjectDriver, create_project, open_command, prepare_scipion_environment

PROJECT = "deephemnma_demo"


@dataclass(frozen=True)
class DemoSize:
    """How large the demonstration is; the default finishes in 15 minutes on 2 cores."""

    images: int = 600
    labelled: int = 400
    box_px: int = 128
    network_box_px: int = 32
    simulated: int = 100_000
    epochs: int = 20


def main() -> int:
    """Make the project; 0 when everything is written."""
    parser = argparse.ArgumentParser(prog="python -m continuousflex_deep.demo", description=__doc__)
    parser.add_argument(
        "--output", default="demo_output", help="folder for the Scipion home, tables and pictures (default demo_output)"
    )
    for name, value in vars(DemoSize()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help=f"default {value}")
    given = vars(parser.parse_args())
    output = Path(given.pop("output")).resolve()
    try:
        run_demo(output, DemoSize(**given))
    except DeepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def run_demo(output: Path, size: DemoSize) -> None:
    """Build the project under `output` and print what came out."""
    started = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    home = prepare_scipion_environment(output / "scipion")
    structure = write_demo_structure(output / "4ake.pdb")
    project = create_project(PROJECT)
    runs = run_protocols(ProjectDriver(project), structure, size)
    collect_results(runs, output)
    print(
        f"\nErrors: network and polished on Image set 2, HEMNMA on Image set 1\n\n{(output / 'tables.txt').read_text()}"
    )
    print(
        f"\nfinished in {(time.monotonic() - started) / 60:.1f} minutes. Pictures, tables and particle files: {output}"
    )
    for picture in sorted(output.glob("*.png")):
        print(f"  {picture.name}")
    print(f"\nScipion project: {project.path}\nopen it with:\n  {open_command(home, PROJECT)}")


def write_demo_structure(path: Path) -> Path:
    """Adenylate kinase, open form (4AKE, chain A), without hydrogens."""
    path.write_bytes(gzip.decompress(ADENYLATE_KINASE.read_bytes()))
    return path


def run_protocols(driver: ProjectDriver, structure: Path, size: DemoSize) -> dict[str, Any]:
    """All protocols by name, finished."""
    from pwem.protocols import ProtImportPdb, ProtSubSet

    from continuousflex_deep import protocols as cfd

    run, runs = driver.run, {}
    imported = run(
        "atomic structure", ProtImportPdb, inputPdbData=ProtImportPdb.IMPORT_FROM_FILES, pdbFile=str(structure)
    )
    modes = run("normal modes", cfd.CfdProtNma, inputStructure=imported.outputPdb).outputModes
    images = runs["images"] = run(
        "synthesize images", cfd.CfdProtSynthesize, inputModes=modes, mode_list="7-9", count=size.images, box_px=256,
        final_box_px=size.box_px, tilt_sampling=1,
    )  # fmt: skip
    everything = images.outputParticles
    first = run("image set 1", ProtSubSet, inputFullSet=everything, chooseAtRandom=True, nElements=size.labelled)
    set_1 = first.outputParticlesFlex
    second = run(
        "image set 2", ProtSubSet, inputFullSet=everything, inputSubSet=set_1, setOperation=ProtSubSet.SET_DIFFERENCE
    )
    set_2 = second.outputParticlesFlex
    labels = runs["hemnma"] = run(
        "HEMNMA of set 1", cfd.CfdProtAlign, inputParticles=set_1, inputModes=modes, mode_list="7-9"
    )
    training = runs["training"] = run(
        "train the network",
        cfd.CfdProtTrain,
        inputParticles=labels.outputParticles,
        inputModes=modes,
        box=size.network_box_px,
        backbone=0,
        simulated_images=size.simulated,
        epochs=size.epochs,
    )
    network = training.outputNetwork
    runs["network"] = run("predict set 2", cfd.CfdProtInfer, inputParticles=set_2, inputNetworks=[network])
    polished = runs["polished"] = run(
        "predict and polish set 2",
        cfd.CfdProtInfer,
        inputParticles=set_2,
        inputNetworks=[network],
        polish=True,
        inputModes=modes,
    )
    sets = [labels.outputParticles, polished.outputParticles]
    landscape = runs["landscape"] = run("landscape of both sets", cfd.CfdProtLandscape, inputSets=sets)
    groups = []
    for name, condition in (("low", "pc1 < 0"), ("high", "pc1 >= 0")):
        group = run(f"group {name}", cfd.CfdProtGroup, inputLandscape=landscape.outputLandscape, expression=condition)
        groups.append(group.outputParticles)
        runs[f"map_{name}"] = run(f"reconstruct group {name}", cfd.CfdProtReconstruct, inputParticles=groups[-1])
    runs["assessment"] = run(
        "against the truth",
        cfd.CfdProtAssess,
        inputSets=[runs["network"].outputParticles, polished.outputParticles, labels.outputParticles],
        inputTruth=images.outputTruth,
        inputModes=modes,
        inputVolumes=[runs["map_low"].outputVolume, runs["map_high"].outputVolume],
        bound=True,
    )
    runs["report"] = run(
        "report",
        cfd.CfdProtReport,
        title="Adenylate kinase, synthesised",
        inputLandscape=landscape.outputLandscape,
        inputGroups=groups,
        inputModes=modes,
        inputReconstructions=[runs["map_low"], runs["map_high"]],
        inputTrainings=[training],
        inputAssessments=[runs["assessment"]],
    )
    return runs


def collect_results(runs: dict[str, Any], output: Path) -> None:
    """Copy particle files, tables and pictures of the runs to `output` under telling names."""
    files = {
        "network.star": ("network", "predicted.star"),
        "polished.star": ("polished", "predicted.star"),
        "hemnma.star": ("hemnma", "aligned.star"),
        "loss_curve.png": ("training", "curves.png"),
        "landscape.png": ("landscape", "landscape.png"),
        "fsc_low.png": ("map_low", "fsc.png"),
        "fsc_high.png": ("map_high", "fsc.png"),
        "slices_low.png": ("map_low", "slices.png"),
        "slices_high.png": ("map_high", "slices.png"),
        "tables.txt": ("assessment", "tables.txt"),
        "tables.md": ("assessment", "tables.md"),
        "errors.png": ("assessment", "errors.png"),
        "fsc_centroids.png": ("assessment", "fsc.png"),
        "report.html": ("report", "report.html"),
    }
    for target, (run, file) in files.items():
        shutil.copyfile(one_file(runs[run], file), output / target)


def one_file(protocol: Any, name: str) -> Path:
    """The file of that name somewhere in a protocol's folder."""
    found = sorted(Path(protocol.getPath()).rglob(name))
    if not found:
        raise InputError(f"run '{protocol.getObjLabel()}' wrote no '{name}' in '{protocol.getPath()}'; see its log")
    return found[0].resolve()


if __name__ == "__main__":
    sys.exit(main())
