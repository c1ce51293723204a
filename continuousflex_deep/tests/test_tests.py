"""What tests share stands in helpers and conftest.py, so that each test module can be read, run and moved alone."""

from pathlib import Path

import pytest

from continuousflex_deep.tests.helpers.imports import NAME, PACKAGE, imported_modules

TESTS = PACKAGE / "tests"


def other_tests(path: Path, source: str) -> list[str]:
    """The test modules, and the names in them, that a file of the tests imports."""
    names = imported_modules(path, source)
    ours = (name.split(".") for name in names if name.startswith(f"{NAME}.tests."))
    return sorted(".".join(parts) for parts in ours if any(part.startswith("test_") for part in parts))


def test_no_test_module_is_imported() -> None:
    found = {
        str(path.relative_to(TESTS)): names
        for path in sorted(TESTS.rglob("*.py"))
        if (names := other_tests(path, path.read_text(encoding="utf-8")))
    }
    assert not found, "move what these share to tests/helpers, or to a fixture in conftest.py"


@pytest.mark.parametrize(
    ("source", "forbidden"),
    [
        ("from continuousflex_deep.tests.nma.test_nma import helix", True),
        ("def f():\n    from .test_modes import small", True),
        ("import continuousflex_deep.tests.nma.test_nma", True),
        ("from . import test_modes", True),
        ("from continuousflex_deep.tests.helpers.structures import helix", False),
    ],
)
def test_imports_of_test_modules_are_found(source: str, forbidden: bool) -> None:
    assert bool(other_tests(TESTS / "nma" / "test_deform.py", source)) == forbidden
