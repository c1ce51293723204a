"""What fields of PDB and mmCIF files mean: each line of the table in docs/formats.md, and the same molecule written in
other ways."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.tests.helpers.pdb_text import Line, lines_of, mmcif, pdb

WRITERS: list[Callable[[list[Line]], str]] = [pdb, mmcif]
SUFFIX = {pdb: ".pdb", mmcif: ".cif"}


@pytest.fixture(scope="module")
def protein() -> Structure:
    """The first 60 residues of adenylate kinase."""
    whole = read_structure(ADENYLATE_KINASE)
    return whole.select(whole.residue_index < 60)


@pytest.fixture(scope="module")
def lines(protein: Structure) -> list[Line]:
    return lines_of(protein)


def read(tmp_path: Path, text: str | bytes, name: str = "s.pdb", **how: object) -> Structure:
    (tmp_path / name).write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return read_structure(tmp_path / name, **how)


def assert_same(found: Structure, expected: Structure) -> None:
    np.testing.assert_allclose(found.coords_A, expected.coords_A, atol=5e-4)
    for name in ("atomic_number", "atom_names", "residue_names", "residue_numbers", "chain_ids"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name


def atom(name: str, residue: str, number: int | str, x: float, element: str, **more: object) -> Line:
    return replace(Line(name, residue, "A", number, (x, 0.0, 0.0), element), **more)


# ------------------------------------------------------------------------------------------------ written in other ways


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("elements", [True, False])
def test_formats_and_elements_change_nothing(
    tmp_path: Path, protein: Structure, lines: list[Line], writer: Callable[..., str], elements: bool
) -> None:
    assert_same(read(tmp_path, writer(lines, elements=elements), "s" + SUFFIX[writer]), protein)


def test_alignment_of_names_changes_nothing(tmp_path: Path, protein: Structure, lines: list[Line]) -> None:
    assert_same(read(tmp_path, pdb(lines, left=True, elements=False)), protein)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b"\r"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"\nATOM", b"\n\xef\xbb\xbfATOM", 1),
        gzip.compress,
    ],
    ids=["CRLF", "CR", "BOM", "BOM before an atom", "gzip"],
)
def test_line_ends_marks_and_compression_change_nothing(
    tmp_path: Path, protein: Structure, lines: list[Line], writer: Callable[..., str], change: Callable[[bytes], bytes]
) -> None:
    data = change(writer(lines).encode())
    assert_same(read(tmp_path, data, "s" + SUFFIX[writer]), protein)
    assert_same(read(tmp_path, data, "s" + SUFFIX[writer] + ".gz"), protein)


def test_remarks_in_any_encoding_change_nothing(tmp_path: Path, protein: Structure, lines: list[Line]) -> None:
    for encoding in ("latin-1", "utf-8"):
        remark = "REMARK   Müller, Århus\n".encode(encoding)
        assert_same(read(tmp_path, remark + pdb(lines).encode()), protein)
        assert_same(read(tmp_path, b"# " + remark + mmcif(lines).encode(), "s.cif"), protein)


def test_other_records_change_nothing(tmp_path: Path, protein: Structure, lines: list[Line]) -> None:
    """Serial numbers, charges, anisotropy, cell, matrices, sequence, secondary structure, bonds and ends of chains."""
    rows = []
    for number, row in enumerate(pdb(lines).splitlines()[:-1]):
        rows.append(f"{row[:6]}{7 * number % 1000:5d}{row[11:78]}1+")
        rows.append(f"ANISOU{row[6:27]}     1000   1000   1000      0      0      0")
    head = [
        "CRYST1   50.000   60.000   70.000  90.00  90.00  90.00 P 21 21 21    4",
        "ORIGX1      0.000000  1.000000  0.000000       10.00000",
        "SCALE1      0.100000  0.000000  0.000000        0.50000",
        "SEQRES   1 A    2  MET ARG", "HELIX    1   1 MET A    1  ALA A   10  1",
    ]  # fmt: skip
    tail = ["TER", "CONECT    1    2", "MASTER", "END"]
    assert_same(read(tmp_path, "\n".join([*head, *rows, *tail])), protein)
    cell = "_cell.length_a 50\n_symmetry.space_group_name_H-M 'P 21 21 21'\n_database_PDB_matrix.origx_vector[1] 10\n"
    assert_same(read(tmp_path, mmcif(lines) + cell, "s.cif"), protein)


def test_mmcif_with_few_columns(tmp_path: Path, protein: Structure, lines: list[Line]) -> None:
    """Without the author's names those of the PDB are taken; upper case, and tables of other kinds before."""
    text = mmcif(lines)
    for author in ("auth_seq_id", "auth_comp_id", "auth_asym_id", "auth_atom_id"):
        text = text.replace(f"_atom_site.{author}", f"_atom_site.unknown_{author}")
    assert_same(read(tmp_path, text, "s.cif"), protein)
    shouted = text.replace("data_test", "DATA_test").replace("loop_", "LOOP_").replace("_atom_site", "_ATOM_SITE")
    assert_same(read(tmp_path, "data_ligand\n_chem_comp.id LIG\n" + shouted, "s.cif"), protein)


