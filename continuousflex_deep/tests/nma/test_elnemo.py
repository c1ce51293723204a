"""elNemo's programs: their files are read rightly, their modes are ours, and what they cannot do is said."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep import cli
from continuousflex_deep.errors import DeepError, FormatError, InputError, MissingDependencyError
from continuousflex_deep.io.modes import NormalModes, read_modes
from continuousflex_deep.io.structures import PSEUDOATOM, Structure, read_structure
from continuousflex_deep.nma.elnemo import elnemo_modes, read_eigenfacs
from continuousflex_deep.nma.network import compute_modes
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.programs import ELNEMO, ELNEMO_ARPACK, ELNEMO_DIAGRTB, ELNEMO_PDBMAT
from continuousflex_deep.tests.helpers import needs

COORDS_A = [
    (0, 0, 0), (1.5, 0, 0), (0, 1.5, 0), (0, 0, 1.5), (4, 0.3, 0), (5.5, 0, 0.2), (4.2, 1.6, 0), (4, 0, 1.7),
]  # fmt: skip
# what nma_diagrtb (of ContinuousFlex's package nma 3.1) wrote for these atoms in two blocks, cutoff 8 Å, modes 7 and 8
RECORDED = """\
 VECTOR    7       VALUE  0.1678    
 -----------------------------------
  2.5403E-04 -0.1472      0.1468    
  2.5403E-04 -0.1438      0.1440    
 -3.0782E-03 -0.1472     -0.4471    
  3.0824E-03  0.4467      0.1468    
 -6.3335E-03  0.1562     -5.0424E-02
  2.4520E-03  0.1114     -0.1836    
 -2.7808E-02  0.1595      0.3984    
  3.1177E-02 -0.4357     -0.1549    
 VECTOR    8       VALUE   1.525    
 -----------------------------------
 -0.1325      0.1123      8.3906E-02
 -0.1325     -0.1824     -0.1675    
  0.1621      0.1123      9.1797E-02
  0.1189      0.1044      8.3906E-02
  0.2353     -0.2340     -0.1644    
  0.3007      0.4364      0.3508    
 -0.3427     -0.1451     -0.1194    
 -0.2093     -0.2039     -0.1591    
