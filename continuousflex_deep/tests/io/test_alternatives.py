"""Alternative locations, residues that share a place, and insertion codes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gemmi
import pytest

from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.tests.helpers import needs
from continuousflex_deep.tests.helpers.pdb_text import Line, mmcif, pdb

Writer = Callable[[list[Line]], str]
SUFFIX = {pdb: ".pdb", mmcif: ".cif"}


def atom(name: str, residue: str, alt: str = "", number: int = 2, x: float = 0.0, code: str = "") -> Line:
    return Line(name, residue, "A", number, (x, 0.0, 0.0), name[0], code, alt)


PROLINE = [atom(name, "PRO", "A", x=1.0) for name in ("CA", "C", "O", "CB", "CG", "CD")]
SERINE = [atom(name, "SER", "B", x=2.0) for name in ("CA", "C", "O", "CB", "OG")]
CYSTEINE = [atom(name, "CYS", "C", x=3.0) for name in ("CA", "C", "O", "CB", "SG")]
SHARED = [atom("N", "PRO", x=0.5)]
BEFORE = [atom(name, "GLY", number=1, x=-1.0) for name in ("N", "CA", "C", "O")]


def read(tmp_path: Path, lines: list[Line], writer: Writer) -> Structure:
    file = tmp_path / f"s{SUFFIX[writer]}"
    file.write_text(writer(lines))
    return read_structure(file)


def interleaved(*residues: list[Line]) -> list[Line]:
    """Atom by atom, as some programs write alternatives."""
    longest = max(map(len, residues))
    return [residue[k] for k in range(longest) for residue in residues if k < len(residue)]


@pytest.mark.parametrize("writer", [pdb, mmcif])
@pytest.mark.parametrize(
    "lines",
    [
        [*SHARED, *PROLINE, *SERINE, *CYSTEINE],
        [*SHARED, *interleaved(PROLINE, SERINE, CYSTEINE)],
        [*SHARED, *SERINE, *PROLINE],
        [*SHARED, *PROLINE, *SERINE[:2]],
    ],
)
def test_of_residues_at_one_place_the_first_is_kept(tmp_path: Path, lines: list[Line], writer: Writer) -> None:
    s = read(tmp_path, [*BEFORE, *lines, atom("N", "ALA", number=3)], writer)
    assert s.residue_names.tolist() == ["GLY"] * 4 + ["PRO"] * 7 + ["ALA"]
    assert s.coords_A[5:11, 0].tolist() == [1.0] * 6
    assert s.residue_index[-1] == 2


@pytest.mark.parametrize("writer", [pdb, mmcif])
def test_one_alternative_of_all_atoms(tmp_path: Path, writer: Writer) -> None:
    """The one with the first label, whatever the order; atoms that only another one has come from that one."""
    first = [atom(name, "SER", "A", x=1.0) for name in ("CA", "CB")]
    second = [atom(name, "SER", "B", x=2.0) for name in ("CA", "CB", "OG")]
    lines = [atom("N", "SER"), first[0], second[0], second[1], first[1], second[2]]
    s = read(tmp_path, lines, writer)
    assert s.atom_names.tolist() == ["N", "CA", "CB", "OG"]
    assert s.coords_A[:, 0].tolist() == [0.0, 1.0, 1.0, 2.0]


@pytest.mark.parametrize("writer", [pdb, mmcif])
def test_an_atom_without_a_label_comes_before_its_alternatives(tmp_path: Path, writer: Writer) -> None:
    s = read(tmp_path, [atom("CA", "SER", x=1.0), atom("CA", "SER", "B", x=2.0)], writer)
    assert s.coords_A[:, 0].tolist() == [1.0]


@pytest.mark.parametrize("writer", [pdb, mmcif])
def test_places_with_insertion_codes_are_places_of_their_own(tmp_path: Path, writer: Writer) -> None:
    lines = [*PROLINE, *(replace(line, code="A", alt="") for line in SERINE)]
    s = read(tmp_path, lines, writer)
    assert s.residue_names.tolist() == ["PRO"] * 6 + ["SER"] * 5


def test_as_many_atoms_as_gemmi_and_prody(tmp_path: Path) -> None:
    file = tmp_path / "s.pdb"
    file.write_text(pdb([*BEFORE, *SHARED, *interleaved(PROLINE, SERINE, CYSTEINE), atom("N", "ALA", number=3)]))
    peer = gemmi.read_structure(str(file))
    peer.remove_alternative_conformations()
    prody = needs.library("prody", "ProDy")
    prody.confProDy(verbosity="none")
    assert len(read_structure(file)) == peer[0].count_atom_sites() == prody.parsePDB(str(file)).numAtoms()
