"""Rows of STAR tables as columns, a part of the file at a time; numpy reads their values.

Rows are read as RELION reads them: one row on each line; values are separated by blanks and tabs; a value in quotation
marks, single or double, ends at the next such mark before a blank; `#` at the beginning of a value begins a comment.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Table
from continuousflex_deep.errors import FormatError

_ROWS_A_PART = 20_000  # read at a time: bounds the memory, and costs nothing
_TOKEN = re.compile(r"""(?:(?P<mark>['"])(?P<quoted>.*?)(?P=mark)(?=[ \t]|$))|(?P<comment>\#.*)|(?P<plain>[^ \t]+)""")
_ODD = re.compile(r"[^\S \t]|['\"#]")
_PLAIN = b"\t" + bytes(set(range(32, 127)) - set(b"'\"#"))  # the same for ASCII, ten times as fast
_REPEATED = 0.5  # share of different values, below which equal values of a column share their memory


def tokens(line: str) -> list[str]:
    """The values of a line, without quotation marks and comments."""
    found = []
    for match in _TOKEN.finditer(line.strip(" \t")):
        if match["comment"] is not None:
            break
        found.append(match["plain"] if match["plain"] is not None else match["quoted"])
    return found


@dataclass
class RowReader:
    """Collects the lines of a table whose columns are `labels`, and turns them into columns.

    Columns for which is_number is true become float64 arrays; all others object arrays of text.
    """

    origin: str
    labels: Sequence[str]
    is_number: Callable[[str], bool]
    _lines: list[str] = field(default_factory=list)
    _numbers: list[int] = field(default_factory=list)
    _parts: list[list[NDArray[np.generic]]] = field(default_factory=list)
    _known: dict[int, dict[str, str]] = field(default_factory=dict)

    def add(self, number: int, line: str) -> None:
        """Add a row: the line with this number, without blanks at its ends."""
        self._lines.append(line)
        self._numbers.append(number)
        if len(self._lines) == _ROWS_A_PART:
            self._read_part()

    def columns(self) -> Table:
        """All columns. FormatError, with the line, for a row with too few or too many values, or where a number should
        be and is not."""
        if self._lines or not self._parts:
            self._read_part()
        table: Table = {}
        for i, label in enumerate(self.labels):
            table[label] = np.concatenate([part[i] for part in self._parts])
            for part in self._parts:
                part[i] = np.empty(0)  # frees the memory column by column
        return table

    def _read_part(self) -> None:
        lines, mark = self._lines, None
        together = "".join(lines)
        if "\0" in together:
            raise self._explained("there are NUL characters, so it is no text; copy it again")
        if not _is_plain(together):
            lines, mark = [line if _is_plain(line) else _plain(line) for line in lines], '"'
        fields = [(f"c{i}", "f8" if self.is_number(name) else "O") for i, name in enumerate(self.labels)]
        try:
            rows = np.loadtxt(lines, dtype=np.dtype(fields), comments=None, ndmin=1, quotechar=mark) if lines else None
        except ValueError as error:
            raise self._explained(str(error)) from error
        if rows is None:
            rows = np.empty(0, dtype=np.dtype(fields))
        elif len(rows) != len(lines):
            raise self._explained("lines do not hold one row each")
        first = not self._parts
        self._parts.append([self._kept(i, rows[name], first) for i, (name, _) in enumerate(fields)])
        self._lines.clear()
        self._numbers.clear()

    def _kept(self, i: int, values: NDArray[np.generic], first: bool) -> NDArray[np.generic]:
        """A column of a part, in memory of its own; equal texts are one object where they repeat."""
        if values.dtype != object:
            return values.copy()
        if first and len(set(values)) <= _REPEATED * len(values):
            self._known[i] = {}
        if i not in self._known:
            return values.copy()
        known, out = self._known[i].setdefault, np.empty(len(values), dtype=object)
        texts = values.tolist()
        out[:] = list(map(known, texts, texts))
        return out

    def _explained(self, reason: str) -> FormatError:
        """Which row of the part cannot be read, and why."""
        width = len(self.labels)
        for number, line in zip(self._numbers, self._lines, strict=True):
            values = tokens(line)
            where = f"'{self.origin}', line {number}"
            if len(values) != width:
                return FormatError(
                    f"{where}: this row has {len(values)} value{'s' * (len(values) != 1)}, but the table has {width} "
                    f"columns: {_shown(line)}{_hint(line)}; is the file torn or cut off? Correct or remove this row"
                )
            for name, value in zip(self.labels, values, strict=True):
                if self.is_number(name) and not _is_float(value):
                    return FormatError(
                        f"{where}, column {name}: got '{value}', expected a number; correct the row or remove it"
                    )
        return FormatError(f"'{self.origin}': the rows of a table cannot be read: {reason}")


def _is_plain(line: str) -> bool:
    """Whether numpy divides a line at blanks and tabs alone, and sees no marks in it; it divides at control characters,
    too, and at the blanks of other scripts."""
    if not line.isascii():
        return _ODD.search(line) is None
    return not line.encode().translate(None, _PLAIN)


def _plain(line: str) -> str:
    """The same values, each in double quotation marks, with such marks in the value doubled, as numpy expects."""
    return " ".join('"' + value.replace('"', '""') + '"' for value in tokens(line))


def _is_float(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return "_" not in value


def _hint(line: str) -> str:
    return " (what follows # is a comment, unless it is in quotation marks)" if "#" in line else ""


def _shown(line: str) -> str:
    return f"'{line[:60]}…'" if len(line) > 60 else f"'{line}'"
