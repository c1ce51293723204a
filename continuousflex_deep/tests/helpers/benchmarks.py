"""The scripts in benchmarks/, run in the process of the tests as `python benchmarks/NAME.py` runs them."""

import contextlib
import io
import math
import re
import runpy
import sys
from pathlib import Path
from unittest import mock

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


def names_of_benchmarks() -> list[str]:
    """Those that can be started; the other files of the folder are what they share."""
    sources = {path.stem: path.read_text(encoding="utf-8") for path in sorted(BENCHMARKS.glob("*.py"))}
    return [name for name, source in sources.items() if "\ndef main(" in source or "__main__" in source]


def run_benchmark(name: str, *words: str) -> str:
    """What a benchmark prints, with these words on its command line. SystemExit where it ends with an error."""
    script, printed = str(BENCHMARKS / f"{name}.py"), io.StringIO()
    with (
        mock.patch.object(sys, "argv", [script, *words]),
        mock.patch.object(sys, "path", [str(BENCHMARKS), *sys.path]),
        contextlib.redirect_stdout(printed),
    ):
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:  # of --help
            if end.code:
                raise
    return printed.getvalue()


def figures_of(printed: str, row: str) -> list[float]:
    """The numbers of a row: of the lines that begin with its name, the one with the most. A dash stands for none;
    infinity and what is not a number are errors, and so are a row without numbers and no row at all."""
    rows = [line.strip() for line in printed.splitlines() if re.match(rf"\s*{re.escape(row)}(?![\w,])", line)]
    assert rows, f"no row '{row}' in:\n{printed}"
    numbers = max((_numbers(line[len(row) :]) for line in rows), key=len)
    assert numbers, f"no number in the row '{row}' of:\n{printed}"
    assert all(map(math.isfinite, numbers)), (row, numbers)
    return numbers


def _numbers(text: str) -> list[float]:
    words = text.replace(",", " ").split()
    return [float(word) for word in words if re.fullmatch(r"[-+]?(\d+\.?\d*(e[-+]?\d+)?|nan|inf)", word)]
