"""Selection of atoms of a structure, and the selections that messages advise."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.leaving_out import leave_out
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.tests.helpers.pdb_text import Line, mmcif, pdb

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


def selection_of(message: str) -> str:
    """The selection that a message advises."""
    return re.search(r'--select "([^"]*)"', message).group(1)


@pytest.mark.parametrize("atoms", [[0], [1, 2], [4, 5], [5], [6], [2], [0, 1, 3], [3, 4, 6]])
def test_advice_leaves_out_the_atoms_that_it_means(file: Path, atoms: list[int]) -> None:
    whole = read_structure(file)
    left = read_structure(file, select=selection_of(whole.leave_out(np.array(atoms))))
    assert left.coords_A[:, 0].tolist() == [k for k in range(len(whole)) if k not in atoms]


@pytest.mark.parametrize(
    ("name", "element", "x", "message"),
    [("MCB1", "?", 3.8, "elements are missing"), ("C1", "C", float("nan"), "coordinates that are not finite")],
)
def test_advice_for_atoms_that_cannot_be_used(
    tmp_path: Path, name: str, element: str, x: float, message: str
) -> None:
    """Two of the atoms of a ligand without a chain name."""
    ligand = [Line(name, "LIG", "", 5, (x, 0.0, 0.0), element), Line("C2", "LIG", "", 5, (9.0, 0.0, 0.0), "C")]
    more = [Line(name, "LIG", "B", 6, (x, 0.0, 0.0), element), Line("C2", "LIG", "B", 6, (9.0, 0.0, 0.0), "C")]
    (tmp_path / "s.cif").write_text(mmcif([*LINES, *ligand, *more]))
    with pytest.raises(FormatError, match=f"2 atoms have .*{message}.*leave the atoms out by --select") as caught:
        read_structure(tmp_path / "s.cif")
    select = selection_of(str(caught.value))
    assert select == f"not ///5(LIG)/{name} and not B/6(LIG)/{name}"
    assert len(read_structure(tmp_path / "s.cif", select=select)) == len(LINES) + 2
    with pytest.raises(FormatError) as caught:
        read_structure(tmp_path / "s.cif", select="B or A/1")
    select = selection_of(str(caught.value))
    assert len(read_structure(tmp_path / "s.cif", select=select)) == 5
    (tmp_path / "s.cif").write_text(mmcif([ligand[0], more[0]]))
    with pytest.raises(FormatError, match=f"2 atoms have .*{message}") as caught:
        read_structure(tmp_path / "s.cif")
    assert "--select" not in str(caught.value)  # which would leave nothing


def test_long_advice_ends_with_dots(tmp_path: Path) -> None:
    many = [Line("CA", "ALA", "A", k, (float(k), 0.0, 0.0), "C") for k in range(1, 30)]
    (tmp_path / "s.pdb").write_text(pdb(many))
    assert read_structure(tmp_path / "s.pdb").leave_out(np.arange(20)).endswith(' and …"')


@pytest.mark.parametrize(
    "chain", ["8", "A2", "A-2", "2-A", "é", "and", "A*", "A(b)", "A;", "A/B", "A B", "A,B", '"', "$A"]
)
@pytest.mark.parametrize("atoms", [[0, 1], [0]])
def test_advice_for_any_name_of_a_chain(tmp_path: Path, chain: str, atoms: list[int]) -> None:
    """It works, or is to remove the atoms from the file, where the selection's language or a shell reads the name as
    something else."""
    lines = [Line(name, "ALA", "Q", 1, (float(k), 0.0, 0.0), "C") for k, name in enumerate(("CA", "CB"))]
    others = [Line("CA", "ALA", other, 1, (9.0 + k, 0.0, 0.0), "C") for k, other in enumerate("AB")]
    text = mmcif([*lines, *others]).replace(" Q ", f" '{chain}' ")
    (tmp_path / "s.cif").write_text(text)
    whole = read_structure(tmp_path / "s.cif")
    assert whole.chain_ids.tolist() == [chain, chain, "A", "B"]
    advice = whole.leave_out(np.array(atoms))
    if chain in ("8", "A2", "A-2", "2-A", "é", "and"):
        left = read_structure(tmp_path / "s.cif", select=selection_of(advice))
        assert left.coords_A[:, 0].tolist() == [k for k in (0.0, 1.0, 9.0, 10.0) if k not in atoms]
    else:
        assert advice == "removing them from the file, since --select cannot name them apart from others"


def test_atoms_of_one_name_cannot_be_selected_apart(tmp_path: Path) -> None:
    (tmp_path / "s.pdb").write_text(pdb([*LINES[:2], replace(LINES[1], xyz=(9.0, 0.0, 0.0)), *LINES[2:]]))
    assert read_structure(tmp_path / "s.pdb").leave_out(np.array([2])).startswith("removing them from the file")


def test_advice_is_found_in_few_steps(tmp_path: Path) -> None:
    """One of two chains of 20,000 atoms: names of chains are compared a few times for each atom."""
    compared = [0]

    class Name(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            compared[0] += 1
            return str(self) == str(other)

    count = 40_000
    chains = np.array([Name("AB"[2 * k // count]) for k in range(count)], dtype=object)
    columns = (chains, np.arange(count) // 8, np.full(count, "", object), np.full(count, "ALA", object))
    names = np.array([f"C{k % 8}" for k in range(count)], dtype=object)
    assert leave_out(columns, names, np.arange(count // 2, count)) == '--select "not B"'
    assert compared[0] < 20 * count


def test_selected_atoms_are_those_of_their_file(file: Path, tmp_path: Path) -> None:
    """Selecting again in a file that has only the selected atoms changes nothing."""
    for suffix in (".pdb", ".cif"):
        some: Structure = read_structure(file, select="not (MG) and not A/2.B")
        write_structure(tmp_path / f"some{suffix}", some)
        again = read_structure(tmp_path / f"some{suffix}", select="not (MG) and not A/2.B")
        assert again.atom_names.tolist() == some.atom_names.tolist()
        np.testing.assert_array_equal(again.coords_A, some.coords_A)
