"""Folders of normal modes and lists of mode numbers."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.modes import NormalModes, parse_mode_list, read_modes, require_same_atoms, write_modes
from continuousflex_deep.particles import Particles


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
        "7 7": r"modes \[7\] more than once; give each mode once",
        "7-9 8 10 9": r"modes \[8, 9\] more than once",
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
        "0 0 1\n0 1 0\n": r"norm is 1.41\d, expected 1 .*; divide its numbers by the norm, or compute",
        "1 0\n0 0\n": "shape",
        "a b c\n": "rows of three numbers",
        "nan 0 0\n1 0 0\n": "with 1 that are not finite.*; compute the modes again",
        "inf 0 0\n1 0 -inf\n": "with 2 that are not finite",
        "0 0 0\n0 0 0\n": "moves no atom, all its numbers are 0; select other modes, or compute",
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


# of modes from three orthonormal ones a, b and c: what the folder has from mode 7 on, and what the error says of it
DEPENDENT = {
    "identical": (["a", "a"], r"leave 1 of the modes \[7, 8\] out"),
    "of opposite sign": (["a", "b", "-a"], r"leave 1 of the modes \[7, 9\] out"),
    "nearly parallel": (["a", "a + 0.02 * b"], r"leave 1 of the modes \[7, 8\] out"),
    "three times the same": (["a", "b", "a", "a"], r"leave 2 of the modes \[7, 9, 10\] out"),
    "two pairs": (["a", "b", "b", "a"], r"leave 1 of the modes \[7, 10\] and 1 of the modes \[8, 9\] out"),
    "a sum of others": (["a", "b", "c", "a - b"], r"leave 1 of the modes \[7, 8, 10\] out"),
    "several sums of others": (["a", "b", "c", "a + b", "b - c"], r"leave 2 of the modes \[7, 8, 9, 10, 11\]"),
}


def write_mixtures(folder: Path, mixtures: list[str]) -> NormalModes:
    """A folder with modes from 7 on, each a combination of a, b and c."""
    a, b, c = some_modes().vectors
    vectors = np.array([eval(mixture, {"a": a, "b": b, "c": c}) for mixture in mixtures])
    norms = np.linalg.norm(vectors, axis=(1, 2), keepdims=True)
    modes = NormalModes(tuple(range(7, 7 + len(mixtures))), vectors / norms)
    write_modes(folder, modes)
    return modes


@pytest.mark.parametrize("kind", DEPENDENT)
def test_modes_that_cannot_be_told_apart_are_refused(kind: str, tmp_path: Path) -> None:
    mixtures, message = DEPENDENT[kind]
    write_mixtures(tmp_path, mixtures)
    with pytest.raises(FormatError, match=message):
        read_modes(tmp_path)


def test_the_order_of_modes_does_not_matter(tmp_path: Path) -> None:
    write_mixtures(tmp_path, ["a", "b", "a + 0.02 * c"])
    for order in ((7, 8, 9), (9, 8, 7), (8, 9, 7)):
        with pytest.raises(FormatError, match="leave 1 of the modes"):
            read_modes(tmp_path, order)


def test_modes_at_an_angle_are_read(tmp_path: Path) -> None:
    """As modes are of which only some atoms are left."""
    modes = write_mixtures(tmp_path, ["a", "a + 0.1 * b", "a + c"])
    np.testing.assert_allclose(read_modes(tmp_path).vectors, modes.vectors, atol=1e-9)


def test_only_the_modes_that_are_used_need_to_be_independent(tmp_path: Path) -> None:
    """Who follows the error's advice gets past it."""
    write_mixtures(tmp_path, ["a", "b", "a"])
    assert read_modes(tmp_path, (7, 8)).mode_ids == (7, 8)
    assert read_modes(tmp_path, (9, 8)).mode_ids == (9, 8)
    (tmp_path / "vec.9").unlink()
    assert read_modes(tmp_path).mode_ids == (7, 8)


def test_rigid_body_modes_in_a_folder_are_not_looked_at(tmp_path: Path) -> None:
    write_modes(tmp_path, some_modes())
    (tmp_path / "vec.1").write_text((tmp_path / "vec.7").read_text())
    (tmp_path / "vec.2").write_text("0 0 0\n")
    (tmp_path / "vec.6").write_text("nan\n")
    assert read_modes(tmp_path).mode_ids == (7, 8, 9)


def test_the_same_mode_twice_is_refused(tmp_path: Path) -> None:
    write_modes(tmp_path, some_modes())
    message = r"modes \[7\] are given more than once; give each mode once"
    with pytest.raises(InputError, match=message):
        read_modes(tmp_path, (7, 8, 7))
    with pytest.raises(InputError, match=message):
        some_modes().select((7, 7))
    with pytest.raises(InputError, match=message):
        Particles(np.arange(2), *some_stacks(2), 1.0, 8, mode_ids=(7, 7), amplitudes=np.zeros((2, 2)))


def test_other_names_of_files_are_not_modes(tmp_path: Path) -> None:
    write_modes(tmp_path, some_modes())
    for name in ("vec.07", "vec.7.bak", "vec.x", "vec.+7", "vec.７", "myvec.12"):
        (tmp_path / name).write_text((tmp_path / "vec.7").read_text())
    assert read_modes(tmp_path).mode_ids == (7, 8, 9)


def some_stacks(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(n, "a.mrcs", dtype=object), np.arange(n)


def test_modes_of_another_structure_are_refused() -> None:
    with pytest.raises(InputError, match=r"have 5 atoms, structure 's.pdb' has 6"):
        require_same_atoms(some_modes(), 6, "s.pdb", "modes")
    require_same_atoms(some_modes(), 5, "s.pdb", "modes")
