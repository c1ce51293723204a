"""STAR files as tables of strings: RELION 3.0, 3.1 and later, and Xmipp's xmd. They are parsed by gemmi."""

from collections.abc import Iterator
from pathlib import Path

import gemmi
import numpy as np

from continuousflex_deep.arrays import Column, Table
from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.files import atomic_path, require_file


def read_star(path: str | Path) -> dict[str, Table]:
    """Tables by block name; a table maps a column's name (without its underscore) to an object array (rows,) of str.

    Lists of pairs become tables of one row. Quotes around a value are removed, so an Xmipp vector is "-27.1 -28.4".
    Raises InputError if the file is missing, and FormatError, with gemmi's line number, if it is not STAR.
    """
    file = require_file(path, "STAR file")
    try:
        document = gemmi.cif.read_file(str(file))
    except (ValueError, RuntimeError, UnicodeDecodeError) as error:
        raise FormatError(
            f"'{file}' is not a valid STAR file: {error}; is it truncated, or in another format?"
        ) from error
    return _blocks(document, str(file))


def parse_star(text: str, origin: str) -> dict[str, Table]:
    """The same for a text; origin: its name in errors."""
    try:
        document = gemmi.cif.read_string(text)
    except (ValueError, RuntimeError) as error:
        raise FormatError(f"'{origin}' is not valid STAR text: {error}") from error
    return _blocks(document, origin)


def _blocks(document: gemmi.cif.Document, file: str) -> dict[str, Table]:
    blocks: dict[str, Table] = {}
    for block in document:
        name = block.name.strip()  # gemmi names RELION 3.0's bare "data_" with a blank
        if name in blocks:
            raise FormatError(f"'{file}' has two data blocks named '{name}'; keep one of them")
        blocks[name] = _read_block(block)
    if not blocks:
        raise FormatError(f"'{file}' has no data block; a STAR file begins its tables with 'data_'")
    return blocks


def _read_block(block: gemmi.cif.Block) -> Table:
    table: Table = {}
    for item in block:
        if item.loop is not None:
            width, values = item.loop.width(), list(item.loop.values)
            for i, tag in enumerate(item.loop.tags):
                table[tag.removeprefix("_")] = _unquoted(values[i::width])
        elif item.pair is not None:
            tag, value = item.pair
            table[tag.removeprefix("_")] = _unquoted([value])
    return table


def _unquoted(values: list[str]) -> Column:
    column = np.empty(len(values), dtype=object)
    column[:] = [gemmi.cif.as_string(v).strip() if v[:1] in "'\"" else v for v in values]
    return column


def write_star(path: str | Path, blocks: dict[str, Table], header: str = "") -> None:
    """Write tables as loops, atomically. Values with blanks are quoted; columns of a table must have equal lengths."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as out:
        out.write(header)
        for name, table in blocks.items():
            out.writelines(table_lines(name, table))


def table_lines(name: str, table: Table) -> Iterator[str]:
    """The lines of a table as a STAR loop. FormatError if its columns have different lengths."""
    columns = [_quoted(column) for column in table.values()]
    lengths = {len(c) for c in columns}
    if len(lengths) > 1:
        raise FormatError(f"table '{name}': columns of different lengths {sorted(lengths)}, expected one")
    yield f"\ndata_{name}\n\nloop_\n"
    yield from (f"_{tag} #{i}\n" for i, tag in enumerate(table, start=1))
    yield from (" ".join(row) + "\n" for row in zip(*columns, strict=True))
    yield "\n"


def _quoted(column: Column) -> list[str]:
    texts = [str(v) for v in column]
    return [f"'{t}'" if _needs_quotes(t) else t for t in texts]


def _needs_quotes(text: str) -> bool:
    reserved = ("data_", "loop_", "save_", "stop_", "global_")
    return not text or " " in text or "\t" in text or text[0] in "#_'\"[$;" or text.lower().startswith(reserved)
