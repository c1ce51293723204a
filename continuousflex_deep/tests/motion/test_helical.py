"""Helical motion: blocks stay rigid on helices, however far they go, and modes of all sources have one."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.motion import HelicalMotion, motion_along
from continuousflex_deep.motion.blocks import block_numbers
from continuousflex_deep.motion.helical import helical_motion
from continuousflex_deep.nma.network import compute_modes
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.particles import HELICAL, JOINTED
from continuousflex_deep.tests.helpers.engine_data import toy_structure

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def structure() -> Structure:
    toy = toy_structure()
    return Structure(**{**vars(toy), "weights": RNG.uniform(1, 16, size=len(toy))})


def network_modes(structure: Structure, block_size: int) -> NormalModes:
    options = NmaOptions(structure="", output="", n_modes=12, block_size=block_size, cutoff_A=12)
    return compute_modes(structure, options)


def within_blocks_A(coords_A: np.ndarray, block: np.ndarray) -> np.ndarray:
    """The distances between all pairs of atoms of one block."""
    first, second = np.nonzero(np.triu(block[:, None] == block, 1))
    return np.asarray(np.linalg.norm(coords_A[first] - coords_A[second], axis=1))


def test_two_rods_that_turn_against_each_other() -> None:
    """About their common axis, each by a quarter turn. Straight lines would stretch them."""
    rod = np.array([[0.0, -1, 0], [0, 1, 0]])
    atoms = np.concatenate([rod - np.array([10, 0, 0]), rod + np.array([10, 0, 0])])
    opposite = np.array([[[0, 0, 1.0], [0, 0, -1], [0, 0, -1], [0, 0, 1]]]) / 2  # atoms at an arm of 1 Å: rad per Å
    motion, apart = helical_motion(atoms, np.full(4, 0.25), opposite, np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(apart, 0, atol=1e-12)
    turned = motion.coordinates(np.array([np.pi]))
    np.testing.assert_allclose(turned, [[-10, 0, 1], [-10, 0, -1], [10, 0, -1], [10, 0, 1]], atol=1e-12)


@pytest.mark.parametrize("rmsd_A", [1.0, 10.0, 40.0])
def test_blocks_stay_rigid(structure: Structure, rmsd_A: float) -> None:
    modes = replace(network_modes(structure, 5), motion=HELICAL, block_size=5)
    motion = motion_along(structure, modes)
    assert isinstance(motion, HelicalMotion)
    assert motion.bends is None
    block = block_numbers(structure, 5)
    amplitudes = rmsd_A * np.sqrt(len(structure)) * np.array([0.8, -0.5, 0.3, 0, 0, 0])
    moved = motion.coordinates(amplitudes)
    np.testing.assert_allclose(
        within_blocks_A(moved, block), within_blocks_A(structure.coords_A, block), atol=1e-5
    )
    straight = motion_along(structure, modes.moving("straight")).coordinates(amplitudes)
    assert np.abs(within_blocks_A(straight, block) - within_blocks_A(structure.coords_A, block)).max() > 0.1


def test_blocks_are_those_of_the_network(structure: Structure) -> None:
    """With blocks of another size the same modes bend them, and that is told."""
    modes = network_modes(structure, 5)
    other = motion_along(structure, replace(modes, motion=HELICAL, block_size=7))
    assert isinstance(other, HelicalMotion)
    assert other.bends is not None


def test_modes_that_bend_blocks_are_told_with_a_figure(
    structure: Structure, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = RNG.normal(size=(1, len(structure), 3))
    modes = NormalModes((7,), vectors / np.linalg.norm(vectors), motion=HELICAL, block_size=5)
    motion_along(structure, modes)
    told = capsys.readouterr()
    assert "mode 7 bends the rigid blocks of 5, by" in told.out + told.err


@pytest.mark.parametrize("kind", [HELICAL, JOINTED])
def test_a_turned_structure_moves_alike(structure: Structure, kind: str) -> None:
    """The motion does not depend on the frame."""
    modes = replace(network_modes(structure, 5), motion=kind, block_size=5)
    turn, place = Rotation.random(random_state=2).as_matrix(), np.array([30.0, -8, 5])
    turned = structure.replace_coords(structure.coords_A @ turn.T + place)
    q = np.array([90.0, -50, 30, 20, 10, 5])
    here = motion_along(structure, modes).coordinates(q)
    there = motion_along(turned, replace(modes, vectors=modes.vectors @ turn.T)).coordinates(q)
    np.testing.assert_allclose(there, here @ turn.T + place, atol=1e-9)


def test_the_order_of_atoms_does_not_matter() -> None:
    """Atoms of one residue in another order."""
    molecule = read_structure(str(ADENYLATE_KINASE))
    modes = replace(compute_modes(molecule, NmaOptions(structure="", output="", n_modes=9)), motion=HELICAL)
    residue = molecule.residue_index
    order = np.lexsort((-np.arange(len(residue)), residue))
    q = np.array([200.0, -150, 80])
    here = motion_along(molecule, modes).coordinates(q)[order]
    there = motion_along(molecule.select(order), replace(modes, vectors=modes.vectors[:, order])).coordinates(q)
    np.testing.assert_allclose(there, here, atol=1e-9)


def test_single_atoms_and_pairs_are_blocks_too() -> None:
    """An ion has no arm, and a pair does not turn about its axis."""
    coords = np.array([[0.0, 0, 0], [5, 0, 0], [6, 0, 0], [9, 1, 2], [8, 3, 1], [9, 4, 4]])
    modes = RNG.normal(size=(2, 6, 3))
    motion, _ = helical_motion(coords, np.ones(6) / 6, modes, np.array([0, 1, 1, 2, 2, 2]))
    expected = modes - modes.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(motion.derivative(np.zeros(2)), expected, atol=1e-12)
    assert np.isfinite(motion.coordinates(np.array([3.0, -2]))).all()


@pytest.mark.parametrize("block_size", [5, 7])
def test_places_move_with_the_blocks_beside_them(structure: Structure, block_size: int) -> None:
    """At an atom as the atom does; between blocks by the shares of both. Blocks that the modes bend, too."""
    modes = replace(network_modes(structure, 5), motion=HELICAL, block_size=block_size)
    motion = motion_along(structure, modes)
    assert isinstance(motion, HelicalMotion)
    q = np.array([90.0, -50, 30, 20, 10, 5])
    every = np.arange(len(structure))
    there = motion.spread(structure.coords_A, every[:, None], np.ones((len(every), 1)))
    np.testing.assert_allclose(there.coordinates(q), motion.coordinates(q), atol=1e-9)
    same_block = motion.spread(structure.coords_A[:1], np.array([[0, 1]]), np.array([[0.25, 0.75]]))
    if block_size == 5:  # a rigid block, by whichever of its atoms
        np.testing.assert_allclose(same_block.coordinates(q), motion.coordinates(q)[:1], atol=1e-6)
    seen = there.view_weights(np.eye(3)[None], q[None]) @ there.view_parts().toarray()
    np.testing.assert_allclose(seen[0].T, motion.coordinates(q), atol=1e-9)
