"""The direction of dependence, read from the imports of every module."""

import sys
from pathlib import Path

import pytest

from continuousflex_deep.tests.helpers.documents import tree
from continuousflex_deep.tests.helpers.imports import (
    NAME,
    PACKAGE,
    imported_modules,
    imports_of,
    inside,
    module_of,
    project_files,
    project_modules,
)

# The floors below the process boundary, from the ground up. A package imports those below it; what stands on one floor
# does not import each other.
FLOORS = (
    ("_version", "data", "errors", "launch"),
    ("arrays", "messages", "progress", "rotations", "sampling"),
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
# All that Scipion's side imports from below the boundary. A default Scipion runs Python 3.8 with libraries of its own:
# what is added here, and all that it imports in turn, has to run there.
FOR_SCIPION = {
    # what everything speaks of, and the commands' options
    "_version", "arrays", "data", "errors", "geometry", "launch", "motion", "options", "particles", "programs",
    "sampling",
    # files that commands read and write
    "io.columns", "io.density_table", "io.error_table", "io.file_names", "io.files", "io.frames", "io.fsc_table",
    "io.groups", "io.image_files", "io.landscape_table", "io.links", "io.maps", "io.mode_table", "io.modes", "io.names",
    "io.particle_files", "io.records", "io.reference", "io.relion", "io.stacks", "io.structures", "io.training_curves",
    "io.trajectories", "io.xmipp",
    # what viewers show
    "figures.assessment", "figures.literal", "figures.maps", "figures.modes", "figures.trace", "figures.training",
    "landscape.expressions", "trajectories.frames",
}  # fmt: skip
SCIPION = {"pwem", "pyworkflow", "scipion", "xmipp3", "xmippLib", "continuousflex"}
SCIPIONS_LIBRARIES = {"PIL", "matplotlib", "mrcfile", "numpy", "scipy"}  # that pwem and pyworkflow bring
# Libraries that Scipion's Python lacks, and the modules through which its side reaches them all the same: gemmi parses
# STAR files and structures. Without them that side runs in Scipion's own Python.
NOT_IN_SCIPION = {
    "gemmi": {
        "io.atom_selection", "io.elements", "io.gemmi_models", "io.mmcif_atoms", "io.residue_kinds",
        "io.structures",
    }
}  # fmt: skip
STANDARD = {*sys.stdlib_module_names, NAME}
DRAWING = {"figures", "viewers"}  # the only packages that import matplotlib


def violations(path: Path, source: str, package: Path = PACKAGE) -> list[str]:
    """The imports of one file that the rule of floors forbids."""
    top = module_of(path, package).split(".")[0]
    found = []
    for name in sorted(imported_modules(path, source, package)):
        ours = (inside(name) or "").split(".")[0]
        if top in ABOVE:
            wrong = name.split(".")[0] not in SCIPION | SCIPIONS_LIBRARIES | STANDARD
        else:
            upward = ours in RANKS and ours != top and RANKS[ours] >= RANKS[top]
            wrong = name.split(".")[0] in SCIPION or ours in ABOVE - {"__init__"} or upward
        if wrong:
            found.append(f"{path.relative_to(package)} imports {name}")
    return found


def libraries(module: str) -> set[str]:
    """The libraries, Python's own left out, that a module of the project imports itself."""
    return {name.split(".")[0] for name in imports_of(module)} - STANDARD


def reached(modules: set[str], graph: dict[str, set[str]]) -> set[str]:
    """Modules and all that they import, and these import, within the project."""
    found, left = set(modules), list(modules)
    while left:
        new = graph[left.pop()] - found
        found |= new
        left.extend(new)
    return found


def imports_within() -> dict[str, set[str]]:
    """Of every module below the process boundary, or above, the project's modules that it imports."""
    files = project_modules()
    graph: dict[str, set[str]] = {}
    for module in files:
        names = {inside(name) for name in imports_of(module)} - {None}
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


def test_what_scipions_side_imports_is_a_closed_list() -> None:
    crossing = [
        (module, name)
        for module, names in imports_within().items()
        for name in names
        if module.split(".")[0] in ABOVE and name.split(".")[0] in RANKS
    ]
    new = [f"{module} imports {name}" for module, name in crossing if name not in FOR_SCIPION]
    assert not new, "\n".join(new)
    unused = FOR_SCIPION - {name for _, name in crossing}
    assert not unused, f"nothing on Scipion's side imports these any more; take them off the list: {sorted(unused)}"


def test_what_scipions_side_reaches_needs_no_libraries_but_scipions() -> None:
    needed: dict[str, set[str]] = {}
    for module in reached(FOR_SCIPION, imports_within()):
        for library in libraries(module) - SCIPIONS_LIBRARIES:
            needed.setdefault(library, set()).add(module)
    assert needed == NOT_IN_SCIPION


def test_reached_modules_are_followed() -> None:
    assert reached({"a"}, {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == {"a", "b", "c"}


def test_no_circle_of_imports() -> None:
    assert circle_in(imports_within()) == []


def test_only_figures_and_viewers_draw() -> None:
    elsewhere = [module for module in project_modules() if module.split(".")[0] not in DRAWING]
    assert not [module for module in elsewhere if "matplotlib" in libraries(module)]


def test_figures_need_no_torch() -> None:
    """So that a picture is drawn without waiting for it."""
    graph = imports_within()
    figures = {module for module in graph if module.split(".")[0] == "figures"}
    assert not [module for module in reached(figures, graph) if "torch" in libraries(module)]


def test_circles_are_found() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("io/star.py", "import pwem"),
        ("nn/training_loop.py", "def f():\n    from pyworkflow.utils import path"),
        ("protocols/protocol_nma.py", "import torch.nn as nn"),
        ("viewers/landscape_window.py", "def f():\n    import gemmi"),
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
