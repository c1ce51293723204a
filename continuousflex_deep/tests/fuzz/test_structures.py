"""Damaged structure files and selections: each is refused in words, or gives a sound structure."""

import gzip
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.io.dcd import read_dcd
from continuousflex_deep.io.frames import read_frames
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.motion.blocks import block_numbers
from continuousflex_deep.tests.helpers.dcd_files import dcd
from continuousflex_deep.tests.helpers.mutation import BYTES, TEXT, Case, cases, mutated, survives
from continuousflex_deep.tests.helpers.pdb_text import Line, lines_of, mmcif, pdb

_PIECES = (
    "nan", "inf", "********", "-", "1e400", "1_0", "A000", "-999", "99999", "DENS", "DUM", "HOH", "TIP3", "CA", "X",
    "END\n", "TER\n", "MODEL        2\n", "ENDMDL\n", "ATOM  ", "HETATM", "REMARK intensityColumn Bfactor\n",
    "REMARK fixedGaussian 0\n", "loop_\n", "_atom_site.Cartn_x", "data_x\n", "?", ".", "' '", "\n;\n", "\r", "\ufeff",
)  # fmt: skip
_WORDS = (
    "A", "B/1-3", "not", "and", "or", "(ALA)", "[C]", ":A", ";q<1", ";polymer", "//", "!", "*", "/1/", "é", ",",
    "9" * 30,
)  # fmt: skip


def piece(content: bytes, rng: np.random.Generator) -> bytes:
    """Some columns replaced by a word of these formats, or the word put between them."""
    word = _PIECES[rng.integers(len(_PIECES))].encode()
    start = int(rng.integers(len(content) + 1))
    return content[:start] + word + content[start + (len(word) if rng.random() < 0.7 else 0) :]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    whole = read_structure(ADENYLATE_KINASE)
    lines = lines_of(whole.select(whole.residue_index < 5))
    ligand = [Line("C1", "LIG", "B", 6, (1.0, 2.0, 3.0 + k), "C", "", label) for k, label in enumerate("AB")]
    mixed = [*lines, Line("ZN", "ZN", "B", 5, (1.0, 2.0, 3.0), "ZN"), *ligand]
    far = [replace(line, xyz=(line.xyz[0] + 50.0, *line.xyz[1:])) for line in mixed]
    bodies = [pdb(part).removesuffix("END\n") for part in (mixed, far)]
    return {
        "PDB": pdb(mixed).encode(),
        "PDB without elements": pdb(lines, left=True, elements=False).encode(),
        "models": "".join(f"MODEL        {k}\n{body}ENDMDL\n" for k, body in enumerate(bodies, start=1)).encode(),
        "mmCIF": mmcif(mixed).encode(),
        "pseudoatoms": (
            b"REMARK fixedGaussian 3\nREMARK intensityColumn Bfactor\n"
            b"ATOM      1 DENS DENS    1       2.200  -1.000   1.000     1  0.01      DENS\n"
            b"ATOM      2 DENS DENS    2      -7.000   4.000   2.000     1  0.48      DENS\n"
        ),
        "compressed": gzip.compress(pdb(lines).encode()),
    }


def read_whole(path: Path, number: int) -> None:
    """Options vary with the number of the case."""
    structure = read_structure(path, hydrogens=number % 2 == 0, models="all" if number % 3 == 0 else "first")
    check(structure)
    for suffix in (".pdb", ".cif"):
        written = path.with_name(f"written{suffix}")
        write_structure(written, structure)
        written.unlink()


def read_as_frames(path: Path) -> None:
    structure, frames = read_frames(path)
    check(structure)
    assert all(frame.shape == structure.coords_A.shape for frame in frames)


def check(structure: Structure) -> None:
    n = len(structure)
    assert n >= 1
    assert structure.coords_A.shape == (n, 3)
    assert np.isfinite(structure.coords_A).all()
    assert (structure.atomic_number > 0).all()
    residue = structure.residue_index
    assert np.array_equal(np.unique(residue), np.arange(residue.max() + 1))
    assert np.array_equal(residue[structure.representative_atoms], np.arange(residue.max() + 1))
    assert block_numbers(structure, 3).shape == (n,)


@pytest.mark.parametrize("kind", ["whole", "frames"])
def test_damaged_files_are_read_or_refused(tmp_path: Path, files: dict[str, bytes], kind: str) -> None:
    outcomes = []
    for case in mutated(files, [*[piece] * 6, *TEXT, *BYTES], count=cases(300), seed=7):
        suffix = ".cif" if case.name == "mmCIF" else ".pdb"
        read = partial(read_whole, number=case.number) if kind == "whole" else read_as_frames
        outcomes.append(survives(case, tmp_path / f"{case.number}{suffix}", read))
    assert 0.1 < outcomes.count("read") / len(outcomes) < 0.9


def test_selections_of_any_words(tmp_path: Path, files: dict[str, bytes]) -> None:
    (tmp_path / "s.pdb").write_bytes(files["PDB"])

    def read(path: Path) -> None:
        check(read_structure(tmp_path / "s.pdb", select=path.read_text(encoding="utf-8")))

    for number in range(cases(300)):
        rng = np.random.default_rng([8, number])
        words = [_WORDS[k] for k in rng.integers(len(_WORDS), size=rng.integers(1, 6))]
        select = ("" if rng.random() < 0.5 else " ").join(words)
        survives(Case(number, "selection", select.encode(), ()), tmp_path / "selection.txt", read)


def test_damaged_trajectories_are_read_or_refused(tmp_path: Path) -> None:
    files = {"little": dcd(), "big": dcd(">"), "cell": dcd(cell=True)}
    outcomes = [
        survives(case, tmp_path / f"{case.number}.dcd", read_dcd)
        for case in mutated(files, BYTES, count=cases(100), seed=12, most=1)
    ]
    assert 0.1 < outcomes.count("read") / len(outcomes) < 0.9
