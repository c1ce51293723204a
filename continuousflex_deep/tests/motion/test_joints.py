"""Joints: blocks that turn far stay together, and no more than that changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep import cli
from continuousflex_deep.commands import nma
from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.modes import NormalModes, read_modes
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.motion import HelicalMotion, joints, motion_along
from continuousflex_deep.motion.blocks import block_numbers
from continuousflex_deep.motion.helical import helical_motion
from continuousflex_deep.motion.joints import MOST_BLOCKS, joints_of
from continuousflex_deep.nma.network import compute_modes
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.particles import HELICAL, JOINTED
from continuousflex_deep.tests.helpers.engine_data import toy_structure

# three rods of five atoms, 1 Å apart, in one line along x; of two rods only the ends next to each other may be near
_ROD = np.stack([np.arange(-2.0, 3), np.zeros(5), np.zeros(5)], axis=1)
_BLOCK = np.repeat([0, 1, 2], 5)
_NEAR_A, _FAR_A = 3.5, 6.5  # between the ends
_REACH_A = 2 + _NEAR_A / 2  # from the middle of a rod to its joint


def line(between_A: float) -> np.ndarray:
    return np.concatenate([_ROD + np.array([place * (4 + between_A), 0, 0]) for place in (-1, 0, 1)])


def mode_of(rates: tuple[float, float, float], along_y: tuple[float, float, float]) -> np.ndarray:
    """A mode (1, 15, 3): each rod turns about z by its rate in rad per Å, and moves along y."""
    x = np.tile(_ROD[:, 0], 3)
    return np.stack([0 * x, np.repeat(rates, 5) * x + np.repeat(along_y, 5), 0 * x], axis=1)[None]


def rods(mode: np.ndarray, between_A: float = _NEAR_A) -> tuple[HelicalMotion[np.ndarray], HelicalMotion[np.ndarray]]:
    """Their motion with joints, and without."""
    jointed, apart = helical_motion(line(between_A), np.full(15, 1 / 15), mode, _BLOCK, jointed=True)
    np.testing.assert_allclose(apart, 0, atol=1e-12)
    return jointed, replace(jointed, joints=None)


def test_a_rod_between_two_others_takes_them_along() -> None:
    """It turns, and the mode moves the others as its ends begin to move, without turning them. They follow the ends."""
    jointed, free = rods(mode_of((0, 0.1, 0), (-0.1 * _REACH_A, 0, 0.1 * _REACH_A)))
    angle = 1.2
    q = np.array([angle / 0.1])
    expected = _REACH_A * np.array([1 + np.cos(angle), np.sin(angle), 0])
    moved = jointed.coordinates(q)
    np.testing.assert_allclose(moved[10:].mean(axis=0), expected, atol=1e-3)
    np.testing.assert_allclose(moved[:5].mean(axis=0), -expected, atol=1e-3)
    assert np.linalg.norm(free.coordinates(q)[10:].mean(axis=0) - expected) > 1


def test_what_the_mode_opens_stays_open() -> None:
    """Rods that move apart without turning do so as far as without joints."""
    jointed, free = rods(mode_of((0, 0, 0), (-1, 0, 1)))
    q = np.array([7.0])
    np.testing.assert_allclose(jointed.coordinates(q), free.coordinates(q), atol=1e-9)


def test_blocks_that_nothing_joins_move_as_without() -> None:
    jointed, free = rods(mode_of((0.1, -0.2, 0.15), (1, -2, 1)), _FAR_A)
    q = np.array([9.0])
    np.testing.assert_allclose(jointed.coordinates(q), free.coordinates(q), atol=1e-9)


def test_blocks_about_a_common_hinge_need_no_joint() -> None:
    """The first rod and the two others turn about the joint between them: their screws have one axis already."""
    rate = np.array([0.1, -0.05, -0.05])
    away = np.array([-_REACH_A, _REACH_A, 3 * _REACH_A])  # of the rods' middles from that joint
    jointed, free = rods(mode_of(tuple(rate), tuple(rate * away)))
    q = np.array([12.0])
    np.testing.assert_allclose(jointed.coordinates(q), free.coordinates(q), atol=1e-9)


@pytest.fixture(scope="module")
def molecule() -> Structure:
    return read_structure(str(ADENYLATE_KINASE))


@pytest.fixture(scope="module")
def modes(molecule: Structure) -> NormalModes:
    return replace(compute_modes(molecule, NmaOptions(structure="", output="", n_modes=9)), block_size=10)


def test_chain_stays_whole(molecule: Structure, modes: NormalModes) -> None:
    """Peptide bonds between blocks of a protein, at a motion of 8 Å."""
    block = block_numbers(molecule, 10)
    named = {(n, a): row for row, (n, a) in enumerate(zip(molecule.residue_numbers, molecule.atom_names, strict=True))}
    pairs = [(row, named[n + 1, "N"]) for (n, a), row in named.items() if a == "C" and (n + 1, "N") in named]
    pairs = [(c, n) for c, n in pairs if block[c] != block[n]]
    assert len(pairs) > 15
    q = np.array([250.0, -150, 120])

    def stretched_A(kind: str) -> float:
        moved = motion_along(molecule, modes.moving(kind)).coordinates(q)
        first, second = np.array(pairs).T
        before, after = (np.linalg.norm(x[first] - x[second], axis=1) for x in (molecule.coords_A, moved))
        return float(np.abs(after - before).max())

    assert stretched_A(JOINTED) < 0.7 * stretched_A(HELICAL)
    assert stretched_A(JOINTED) < 1.5


def test_first_derivative_is_the_mode(molecule: Structure, modes: NormalModes) -> None:
    motion = motion_along(molecule, modes.moving(JOINTED))
    expected = motion_along(molecule, modes.moving(HELICAL)).derivative(np.zeros(3))
    np.testing.assert_allclose(motion.derivative(np.zeros(3)), expected, atol=1e-12)


def test_too_many_blocks_are_refused() -> None:
    count = MOST_BLOCKS + 1
    atoms = np.stack([np.arange(count, dtype=float), np.zeros(count), np.zeros(count)], axis=1)
    with pytest.raises(InputError, match="got 2,501 rigid blocks, expected at most 2,500"):
        joints_of(atoms, np.arange(count), atoms, np.full(count, 1 / count))


def test_large_networks_move_on_helices_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (nma, joints):
        monkeypatch.setattr(module, "MOST_BLOCKS", 20)
    write_structure(tmp_path / "toy.pdb", toy_structure())
    network = ("--structure", str(tmp_path / "toy.pdb"), "--cutoff-A", "15", "--n-modes", "8", "--block-size", "2")
    assert cli.main(["nma", *network, "--output", str(tmp_path / "auto")]) == 0
    assert read_modes(tmp_path / "auto").motion == HELICAL
    assert "blocks are more than jointed motion takes (20)" in capsys.readouterr().out
    assert cli.main(["nma", *network, "--output", str(tmp_path / "asked"), "--motion", "jointed"]) == 2
    assert "give --motion helical, or compute" in capsys.readouterr().err
    for words in (("--motion", "helical"), ("--motion", "jointed", "--block-size", "4")):
        assert cli.main(["nma", *network, "--output", str(tmp_path / "asked"), *words]) == 0


def test_atoms_upon_each_other_change_nothing_else() -> None:
    """Most atoms of the line twice."""
    twice = np.concatenate([line(_NEAR_A), line(_NEAR_A)[:12]])
    block, weights = np.concatenate([_BLOCK, _BLOCK[:12]]), np.ones(3) / 3
    centres = np.array([[-7.5, 0, 0], [0, 0, 0], [7.5, 0, 0]])
    once = joints_of(line(_NEAR_A), _BLOCK, centres, weights)
    np.testing.assert_allclose(joints_of(twice, block, centres, weights), once, atol=1e-4)


def test_one_block_or_one_atom_has_no_joints() -> None:
    np.testing.assert_array_equal(joints_of(np.zeros((1, 3)), np.zeros(1, int), np.zeros((1, 3)), np.ones(1)), 0)
    alone = joints_of(_ROD, np.zeros(5, int), np.zeros((1, 3)), np.ones(1))
    np.testing.assert_array_equal(alone, np.zeros((4, 1)))
