"""Motion along modes: closed forms, finite differences, two array libraries; and no other module moves atoms."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.reference import no_modes
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion import Motion, StraightMotion, amplitude_of_rmsd, motion_along
from continuousflex_deep.tests.helpers.engine_data import toy_structure
from continuousflex_deep.tests.helpers.imports import PACKAGE, project_modules

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
    """Three orthonormal modes, none of which leaves the weighted centre in place."""
    q, _ = np.linalg.qr(RNG.normal(size=(3 * len(structure), 3)) + 0.5)
    return NormalModes((7, 8, 9), q.T.reshape(3, -1, 3))


@pytest.fixture(scope="module")
def motion(structure: Structure, modes: NormalModes) -> Motion[np.ndarray]:
    return motion_along(structure, modes)


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


def test_amplitudes_add_displacements_along_modes(
    structure: Structure, modes: NormalModes, motion: Motion[np.ndarray]
) -> None:
    for q in AMPLITUDES_A:
        moved = structure.coords_A + sum(a * v for a, v in zip(q, modes.vectors, strict=True))
        drift = (structure.weights @ moved) / structure.weights.sum() - structure.center_A
        np.testing.assert_allclose(motion.coordinates(q), moved - drift, atol=1e-12)
        np.testing.assert_allclose(motion.displacements(q), moved - drift - structure.coords_A, atol=1e-12)


def test_without_amplitudes_it_is_the_structure(structure: Structure, motion: Motion[np.ndarray]) -> None:
    np.testing.assert_array_equal(motion.coordinates(np.zeros(3)), structure.coords_A)
    rigid = motion_along(structure, no_modes(structure))
    np.testing.assert_array_equal(rigid.coordinates(np.zeros((2, 0))), np.stack([structure.coords_A] * 2))
    assert rigid.n_modes == 0


@pytest.mark.parametrize("q", AMPLITUDES_A)
def test_the_weighted_centre_stays(structure: Structure, modes: NormalModes, q: np.ndarray) -> None:
    moved = structure.replace_coords(motion_along(structure, modes).coordinates(q))
    np.testing.assert_allclose(moved.center_A, structure.center_A, atol=1e-11)
    about_centre = motion_along(structure.centred(), modes).coordinates(q)
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
        np.testing.assert_allclose(numeric, expected, atol=1e-9)


def test_rmsd_is_that_of_the_coordinates(motion: Motion[np.ndarray]) -> None:
    first, second = motion.coordinates(AMPLITUDES_A), motion.coordinates(AMPLITUDES_A[[1, 1, 0]])
    expected = np.sqrt(np.square(first - second).sum(axis=2).mean(axis=1))
    np.testing.assert_allclose(motion.rmsd_A(AMPLITUDES_A, AMPLITUDES_A[[1, 1, 0]]), expected, rtol=1e-10)
    assert motion.rmsd_A(AMPLITUDES_A[1], AMPLITUDES_A[1]) == 0
    small = 1e-3 * AMPLITUDES_A[1]
    assert np.sqrt(small @ motion.gram @ small) == pytest.approx(1e-3 * expected[0], rel=1e-6)


# ------------------------------------------------------------------------------------------- other points, other arrays


def test_some_points_move_as_they_do_among_all(motion: Motion[np.ndarray]) -> None:
    some = np.array([3, 17, 40])
    np.testing.assert_allclose(
        motion.select(some).coordinates(AMPLITUDES_A), motion.coordinates(AMPLITUDES_A)[:, some], atol=1e-12
    )


def test_means_of_groups_move_as_the_means_of_their_points(motion: Motion[np.ndarray]) -> None:
    thirds = motion.averaged(lambda values: values.reshape(*values.shape[:-2], 20, 3, values.shape[-1]).mean(axis=-2))
    expected = motion.coordinates(AMPLITUDES_A).reshape(3, 20, 3, 3).mean(axis=2)
    np.testing.assert_allclose(thirds.coordinates(AMPLITUDES_A), expected, atol=1e-12)


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


def test_one_product_shows_many_conformations(structure: Structure, modes: NormalModes) -> None:
    motion = StraightMotion(structure.coords_A, modes.vectors)
    rotations = np.linalg.qr(RNG.normal(size=(3, 3, 3)))[0][:, :2]
    seen = motion.view_weights(rotations, AMPLITUDES_A) @ motion.view_parts()
    expected = motion.coordinates(AMPLITUDES_A) @ rotations.transpose(0, 2, 1)
    np.testing.assert_allclose(seen.transpose(0, 2, 1), expected, atol=1e-11)


def test_moving_atoms_needs_no_torch() -> None:
    """Scipion's side moves atoms, too, where torch may not be installed."""
    told = "import sys; import continuousflex_deep.motion; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", told], check=True)


