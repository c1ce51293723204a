"""The direction of dependence, read from the imports of every module."""

from pathlib import Path

import pytest

from continuousflex_deep.tests.helpers.documents import tree
from continuousflex_deep.tests.helpers.imports import PACKAGE, imported_modules, inside, module_of, project_files

# The floors below the process boundary, from the ground up. A package imports those below it; what stands on one floor
# does not import each other.
FLOORS = (
    ("_version", "data", "errors", "launch"),
    ("arrays", "messages", "progress", "sampling"),
    ("geometry", "programs"),
    ("devices", "symmetry"),
    ("particles",),
    ("io",),
    ("options",),
    ("motion",),
    ("runs",),
    ("figures",),
    ("nma",),
    ("imaging",),
    ("landscape",),
    ("trajectories",),
    ("report",),
    ("reconstruction",),
    ("hemnma",),
    ("assessment",),
    ("nn",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
RANKS = {name: rank for rank, floor in enumerate(FLOORS) for name in floor}
# Scipion's side of the process boundary
ABOVE = {
    "__init__", "_plugin", "bibtex", "constants", "convert", "demo", "objects", "protocols", "scipion_env", "viewers",
    "wizards",
}  # fmt: skip
SCIPION = {"pwem", "pyworkflow", "scipion", "xmipp3", "xmippLib", "continuousflex"}
TORCH = {"torch", "torchvision"}
DRAWING = {"figures", "viewers"}  # the only packages that import matplotlib


def violations(path: Path, source: str, package: Path = PACKAGE) -> list[str]:
    """The imports of one file that the rule of floors forbids."""
    top = module_of(path, package).split(".")[0]
    found = []
    for name in sorted(imported_modules(path, source, package)):
        ours = (inside(name) or "").split(".")[0]
        if top in ABOVE:
            wrong = name.split(".")[0] in TORCH
        else:
            upward = ours in RANKS and ours != top and RANKS[ours] >= RANKS[top]
            wrong = name.split(".")[0] in SCIPION or ours in ABOVE - {"__init__"} or upward
        if wrong:
            found.append(f"{path.relative_to(package)} imports {name}")
    return found


def imports_within() -> dict[str, set[str]]:
    """Of every module below the process boundary, or above, the project's modules that it imports."""
    files = {module_of(path): path for path in project_files()}
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        names = {inside(name) for name in imported_modules(path, path.read_text(encoding="utf-8"))} - {None}
        # the longest beginning of an imported name that is a module
        found = set()
        for name in names:
            parts = str(name).split(".")
            found.update([m for k in range(len(parts), 0, -1) if (m := ".".join(parts[:k])) in files][:1])
        graph[module] = found - {module}
    return graph


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, in order; empty where there is none."""
    done: set[str] = set()

    def walk(module: str, way: list[str]) -> list[str]:
        if module in way:
            return way[way.index(module) :]
        if module in done:
            return []
        for other in sorted(graph[module]):
            if circle := walk(other, [*way, module]):
                return circle
        done.add(module)
        return []

    return next((circle for module in sorted(graph) if (circle := walk(module, []))), [])


def test_every_module_has_a_floor() -> None:
    unplaced = {module_of(path).split(".")[0] for path in project_files()} - set(RANKS) - ABOVE
    assert not unplaced, f"say in FLOORS or ABOVE where these modules stand: {sorted(unplaced)}"
    gone = {name for name in RANKS if not (PACKAGE / name).is_dir() and not (PACKAGE / f"{name}.py").is_file()}
    assert not gone, f"FLOORS names what is not there: {sorted(gone)}"


def test_every_package_has_a_rank_of_its_own() -> None:
    shared = [floor for floor in FLOORS if sum((PACKAGE / name).is_dir() for name in floor) > 1]
    assert not shared


def test_the_architecture_page_shows_the_floors_in_order() -> None:
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = [name.removesuffix("/").removesuffix(".py") for name in tree(page)]
    ranks = [RANKS[name] for name in names if name in RANKS]
    assert ranks == sorted(ranks, reverse=True)


def test_dependencies_point_down() -> None:
    found = [line for path in project_files() for line in violations(path, path.read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


def test_no_circle_of_imports() -> None:
    assert circle_in(imports_within()) == []


def test_only_figures_and_viewers_draw() -> None:
    found = [
        str(path.relative_to(PACKAGE))
        for path in project_files()
        if module_of(path).split(".")[0] not in DRAWING
        and any(name.split(".")[0] == "matplotlib" for name in imported_modules(path, path.read_text(encoding="utf-8")))
    ]
    assert not found


def test_figures_need_no_torch() -> None:
    """Scipion's side draws with them."""
    graph = imports_within()
    reached, left = set(), {module for module in graph if module.split(".")[0] == "figures"}
    while left:
        module = left.pop()
        reached.add(module)
        left |= graph[module] - reached
    files = {module_of(path): path for path in project_files()}
    found = [
        module
        for module in reached
        if TORCH & {n.split(".")[0] for n in imported_modules(files[module], files[module].read_text(encoding="utf-8"))}
    ]
    assert not found


def test_circles_are_found() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("io/star.py", "import pwem"),
        ("nn/training_loop.py", "def f():\n    from pyworkflow.utils import path"),
        ("protocols/protocol_nma.py", "import torch.nn as nn"),
        ("imaging/ctf.py", "from ..hemnma import search"),
        ("io/star.py", "from continuousflex_deep import cli"),
        ("hemnma/alignment.py", "from continuousflex_deep.commands.align import run"),
        ("geometry.py", "from continuousflex_deep.particles import Particles"),
        ("cli.py", "from continuousflex_deep._plugin import Plugin"),
    ],
)
def test_rule_rejects(file: str, source: str) -> None:
    assert violations(PACKAGE / file, source)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("nn/training_loop.py", "import torch\nfrom ..hemnma.engines.base import Engine"),
        ("convert.py", "import pwem\nfrom continuousflex_deep.particles import Particles"),
        ("protocols/protocol_nma.py", "from continuousflex_deep import convert, Plugin\nfrom .base import Base"),
        ("io/star.py", "from continuousflex_deep.errors import FormatError\nfrom . import files"),
    ],
)
def test_rule_accepts(file: str, source: str) -> None:
    assert violations(PACKAGE / file, source) == []
