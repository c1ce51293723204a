"""Elements of atoms whose file has none, or wrong ones."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.tests.helpers.pdb_text import Line, mmcif, pdb

PEPTIDE = ["N", "CA", "C", "O", "CB", "OXT"]
NUCLEOTIDE = ["P", "OP1", "OP2", "O5'", "C5'", "C4'", "O4'", "C3'", "O3'", "C2'", "C1'", "N9"]


def residue(name: str, atoms: list[str], element: str = "", number: int = 1) -> list[Line]:
    return [Line(a, name, "A", number, (1.5 * k, 3.0 * number, 0.0), element) for k, a in enumerate(atoms)]


def numbers(tmp_path: Path, lines: list[Line], **how: bool) -> list[int]:
    (tmp_path / "s.pdb").write_text(pdb(lines, **how))
    return read_structure(tmp_path / "s.pdb", hydrogens=True).atomic_number.tolist()


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("name", ["ALA", "HSD", "CYX", "NEW"])
def test_amino_acids_of_any_name(tmp_path: Path, name: str, left: bool) -> None:
    assert numbers(tmp_path, residue(name, PEPTIDE), left=left) == [7, 6, 6, 8, 6, 8]


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("name", ["A", "DA", "RA5", "PSU"])
def test_nucleotides_of_any_name(tmp_path: Path, name: str, left: bool) -> None:
    assert numbers(tmp_path, residue(name, NUCLEOTIDE), left=left) == [15, 8, 8, 8, 6, 6, 8, 6, 8, 6, 6, 7]


def test_a_trace_of_calpha_is_no_calcium(tmp_path: Path) -> None:
    trace = [line for k in range(1, 4) for line in residue("GLY", ["CA"], number=k)]
    for left in (True, False):
        assert numbers(tmp_path, trace, left=left) == [6, 6, 6]


@pytest.mark.parametrize(
    ("name", "atoms", "expected"),
    [
        ("SER", ["HG", "HB1"], [1, 1]),
        ("MET", ["SD", "CE"], [16, 6]),
        ("ASN", ["ND2", "1HD2", "HD21"], [7, 1, 1]),
        ("MSE", ["N", "CA", "C", "SE"], [7, 6, 6, 34]),
        ("HOH", ["O"], []),
    ],
)
def test_names_in_residues(tmp_path: Path, name: str, atoms: list[str], expected: list[int]) -> None:
    base = residue("ALA", PEPTIDE, number=9)
    for left in (True, False):
        assert numbers(tmp_path, [*residue(name, atoms), *base], left=left)[: len(expected)] == expected


@pytest.mark.parametrize(
    ("name", "atom", "expected"),
    [("CA", "CA", 20), ("ZN", "ZN", 30), ("CL", "CL-", 17), ("SOD", "SOD", 11), ("CLA", "CLA", 17), ("POT", "POT", 19)],
)
def test_lone_ions(tmp_path: Path, name: str, atom: str, expected: int) -> None:
    both = [*residue("ALA", PEPTIDE), *residue(name, [atom], number=2)]
    for left in (True, False):
        assert numbers(tmp_path, both, left=left)[-1] == expected


@pytest.mark.parametrize("wrong", ["CA", "HG", "CD", "NE", "X", "ZZ"])
def test_impossible_elements_of_standard_residues(tmp_path: Path, wrong: str) -> None:
    """Programs write the first letters of the name into the column of elements."""
    base = residue("GLU", PEPTIDE[:-1])
    assert numbers(tmp_path, [*base, *residue("GLU", ["CD"], wrong)], elements=True)[-1] == 6


def test_the_file_s_element_counts_elsewhere(tmp_path: Path) -> None:
    lines = [*residue("ALA", PEPTIDE), *residue("CFZ", ["HG", "CA", "C1"], "HG", 2)]
    assert numbers(tmp_path, lines, elements=True)[-3:] == [80, 80, 80]


def test_ligands_by_the_alignment_of_names(tmp_path: Path) -> None:
    """Aligned as the PDB does, a name tells its element; aligned to the left it may not."""
    rows = pdb([*residue("ALA", PEPTIDE), *residue("LIG", ["C1", "CL1", "FE", "O12", "C21A"], number=2)])
    rows = rows.replace(" FE  LIG", "FE   LIG").replace(" CL1 LIG", "CL1  LIG")
    (tmp_path / "s.pdb").write_text(rows)
    assert read_structure(tmp_path / "s.pdb").atomic_number.tolist()[-5:] == [6, 17, 26, 8, 6]
    left = [*residue("ALA", PEPTIDE), *residue("LIG", ["C1", "CL1", "O12", "C21A", "BR"], number=2)]
    assert numbers(tmp_path, left, left=True)[-5:] == [6, 17, 8, 6, 35]


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_what_names_do_not_tell_is_refused(tmp_path: Path, suffix: str) -> None:
    lines = [*residue("ALA", PEPTIDE), *residue("LIG", ["CA", "CO1"], number=2)]
    text = pdb(lines, left=True, elements=False) if suffix == ".pdb" else mmcif(lines, elements=False)
    file = tmp_path / f"s{suffix}"
    file.write_text(text)
    with pytest.raises(FormatError, match=r"2 atoms have no element.*are missing.*A/2\(LIG\)/CA, A/2\(LIG\)/CO1"):
        read_structure(file)
    assert len(read_structure(file, select="not A/2(LIG)")) == len(PEPTIDE)  # as the message advises


def test_calcium_stands_for_no_residue(tmp_path: Path) -> None:
    (tmp_path / "s.pdb").write_text(pdb([*residue("ALA", PEPTIDE), *residue("X", ["C1", "CA", "O1"], "CA", 2)]))
    s = read_structure(tmp_path / "s.pdb")
    assert s.atom_names[s.representative_atoms].tolist() == ["CA", "C1"]
    np.testing.assert_array_equal(s.weights, s.atomic_number)
