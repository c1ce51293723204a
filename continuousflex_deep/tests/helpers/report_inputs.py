"""What the report command is given in tests: results of the commands themselves, of a small helix in 48 images."""

import dataclasses
import json
from pathlib import Path

import gemmi
import numpy as np

from continuousflex_deep.cli import main
from continuousflex_deep.io.landscape_table import LandscapeTable, read_landscape_table, write_landscape_table
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.records import write_record
from continuousflex_deep.io.training_curves import write_curves
from continuousflex_deep.options import TrainOptions

N, RESIDUES, MODES = 48, 40, (7, 8)
NASTY = "</script><img src=x onerror=alert(1)> & 'quotes' $title"


def write_helix(path: Path, atom: str = "CA", residue: str = "ALA") -> None:
    """A helix of one atom a residue, off the origin."""
    structure, model, chain = gemmi.Structure(), gemmi.Model(1), gemmi.Chain("A")
    for i in range(RESIDUES):
        angle = np.radians(100 * i)
        site = gemmi.Atom()
        site.name, site.element = atom, gemmi.Element("C")
        site.pos = gemmi.Position(30 + 2.3 * np.cos(angle), 5 + 2.3 * np.sin(angle), 1.5 * i)
        one = gemmi.Residue()
        one.name, one.seqid = residue, gemmi.SeqId(i + 1, " ")
        one.add_atom(site)
        chain.add_residue(one)
    model.add_chain(chain)
    structure.add_model(model)
    structure.setup_entities()
    structure.write_pdb(str(path))


def write_inputs(base: Path) -> dict[str, str]:
    """Run the commands in a folder; what the report command can be given, by option."""
    write_helix(base / "helix.pdb")

    def run(*words: str) -> None:
        assert main([word.replace("@", f"{base}/") for word in words]) == 0

    run("nma", "--structure", "@helix.pdb", "--output", "@modes", "--cutoff-A", "12", "--block-size", "0",
        "--n-modes", "9")  # fmt: skip
    run("simulate", "--structure", "@helix.pdb", "--modes", "@modes", "--mode-list", "7-8", "--output", "@sim",
        "--count", str(N), "--conformations", "uniform", "--amplitude-range", "30", "--box-px", "24",
        "--pixel-size-A", "5", "--final-box-px", "0", "--snr", "1", "--threads", "1")  # fmt: skip
    truth = read_particles(base / "sim" / "truth.star")
    (base / "aligned").mkdir()
    write_particles(truth.replace(amplitudes_sd=np.full((N, 2), 5.0)), base / "aligned" / "truth.star")
    run("landscape", "--particles", "@aligned/truth.star", "--output", "@landscape")
    run("group", "--landscape", "@landscape", "--expression", "pc1 > 0", "--output", "@open.star")
    run("trajectory", "--landscape", "@landscape", "--structure", "@helix.pdb", "--modes", "@modes", "--output",
        "@path", "--n-frames", "5", "--movie", "none")  # fmt: skip
    run("reconstruct", "--landscape", "@landscape", "--groups", "2", "--output", "@series", "--threads", "1")
    run("reconstruct", "--particles", "@open.star", "--output", "@map", "--threads", "1")
    run("unbend", "--particles", "@open.star", "--structure", "@helix.pdb", "--modes", "@modes", "--output", "@unbent",
        "--threads", "1")  # fmt: skip
    run("evaluate", "--particles", "@sim/truth.star", "--truth", "@sim/truth.star", "--structure", "@helix.pdb",
        "--modes", "@modes", "--output", "@evaluation.json")  # fmt: skip
    write_model(base / "model")
    return {
        "landscape": f"{base}/landscape", "structure": f"{base}/helix.pdb", "modes": f"{base}/modes",
        "group": f"{base}/open.star", "trajectory": f"{base}/path", "reconstruction": f"{base}/series",
        "model": f"{base}/model", "evaluation": f"{base}/evaluation.json",
    }  # fmt: skip


def write_assessments(base: Path, folder: Path) -> dict[str, str]:
    """What evaluate writes of the inputs in a folder: of results and groups with the truth, and of groups alone."""
    truth = f"{base}/sim/truth.star"
    common = ["evaluate", "--structure", f"{base}/helix.pdb", "--modes", f"{base}/modes", "--particles", truth,
              "--reconstruction", f"{base}/series"]  # fmt: skip
    assert main([*common, "--truth", truth, "--output", f"{folder}/all"]) == 0
    assert main([*common, "--output", f"{folder}/groups"]) == 0
    return {name: f"{folder}/{name}" for name in ("all", "groups")}


def write_model(folder: Path) -> None:
    """The curves of two networks and their record, as the train command leaves them."""
    for name in ("angles", "shifts"):
        (folder / name).mkdir(parents=True)
        errors = {"angles": "angle_error_deg", "shifts": "shift_error_A"}[name]
        write_curves(folder / name, [
            {"epoch": i, "simulated": int(i < 2), "train_loss": 1 / i, "validation_loss": 1.1 / i, errors: 9.0 / i}
            for i in range(1, 4)
        ])  # fmt: skip
    write_record(folder / "train.json", "train", TrainOptions(particles="labels.star", output=str(folder), seed=41))


def write_large_landscape(folder: Path, like: str, n: int) -> LandscapeTable:
    """A landscape of n particles in two clouds, with ids as hashes are; columns are those of another landscape."""
    small, rng = read_landscape_table(like), np.random.default_rng(3)
    rows = rng.integers(0, len(small), n)
    columns = {
        f.name: values[rows]
        for f in dataclasses.fields(small)
        if isinstance(values := getattr(small, f.name), np.ndarray) and len(values) == len(small)
    }
    coordinates = rng.normal(size=(n, 2)) * 10 + np.where(rng.random((n, 1)) < 0.3, -40.0, 25.0)
    columns |= {
        "ids": rng.permutation(np.arange(n, dtype=np.int64) * 9_000_000_000_001 + 7),
        "coordinates": coordinates, "amplitudes": coordinates @ np.array([[0.6, 0.8], [-0.8, 0.6]]),
        "outlier": np.zeros(n, dtype=bool),
    }  # fmt: skip
    table = dataclasses.replace(small, **columns)
    folder.mkdir(parents=True)
    write_landscape_table(folder, table)
    record = json.loads((Path(like) / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps(record))
    return table