# -------------------------------------------------------------------------------------------------------- the one place

# Who reads the vectors of modes, and what for: never to move anything by them.
READERS = {
    "motion": "moves atoms by them",
    "io.modes": "reads, writes and selects them",
    "io.reference": "compares their number of atoms with the structure's",
    "nma.mode_facts": "their collectivity",
    "commands.align": "tells inputs apart",
    "nn.inference": "tells inputs apart",
}
# Who multiplies what is called vectors.
MULTIPLIERS = {
    "motion": "moves atoms",
    "nma.network": "makes modes: their signs",
    "nma.elnemo": "makes modes: their energies",
    "landscape.coordinate_maps": "eigenvectors of a kernel",
}
# Who asks for derivatives, to multiply them by rotations or to solve for amplitudes.
DERIVERS = {"motion", "imaging.projector", "nma.choice", "reconstruction.corrected"}
# Who makes a motion of its own.
MAKERS = {"motion", "reconstruction.corrected"}

PRODUCTS = {
    "tensordot", "einsum", "matmul", "dot", "inner", "outer", "vdot", "mul", "multiply", "mm", "bmm", "addmm",
    "baddbmm",
}  # fmt: skip


def products(tree: ast.AST) -> Iterator[list[ast.expr]]:
    """The factors of each product in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult | ast.Mult):
            yield [node.left, node.right]
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.MatMult | ast.Mult):
            yield [node.target, node.value]
        elif isinstance(node, ast.Call) and called(node) in PRODUCTS:
            yield [node.func, *node.args]


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def names_in(tree: ast.AST) -> Iterator[str]:
    """Names and attributes of an expression, but for what only asks for a shape."""
    if isinstance(tree, ast.Attribute) and tree.attr == "shape":
        return
    if isinstance(tree, ast.Call) and called(tree) == "len":
        return
    if isinstance(tree, ast.Attribute | ast.Name):
        yield tree.attr if isinstance(tree, ast.Attribute) else tree.id
    for child in ast.iter_child_nodes(tree):
        yield from names_in(child)


def reads_vectors(tree: ast.AST) -> bool:
    """Whether a module reads an attribute of this name; a call of it is of a table's columns."""
    methods = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    read = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "vectors")
    return any(id(node) not in methods for node in read)


def multiplies_vectors(tree: ast.AST) -> bool:
    factors = (factor for product in products(tree) for factor in product)
    return any({"vectors", "derivative"} & set(names_in(factor)) for factor in factors)


def calls(tree: ast.AST, name: str) -> bool:
    return any(isinstance(node, ast.Call) and called(node) == name for node in ast.walk(tree))


def test_only_motion_multiplies_amplitudes_with_modes() -> None:
    trees = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in project_modules().items()}

    def modules_that(does: Callable[[ast.AST], bool]) -> set[str]:
        return {module for module, tree in trees.items() if does(tree)}

    assert modules_that(reads_vectors) == set(READERS), "ask motion.py to move atoms, or say in READERS what for"
    assert modules_that(multiplies_vectors) == set(MULTIPLIERS), "ask motion.py to move atoms"
    assert modules_that(lambda tree: calls(tree, "derivative")) == DERIVERS - {"motion"}
    assert modules_that(lambda tree: calls(tree, "StraightMotion")) == MAKERS


@pytest.mark.parametrize(
    "source",
    [
        "moved = coords + np.tensordot(q, modes.vectors, axes=1)",
        "moved = torch.einsum('m,mad->ad', q, vectors)",
        "moved = q @ vectors.reshape(3, -1)",
        "moved = sum(q * v for q, v in zip(amplitudes, modes.vectors))",
        "moved = amplitudes @ motion.derivative(amplitudes)",
        "coords += q[0] * self.modes.vectors[0]",
    ],
)
def test_rule_finds(source: str) -> None:
    tree = ast.parse(source)
    assert reads_vectors(tree) or multiplies_vectors(tree)


@pytest.mark.parametrize(
    "source", ["n = 3 * vectors.shape[1]", "n = 2 * len(modes.vectors)", "moved = motion.coordinates(q)"]
)
def test_rule_leaves_alone(source: str) -> None:
    assert not multiplies_vectors(ast.parse(source))


def test_in_the_report_one_script_moves_atoms() -> None:
    scripts = {path.name: path.read_text(encoding="utf-8") for path in (PACKAGE / "report" / "static").glob("*.js")}
    assert {name for name, text in scripts.items() if re.search(r"\bvectors\b|\bgram\b", text)} == {"motion.js"}
