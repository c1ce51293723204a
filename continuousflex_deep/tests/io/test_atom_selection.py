"""Selection of atoms of a structure, and the selections that messages advise."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.nma.leaving_out import leave_out
from continuousflex_deep.tests.helpers.pdb_text import Line, pdb

LINES = [
    Line("N", "ALA", "A", 1, (0.0, 0.0, 0.0), "N", b_factor=10.0),
    Line("CA", "ALA", "A", 1, (1.0, 0.0, 0.0), "C", b_factor=90.0),
    Line("CA", "SER", "A", 2, (2.0, 0.0, 0.0), "C", "B", occupancy=0.5),
    Line("CA", "SER", "A", 2, (3.0, 0.0, 0.0), "C"),
    Line("CA", "GLY", "B", 1, (4.0, 0.0, 0.0), "C"),
    Line("MG", "MG", "B", 9, (5.0, 0.0, 0.0), "MG"),
    Line("CA", "GLY", "", 7, (6.0, 0.0, 0.0), "C"),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "s.pdb").write_text(pdb(LINES))
    return tmp_path / "s.pdb"


@pytest.mark.parametrize(
    ("select", "atoms"),
    [
        ("A", [0, 1, 2, 3]),
        ("A,B", [0, 1, 2, 3, 4, 5]),
        ("A/1", [0, 1]),
        ("A/2", [3]),
        ("A/2.B", [2]),
        ("A/1-2", [0, 1, 3]),
        ("/1/A/1(ALA)/CA", [1]),
        ("//*//CA", [1, 2, 3, 4, 6]),
        ("(!MG,GLY)", [0, 1, 2, 3]),
        ("[N]", [0]),
        (";polymer", [0, 1, 2, 3, 4, 6]),
        (";b>50", [1]),
        (";q<0.9", [2]),
        ("//", [6]),
        ("not A", [4, 5, 6]),
        ("not A and not B/9", [4, 6]),
        ("A/1 or B", [0, 1, 4, 5]),
        ("B and not (MG) or A/1/CA and A", [1, 4]),
        ("not not A", [0, 1, 2, 3]),
    ],
)
def test_selections(file: Path, select: str, atoms: list[int]) -> None:
    s = read_structure(file, select=select)
    assert s.coords_A[:, 0].tolist() == atoms


@pytest.mark.parametrize("select", ["A B", "not", "A and", "A/x-y", ";q", "or", "A;;"])
def test_what_is_no_selection(file: Path, select: str) -> None:
    with pytest.raises(InputError, match=r"--select '.*': cannot read '.*'.*expected selections of gemmi"):
        read_structure(file, select=select)


def test_a_selection_of_nothing_names_the_chains(file: Path) -> None:
    with pytest.raises(InputError, match=r"'C': none of the 7 atoms of .* its chains are A, B, without a name"):
        read_structure(file, select="C")


@pytest.mark.parametrize("atoms", [[0], [1, 2], [4, 5], [5], [6], [2], [0, 1, 3], [3, 4, 6]])
def test_advice_leaves_out_the_atoms_that_it_means(file: Path, atoms: list[int]) -> None:
    whole = read_structure(file)
    advice = leave_out(whole, np.array(atoms))
    left = read_structure(file, select=advice.removeprefix('--select "').removesuffix('"'))
    assert left.coords_A[:, 0].tolist() == [k for k in range(len(whole)) if k not in atoms]


def test_long_advice_ends_with_dots(tmp_path: Path) -> None:
    many = [Line("CA", "ALA", "A", k, (float(k), 0.0, 0.0), "C") for k in range(1, 30)]
    (tmp_path / "s.pdb").write_text(pdb(many))
    assert leave_out(read_structure(tmp_path / "s.pdb"), np.arange(20)).endswith(' and …"')


def test_selected_atoms_are_those_of_their_file(file: Path, tmp_path: Path) -> None:
    """Selecting again in a file that has only the selected atoms changes nothing."""
    for suffix in (".pdb", ".cif"):
        some: Structure = read_structure(file, select="not (MG) and not A/2.B")
        write_structure(tmp_path / f"some{suffix}", some)
        again = read_structure(tmp_path / f"some{suffix}", select="not (MG) and not A/2.B")
        assert again.atom_names.tolist() == some.atom_names.tolist()
        np.testing.assert_array_equal(again.coords_A, some.coords_A)