@pytest.mark.parametrize("writer", WRITERS)
def test_atoms_keep_the_order_of_the_file(tmp_path: Path, lines: list[Line], writer: Callable[..., str]) -> None:
    """Ligands after all chains, which libraries move to their chains."""
    two = [*lines[:40], *(replace(line, chain="B") for line in lines[40:80])]
    ligand = [atom("C1", "LIG", 301, 1.0, "C", record="HETATM"), atom("O2", "LIG", 301, 2.2, "O", record="HETATM")]
    s = read(tmp_path, writer([*two, *ligand]), "s" + SUFFIX[writer])
    assert s.chain_ids.tolist() == ["A"] * 40 + ["B"] * 40 + ["A"] * 2
    assert s.atom_names.tolist()[-2:] == ["C1", "O2"]


@pytest.mark.parametrize("writer", WRITERS)
def test_residues_without_numbers_stay_apart(tmp_path: Path, lines: list[Line], writer: Callable[..., str]) -> None:
    """Two of one name follow each other: an atom's name that returns begins a residue."""
    serine = [line for line in lines if line.residue == lines[0].residue and line.number == lines[0].number]
    moved = [replace(line, xyz=(line.xyz[0] + 5.0, *line.xyz[1:])) for line in serine]
    unnumbered = [replace(line, number="" if writer is pdb else "?") for line in [*serine, *moved]]
    s = read(tmp_path, writer(unnumbered), "s" + SUFFIX[writer])
    assert s.residue_index.tolist() == [0] * len(serine) + [1] * len(serine)
    assert sorted(set(s.residue_numbers.tolist())) == [1, 2]


@pytest.mark.parametrize(
    ("field", "number"), [("9999", 9999), ("A000", 10_000), ("ZZZZ", 1_223_055), ("a000", 1_223_056), ("-999", -999)]
)
def test_numbers_of_residues(tmp_path: Path, field: str, number: int) -> None:
    """Hybrid-36: capital letters after 9999, and small ones after these."""
    assert read(tmp_path, pdb([atom("CA", "ALA", field, 0.0, "C")])).residue_numbers.tolist() == [number]


def test_coordinates_too_long_for_their_columns_are_refused(tmp_path: Path) -> None:
    """As 12345.678 is, which moves the others: y would begin with its last digit."""
    line = "ATOM      1  CA  ALA A   1    {}  1.00  0.00           C\n"
    assert read(tmp_path, line.format("-100.000-200.000-300.000")).coords_A.tolist() == [[-100.0, -200.0, -300.0]]
    for long in ("12345.67823456.78934567.890", "-1234.567-2345.678-3456.789", " 999.000 1234.56712345.678"):
        with pytest.raises(FormatError, match=r"line 1: got .* in columns 31 to 54"):
            read(tmp_path, line.format(long))


def test_nanometres_are_reported(tmp_path: Path, lines: list[Line], capsys: pytest.CaptureFixture[str]) -> None:
    tenth = [replace(line, xyz=(line.xyz[0] / 10, line.xyz[1] / 10, line.xyz[2] / 10)) for line in lines]
    read(tmp_path, pdb(tenth), "nm.pdb")
    assert "Å from their nearest ones (median); are the coordinates in nm" in capsys.readouterr().err
    read(tmp_path, pdb(lines), "A.pdb")
    assert "in nm" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["s.cif", "s.pdb", "s.ent", "s"])
@pytest.mark.parametrize("writer", WRITERS)
def test_the_content_decides_the_format(
    tmp_path: Path, protein: Structure, lines: list[Line], name: str, writer: Callable[..., str]
) -> None:
    assert_same(read(tmp_path, writer(lines), name), protein)


