"""Damaged results of commands that others read: each is refused in words, or is sound."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch

from continuousflex_deep.cli import main
from continuousflex_deep.commands import report
from continuousflex_deep.io.error_table import read_errors
from continuousflex_deep.io.file_names import TRAJECTORY_JSON
from continuousflex_deep.io.fsc_table import read_fsc, read_resolutions
from continuousflex_deep.io.groups import NamedGroup, read_groups, write_groups
from continuousflex_deep.io.landscape_table import LANDSCAPE_NPZ, read_landscape_table
from continuousflex_deep.io.mode_table import read_mode_table
from continuousflex_deep.io.modes import read_modes
from continuousflex_deep.io.records import read_record
from continuousflex_deep.io.training_curves import read_curves
from continuousflex_deep.io.trajectories import read_trajectory, require_of_landscape
from continuousflex_deep.landscape.landscape import read_landscape
from continuousflex_deep.landscape.selection import read_ids
from continuousflex_deep.nn.checkpoint import BEST, UNREADABLE, Checkpoint, load_checkpoint, save_checkpoint
from continuousflex_deep.nn.data import Preprocess
from continuousflex_deep.nn.targets import TargetCoder
from continuousflex_deep.options import AlignOptions, ReportOptions, from_mapping
from continuousflex_deep.options.validation import read_options_file
from continuousflex_deep.tests.helpers.mutation import (
    BYTES,
    TEXT,
    VALUES,
    Mutation,
    array_member,
    cases,
    json_value,
    mutated,
    survives,
)

JSON: tuple[Mutation, ...] = (*[json_value] * 6, *TEXT, *BYTES)
ARRAYS: tuple[Mutation, ...] = (*[array_member] * 6, *BYTES)
PLAIN: tuple[Mutation, ...] = (*TEXT, *TEXT, *BYTES)


@pytest.fixture(scope="module")
def results(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what commands wrote."""
    base = tmp_path_factory.mktemp("results") / "base"
    copytree(Path(inputs["structure"]).parent, base)
    reference = ["--structure", f"{base}/helix.pdb", "--modes", f"{base}/modes"]
    assert main(["modes", *reference, "--output", f"{base}/choice"]) == 0
    rows = ("comparison,id,lost,q7_A,angle_deg", "a vs. b,1,0,1.5,", "a vs. b,2,1,2.5,", "")
    (base / "errors.csv").write_text("\n".join(rows))
    (base / "ids.txt").write_text("# ids\n1\n2\n\n30\n")
    asked = {"particles": "p.star", "mode_list": "7-9", "n_hypotheses": 8, "symmetry": "c2"}
    (base / "options.json").write_text(json.dumps(asked))
    write_groups(base / "groups.json", [NamedGroup(n, "#4477aa", np.arange(1, 9)) for n in ("open", "½ closed")])
    return base


Reader = Callable[[Path], Any]


def landscape_table(path: Path) -> None:
    table = read_landscape_table(path.parent)
    assert {len(column) for column in table.columns().values()} == {len(table)}
    assert np.isfinite(table.coordinates).all()
    assert table.amplitudes.shape == (len(table), len(table.mode_ids))
    assert table.image(0).box_px >= 1


def whole_landscape(path: Path) -> None:
    landscape = read_landscape(path.parent)
    amplitudes = landscape.particles.require_amplitudes("the test")[:2]
    with np.errstate(over="ignore", invalid="ignore"):  # of components as large as numbers get
        coordinates = landscape.reduction.transform(amplitudes)
        assert landscape.reduction.inverse_transform(coordinates).shape == amplitudes.shape


def trajectory(path: Path) -> None:
    found = read_trajectory(path)
    assert len(found) >= 2
    require_of_landscape(read_landscape_table(path.parent / "landscape"), found)


def options(path: Path) -> None:
    asked = from_mapping(AlignOptions, read_options_file(path) | {"output": "o.star", "structure": "s", "modes": "m"})
    assert isinstance(asked.n_hypotheses, int)


def modes(path: Path) -> None:
    found = read_modes(path.parent)
    assert np.isfinite(found.vectors).all()


def groups(path: Path) -> None:
    for group in read_groups(path):
        assert group.ids.dtype == np.int64


@dataclass(frozen=True)
class Damaged:
    """A file among the results, what reads it, and how it is damaged. beside: folders or files that stay as they were,
    "." for all that are in its folder."""

    file: str
    read: Reader
    mutations: tuple[Mutation, ...]
    beside: str = ""


