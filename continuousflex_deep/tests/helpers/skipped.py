"""The end of a test run: what was skipped, why, and what to do."""

import ast
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test, or a file, was skipped."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    for prefix in ("Skipped: ", "unittest.case.SkipTest: ", "SkipTest: "):
        text = text.removeprefix(prefix)
    return " ".join(text.split())


def number_of_tests(file: Path) -> int:
    """The test functions and methods that a file defines; a parametrized one counts once."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return sum(isinstance(node, ast.FunctionDef) and node.name.startswith("test") for node in nodes)


def table_of_skipped(reports: Iterable[pytest.TestReport | pytest.CollectReport], root: Path) -> list[str]:
    """A line for each reason, the most frequent first: how many tests, why, and below what to do.

    Of a file that is skipped as a whole the test functions are counted, since their cases are not known.
    """
    tests, files = Counter[str](), Counter[str]()
    for report in reports:
        reason = reason_of(report)
        if isinstance(report, pytest.CollectReport):
            file = root / report.nodeid.split("::")[0]
            tests[reason] += number_of_tests(file) if file.is_file() else 1
            files[reason] += 1
        else:
            tests[reason] += 1
    lines = []
    for reason, count in tests.most_common():
        why, _, remedy = reason.partition("; ")
        whole = f" (whole files: {files[reason]}; their test functions are counted)" if files[reason] else ""
        lines.append(f"{count:6d}  {why}{whole}")
        lines += [f"        → {remedy}"] if remedy else []
    return lines
