"""Mutated files for the tests of readers. Case k of a seed is the same in every run, whatever the number of cases.

A test gives valid files, the mutations that suit their format, and a function that reads a file and checks the result:

    for case in mutated(FILES, [*BYTES, words(256)], count=cases(300), seed=1):
        survives(case, tmp_path / f"{case.number}.mrc", read)

Mutations are functions of the content and a random generator; formats add their own.
"""

import io
import json
import os
import signal
import tokenize
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.errors import DeepError

Mutation = Callable[[bytes, np.random.Generator], bytes]

SECONDS, BYTES_OF_MEMORY = 10.0, 2 * 2**30  # that reading one file may take
_NAN_THAT_SIGNALS = 0x7F800001  # a float whose conversion numpy warns about
_WHOLE = (0, 1, 2, 3, 4, 6, 12, 90, 101, 127, 128, 255, 256, 401, 1024, 65535, 65536, 10**6, 10**9, 2**31 - 1,
          _NAN_THAT_SIGNALS)  # fmt: skip
_REAL = (0.0, 1.0, 0.5, 90.0, 1e-45, 1e-30, 1e-3, 1e6, 1e9, 3.4e38, np.inf, np.nan)
_TOKENS = (
    "", "0", "-1", "1", "nan", "inf", "-inf", "1e999", "1e-400", "9" * 40, "0x10", "1,5", "true", "null", "?", ".", "#",
    ";", "'", '"', "''", '"a', "loop_", "data_", "save_", "stop_", "_x", "@", "1@", "@x", "../../x", "/etc/passwd", "~",
    "$HOME", "`id`", "$(id)", "<b>", "%s", "{}", "\\", "частица", "粒子", "é", "\u202e", "\ufeff", "\0", "a" * 10000,
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A mutated file: its number among the cases of a seed, the valid file that it was, and its content."""

    number: int
    name: str
    content: bytes
    mutations: tuple[str, ...]

    def __str__(self) -> str:
        return f"case {self.number}: '{self.name}' after {', '.join(self.mutations)}"


def cases(default: int) -> int:
    """Number of cases: of the environment variable CFD_FUZZ_CASES, or the default."""
    return int(os.environ.get("CFD_FUZZ_CASES", default))


def mutated(
    files: Mapping[str, bytes], mutations: Sequence[Mutation], count: int, seed: int, most: int = 3
) -> Iterator[Case]:
    """`count` cases, each of one of the files with 1 to `most` mutations."""
    names = sorted(files)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        name = names[rng.integers(len(names))]
        content, made = files[name], []
        for _ in range(rng.integers(1, most + 1)):
            mutation = mutations[rng.integers(len(mutations))]
            content = mutation(content, rng)
            made.append(mutation.__name__)
        yield Case(number, name, content, tuple(made))


def survives(case: Case, path: Path, read: Callable[[Path], Any]) -> str:
    """Write a case to a path and read it. AssertionError unless `read` returns, or raises an error for the user.

    Warnings, longer times than SECONDS and more memory than BYTES_OF_MEMORY fail as well. Returns "read", or the error.
    `read` checks by itself whether what it has read is sound. The file stays where the test fails.
    """
    path.write_bytes(case.content)
    try:
        with _limits():
            read(path)
            outcome = "read"
    except DeepError as error:
        outcome = str(error)
        assert outcome, f"{case}: an error without a text; the file is {path}"
    except Exception as error:
        raise AssertionError(f"{case}: {type(error).__name__}: {error}; the file is {path}") from error
    path.unlink()
    return outcome


@contextmanager
def _limits() -> Iterator[None]:
    """Turn warnings, and more time or memory than allowed, into errors."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"not read within {SECONDS:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if peak > BYTES_OF_MEMORY:
            raise MemoryError(f"{peak / 2**30:.1f} GiB of memory")


# ----------------------------------------------------------------------------------------------------------- any bytes


def flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bits the other way."""
    raw = bytearray(content)
    for _ in range(rng.integers(1, 9) if raw else 0):
        raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
    return bytes(raw)


def overwrite(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes in a row by others: random, all 0, or all 255."""
    start, stop = _slice(content, rng, longest=64)
    fill = (rng.bytes(stop - start), bytes(stop - start), b"\xff" * (stop - start))[rng.integers(3)]
    return content[:start] + fill + content[stop:]


def truncate(content: bytes, rng: np.random.Generator) -> bytes:
    """The beginning only."""
    return content[: rng.integers(len(content) + 1)]


def behead(content: bytes, rng: np.random.Generator) -> bytes:
    """Without some first bytes."""
    return content[rng.integers(1, 65) :]


def extend(content: bytes, rng: np.random.Generator) -> bytes:
    """With bytes behind the end."""
    return content + rng.bytes(int(rng.integers(1, 5000)))


def cut_out(content: bytes, rng: np.random.Generator) -> bytes:
    """Without a piece."""
    start, stop = _slice(content, rng, longest=2000)
    return content[:start] + content[stop:]


def repeat(content: bytes, rng: np.random.Generator) -> bytes:
    """A piece twice."""
    start, stop = _slice(content, rng, longest=2000)
    return content[:stop] + content[start:]


BYTES: tuple[Mutation, ...] = (flip_bits, overwrite, truncate, behead, extend, cut_out, repeat)


def words(header_bytes: int) -> Mutation:
    """A mutation of binary headers: some 4-byte words of the first `header_bytes` by numbers that are often special."""

    def special_words(content: bytes, rng: np.random.Generator) -> bytes:
        raw, places = bytearray(content), min(header_bytes, len(content)) // 4
        for _ in range(rng.integers(1, 5) if places else 0):
            order = "<>"[rng.integers(2)]
            if rng.integers(2):
                number = np.array(_WHOLE[rng.integers(len(_WHOLE))], dtype=f"{order}i4")
            else:
                number = np.array(_REAL[rng.integers(len(_REAL))], dtype=f"{order}f4")
            if rng.integers(3) == 0:
                number = -number
            place = 4 * int(rng.integers(places))
            raw[place : place + 4] = number.astype(number.dtype.newbyteorder(order)).tobytes()
        return bytes(raw)

    return special_words


# ---------------------------------------------------------------------------------------------------------------- text


def replace_token(content: bytes, rng: np.random.Generator) -> bytes:
    """A word of a line by one that is often special: numbers out of range, reserved words, quotes, other scripts."""
    lines = content.split(b"\n")
    at = int(rng.integers(len(lines)))
    tokens = lines[at].split(b" ")
    tokens[rng.integers(len(tokens))] = _TOKENS[rng.integers(len(_TOKENS))].encode()
    lines[at] = b" ".join(tokens)
    return b"\n".join(lines)


def drop_line(content: bytes, rng: np.random.Generator) -> bytes:
    """Without a line."""
    lines = content.split(b"\n")
    del lines[rng.integers(len(lines))]
    return b"\n".join(lines)


def repeat_line(content: bytes, rng: np.random.Generator) -> bytes:
    """A line twice, the second time anywhere."""
    lines = content.split(b"\n")
    lines.insert(int(rng.integers(len(lines) + 1)), lines[rng.integers(len(lines))])
    return b"\n".join(lines)


def swap_lines(content: bytes, rng: np.random.Generator) -> bytes:
    """Two lines in each other's place."""
    lines = content.split(b"\n")
    a, b = rng.integers(len(lines), size=2)
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def break_line(content: bytes, rng: np.random.Generator) -> bytes:
    """A line break within a line, or none between two."""
    at = int(rng.integers(len(content) + 1))
    if rng.integers(2):
        return content[:at] + b"\n" + content[at:]
    return content[:at] + content[at:].replace(b"\n", b" ", 1)


def encode_otherwise(content: bytes, rng: np.random.Generator) -> bytes:
    """The same text with a byte order mark, in another encoding, or with other ends of lines."""
    text = content.decode(errors="replace")
    ways = (
        lambda: b"\xef\xbb\xbf" + content,
        lambda: text.encode("utf-16"),
        lambda: text.encode("latin-1", errors="replace"),
        lambda: content.replace(b"\n", b"\r\n"),
        lambda: content.replace(b"\n", b"\r"),
        lambda: content.replace(b" ", b"\t"),
        lambda: content.replace(b" ", b"\xc2\xa0"),
    )
    return ways[rng.integers(len(ways))]()


TEXT: tuple[Mutation, ...] = (replace_token, drop_line, repeat_line, swap_lines, break_line, encode_otherwise)


def _slice(content: bytes, rng: np.random.Generator, longest: int) -> tuple[int, int]:
    start = int(rng.integers(len(content) + 1))
    return start, min(len(content), start + int(rng.integers(1, longest + 1)))


# -------------------------------------------------------------------------------------------------------------- content

# of reading numpy's formats
_DAMAGED = (
    ValueError, OSError, KeyError, EOFError, SyntaxError, MemoryError, OverflowError, TypeError, RecursionError,
    NotImplementedError, zipfile.BadZipFile, zlib.error, tokenize.TokenError,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 0.5, 1e308, float("nan"), float("inf"), "", "x", "../../x", "/etc/passwd", "<script>",
    [], [[]], {}, {"a": None}, [1, "a"], "粒子", "\ud800", "a\nb", "a" * 5000,
)  # fmt: skip


def json_value(content: bytes, rng: np.random.Generator) -> bytes:
    """A value of a JSON text, at any depth, by one of another type or size; or without it; or very deep."""
    try:
        root = [json.loads(content)]
    except (ValueError, RecursionError):
        return content
    node: Any = root
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = keys[rng.integers(len(keys))]
        inner = node[key]
        if isinstance(inner, dict | list) and inner and rng.integers(4):
            node = inner
            continue
        break
    way = rng.integers(8)
    if way == 0 and node is not root:
        del node[key]
    elif way == 1:
        return content[: len(content) // 2] + b"[" * 100_000
    else:
        node[key] = VALUES[rng.integers(len(VALUES))]
    return json.dumps(root[0]).encode()


def array_member(content: bytes, rng: np.random.Generator) -> bytes:
    """An array of an .npz archive by one of another shape, type or content; or without it."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except _DAMAGED:  # by an earlier mutation
        return content
    if not arrays:
        return content
    name = list(arrays)[rng.integers(len(arrays))]
    array, way = arrays[name], rng.integers(8)
    if way == 0:
        del arrays[name]
    elif way == 1:
        arrays[name] = array[..., None]
    elif way == 2:
        arrays[name] = array[:-1] if array.ndim else array[None]
    elif way == 3:
        arrays[name] = array.astype(str)
    elif way == 4:
        arrays[name] = np.array([], dtype=array.dtype)
    elif way == 5:
        arrays[name] = np.full(array.shape, np.nan) if array.dtype.kind in "fiu" else array.astype("U1")
    elif way == 6:
        arrays[name] = np.full(array.shape, 2**62) if array.dtype.kind in "fiu" else array
    else:
        arrays[name] = np.array({"a": 1}, dtype=object)  # pickled: never to be loaded
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def record_field(content: bytes, rng: np.random.Generator) -> bytes:
    """A field of a table in numpy's format by special numbers or texts; or without it; or with another name."""
    try:
        table = np.load(io.BytesIO(content), allow_pickle=False)
        names = list(table.dtype.names or [])
    except _DAMAGED:  # by an earlier mutation
        return content
    if not names or not len(table):
        return content
    name, way = names[rng.integers(len(names))], rng.integers(4)
    if way == 0:
        table = table[[n for n in names if n != name]]
    elif way == 1:
        table.dtype.names = tuple(n + "_other" if n == name else n for n in names)
    else:
        row = table[name][rng.integers(len(table)) : None if way == 2 else 1]
        if row.dtype.kind in "SU":
            row[...] = _TOKENS[rng.integers(len(_TOKENS))].encode(errors="replace")[:60]
        else:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                row[...] = np.array(_REAL[rng.integers(len(_REAL))]).astype(row.dtype)
    out = io.BytesIO()
    np.save(out, np.array(table))
    return out.getvalue()