"""  # noqa: W291


def options(**changes: object) -> NmaOptions:
    return NmaOptions(**{"structure": "s", "output": "o", "engine": "elnemo"} | changes)


def two_residues(coords_A: Sequence[tuple[float, ...]] = COORDS_A, name: str = "CA") -> Structure:
    n = len(coords_A)
    return Structure(
        np.array(coords_A, dtype=float), np.full(n, 6), np.ones(n), np.full(n, name, dtype=object),
        np.full(n, "ALA", dtype=object), np.arange(n) // (n // 2) + 1, np.full(n, "A", dtype=object),
    )  # fmt: skip


def overlap(first: NormalModes, second: NormalModes) -> np.ndarray:
    return np.abs(np.einsum("mni,mni->m", first.vectors, second.vectors))


def test_recorded_modes_are_ours(tmp_path: Path) -> None:
    (tmp_path / "diagrtb.eigenfacs").write_text(RECORDED)
    eigenvalues, vectors = read_eigenfacs(tmp_path / "diagrtb.eigenfacs", 8)
    ours = compute_modes(two_residues(), options(block_size=1, n_modes=8))
    np.testing.assert_allclose(eigenvalues, ours.eigenvalues, rtol=1e-3)
    assert np.abs(np.sum(vectors * ours.vectors.reshape(2, -1), axis=1)).min() > 0.9999


@pytest.mark.parametrize(
    ("text", "message"),
    [("nothing", "expected rows of three numbers"), (RECORDED[:-40], "not a file|expected rows"), ("", "is empty")],
)
def test_files_that_are_cut_off_are_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "diagrtb.eigenfacs").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_eigenfacs(tmp_path / "diagrtb.eigenfacs", 8)


@pytest.mark.parametrize("block_size", [10, 0])
def test_elnemos_modes_are_ours(shared_data: Path, tmp_path: Path, block_size: int) -> None:
    for name in (ELNEMO_PDBMAT, ELNEMO_DIAGRTB if block_size else ELNEMO_ARPACK):
        needs.program(ELNEMO, name)
    structure = read_structure(shared_data / "gold10" / "AK.pdb")
    wanted = options(block_size=block_size, n_modes=12)
    theirs, ours = elnemo_modes(structure, wanted, tmp_path / "log"), compute_modes(structure, wanted)
    assert theirs.mode_ids == ours.mode_ids
    assert overlap(theirs, ours).min() > 0.9999
    np.testing.assert_allclose(theirs.eigenvalues, ours.eigenvalues, rtol=1e-3)
    np.testing.assert_allclose(theirs.collectivity, ours.collectivity, atol=1e-3)
    if block_size:
        assert overlap(theirs, read_modes(shared_data / "elnemo_ak")).min() > 0.9999


def test_blocks_end_with_chains(tmp_path: Path) -> None:
    """Two chains whose residue numbers go on across them: a block never has residues of both."""
    for name in (ELNEMO_PDBMAT, ELNEMO_DIAGRTB):
        needs.program(ELNEMO, name)
    coords = [tuple(np.array(c) + shift) for shift in ((0, 0, 0), (0, 5, 1)) for c in COORDS_A]
    structure = two_residues(coords)
    structure = Structure(**{**vars(structure), "chain_ids": np.repeat(np.array(["A", "B"], dtype=object), 8)})
    structure = Structure(**{**vars(structure), "residue_numbers": np.repeat([1, 2, 3, 4], 4)})
    wanted = options(block_size=3, n_modes=10)
    assert overlap(elnemo_modes(structure, wanted, tmp_path / "log"), compute_modes(structure, wanted)).min() > 0.9999


def test_command_names_the_engine_and_keeps_its_log(shared_data: Path, tmp_path: Path) -> None:
    for name in (ELNEMO_PDBMAT, ELNEMO_DIAGRTB):
        needs.program(ELNEMO, name)
    arguments = ["--structure", str(shared_data / "gold10" / "AK.pdb"), "--output", str(tmp_path / "m")]
    assert cli.main(["nma", *arguments, "--engine", "elnemo", "--n-modes", "9"]) == 0
    assert read_modes(tmp_path / "m").mode_ids == (7, 8, 9)
    assert "Diagrtb> Normal end" in (tmp_path / "m" / "elnemo.log").read_text()


def fake_home(folder: Path, diagrtb: str) -> str:
    for name, script in ((ELNEMO_PDBMAT, "echo 1 1 1.0 > pdbmat.sdijf"), (ELNEMO_DIAGRTB, diagrtb)):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


class TestFailures:
    def test_absent_programs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("NMA_HOME", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(MissingDependencyError, match=r"nma_elnemo_pdbmat.*--elnemo-home or NMA_HOME"):
            elnemo_modes(two_residues(), options(block_size=1, n_modes=8), tmp_path / "log")

    def test_a_program_that_fails_with_success(self, tmp_path: Path) -> None:
        home = fake_home(tmp_path, "echo '%Diagrtb-Er> Too many blocks.'")
        with pytest.raises(DeepError, match=r"wrote no diagrtb.eigenfacs; its messages: %Diagrtb-Er> Too many blocks"):
            elnemo_modes(two_residues(), options(block_size=1, n_modes=8, elnemo_home=home), tmp_path / "log")

    def test_too_few_modes(self, tmp_path: Path) -> None:
        (tmp_path / "recorded").write_text(RECORDED)
        home = fake_home(tmp_path, f"cp {tmp_path}/recorded diagrtb.eigenfacs")
        with pytest.raises(DeepError, match="found 2 of the 8 requested modes"):
            elnemo_modes(two_residues(), options(block_size=1, n_modes=8, elnemo_home=home), tmp_path / "log")

    @pytest.mark.parametrize(
        ("structure", "changes", "message"),
        [
            (two_residues(COORDS_A[:2] + COORDS_A[4:6]), {"block_size": 1}, "atoms or more, got a block of 2"),
            (two_residues(), {"block_size": 1, "n_modes": 13}, "have only 12; request fewer modes"),
            (two_residues(name=PSEUDOATOM), {"block_size": 2}, "blocks of pseudoatoms are not|or more"),
            (two_residues(), {"cutoff_A": 2.0, "block_size": 1}, "falls into 2 parts"),
        ],
    )
    def test_what_elnemo_cannot_treat(
        self, tmp_path: Path, structure: Structure, changes: dict[str, object], message: str
    ) -> None:
        home = fake_home(tmp_path, "true")
        with pytest.raises(InputError, match=message):
            elnemo_modes(structure, options(**{"n_modes": 8, "elnemo_home": home} | changes), tmp_path / "log")

    def test_more_than_arpack_was_compiled_for(self, tmp_path: Path) -> None:
        for name in (ELNEMO_PDBMAT, ELNEMO_ARPACK):
            (tmp_path / name).symlink_to(sys.executable)
        wanted = options(block_size=0, n_modes=13, elnemo_home=str(tmp_path))
        with pytest.raises(InputError, match=r"at most 16666 atoms, 200 modes.*got 8 atoms and 13 modes"):
            elnemo_modes(two_residues(), wanted, tmp_path / "log")
