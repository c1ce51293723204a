"""Trajectories (.dcd): those that ProDy writes, and every dialect and damage of the format."""

from pathlib import Path

import numpy as np
import pytest
from prody import Ensemble, writeDCD

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.conformations import read_conformations
from continuousflex_deep.io.dcd import read_dcd
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.tests.helpers.dcd_files import FRAMES_A, dcd
from continuousflex_deep.tests.helpers.pdb_text import Line, pdb


def test_what_prody_writes_is_read(tmp_path: Path) -> None:
    ensemble = Ensemble("frames")
    ensemble.setCoords(FRAMES_A[0])
    ensemble.addCoordset(FRAMES_A)
    writeDCD(str(tmp_path / "a.dcd"), ensemble)
    np.testing.assert_array_equal(read_dcd(tmp_path / "a.dcd"), FRAMES_A)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("cell", [False, True])
@pytest.mark.parametrize("announced", [0, 3, 500])  # programs that stop write the number too late or never
def test_every_dialect_has_the_same_frames(tmp_path: Path, order: str, cell: bool, announced: int) -> None:
    (tmp_path / "a.dcd").write_bytes(dcd(order, cell, announced=announced))
    np.testing.assert_array_equal(read_dcd(tmp_path / "a.dcd"), FRAMES_A)


def test_a_header_of_xplor_has_no_flags(tmp_path: Path) -> None:
    """Where CHARMM's flag of a cell is, it has a part of the time step."""
    (tmp_path / "a.dcd").write_bytes(dcd(version=0, n10=7))
    np.testing.assert_array_equal(read_dcd(tmp_path / "a.dcd"), FRAMES_A)


def test_a_frame_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.dcd").write_bytes(dcd()[:-10])
    np.testing.assert_array_equal(read_dcd(tmp_path / "a.dcd"), FRAMES_A[:2])


def test_what_is_no_such_trajectory_is_refused(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.dcd", dcd()
    swapped = whole[:-4] + b"\x07\0\0\0"
    other = {
        b"": "is empty", b"ATOM      1": "does not start with", whole[:60]: "does not start with",
        whole[:100]: "damaged at its beginning", whole[:230]: "no complete frame", dcd(n8=2): "fixed atoms",
        dcd(n11=1): "a fourth dimension", swapped: "frame 3 of 3 is damaged: its record of z",
    }  # fmt: skip
    for content, message in other.items():
        path.write_bytes(content)
        with pytest.raises(FormatError, match=message):
            read_dcd(path)


def test_frames_are_of_the_atoms_of_the_structures_file(tmp_path: Path) -> None:
    """Hydrogens and what is left out by the selection are in the trajectory, not among the conformations."""
    names = ("N", "CA", "H1", "N", "CA")
    lines = [Line(n, "ALA", "A", 1 + k // 3, tuple(FRAMES_A[0, k].tolist()), n[0]) for k, n in enumerate(names)]
    (tmp_path / "a.pdb").write_text(pdb(lines))
    (tmp_path / "a.dcd").write_bytes(dcd())
    structure = read_structure(tmp_path / "a.pdb")
    found = read_conformations(tmp_path / "a.dcd", structure, tmp_path / "a.pdb")
    np.testing.assert_array_equal(found, FRAMES_A[:, [0, 1, 3, 4]])
    some = read_structure(tmp_path / "a.pdb", select="A/2")
    np.testing.assert_array_equal(
        read_conformations(tmp_path / "a.dcd", some, tmp_path / "a.pdb", "A/2"), FRAMES_A[:, [3, 4]]
    )
    (tmp_path / "b.pdb").write_text(pdb(lines[:4]))
    with pytest.raises(InputError, match=r"has frames of 5 atoms, the structure file .* has 4 .*give as --structure"):
        read_conformations(tmp_path / "a.dcd", structure, tmp_path / "b.pdb")
