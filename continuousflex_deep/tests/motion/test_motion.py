"""Motion along modes, straight, helical and jointed: closed forms, finite differences, two array libraries."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.reference import no_modes
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion import Motion, amplitude_of_rmsd, motion_along
from continuousflex_deep.motion.helical import HelicalMotion
from continuousflex_deep.nma.network import compute_modes
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.particles import MOTIONS
from continuousflex_deep.tests.helpers.engine_data import toy_structure

RNG = np.random.default_rng(11)
AMPLITUDES_A = np.array([[0.0, 0.0, 0.0], [30.0, -20.0, 5.0], [-120.0, 40.0, 80.0]])


@pytest.fixture(scope="module")
def structure() -> Structure:
    """Atoms of different weights, away from the origin."""
    toy = toy_structure()
    weights = RNG.uniform(1, 16, size=len(toy))
    return Structure(**{**vars(toy), "coords_A": toy.coords_A + np.array([5.0, -3.0, 40.0]), "weights": weights})


@pytest.fixture(scope="module")
def modes(structure: Structure) -> NormalModes:
    """Three orthonormal modes, none of which leaves the weighted centre in place, or blocks rigid."""
    q, _ = np.linalg.qr(RNG.normal(size=(3 * len(structure), 3)) + 0.5)
    return NormalModes((7, 8, 9), q.T.reshape(3, -1, 3))


@pytest.fixture(scope="module")
def rigid_modes(structure: Structure) -> NormalModes:
    """Three modes that leave blocks of 4 residues rigid."""
    return compute_modes(structure, NmaOptions(structure="", output="", n_modes=9, block_size=4, cutoff_A=12))


@pytest.fixture(
    scope="module",
    params=["straight", "helical", "helical, of rigid blocks", "jointed", "jointed, of rigid blocks"],
)
def motion(request: pytest.FixtureRequest, structure: Structure) -> Motion[np.ndarray]:
    """Straight; helical and jointed, with modes that bend the blocks, and without."""
    kind, _, rigid = request.param.partition(",")
    modes: NormalModes = request.getfixturevalue("rigid_modes" if rigid else "modes")
    return motion_along(structure, replace(modes, motion=kind, block_size=4))


def in_torch(motion: Motion[np.ndarray], dtype: torch.dtype = torch.float64) -> Motion[torch.Tensor]:
    return motion.converted(lambda array: torch.as_tensor(array, dtype=dtype))


# --------------------------------------------------------------------------------------------------------- closed forms


def test_two_atoms_by_hand() -> None:
    """The heavier atom, of three quarters of the weight, moves by a quarter of what the lighter one does."""
    changed = {"coords_A": np.array([[0.0, 0, 0], [4.0, 0, 0]]), "weights": np.array([3.0, 1.0])}
    structure = Structure(**{**vars(toy_structure(residues=2)), **changed})
    modes = NormalModes((7,), np.array([[[0.0, 0, 0], [0, 1, 0]]]))
    np.testing.assert_allclose(
        motion_along(structure, modes).coordinates(np.array([8.0])), [[0, -2, 0], [4, 6, 0]], atol=1e-15
    )


def test_amplitudes_add_displacements_along_modes(structure: Structure, modes: NormalModes) -> None:
    motion = motion_along(structure, modes)
    for q in AMPLITUDES_A:
        moved = structure.coords_A + sum(a * v for a, v in zip(q, modes.vectors, strict=True))
        drift = (structure.weights @ moved) / structure.weights.sum() - structure.center_A
        np.testing.assert_allclose(motion.coordinates(q), moved - drift, atol=1e-12)
        np.testing.assert_allclose(motion.displacements(q), moved - drift - structure.coords_A, atol=1e-12)


def test_without_amplitudes_it_is_the_structure(structure: Structure, motion: Motion[np.ndarray]) -> None:
    np.testing.assert_array_equal(motion.coordinates(np.zeros(3)), structure.coords_A)


@pytest.mark.parametrize("kind", MOTIONS)
def test_without_modes_it_is_the_structure(structure: Structure, kind: str) -> None:
    rigid = motion_along(structure, no_modes(structure).moving(kind))
    np.testing.assert_array_equal(rigid.coordinates(np.zeros((2, 0))), np.stack([structure.coords_A] * 2))
    assert rigid.n_modes == 0
    assert rigid.derivative(np.zeros(0)).shape == (0, len(structure), 3)


@pytest.mark.parametrize("kind", MOTIONS)
@pytest.mark.parametrize("q", AMPLITUDES_A)
def test_the_weighted_centre_stays(structure: Structure, modes: NormalModes, q: np.ndarray, kind: str) -> None:
    moved = structure.replace_coords(motion_along(structure, modes.moving(kind)).coordinates(q))
    np.testing.assert_allclose(moved.center_A, structure.center_A, atol=1e-11)
    about_centre = motion_along(structure.centred(), modes.moving(kind)).coordinates(q)
    np.testing.assert_allclose(about_centre, moved.centred().coords_A, atol=1e-11)


def test_many_conformations_at_once(motion: Motion[np.ndarray]) -> None:
    together = motion.coordinates(AMPLITUDES_A.reshape(1, 3, 3))
    assert together.shape == (1, 3, len(motion.rest_A), 3)
    np.testing.assert_allclose(together[0], [motion.coordinates(q) for q in AMPLITUDES_A], atol=1e-12)


def test_modes_of_another_structure_are_refused(structure: Structure, modes: NormalModes) -> None:
    with pytest.raises(InputError, match="modes have 60 atoms, the structure has 59"):
        motion_along(structure.select(np.arange(59)), modes)


def test_amplitude_of_an_rmsd(structure: Structure, modes: NormalModes) -> None:
    balanced = Structure(**{**vars(structure), "weights": np.ones(len(structure))})
    still = NormalModes((7,), modes.vectors[:1] - modes.vectors[:1].mean(axis=1, keepdims=True))
    still = NormalModes((7,), still.vectors / np.linalg.norm(still.vectors))
    moved = motion_along(balanced, still).displacements(np.array([amplitude_of_rmsd(2.5, len(structure))]))
    assert np.sqrt(np.square(moved).sum(axis=1).mean()) == pytest.approx(2.5)


# ----------------------------------------------------------------------------------------------- derivatives, distances


@pytest.mark.parametrize("q", AMPLITUDES_A)
def test_derivative_matches_finite_differences(motion: Motion[np.ndarray], q: np.ndarray) -> None:
    derivative = np.broadcast_to(motion.derivative(q), (3, *motion.rest_A.shape))
    for step, expected in zip(1e-3 * np.eye(3), derivative, strict=True):
        numeric = (motion.coordinates(q + step) - motion.coordinates(q - step)) / 2e-3
        np.testing.assert_allclose(numeric, expected, atol=1e-8)


@pytest.mark.parametrize("kind", MOTIONS)
def test_at_rest_the_derivative_is_the_mode(structure: Structure, modes: NormalModes, kind: str) -> None:
    drift = np.einsum("n,mni->mi", structure.weights, modes.vectors) / structure.weights.sum()
    derivative = motion_along(structure, modes.moving(kind)).derivative(np.zeros(3))
    np.testing.assert_allclose(derivative, modes.vectors - drift[:, None], atol=1e-12)


def test_derivatives_of_many_conformations_at_once(motion: Motion[np.ndarray]) -> None:
    shape = (2, 3, 3, *motion.rest_A.shape)
    together = np.broadcast_to(motion.derivative(np.stack([AMPLITUDES_A, -AMPLITUDES_A])), shape)
    for row, q in enumerate(AMPLITUDES_A):
        expected = np.broadcast_to(motion.derivative(-q), shape[2:])
        np.testing.assert_allclose(together[1, row], expected, atol=1e-12)


def test_rmsd_is_that_of_the_coordinates(motion: Motion[np.ndarray]) -> None:
    first, second = motion.coordinates(AMPLITUDES_A), motion.coordinates(AMPLITUDES_A[[1, 1, 0]])
    expected = np.sqrt(np.square(first - second).sum(axis=2).mean(axis=1))
    np.testing.assert_allclose(motion.rmsd_A(AMPLITUDES_A, AMPLITUDES_A[[1, 1, 0]]), expected, rtol=1e-10)
    assert motion.rmsd_A(AMPLITUDES_A[1], AMPLITUDES_A[1]) == 0
    small = 1e-4 * AMPLITUDES_A[1]
    assert np.sqrt(small @ motion.gram @ small) == pytest.approx(motion.rmsd_A(small, 0 * small), rel=1e-4)


# ------------------------------------------------------------------------------------------- other points, other arrays


def test_some_points_move_as_they_do_among_all(motion: Motion[np.ndarray]) -> None:
    some = np.array([3, 17, 40])
    np.testing.assert_allclose(
        motion.select(some).coordinates(AMPLITUDES_A), motion.coordinates(AMPLITUDES_A)[:, some], atol=1e-12
    )


def test_means_of_groups_move_as_the_means_of_their_points(motion: Motion[np.ndarray]) -> None:
    sixths = motion.averaged(lambda values: values.reshape(*values.shape[:-2], 10, 6, values.shape[-1]).mean(axis=-2))
    expected = motion.coordinates(AMPLITUDES_A).reshape(3, 10, 6, 3).mean(axis=2)
    np.testing.assert_allclose(sixths.coordinates(AMPLITUDES_A), expected, atol=1e-12)


def test_groups_of_points_belong_to_their_own_blocks_alone(structure: Structure, modes: NormalModes) -> None:
    """One of two blocks among many of one: in any one block the others would all be points of it as well."""
    motion = motion_along(structure, replace(modes, motion="helical", block_size=4))
    assert isinstance(motion, HelicalMotion)
    own = motion.block[:, 0]
    parts = [np.flatnonzero(own == number) for number in np.unique(own)]
    parts[1:3] = [np.concatenate(parts[1:3])]
    groups = motion.averaged(lambda values: np.stack([values[..., part, :].mean(axis=-2) for part in parts], axis=-2))
    assert [set(blocks) for blocks in groups.block.tolist()] == [set(own[part]) for part in parts]
    expected = np.stack([motion.coordinates(AMPLITUDES_A)[:, part].mean(axis=1) for part in parts], axis=1)
    np.testing.assert_allclose(groups.coordinates(AMPLITUDES_A), expected, atol=1e-12)
    assert len(groups.rest_A) == len(parts) > 5


def test_views_are_rotated_coordinates_and_derivatives(motion: Motion[np.ndarray]) -> None:
    rotations = np.linalg.qr(RNG.normal(size=(3, 3, 3)))[0]
    for rows in (rotations, rotations[:, :2]):
        turned = np.swapaxes(rows, 1, 2)
        expected = motion.coordinates(AMPLITUDES_A) @ turned
        np.testing.assert_allclose(motion.seen(rows, AMPLITUDES_A), expected, atol=1e-11)
        derivative = np.broadcast_to(motion.derivative(AMPLITUDES_A), (3, 3, *motion.rest_A.shape))
        expected = np.moveaxis(derivative @ turned[:, None], 1, 2)
        found = motion.seen_derivative(rows, AMPLITUDES_A)
        np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-11)


def test_torch_and_numpy_agree(motion: Motion[np.ndarray]) -> None:
    tensors, q = in_torch(motion), torch.as_tensor(AMPLITUDES_A)
    for name in ("coordinates", "displacements", "derivative"):
        found, expected = getattr(tensors, name)(q), getattr(motion, name)(AMPLITUDES_A)
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-6, rtol=0)
    np.testing.assert_allclose(tensors.gram.numpy(), motion.gram, atol=1e-6, rtol=0)
    single = in_torch(motion, torch.float32).coordinates(q.float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), motion.coordinates(AMPLITUDES_A), atol=1e-4, rtol=0)


def test_one_product_shows_many_conformations(motion: Motion[np.ndarray]) -> None:
    rotations = np.linalg.qr(RNG.normal(size=(3, 3, 3)))[0][:, :2]
    parts = motion.view_parts()
    whole = parts if isinstance(parts, np.ndarray) else parts.toarray()
    seen = motion.view_weights(rotations, AMPLITUDES_A) @ whole
    expected = motion.coordinates(AMPLITUDES_A) @ rotations.transpose(0, 2, 1)
    np.testing.assert_allclose(seen.transpose(0, 2, 1), expected, atol=1e-11)


def test_moving_atoms_needs_no_torch() -> None:
    """Scipion's side moves atoms, too, where torch may not be installed."""
    told = "import sys; import continuousflex_deep.motion; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", told], check=True)