DAMAGED = {
    "groups": Damaged("groups.json", groups, JSON),
    "options": Damaged("options.json", options, JSON),
    "ids": Damaged("ids.txt", read_ids, PLAIN),
    "record": Damaged("landscape/record.json", read_record, JSON),
    "FSC": Damaged("map/fsc.csv", read_fsc, PLAIN),
    "resolutions": Damaged("map/fsc.json", read_resolutions, JSON),
    "errors": Damaged("errors.csv", read_errors, PLAIN),
    "table of selected modes": Damaged("choice/modes.csv", read_mode_table, PLAIN),
    "curves": Damaged("model/angles/curves.csv", read_curves, PLAIN),
    "table of a landscape": Damaged(f"landscape/{LANDSCAPE_NPZ}", landscape_table, ARRAYS, "."),
    "components of a landscape": Damaged("landscape/pca.json", whole_landscape, JSON, "."),
    "vectors of modes": Damaged("modes/vec.8", modes, PLAIN, "."),
    "facts of modes": Damaged("modes/modes.json", modes, JSON, "."),
    "trajectory": Damaged(f"path/{TRAJECTORY_JSON}", trajectory, JSON, "../landscape"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_results(results: Path, tmp_path: Path, name: str) -> None:
    damaged = DAMAGED[name]
    source, folder = results / damaged.file, tmp_path / "folder"
    if damaged.beside:
        beside = source.parent / damaged.beside
        copytree(beside, folder if damaged.beside == "." else folder / beside.name)
    folder.mkdir(exist_ok=True)
    for case in mutated({source.name: source.read_bytes()}, damaged.mutations, count=cases(60), seed=11):
        survives(case, folder / source.name, damaged.read)


@pytest.mark.parametrize(
    ("part", "file"),
    [
        ("landscape", LANDSCAPE_NPZ), ("landscape", "record.json"), ("trajectory", TRAJECTORY_JSON),
        ("group", "groups.json"),
        ("reconstruction", "fsc.csv"), ("reconstruction", "record.json"), ("model", "train.json"),
        ("evaluation", "evaluation.json"),
    ],
)  # fmt: skip
def test_reports_of_damaged_inputs(results: Path, tmp_path: Path, part: str, file: str) -> None:
    """The page is written, or the input is refused; nothing is written elsewhere."""
    folders = {"landscape": "landscape", "trajectory": "path", "reconstruction": "map", "model": "model"}
    given = {"landscape": str(results / "landscape"), "structure": str(results / "helix.pdb")}
    given |= {"modes": str(results / "modes")} if part == "trajectory" else {}
    if part in folders:
        folder = copytree(results / folders[part], tmp_path / "damaged")
        source, given[part] = results / folders[part] / file, str(folder)
    else:
        folder = tmp_path / "damaged"
        folder.mkdir()
        source = results / ("groups.json" if part == "group" else file)
        given[part] = str(folder / file)
    output = tmp_path / "out"
    output.mkdir()
    lists = {"group", "trajectory", "reconstruction", "model", "evaluation"}

    def read(path: Path) -> None:
        values = {key: [value] if key in lists else value for key, value in given.items()}
        report.run(from_mapping(ReportOptions, {"output": str(output / "report.html"), **values}))
        assert [p.name for p in output.iterdir()] == ["report.html"]

    mutations = ARRAYS if file.endswith("npz") else PLAIN if file.endswith("csv") else JSON
    for case in mutated({source.name: source.read_bytes()}, mutations, count=cases(12), seed=14):
        survives(case, folder / file, read)


def checkpoint_entry(content: bytes, rng: np.random.Generator) -> bytes:
    """An entry of a checkpoint, or of one of its parts, by a value of another type; or without it."""
    try:
        entries = torch.load(io.BytesIO(content), weights_only=True)
    except UNREADABLE:  # damaged by an earlier mutation
        return content
    node = entries
    while True:
        key = list(node)[rng.integers(len(node))]
        if not (isinstance(node[key], dict) and node[key] and rng.integers(3)):
            break
        node = node[key]
    if rng.integers(4):
        node[key] = VALUES[rng.integers(len(VALUES))]
    else:
        del node[key]
    out = io.BytesIO()
    torch.save(entries, out)
    return out.getvalue()


def test_damaged_checkpoints(tmp_path: Path) -> None:
    coder = TargetCoder("all", (7, 8), "quaternion", False, (0.0, 1.0), (2.0, 3.0), 4.0, True)
    preprocess = Preprocess(32, 2.0, False, 24, (1.0, 0.5), True)
    ids = torch.arange(3)
    save_checkpoint(
        tmp_path / "whole.pt",
        Checkpoint(
            preprocess, coder, "resnet18", "linear", 0.0, {"layer": torch.zeros(3)}, {"angles": 1.0}, {"lr": 0.1},
            {"epochs": 1}, 0, [{"epoch": 1.0}], ids, ids,
        ),
    )  # fmt: skip
    content = (tmp_path / "whole.pt").read_bytes()

    def read(path: Path) -> None:
        checkpoint = load_checkpoint(path)
        assert checkpoint.coder.outputs > 0
        assert checkpoint.preprocess.network_box_px >= 1

    mutations = (*[checkpoint_entry] * 6, *BYTES)
    for case in mutated({BEST: content}, mutations, count=cases(60), seed=15):
        survives(case, tmp_path / BEST, read)
