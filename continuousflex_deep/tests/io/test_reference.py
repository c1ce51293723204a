"""Structures with their modes: which atoms the modes have, and what is said where these do not fit."""

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep import cli
from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.modes import NormalModes, write_modes
from continuousflex_deep.io.reference import read_reference, read_rigid_reference
from continuousflex_deep.io.structures import read_structure, write_structure
from continuousflex_deep.options import DeformOptions, options_of
from continuousflex_deep.tests.helpers.imports import PACKAGE
from continuousflex_deep.tests.helpers.pdb_text import Line, lines_of, pdb


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    whole = read_structure(ADENYLATE_KINASE)
    part = lines_of(whole.select(whole.residue_index < 40))
    far = Line("ZN", "ZN", "A", 900, (500.0, 0.0, 0.0), "ZN", record="HETATM")
    return [*part, far, *(replace(line, chain="B", xyz=(line.xyz[0] + 15.0, *line.xyz[1:])) for line in part)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, lines: list[Line]) -> Path:
    """s.pdb and its modes, computed without the distant ion and chain B."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "s.pdb").write_text(pdb(lines))
    words = ["nma", "--structure", folder / "s.pdb", "--output", folder / "modes", "--select", "A and not (ZN)"]
    assert cli.main([*map(str, words), "--n-modes", "8"]) == 0
    return folder


def options(**changes: str) -> DeformOptions:
    return replace(DeformOptions("first", "", "s", "m", "o"), **changes)


def test_modes_know_their_atoms(folder: Path) -> None:
    structure, modes = read_reference(folder / "s.pdb", folder / "modes")
    assert len(structure) == modes.vectors.shape[1]
    assert set(structure.chain_ids) == {"A"}
    same, _ = read_reference(folder / "s.pdb", folder / "modes", options=options(select="A and ;polymer"))
    np.testing.assert_array_equal(same.coords_A, structure.coords_A)


def test_a_file_of_these_atoms_alone_is_read(folder: Path, tmp_path: Path) -> None:
    structure, _ = read_reference(folder / "s.pdb", folder / "modes")
    write_structure(tmp_path / "a.pdb", replace(structure, chain_ids=np.full(len(structure), "X", dtype=object)))
    found, _ = read_reference(tmp_path / "a.pdb", folder / "modes")
    np.testing.assert_allclose(found.coords_A, structure.coords_A, atol=1e-3)


def test_atoms_left_out_need_no_elements(tmp_path: Path, lines: list[Line]) -> None:
    """What the modes leave out may be what cannot be read."""
    ligand = Line("CA", "LIG", "A", 901, (0.0, 0.0, 0.0), "")
    part = [replace(line, element="") for line in lines if line.chain == "A" and line.name != "ZN"]
    (tmp_path / "s.pdb").write_text(pdb([*part, ligand], left=True))
    words = ["nma", "--structure", tmp_path / "s.pdb", "--output", tmp_path / "m", "--select", "not A/901"]
    assert cli.main([*map(str, words), "--n-modes", "8"]) == 0
    structure, _ = read_reference(tmp_path / "s.pdb", tmp_path / "m")
    assert len(structure) == len(part)


def test_other_atoms_are_refused(folder: Path, tmp_path: Path, lines: list[Line]) -> None:
    with pytest.raises(InputError, match=r"selected by 'A and not \(ZN\)'\), structure .* their atoms by --select"):
        read_reference(folder / "s.pdb", folder / "modes", options=options(select="A,B and not (ZN)"))
    part = [line for line in lines if line.chain == "A" and line.name != "ZN"]
    moved = [*part[20:], *part[:20]]  # the same atoms, the first ones last
    (tmp_path / "moved.pdb").write_text(pdb(moved))
    with pytest.raises(InputError, match="were computed from atoms in another order"):
        read_reference(tmp_path / "moved.pdb", folder / "modes")


def test_modes_of_a_trace_say_how_to_read_it(folder: Path, tmp_path: Path) -> None:
    """Those of other programs, which have no record."""
    atoms = read_structure(folder / "s.pdb", select="A and //*//CA and ;polymer")
    modes = np.linalg.qr(np.random.default_rng(0).normal(size=(3 * len(atoms), 2)))[0].T.reshape(2, -1, 3)
    write_modes(tmp_path / "trace", NormalModes((7, 8), modes))
    write_structure(tmp_path / "a.pdb", read_structure(folder / "s.pdb", select="A and ;polymer"))
    with pytest.raises(InputError, match=r"as many as structure .* has Cα and P atoms; .*--select '//\*//CA,P'"):
        read_reference(tmp_path / "a.pdb", tmp_path / "trace")
    found, _ = read_reference(tmp_path / "a.pdb", tmp_path / "trace", options=options(select="//*//CA,P"))
    np.testing.assert_allclose(found.coords_A, atoms.coords_A, atol=1e-3)


def test_rigid_structures_are_selected(folder: Path) -> None:
    structure, modes = read_rigid_reference(folder / "s.pdb", options(select="B"))
    assert set(structure.chain_ids) == {"B"}
    assert modes.vectors.shape == (0, len(structure), 3)


def test_all_commands_that_read_a_structure_select_its_atoms() -> None:
    """They have the options, and what reads structures gets them."""
    for name, options_class in cli.COMMANDS.items():
        known = set(options_of(options_class))
        assert ("structure" in known) == ({"select", "models"} <= known), name
    callers = [path for folder in ("commands", "imaging", "nn", "report") for path in (PACKAGE / folder).glob("*.py")]
    calls = [
        (path.name, ast.unparse(call))
        for path in callers
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("read_reference", "read_rigid_reference")
    ]
    assert len(calls) >= 12
    assert [call for call in calls if not re.search(r"\boptions[,)]", call[1])] == []


def test_modes_of_all_models(folder: Path, tmp_path: Path, lines: list[Line]) -> None:
    molecule = [line for line in lines if line.name != "ZN"]
    parts = [[replace(line, chain="A") for line in molecule if line.chain == chain] for chain in "AB"]
    text = "".join(f"MODEL     {k:4d}\n{pdb(part)[:-4]}ENDMDL\n" for k, part in enumerate(parts, start=1))
    (tmp_path / "dimer.pdb1").write_text(text)
    words = ["nma", "--structure", tmp_path / "dimer.pdb1", "--output", tmp_path / "modes", "--models", "all"]
    assert cli.main([*map(str, words), "--n-modes", "8"]) == 0
    structure, modes = read_reference(tmp_path / "dimer.pdb1", tmp_path / "modes")
    assert len(structure) == 2 * len(parts[0]) == modes.vectors.shape[1]
    assert set(structure.chain_ids) == {"A", "A2"}
    parts[1] = [replace(line, xyz=(line.xyz[0], line.xyz[1] + 3.0, line.xyz[2])) for line in parts[1]]
    text = "".join(f"MODEL     {k:4d}\n{pdb(part)[:-4]}ENDMDL\n" for k, part in enumerate(parts, start=1))
    (tmp_path / "moved.pdb1").write_text(text)
    words = ["modes", "--structure", tmp_path / "dimer.pdb1", "--modes", tmp_path / "modes", "--output", tmp_path / "c"]
    assert cli.main([*map(str, words), "--target", str(tmp_path / "moved.pdb1")]) == 0
    matched = json.loads((tmp_path / "c" / "record.json").read_text())["matched"]
    assert matched.startswith(f"{len(structure)} of {len(structure)} atoms")


@pytest.mark.parametrize("command", ["deform", "modes"])
def test_commands_read_the_atoms_of_the_modes(folder: Path, tmp_path: Path, command: str) -> None:
    words = [command, "--structure", folder / "s.pdb", "--modes", folder / "modes", "--output", tmp_path / "out"]
    assert cli.main([str(w) for w in words]) == 0


def test_the_error_of_distant_atoms_is_advice_that_helps(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["nma", "--structure", str(folder / "s.pdb"), "--output", str(tmp_path / "m"), "--n-modes", "8"]
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert "Not connected to it: A/900(ZN)/ZN; use a larger cutoff" in said
    advice = said.split('--select "')[1].split('"')[0]
    assert cli.main([*words, "--select", advice]) == 0
