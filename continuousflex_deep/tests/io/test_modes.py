"""Folders of normal modes and lists of mode numbers."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.modes import NormalModes, parse_mode_list, read_modes, require_same_atoms, write_modes


def some_modes(ids: tuple[int, ...] = (7, 8, 9), atoms: int = 5) -> NormalModes:
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3 * atoms, len(ids))))
    m = len(ids)
    return NormalModes(
        ids, q.T.reshape(m, atoms, 3), np.arange(1.0, m + 1), np.linspace(0.2, 0.9, m), np.linspace(0.9, 0.2, m)
    )


def test_round_trip_with_facts(tmp_path: Path) -> None:
    modes = some_modes()
    write_modes(tmp_path, modes)
    back = read_modes(tmp_path)
    assert back.mode_ids == (7, 8, 9)
    np.testing.assert_allclose(back.vectors, modes.vectors, atol=1e-9)
    some = read_modes(tmp_path, (9, 7))
    assert some.mode_ids == (9, 7)
    np.testing.assert_allclose(some.vectors, modes.vectors[[2, 0]], atol=1e-9)
    for name in ("eigenvalues", "collectivity", "score"):
        np.testing.assert_allclose(getattr(some, name), getattr(modes, name)[[2, 0]])
        np.testing.assert_allclose(getattr(back.select((8,)), name), getattr(modes, name)[[1]])


def test_elnemo_s_folder_is_read(shared_data: Path) -> None:
    modes = read_modes(shared_data / "elnemo_ak")
    assert modes.mode_ids == (7, 8, 9, 10, 11, 12)
    assert modes.vectors.shape == (6, 1656, 3)
    np.testing.assert_allclose(np.linalg.norm(modes.vectors, axis=(1, 2)), 1)
    assert modes.eigenvalues is None


def test_rewriting_removes_the_modes_of_the_run_before(tmp_path: Path) -> None:
    write_modes(tmp_path, some_modes((7, 8, 9, 10)))
    (tmp_path / "vec.20").write_text("mine\n")
    write_modes(tmp_path, some_modes((7, 8), atoms=6))
    assert sorted(p.name for p in tmp_path.glob("vec.*")) == ["vec.20", "vec.7", "vec.8"]
    assert read_modes(tmp_path, (7, 8)).vectors.shape == (2, 6, 3)


def test_mode_lists() -> None:
    assert parse_mode_list("7-9 11") == (7, 8, 9, 11)
    assert parse_mode_list("8,7, 12") == (8, 7, 12)
    for text, message in {
        "6-8": r"modes \[6\] are rigid-body",
        "1": "rigid-body",
        "": "contains no mode",
        "9-7": "contains no mode",
        "7 7": "twice",
        "7-x": "cannot read '7-x'",
        "-7": "cannot read",
        "7.5": "cannot read",
    }.items():
        with pytest.raises(InputError, match=message):
            parse_mode_list(text)


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        read_modes(tmp_path / "absent")
    with pytest.raises(InputError, match="no file"):
        read_modes(tmp_path)
    write_modes(tmp_path, some_modes())
    with pytest.raises(InputError, match=r"modes \[12\]; it has modes \[7, 8, 9\]"):
        read_modes(tmp_path, (7, 12))
    with pytest.raises(InputError, match=r"modes \[11\] are not available"):
        read_modes(tmp_path).select((11,))
    cases = {
        "0 0 1\n0 1 0\n": "norm is 1.41",
        "1 0\n0 0\n": "shape",
        "a b c\n": "rows of three numbers",
        "nan 0 0\n1 0 0\n": "finite",
        "0.6 0 0\n0 0.8 0\n": "different numbers of atoms",
    }
    for text, message in cases.items():
        (tmp_path / "vec.8").write_text(text)
        with pytest.raises(FormatError, match=message):
            read_modes(tmp_path)
    write_modes(tmp_path, some_modes())
    (tmp_path / "modes.json").write_text("[]]")
    with pytest.raises(FormatError, match="nma command writes"):
        read_modes(tmp_path)


def test_modes_of_another_structure_are_refused() -> None:
    with pytest.raises(InputError, match=r"have 5 atoms, structure 's.pdb' has 6"):
        require_same_atoms(some_modes(), 6, "s.pdb", "modes")
    require_same_atoms(some_modes(), 5, "s.pdb", "modes")
