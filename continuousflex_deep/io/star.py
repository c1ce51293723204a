"""STAR files as tables: RELION 3.0 and later, and Xmipp's xmd. Read as RELION reads them, one row on each line."""

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_letters

from continuousflex_deep.arrays import Column, Table, as_column
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import atomic_path, require_file
from continuousflex_deep.io.star_rows import RowReader, tokens

IsNumber = Callable[[str], bool]
# a line that is one of these alone begins something; as a value among others it is an ordinary word
_BLOCK = re.compile(r"data_(\S*)\s*(?:#.*)?", re.IGNORECASE)
_LOOP = re.compile(r"loop_\s*(?:#.*)?", re.IGNORECASE)
_LABEL = re.compile(r"_([^\s#]+)\s*(?:#.*)?")
_BLANKS = " \t\r\n\v\f"  # others are parts of names: a blank of a script other than Latin, for example
_RESERVED = ("data_", "loop_", "save_", "stop_", "global_")
_FIRST, _INSIDE = "_#$'\"[];", " \t\v\f"  # what needs quotation marks: at the beginning of a value, and anywhere in it
_MARKS = (*_INSIDE, "\n\n", *(f"\n{character}" for character in _FIRST))
_HARMLESS = b"0123456789+-.,:/@\n" + ascii_letters.encode()  # as in numbers, and in most names
_STRUCTURAL = frozenset("dDlL_#")  # first characters of lines that may be no row
_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def _text_only(_label: str) -> bool:
    return False


def read_star(path: str | Path, is_number: IsNumber = _text_only) -> dict[str, Table]:
    """Tables by block name; a table maps a column's name (without its underscore) to its values (rows,).

    Values are text, or float64 in columns for which is_number is true. Lists of pairs become tables of one row. Quotes
    around a value are removed, so an Xmipp vector is "-27.1 -28.4". The text is UTF-8, with or without a byte order
    mark, with line ends of any system.
    Raises InputError if the file is missing, and FormatError, with the line, if it is not STAR, if a row has too few or
    too many values, or if a number is none.
    """
    file = require_file(path, "STAR file")
    try:
        with open(file, "rb") as opened:
            marked = opened.read(len(BOM_UTF8)) == BOM_UTF8
        with open(file, encoding="utf-8-sig" if marked else "utf-8") as lines:
            return _tables(lines, str(file), is_number)
    except UnicodeDecodeError as error:
        raise FormatError(_encoding(file, error)) from error
    except OSError as error:
        raise InputError(f"'{file}' cannot be read: {error.strerror or error}; check its permissions") from error


def the_table(path: Path, blocks: dict[str, Table], column: str) -> Table:
    """The only table of a file that has this column. InputError if several have it, as those of classes do."""
    names = [name for name, table in blocks.items() if column in table]
    if len(names) > 1:
        shown = ", ".join(f"data_{name}" for name in names[:5]) + (", …" if len(names) > 5 else "")
        raise InputError(
            f"'{path}' has {len(names)} tables of images, expected one: {shown}; write the particles that you need to "
            "a file of their own"
        )
    return blocks[names[0]]


def parse_star(text: str, origin: str) -> dict[str, Table]:
    """The same for a text; origin: its name in errors."""
    return _tables(text.split("\n"), origin, _text_only)


def _encoding(file: Path, error: UnicodeDecodeError) -> str:
    with open(file, "rb") as opened:
        start = opened.read(2)
    found = _BYTE_ORDER_MARKS.get(start, f"byte {error.object[error.start]:#04x} is not part of UTF-8 text")
    return (
        f"'{file}' is not a STAR file in UTF-8: got {found}; save it as UTF-8 (iconv -f ENCODING -t UTF-8), or give "
        "another file"
    )


@dataclass
class _Block:
    """What is read of a data block: its pairs, and its loop, if there is one."""

    name: str
    pairs: dict[str, str] = field(default_factory=dict)
    labels: list[str] | None = None
    rows: RowReader | None = None

    def table(self, origin: str) -> Table:
        table: Table = {label: as_column([value]) for label, value in self.pairs.items()}
        if self.labels is None:
            return table
        if table:
            raise FormatError(
                f"'{origin}': data block '{self.name}' has a list and a table; expected one of them: give the table a "
                "data block of its own"
            )
        rows = self.rows or RowReader(origin, self.labels, _text_only)
        return rows.columns()


