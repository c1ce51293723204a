"""Tables of numbers that other commands wrote, by column."""

import csv
import math
from pathlib import Path

from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.files import require_file


def read_columns(path: str | Path, what: str) -> dict[str, list[float | None]]:
    """Numbers of a CSV file by its head's names, None where one is not finite. FormatError for anything else."""
    file = require_file(path, what)
    with file.open(encoding="utf-8", newline="") as source:
        head, *rows = list(csv.reader(source)) or [[]]
    try:
        if not rows or any(len(row) != len(head) for row in rows):
            raise ValueError("rows of different lengths, or none")
        columns = [[float(value) for value in column] for column in zip(*rows, strict=True)]
    except ValueError as error:
        raise FormatError(f"{what}: '{file}' is not a whole table of numbers ({error}); make it again") from error
    return {name: [v if math.isfinite(v) else None for v in column] for name, column in zip(head, columns, strict=True)}
