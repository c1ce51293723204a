"""The end of a test run names all that was skipped, by reason, with one worker and with several."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from continuousflex_deep.scipion_env import scipion_missing
from continuousflex_deep.tests.helpers.report_browser import browser_missing

CONFTEST = """
from continuousflex_deep.tests.conftest import pytest_terminal_summary
"""
WHOLE_FILE = """
import unittest
raise unittest.SkipTest("Scipion needs tkinter; install it (Debian: python3-tk)")

class TestForms:
    def test_one(self): pass
    def test_other(self): pass
"""
SINGLE_TESTS = """
import pytest
from continuousflex_deep.programs import RELION
from continuousflex_deep.tests.helpers import needs

@pytest.mark.parametrize("half", [0, 1, 2])
def test_map(half, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("RELION_HOME", "")
    needs.program(RELION, "relion_reconstruct")

def test_peer():
    needs.library("no_such_peer", "no-such-peer")

def test_passes(): pass
"""


@pytest.mark.parametrize("workers", [[], ["-p", "xdist", "-n", "2", "--dist", "loadfile"]], ids=["one", "two"])
def test_all_that_is_skipped_is_named_at_the_end(tmp_path: Path, workers: list[str]) -> None:
    for name, text in {"conftest": CONFTEST, "test_whole": WHOLE_FILE, "test_single": SINGLE_TESTS}.items():
        (tmp_path / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), "-p", "no:cacheprovider", *workers]
    run = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    said = run.stdout.partition("skipped tests, and what they need")[2].splitlines()
    table = [line.strip() for line in said if line.startswith("  ")]
    assert table == [
        "3  RELION is not installed",
        "→ install it (in Debian: the package relion), and name its folder in RELION_HOME",
        "2  Scipion needs tkinter (whole files: 1; their test functions are counted)",
        "→ install it (Debian: python3-tk)",
        "1  no-such-peer is not installed",
        "→ install this package with its extra 'test'",
    ]


def reasons(source: str) -> list[str]:
    """The reasons for skipping that a file's texts give; those that a function returns are not among them."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("skip", "SkipTest", "skipif"):
            given = [keyword.value for keyword in node.keywords if keyword.arg == "reason"] or node.args[:1]
            found += [ast.unparse(text) for text in given if isinstance(text, ast.Constant | ast.JoinedStr)]
    return found


def test_every_reason_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted(Path(__file__).parent.rglob("*.py"))
    texts = [text for file in files for text in reasons(file.read_text(encoding="utf-8"))]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    texts += [scipion_missing(), browser_missing()]
    assert len(texts) > 5
    assert [text for text in texts if "; " not in text] == []