def _tables(lines: Iterable[str], origin: str, is_number: IsNumber) -> dict[str, Table]:
    blocks: dict[str, Table] = {}
    block: _Block | None = None
    rows: RowReader | None = None
    for number, raw in enumerate(lines, start=1):
        line = raw.strip(_BLANKS)
        if rows is not None and line and line[0] not in _STRUCTURAL:
            rows.add(number, line)
        elif not line or line[0] == "#":
            continue
        elif found := _BLOCK.fullmatch(line):
            if block is not None:
                _close(blocks, block, origin)
            block, rows = _Block(found[1]), None
        elif block is None:
            raise FormatError(
                f"'{origin}', line {number}: got {line[:40]!a} before any data block, so it is not a valid STAR "
                "file; a STAR file begins its tables with 'data_'. Is it in another format?"
            )
        elif _LOOP.fullmatch(line):
            if block.labels is not None:
                raise FormatError(
                    f"'{origin}', line {number}: data block '{block.name}' has two tables; give each a data block"
                )
            block.labels = []
        else:
            _add(block, number, line, origin, is_number)
            rows = block.rows
    if block is not None:
        _close(blocks, block, origin)
    if not blocks:
        raise FormatError(f"'{origin}' has no data block; a STAR file begins its tables with 'data_'")
    return blocks


def _add(block: _Block, number: int, line: str, origin: str, is_number: IsNumber) -> None:
    """Add a label or a row of a loop, or a pair of a list."""
    if block.rows is not None:
        block.rows.add(number, line)
        return
    label = _LABEL.fullmatch(line)
    if block.labels is not None and label:
        if label[1] in block.labels:
            raise FormatError(
                f"'{origin}', line {number}: the table '{block.name}' has two columns {label[1]}; remove one of them"
            )
        block.labels.append(label[1])
    elif block.labels:
        block.rows = RowReader(origin, block.labels, is_number)
        block.rows.add(number, line)
    else:
        _add_pair(block, number, line, origin)


def _add_pair(block: _Block, number: int, line: str, origin: str) -> None:
    values = tokens(line)
    if len(values) != 2 or not line.startswith("_") or block.labels is not None:
        raise FormatError(
            f"'{origin}', line {number}: got {line[:40]!a}, so it is not a valid STAR file; expected '_label value' or "
            "'loop_'"
        )
    label = values[0][1:]
    if label in block.pairs:
        raise FormatError(f"'{origin}', line {number}: the list '{block.name}' has {label} twice; remove one of them")
    block.pairs[label] = values[1]


def _close(blocks: dict[str, Table], block: _Block, origin: str) -> None:
    if block.name in blocks:
        raise FormatError(f"'{origin}' has two data blocks named '{block.name}'; keep one of them")
    blocks[block.name] = block.table(origin)


def write_star(path: str | Path, blocks: dict[str, Table], header: str = "") -> None:
    """Write tables as loops, atomically. Values with blanks are quoted; columns of a table must have equal lengths."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as out:
        out.write(header)
        for name, table in blocks.items():
            out.writelines(table_lines(name, table))


def table_lines(name: str, table: Table) -> Iterator[str]:
    """The lines of a table as a STAR loop. FormatError if its columns have different lengths, or for a value that no
    STAR file can hold."""
    columns = [_quoted(tag, column) for tag, column in table.items()]
    lengths = {len(c) for c in columns}
    if len(lengths) > 1:
        raise FormatError(f"table '{name}': columns of different lengths {sorted(lengths)}, expected one")
    yield f"\ndata_{name}\n\nloop_\n"
    yield from (f"_{tag} #{i}\n" for i, tag in enumerate(table, start=1))
    yield from (" ".join(row) + "\n" for row in zip(*columns, strict=True))
    yield "\n"


def _quoted(tag: str, column: Column) -> list[str]:
    """The values as they are written; whole columns are searched at once for those that need quotation marks."""
    texts = column.tolist()
    try:
        joined = "\n".join(["", *texts, ""])
    except TypeError:  # numbers among them
        texts = [str(v) for v in texts]
        joined = "\n".join(["", *texts, ""])
    if joined.count("\n") != len(texts) + 1 or "\r" in joined or "\0" in joined:
        raise FormatError(f"column {tag}: a value contains a line end, which a STAR file cannot hold; rename it")
    try:
        encoded = joined.encode()
    except UnicodeEncodeError as error:
        raise FormatError(
            f"column {tag}: {error.object[max(error.start - 20, 0) : error.end]!a} is not UTF-8, which a STAR file "
            "needs; rename the file"
        ) from error
    if not encoded.translate(None, _HARMLESS) and "\n\n" not in joined:
        return texts
    lower = joined.lower() if "_" in joined else ""
    if not any(mark in joined for mark in _MARKS) and not any(f"\n{word}" in lower for word in _RESERVED):
        return texts
    return [_with_marks(tag, text) if _needs_marks(text) else text for text in texts]


def _needs_marks(text: str) -> bool:
    begins = text.lower().startswith(_RESERVED) or text[:1] in _FIRST
    return begins or not text or any(blank in text for blank in _INSIDE)


def _with_marks(tag: str, text: str) -> str:
    for mark in "'\"":
        if f"{mark} " not in text and f"{mark}\t" not in text:
            return f"{mark}{text}{mark}"
    raise FormatError(f"column {tag}: '{text}' has both quotation marks before blanks; a STAR file cannot hold it")
