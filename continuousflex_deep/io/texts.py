"""Text, JSON and CSV files as they are read by all commands: in UTF-8, whole, and with errors for the user."""

import csv
import json
import math
from pathlib import Path
from typing import Any

from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.files import require_file


def read_text(path: str | Path, what: str) -> str:
    """The text of a file in UTF-8. InputError if there is no file, FormatError if it is empty or no such text."""
    file = require_file(path, what)
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{what}: '{file}' is not text in UTF-8 ({error}); make or copy it again") from error


def parse_json(text: str) -> Any:
    """The value of a JSON text. ValueError for other text, for nesting without end, and for NaN and infinity, which
    this program never writes."""
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("brackets within brackets without end") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def read_rows(path: str | Path, what: str) -> tuple[list[str], list[list[str]]]:
    """The names of the columns and the rows of a CSV file. FormatError if a row has another number of cells, or if
    names repeat."""
    try:
        head, *rows = list(csv.reader(read_text(path, what).splitlines(keepends=True))) or [[]]
        if len(set(head)) < len(head):
            raise ValueError("columns of the same name")
        if any(len(row) != len(head) for row in rows):
            raise ValueError("rows of different lengths")
    except (ValueError, csv.Error) as error:
        raise FormatError(f"{what}: '{path}' is not a whole table ({error}); make it again") from error
    return head, rows
