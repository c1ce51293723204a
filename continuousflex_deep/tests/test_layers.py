"""The direction of dependence, read from the imports of every module."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1]
NAME = PACKAGE.name

# rank of each top-level module below the process boundary: a module imports its own rank or lower
RANKS = {
    "_version": 0, "errors": 0, "geometry": 0, "launch": 0, "progress": 0,
    "animation": 1, "assessment_figures": 1, "devices": 1, "expressions": 1, "precision": 1, "stages": 1,
    "particles": 1, "options": 1, "programs": 1, "io": 1,
    "nma": 2, "imaging": 2,
    "hemnma": 3, "nn": 3, "analysis": 3, "reconstruction": 3, "report": 3,
    "cli": 4, "doctor": 4, "__main__": 4,
}  # fmt: skip
ABOVE = {
    "__init__", "_plugin", "bibtex", "constants", "convert", "demo", "objects", "protocols", "scipion_env", "viewers",
    "wizards",
}  # fmt: skip
SCIPION = {"pwem", "pyworkflow", "scipion", "xmipp3", "xmippLib", "continuousflex"}
TORCH = {"torch", "torchvision"}
# what the Scipion side may take from below: the modules that need neither torch nor a long start
SHARED = {
    "_version", "animation", "assessment_figures", "errors", "expressions", "geometry", "particles", "options",
    "programs", "io",
}  # fmt: skip


def project_files() -> list[Path]:
    return [p for p in sorted(PACKAGE.rglob("*.py")) if "tests" not in p.relative_to(PACKAGE).parts]


def top_of(path: Path, package: Path = PACKAGE) -> str:
    first = path.relative_to(package).parts[0]
    return first.removesuffix(".py")


def imported_modules(path: Path, source: str, package: Path = PACKAGE) -> set[str]:
    """Dotted names of everything a file imports, at any depth of nesting; relative imports are resolved."""
    folder = (package.name, *path.relative_to(package).parts[:-1])
    names: set[str] = set()
    for node in ast.walk(ast.parse(source, filename=str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(folder[: len(folder) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            # "from package import module" names a module only with its last part
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def violations(path: Path, source: str, package: Path = PACKAGE) -> list[str]:
    """The imports of one file that the dependency rule forbids."""
    top = top_of(path, package)
    found = []
    for name in sorted(imported_modules(path, source, package)):
        parts = name.split(".")
        inside = parts[1] if parts[0] == NAME and len(parts) > 1 else None
        if top in ABOVE:
            wrong = parts[0] in TORCH or (inside in RANKS and inside not in SHARED)
        else:
            wrong = (
                parts[0] in SCIPION
                or inside in ABOVE - {"__init__"}
                or (inside in RANKS and RANKS[inside] > RANKS[top])
            )
        if wrong:
            found.append(f"{path.relative_to(package)} imports {name}")
    return found


def test_every_module_has_a_place() -> None:
    unplaced = {top_of(path) for path in project_files()} - set(RANKS) - ABOVE
    assert not unplaced, f"say in RANKS or ABOVE where these modules stand: {sorted(unplaced)}"


def test_dependencies_point_one_way() -> None:
    found = [line for path in project_files() for line in violations(path, path.read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("io/star.py", "import pwem"),
        ("nn/train.py", "def f():\n    from pyworkflow.utils import path"),
        ("protocols/protocol_nma.py", "import torch.nn as nn"),
        ("viewers/curves.py", "from continuousflex_deep.nn.network import Network"),
        ("convert.py", "from . import hemnma"),
        ("imaging/ctf.py", "from ..hemnma import engine"),
        ("io/star.py", "from continuousflex_deep import cli"),
        ("geometry.py", "from continuousflex_deep.particles import Particles"),
        ("cli.py", "from continuousflex_deep._plugin import Plugin"),
    ],
)
def test_rule_rejects(file: str, source: str) -> None:
    assert violations(PACKAGE / file, source)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("nn/train.py", "import torch\nfrom ..hemnma.engine import align"),
        ("convert.py", "import pwem\nfrom continuousflex_deep.particles import Particles"),
        ("protocols/protocol_nma.py", "from continuousflex_deep import convert, Plugin\nfrom .base import Base"),
        ("io/star.py", "from continuousflex_deep.errors import FormatError\nfrom . import files"),
    ],
)
def test_rule_accepts(file: str, source: str) -> None:
    assert violations(PACKAGE / file, source) == []