def test_five_digits_reach_into_the_insertion_code(tmp_path: Path) -> None:
    s = read(tmp_path, pdb([atom("CA", "ALA", "1234", 0.0, "C", code="5")]))
    assert s.residue_numbers.tolist() == [12345]
    assert s.insertion_codes is None


@pytest.mark.parametrize("writer", WRITERS)
def test_residues_in_several_pieces_are_one(
    tmp_path: Path, protein: Structure, lines: list[Line], writer: Callable[..., str]
) -> None:
    """Side chains after all backbones, as programs append what they add."""
    backbone = [line for line in lines if line.name in ("N", "CA", "C", "O")]
    s = read(tmp_path, writer([*backbone, *(line for line in lines if line not in backbone)]), "s" + SUFFIX[writer])
    assert len(s) == len(protein)
    assert set(s.chain_ids) == {"A"}
    np.testing.assert_array_equal(np.bincount(s.residue_index), np.bincount(protein.residue_index))
    assert (s.atom_names[s.representative_atoms] == "CA").all()
    assert s.residue_numbers[s.representative_atoms].tolist() == sorted(set(protein.residue_numbers.tolist()))


@pytest.mark.parametrize("writer", WRITERS)
def test_names_that_a_residue_has_twice_are_mentioned(
    tmp_path: Path, lines: list[Line], writer: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Alternatives whose labels were lost."""
    s = read(tmp_path, writer([*lines[:5], replace(lines[4], xyz=(0.0, 0.0, 0.0))]), "s" + SUFFIX[writer])
    assert len(s) == 6
    assert "atoms with the name of another atom of their residue, used like the others: 1" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------- chains, models


@pytest.mark.parametrize("writer", WRITERS)
def test_equal_names_of_chains_are_made_distinct(
    tmp_path: Path, lines: list[Line], writer: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    twice = [*lines[:50], *(replace(line, xyz=(line.xyz[0] + 60.0, *line.xyz[1:])) for line in lines[:50])]
    s = read(tmp_path, writer(twice), "s" + SUFFIX[writer])
    assert s.chain_ids.tolist() == ["A"] * 50 + ["A2"] * 50
    assert "chains are named A2 (second A)" in capsys.readouterr().err


def test_chains_without_names(tmp_path: Path, lines: list[Line]) -> None:
    nameless = [replace(line, chain="") for line in lines[:50]]
    assert set(read(tmp_path, pdb(nameless)).chain_ids) == {""}
    names = ["PROA"] * 25 + ["PROB"] * 25
    rows = zip(pdb(nameless).splitlines()[:50], names, strict=True)
    s = read(tmp_path, "\n".join(row[:72] + name for row, name in rows))
    assert s.chain_ids.tolist() == ["PROA"] * 25 + ["PROB"] * 25


def test_names_of_two_and_four_letters(tmp_path: Path) -> None:
    """A chain name of two letters, and a residue name of four, share a column."""
    line = "ATOM      1  CA  {}   1       0.000   0.000   0.000  1.00  0.00           C\n"
    s = read(tmp_path, line.format("ALAAB") + line.format("NALAC").replace("1    ", "2    ", 1))
    assert s.chain_ids.tolist() == ["AB", "C"]
    assert s.residue_names.tolist() == ["ALA", "NALA"]


@pytest.mark.parametrize("chain", ["AA", "NA", "DA", "PB", "HZ"])
def test_chains_of_two_letters_are_no_end_of_a_residue_name(tmp_path: Path, chain: str) -> None:
    """HISA, ARGN, ASPH and LYSP are names of force fields."""
    residues = ["HIS", "ARG", "ASP", "LYS", "GLU", "CYS", "TYR", "LIG"]
    line = "ATOM      1  CA  {}{}{:4d}    {:8.3f}   0.000   0.000  1.00  0.00           C\n"
    s = read(tmp_path, "".join(line.format(name, chain, k, 3.8 * k) for k, name in enumerate(residues)))
    assert s.residue_names.tolist() == residues
    assert set(s.chain_ids) == {chain}


def test_names_of_four_letters_in_chains_of_one_letter(tmp_path: Path) -> None:
    """Beside chain AB; and LIGX, which is in no list, in a file whose chains have one letter."""
    line = "ATOM      1  CA  {}   1    {:8.3f}   0.000   0.000  1.00  0.00           C\n"
    names = ["ALA A", "HISAA", "ARGNA", "NALAA", "ALAAB", "HISAB"]
    s = read(tmp_path, "".join(line.format(name, 3.8 * k) for k, name in enumerate(names)))
    assert s.residue_names.tolist() == ["ALA", "HISA", "ARGN", "NALA", "ALA", "HIS"]
    assert s.chain_ids.tolist() == ["A", "A", "A", "A", "AB", "AB"]
    s = read(tmp_path, line.format("ALA A", 0.0) + line.format("LIGXA", 3.8))
    assert s.residue_names.tolist() == ["ALA", "LIGX"]
    assert s.chain_ids.tolist() == ["A", "A"]


def test_water_of_a_chain_of_two_letters_is_left_out(tmp_path: Path, lines: list[Line]) -> None:
    line = "HETATM  900  O   HOHSA 900       3.000   0.000   0.000  1.00  0.00           O\n"
    assert len(read(tmp_path, pdb(lines[:9]).replace("END\n", line))) == 9


MODEL = "MODEL        {}\n{}ENDMDL\n"


def test_models(tmp_path: Path, lines: list[Line], capsys: pytest.CaptureFixture[str]) -> None:
    moved = [replace(line, xyz=(line.xyz[0] + 40.0, *line.xyz[1:])) for line in lines]
    bodies = [pdb(each).removesuffix("END\n") for each in (lines, moved)]
    text = "".join(MODEL.format(k, body) for k, body in enumerate(bodies, start=1))
    first = read(tmp_path, text, "s.pdb1")
    assert len(first) == len(lines)
    assert "the first of 2 models is read; --models all takes all of them" in capsys.readouterr().err
    both = read(tmp_path, text, "s.pdb1", models="all")
    assert both.chain_ids.tolist() == ["A"] * len(lines) + ["A2"] * len(lines)
    np.testing.assert_allclose(both.coords_A[len(lines) :], first.coords_A + np.array([40, 0, 0]), atol=1e-3)
    frames = "".join(body + "END\n" for body in bodies)  # as VMD separates them
    assert len(read(tmp_path, frames)) == len(lines)


def test_conformations_are_no_assembly(tmp_path: Path, lines: list[Line]) -> None:
    moved = [replace(line, xyz=(line.xyz[0] + 0.5, *line.xyz[1:])) for line in lines]
    bodies = [pdb(each).removesuffix("END\n") for each in (lines, moved)]
    text = "".join(MODEL.format(k, body) for k, body in enumerate(bodies, start=1))
    with pytest.raises(InputError, match="occupy the same space, so they are conformations of one molecule"):
        read(tmp_path, text, models="all")
    assert len(read(tmp_path, text, models="first")) == len(lines)  # as the message advises


def test_models_of_mmcif(tmp_path: Path, lines: list[Line]) -> None:
    text, moved = mmcif(lines[:5]), [replace(line, xyz=(90.0 + k, 0.0, 0.0)) for k, line in enumerate(lines[:5])]
    rows = [row.removesuffix(" 1") + " 2" for row in mmcif(moved).splitlines() if row.startswith("ATOM")]
    s = text + "\n".join(rows) + "\n"
    assert len(read(tmp_path, s, "s.cif")) == 5
    assert read(tmp_path, s, "s.cif", models="all").chain_ids.tolist() == ["A"] * 5 + ["A2"] * 5


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("s.pdb", "REMARK 350 BIOMOLECULE: 1\nREMARK 350   BIOMT1   1  1.0 0.0 0.0 0.0\n"
                  "REMARK 350   BIOMT1   2  1.0 0.0 0.0 0.0\nREMARK 350 BIOMOLECULE: 2\nREMARK 350   BIOMT1   1\n"),
        ("s.pdb", f"{'MTRIX1   1  1.0 0.0 0.0':<59s}1\nMTRIX1   2  0.0 1.0 0.0\n"),
        ("s.cif", "_struct_ncs_oper.code generate\n_struct_ncs_oper.id 1\n"),
        ("s.cif", "loop_\n_pdbx_struct_assembly_gen.assembly_id\n_pdbx_struct_assembly_gen.oper_expression\n"
                  "1 (1-2)(P)\n2 '(1,2,3)'\n"),
    ],
)  # fmt: skip
def test_assemblies_are_mentioned(
    tmp_path: Path, lines: list[Line], name: str, extra: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = extra + pdb(lines[:8]) if name == "s.pdb" else mmcif(lines[:8]) + extra
    assert len(read(tmp_path, text, name)) == 8
    assert "describes an assembly of 2 copies of its atoms, which are read once" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "copies"),
    [
        ([("1", "1", "A,B"), ("1", "2", "C")], 1),
        ([("1", "1,2", "A"), ("1", "3", "A")], 3),
        ([("1", "(1-60)(X0)", "A")], 60),
        ([("1", "(1,2)(3-5)", "A")], 6),
        ([("1", "1", "A"), ("2", "(1-60)", "A")], 1),
    ],
)
def test_operators_of_mmcif_are_counted_for_each_chain(
    tmp_path: Path, lines: list[Line], rows: list[tuple[str, str, str]], copies: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of all rows of the first assembly; lists in brackets one after the other are combined."""
    tags = ("assembly_id", "oper_expression", "asym_id_list")
    head = "\n".join(["loop_", *(f"_pdbx_struct_assembly_gen.{tag}" for tag in tags)])
    table = "\n".join(f"{assembly} '{operators}' {chains}" for assembly, operators, chains in rows)
    read(tmp_path, f"{mmcif(lines[:8])}{head}\n{table}\n", "s.cif")
    said = capsys.readouterr().err
    assert (f"an assembly of {copies} copies" in said) == (copies > 1)


def test_operators_are_counted_for_each_chain(
    tmp_path: Path, lines: list[Line], capsys: pytest.CaptureFixture[str]
) -> None:
    """One operator for chain A, and one for B and C, are no copies."""
    group = "REMARK 350 APPLY THE FOLLOWING TO CHAINS: {}\nREMARK 350                    AND CHAINS: {}\n"
    operator = "REMARK 350   BIOMT1   {}  1.000000  0.000000  0.000000        0.00000\n"
    start = "REMARK 350 BIOMOLECULE: 1\n"
    read(tmp_path, start + group.format("A,", "D") + operator.format(1) + group.format("B,", "C") + operator.format(1)
         + pdb(lines[:8]), "a.pdb")  # fmt: skip
    assert "assembly" not in capsys.readouterr().err
    read(tmp_path, start + group.format("A,", "D") + operator.format(1) + group.format("B,", "D") + operator.format(2)
         + pdb(lines[:8]), "b.pdb")  # fmt: skip
    assert "an assembly of 2 copies" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------------- what is left out


@pytest.mark.parametrize("residue", ["HOH", "WAT", "H2O", "DOD", "SOL", "TIP", "TP3", "SPC", "T4P"])
@pytest.mark.parametrize("writer", WRITERS)
def test_water_is_left_out(
    tmp_path: Path, lines: list[Line], residue: str, writer: Callable[..., str]
) -> None:
    water = atom("O", residue, 900, 3.0, "O", record="HETATM")
    assert len(read(tmp_path, writer([*lines[:9], water]), "s" + SUFFIX[writer])) == 9


@pytest.mark.parametrize("name", ["TIP3", "TIP4", "SPCE"])
def test_water_of_four_letters_is_left_out(tmp_path: Path, lines: list[Line], name: str) -> None:
    line = f"ATOM    900  OH2 {name}W 900       3.000   0.000   0.000  1.00  0.00      WAT  O\n"
    assert len(read(tmp_path, pdb(lines[:9]).replace("END\n", line))) == 9


@pytest.mark.parametrize("writer", WRITERS)
def test_water_beads_of_martini_are_no_tungsten(tmp_path: Path, lines: list[Line], writer: Callable[..., str]) -> None:
    """Beads have no element; tungsten has one."""
    bead = atom("W", "W", 900, 30.0, "W")
    text = writer([*lines[:9], bead], elements=False)
    assert len(read(tmp_path, text, "s" + SUFFIX[writer])) == 9
    assert read(tmp_path, writer([*lines[:9], bead]), "s" + SUFFIX[writer]).atomic_number.tolist()[9:] == [74]


def test_water_of_any_name_is_left_out(tmp_path: Path, lines: list[Line]) -> None:
    """One oxygen and two hydrogens, with or without a virtual site."""
    names = {"OW": "O", "HW1": "H", "HW2": "H", "MW": ""}
    water = [atom(name, "XYZ", 900, 3.0, element) for name, element in names.items()]
    assert len(read(tmp_path, pdb([*lines[:9], *water]), hydrogens=True)) == 9


@pytest.mark.parametrize("beads", [("BB", "SC1"), ("BB", "SC1", "SC2"), ("N", "CA", "C", "O", "CB", "CEN")])
@pytest.mark.parametrize("elements", [True, False])
@pytest.mark.parametrize("writer", WRITERS)
def test_beads_of_coarse_grained_models_are_no_atoms(
    tmp_path: Path, beads: tuple[str, ...], elements: bool, writer: Callable[..., str]
) -> None:
    """BB would be boron, SC1 sulphur, and a centroid carbon."""
    model = [atom(name, "TRP", 1 + k, 4.0 * k, name[0]) for k, name in enumerate(beads)]
    with pytest.raises(FormatError, match=f"coarse-grained model.*{beads[-1]} of TRP.*with all atoms"):
        read(tmp_path, writer(model, elements=elements), "s" + SUFFIX[writer])


def test_residues_of_rosetta_s_own_are_dummies(tmp_path: Path, lines: list[Line]) -> None:
    virtual = [atom(name, "VRT", 900, 3.0 * k, "X", record="HETATM") for k, name in enumerate(("X", "Y", "ORIG"))]
    membrane = [atom(name, "MEM", 901, 3.0 * k, "X") for k, name in enumerate(("THKN", "CNTR", "NORM"))]
    for elements in (True, False):
        assert len(read(tmp_path, pdb([*lines[:9], *virtual, *membrane], elements=elements))) == 9


def test_types_of_autodock_are_no_elements(tmp_path: Path, lines: list[Line]) -> None:
    """PDBQT files have them one column farther: NA is a nitrogen that accepts hydrogen bonds, and Cl chlorine."""
    types = {"C1": "C ", "N1": "NA", "CL1": "Cl", "O1": "OA", "C2": "A "}
    ligand = [atom(name, "LIG", 900, 3.0 * k, "") for k, name in enumerate(types)]
    rows = pdb([*lines[:9], *ligand]).splitlines()[:-1]
    of_lines = [line.element.ljust(2) for line in lines[:9]]
    text = "".join(f"{row[:70]:<77s}{kind}\n" for row, kind in zip(rows, [*of_lines, *types.values()], strict=True))
    assert read(tmp_path, text).atomic_number.tolist()[9:] == [6, 7, 17, 8, 6]


@pytest.mark.parametrize("writer", WRITERS)
def test_residues_at_one_place_without_labels_are_reported(
    tmp_path: Path, lines: list[Line], writer: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Alternatives whose labels were lost."""
    both = [replace(line, residue="SER", xyz=(line.xyz[0] + 0.5, *line.xyz[1:])) for line in lines[:4]]
    number = [replace(line, number=lines[0].number) for line in both]
    assert len(read(tmp_path, writer([*lines[:4], *number]), "s" + SUFFIX[writer])) == 8
    assert "residues with the number of the one before, used like the others: 1" in capsys.readouterr().err


def test_dummies_are_left_out(tmp_path: Path, lines: list[Line], capsys: pytest.CaptureFixture[str]) -> None:
    membrane = [atom(name, "DUM", 900 + k, 4.0 * k, name, record="HETATM") for k, name in enumerate("NONO")]
    assert len(read(tmp_path, pdb([*lines[:9], *membrane]))) == 9
    assert "dummy atoms left out: 4" in capsys.readouterr().err


@pytest.mark.parametrize("writer", WRITERS)
def test_hydrogen_and_deuterium(tmp_path: Path, lines: list[Line], writer: Callable[..., str]) -> None:
    more = [atom("HB1", "ALA", 300, 1.0, "H"), atom("DB2", "ALA", 300, 2.0, "D"), atom("1HB", "ALA", 300, 3.0, "H")]
    for elements in (True, False):
        text = writer([*lines[:9], *more], elements=elements)
        assert len(read(tmp_path, text, "s" + SUFFIX[writer])) == 9
        kept = read(tmp_path, text, "s" + SUFFIX[writer], hydrogens=True)
        assert kept.atomic_number.tolist()[9:] == [1, 1, 1]


def test_ions_and_ligands_are_kept_and_mentioned(
    tmp_path: Path, lines: list[Line], capsys: pytest.CaptureFixture[str]
) -> None:
    ligands = [atom("CA", "CA", 901, 3.0, "CA"), atom("MG", "MG", 902, 6.0, "MG"), atom("MG", "MG", 903, 9.0, "MG")]
    s = read(tmp_path, pdb([*lines[:9], *ligands]))
    assert s.atomic_number.tolist()[9:] == [20, 12, 12]
    assert "part of the structure besides the polymer: 2 MG, 1 CA (--select" in capsys.readouterr().err
    assert len(read(tmp_path, pdb([*lines[:9], *ligands]), select=";polymer")) == 9


PEPTIDE = {"N": (0.0, 0.0, 0.0), "CA": (1.5, 0.0, 0.0), "C": (3.0, 0.0, 0.0), "O": (3.6, 1.0, 0.0)}
SUGAR = {"P": (0.0, 0.0, 0.0), "C1'": (3.0, 0.0, 0.0), "C3'": (4.0, 1.0, 0.0), "C4'": (5.0, 1.0, 0.0),
         "O3'": (6.0, 0.0, 0.0)}  # fmt: skip


Places = dict[str, tuple[float, float, float]]


def placed(atoms: Places, residue: str, number: int, x: float) -> list[Line]:
    return [Line(name, residue, "A", number, (x + at[0], *at[1:]), name[0]) for name, at in atoms.items()]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    ("atoms", "residue", "x", "polymer"),
    [
        (SUGAR, "ATP", 60.0, False), (SUGAR, "GDP", 60.0, False), (SUGAR, "NAD", 60.0, False),
        (SUGAR, "GTP", 60.0, False), (PEPTIDE, "SAM", 60.0, False), (PEPTIDE, "XYZ", 60.0, False),
        (PEPTIDE, "XYZ", 4.3, True), (SUGAR, "XYZ", 107.6, True), (PEPTIDE, "MSE", 60.0, True),
        ({"C": (0.0, 0.0, 0.0), "O": (1.2, 0.0, 0.0)}, "ACE", 60.0, True), ({"N": (0.0, 0.0, 0.0)}, "NH2", 60.0, True),
        ({"N": (0.0, 0.0, 0.0), "C": (1.4, 0.0, 0.0)}, "NME", 60.0, True), (SUGAR, "PSU", 60.0, True),
    ],
)  # fmt: skip
def test_what_is_of_a_polymer(
    tmp_path: Path, atoms: Places, residue: str, x: float, polymer: bool, writer: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """By tables of names; or, of other names, by a backbone that is bonded to another residue."""
    base = [*placed(PEPTIDE, "ALA", 1, 0.0), *placed(SUGAR, "DA", 2, 100.0)]
    more = [replace(line, record="HETATM") for line in placed(atoms, residue, 3, x)]
    text = writer([*base, *more])
    read(tmp_path, text, "s" + SUFFIX[writer])
    assert ("besides the polymer" in capsys.readouterr().err) == (not polymer)
    s = read(tmp_path, text, "s" + SUFFIX[writer], select=";polymer")
    assert len(s) == len(base) + polymer * len(more)


def test_occupancy_0_is_mentioned(
    tmp_path: Path, lines: list[Line], capsys: pytest.CaptureFixture[str]
) -> None:
    s = read(tmp_path, pdb([replace(lines[0], occupancy=0.0), *lines[1:9]]))
    assert len(s) == 9
    assert s.weights[0] == 7
    assert "atoms of occupancy 0, used like the others: 1" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("0.000", "  nan", 1), "1 atoms have coordinates that are not finite"),
        (lambda text: text.replace("   0.000", "********", 1), r"line 1: got '\*{8}   0.000   0.000' in columns 31"),
        (lambda text: text.replace("   0.000", "        ", 1), "line 1: got"),
        (lambda text: text[:40] + "\n", "line 1: got"),
    ],
)
def test_coordinates_that_are_no_numbers(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    """Of which gemmi makes 0, without a word."""
    text = pdb([atom("CA", "ALA", 1, 0.0, "C"), atom("CA", "ALA", 2, 3.8, "C")])
    with pytest.raises(FormatError, match=message):
        read(tmp_path, change(text))


def test_fractional_coordinates_are_refused(tmp_path: Path) -> None:
    text = mmcif([atom("CA", "ALA", 1, 0.0, "C")]).replace("Cartn_", "fract_")
    with pytest.raises(FormatError, match="no atoms with Cartesian coordinates"):
        read(tmp_path, text, "s.cif")
    with pytest.raises(FormatError, match="coordinates that are not finite"):
        read(tmp_path, mmcif([atom("CA", "ALA", 1, 0.0, "C")]).replace("0.000", "?", 1), "s.cif")


def test_atoms_in_several_data_blocks_are_refused(tmp_path: Path) -> None:
    """As PyMOL writes its objects."""
    text = mmcif([atom("CA", "ALA", 1, 0.0, "C")])
    first, second = (text.replace("data_test", f"data_{name}") for name in "ab")
    with pytest.raises(FormatError, match=r"atoms in 2 data blocks, expected them in one: data_a, data_b; write the"):
        read(tmp_path, first + second, "s.cif")
    assert len(read(tmp_path, "data_ligand\n_chem_comp.id LIG\n" + second, "s.cif")) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfeA\0T\0O\0M\0", "UTF-16 text; save it as UTF-8"),
        (b"PK\x03\x04zip", "a zip archive; unpack it"),
        (b"BZh9", "compressed by bzip2; unpack it"),
        (b'{"data_1ABC": {}}', "JSON; convert it to mmCIF"),
        (b"ATOM\0\0", "it is binary"),
        (gzip.compress(b"ATOM" * 100, mtime=0)[:-20], "is damaged"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(tmp_path, data)


def test_content_decides_the_format(tmp_path: Path, protein: Structure, lines: list[Line]) -> None:
    assert_same(read(tmp_path, "# made by hand\n" + mmcif(lines), "s.ent"), protein)
    assert_same(read(tmp_path, pdb(lines), "s.brk"), protein)
    with pytest.raises(InputError, match="no such file"):
        read_structure(tmp_path / "absent.pdb")


def test_a_file_of_water_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="has only water, hydrogens or dummy atoms"):
        read(tmp_path, pdb([atom("O", "HOH", 1, 0.0, "O")]))


# ------------------------------------------------------------------------------------------------------------- written


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_order_and_names_are_written(tmp_path: Path, lines: list[Line], suffix: str) -> None:
    """Ligands of chain A after chain B, insertion codes, a chain name of two letters, and large numbers."""
    mixed = [*lines[:20], *(replace(line, chain="B", code="C") for line in lines[:20]),
             atom("C1", "LIG", 9998, 1.0, "C"), atom("O1", "LIG", "A00K", 2.0, "O")]  # fmt: skip
    s = read(tmp_path, pdb(mixed))
    s = replace(s, chain_ids=np.where(s.chain_ids == "B", "BX", s.chain_ids))
    write_structure(tmp_path / f"copy{suffix}", s)
    back = read_structure(tmp_path / f"copy{suffix}")
    assert_same(back, s)
    assert back.residue_numbers[-1] == 10_020
    assert back.insertion_codes is not None
    assert back.insertion_codes.tolist() == [""] * 20 + ["C"] * 20 + [""] * 2


def test_long_names_of_chains_are_written_short_in_pdb_files(tmp_path: Path, protein: Structure) -> None:
    long = replace(protein, chain_ids=np.full(len(protein), "AAA-2", dtype=object))
    write_structure(tmp_path / "s.pdb", long)
    assert "REMARK   6 chain A is AAA-2" in (tmp_path / "s.pdb").read_text()
    assert set(read_structure(tmp_path / "s.pdb").chain_ids) == {"A"}
    write_structure(tmp_path / "s.cif", long)
    assert set(read_structure(tmp_path / "s.cif").chain_ids) == {"AAA-2"}


def test_many_chains_with_long_names_come_back(tmp_path: Path) -> None:
    """Chains after the 62nd have two letters in a PDB file: AA, AB, AC …"""
    residues = ["HIS", "ARG", "LYS", "ASP"]
    many = [
        atom("CA", name, number, 3.8 * (4 * k + number), "C", chain=f"long{k}")
        for k in range(70)
        for number, name in enumerate(residues)
    ]
    whole = read(tmp_path, mmcif(many), "s.cif")
    write_structure(tmp_path / "s.pdb", whole)
    back = read_structure(tmp_path / "s.pdb")
    assert back.residue_names.tolist() == residues * 70
    assert list(dict.fromkeys(back.chain_ids))[60:] == ["8", "9", "AA", "AB", "AC", "AD", "AE", "AF", "AG", "AH"]
