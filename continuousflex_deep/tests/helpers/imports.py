"""The imports of the project's modules, read from their source."""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]
NAME = PACKAGE.name


def project_files() -> list[Path]:
    return [p for p in sorted(PACKAGE.rglob("*.py")) if "tests" not in p.relative_to(PACKAGE).parts]


def module_of(path: Path, package: Path = PACKAGE) -> str:
    """Dotted name within the package, such as "io.star"; of a package's __init__.py that of the package."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


@cache
def project_modules() -> dict[str, Path]:
    """The project's files by their dotted names within the package."""
    return {module_of(path): path for path in project_files()}


@cache
def imports_of(module: str) -> frozenset[str]:
    """Dotted names of everything a module of the project imports."""
    path = project_modules()[module]
    return frozenset(imported_modules(path, path.read_text(encoding="utf-8")))


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


def inside(name: str) -> str | None:
    """The part of a dotted name behind the package's, or None for a module from elsewhere."""
    first, _, rest = name.partition(".")
    return rest if first == NAME and rest else None
