"""No other package than motion moves atoms by modes, which is read from the sources."""

import ast
import re
from collections.abc import Callable, Iterator

import pytest

from continuousflex_deep.tests.helpers.imports import PACKAGE, project_modules

# Who reads the vectors of modes, and what for: never to move anything by them.
READERS = {
    "motion": "moves atoms by them",
    "io.modes": "reads, writes and selects them",
    "io.reference": "compares their number of atoms with the structure's",
    "nma.mode_properties": "their collectivity",
    "hemnma.mode_learning": "whether they are orthogonal",
    "hemnma.learned_modes": "the collectivity and the numbers of learned ones",
    "commands.align": "tells inputs apart",
    "nn.inference": "tells inputs apart",
}
# Who multiplies what is called vectors.
MULTIPLIERS = {
    "motion": "moves atoms",
    "io.modes": "other modes of the same motions",
    "nma.network": "makes modes: their signs",
    "nma.elnemo": "makes modes: their energies",
    "landscape.coordinate_maps": "eigenvectors of a kernel",
    "landscape.error_blur": "eigenvectors of covariances",
    "landscape.dependence": "eigenvectors of a covariance",
    "hemnma.covariance": "eigenvectors of covariances",
    "hemnma.density": "eigenvectors of covariances",
}
# Who asks for derivatives, to multiply them by rotations or to solve for amplitudes.
DERIVERS = {"motion", "hemnma.pose_prior", "imaging.projector", "nma.choice", "reconstruction.bent_rays"}
# Who makes a motion of its own.
MAKERS = {"motion", "reconstruction.bent_rays"}

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
        return {"motion" if module.startswith("motion.") else module for module, tree in trees.items() if does(tree)}

    assert modules_that(reads_vectors) == set(READERS), "ask motion to move atoms, or say in READERS what for"
    assert modules_that(multiplies_vectors) == set(MULTIPLIERS), "ask motion to move atoms"
    derived = {"derivative", "seen_derivative"}
    assert modules_that(lambda tree: any(calls(tree, name) for name in derived)) == DERIVERS
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
    moving = {name for name, text in scripts.items() if re.search(r"\bvectors\b|\bgram\b|\btwists\b", text)}
    assert moving == {"motion.js"}
