"""Columns of particle tables as arrays and back: numbers, vectors, image names, ids, pixel sizes."""

import hashlib
import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Column, Floats, Integers
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.stacks import stack_info
from continuousflex_deep.io.star import Table
from continuousflex_deep.particles import Ctf, Particles
from continuousflex_deep.sampling import same_pixel_size

_HINT = re.compile(r":[A-Za-z]+$")
CALLED_MAPS = {".mrc", ".map", ".st"}  # suffixes under which an MRC file is taken for a map


def floats(path: Path, table: Table, columns: list[str]) -> Floats:
    """Columns as finite numbers (rows, columns)."""
    out = np.empty((len(next(iter(table.values()))), len(columns)))
    for i, name in enumerate(columns):
        try:
            out[:, i] = table[name].astype(np.float64)
        except ValueError as error:
            raise FormatError(f"'{path}', column {name}: expected numbers, got one that is not ({error})") from error
        bad = np.flatnonzero(~np.isfinite(out[:, i]))
        if len(bad):
            raise FormatError(
                f"'{path}', column {name}: {len(bad)} values are not finite, first in row {bad[0] + 1}; remove those "
                "particles"
            )
    return out


def vector_texts(values: Floats) -> Column:
    """Rows (n, k) as Xmipp writes vectors."""
    rows = np.empty(len(values), dtype=object)
    rows[:] = [" " + " ".join(f"{v:.6f}" for v in row) + " " for row in values]
    return rows


def vectors(path: Path, name: str, column: Column) -> Floats:
    """A column of Xmipp vectors such as "-27.1 -28.4" as an array (n, k)."""
    rows = [text.split() for text in column]
    widths = {len(r) for r in rows}
    if len(widths) != 1:
        raise FormatError(f"'{path}', column {name}: vectors of different lengths {sorted(widths)}")
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise FormatError(f"'{path}', column {name}: expected vectors of numbers ({error})") from error


def constant(path: Path, table: Table, column: str, default: str) -> str:
    """The one value that a column has in all rows."""
    values = sorted(set(table.get(column, [default])))
    if len(values) > 1:
        raise InputError(f"'{path}': {column} differs between particles ({values}); process the groups separately")
    return str(values[0])


def read_ctf(path: Path, table: Table, columns: dict[str, tuple[str, float | None]]) -> Ctf | None:
    """The CTF from columns named as {column: (field, default)}; None where the first of them is absent."""
    if next(iter(columns)) not in table:
        return None
    n, values = len(next(iter(table.values()))), {}
    for column, (name, default) in columns.items():
        if column in table:
            values[name] = floats(path, table, [column])[:, 0]
        elif default is not None:
            values[name] = np.full(n, default)
        else:
            raise FormatError(
                f"'{path}': there is a CTF, but its column {column} is missing; add it, or remove the defocus columns"
            )
    ctf = Ctf(**values)
    if (ctf.voltage_kV <= 0).any() or (np.abs(ctf.amplitude_contrast) > 1).any():
        raise FormatError(
            f"'{path}': got voltages from {ctf.voltage_kV.min():g} kV and amplitude contrasts from "
            f"{ctf.amplitude_contrast.min():g} to {ctf.amplitude_contrast.max():g}; expected voltages above 0 and "
            "contrasts between -1 and 1"
        )
    return ctf


def image_names(path: Path, names: Column) -> tuple[NDArray[np.object_], Integers]:
    """Absolute stack paths and zero-based indices of names like 000012@folder/stack.mrcs."""
    if len(names) == 0:
        raise FormatError(f"'{path}' has no particles: its table is empty")
    stacks, indices = np.empty(len(names), dtype=object), np.zeros(len(names), dtype=np.int64)
    known: dict[str, str] = {}
    for row, name in enumerate(names):
        position, at, stack = name.rpartition("@")
        if at and not (position.isdigit() and int(position) > 0):
            raise FormatError(
                f"'{path}', row {row + 1}: image name '{name}'; expected NUMBER@STACK with a number from 1"
            )
        indices[row] = int(position) - 1 if at else 0
        if stack not in known:
            known[stack] = resolve_stack(path, plain_stack(stack))
        stacks[row] = known[stack]
    return stacks, indices


def plain_stack(name: str) -> str:
    """The file of a stack's name; RELION, Xmipp and Scipion may add how to read it, as in particles.mrc:mrcs."""
    return _HINT.sub("", name)


def resolve_stack(file: Path, stack: str) -> str:
    """Absolute path of a stack that a particle file names: relative to its folder or to one above it."""
    candidate = Path(stack)
    if candidate.is_absolute():
        return str(candidate)
    folder = Path(os.path.abspath(file)).parent
    for base in (folder, *folder.parents):
        if (base / candidate).is_file():
            return str(base / candidate)
    return str(folder / candidate)  # reading the image will say that it is missing


def stack_facts(stack: str) -> tuple[int, float | None]:
    """Box in px and pixel size in Å of a stack."""
    info = stack_info(stack)
    return info.box_px, info.pixel_size_A


def agreed_pixel_size(path: Path, given: float | None, in_file: float | None, header: float | None) -> float:
    """The pixel size in Å, from the caller, the particle file or the stack's header, where they agree."""
    sources = {"the given value": given, "the particle file": in_file, "the image stack's header": header}
    known = {k: v for k, v in sources.items() if v is not None and v > 0}
    if not known:
        raise InputError(
            f"'{path}': no pixel size in it nor in its stack's header; preprocess, align, train and infer take it as "
            "--pixel-size-A, and what they write carries it"
        )
    values = list(known.values())
    if not same_pixel_size(min(values), max(values)):
        told = ", ".join(f"{k} says {v:g} Å" for k, v in known.items())
        raise InputError(f"'{path}': contradictory pixel sizes: {told}; correct the wrong one")
    return values[0]


def particle_ids(
    path: Path, column: Column | None, names: Column, stacks: NDArray[np.object_], indices: Integers
) -> Integers:
    """The given ids; else the position in the one stack; else a hash of the image's name, the same in every file."""
    if column is not None:
        try:
            return column.astype(np.int64)
        except ValueError as error:
            raise FormatError(f"'{path}': particle ids must be whole numbers ({error})") from error
    if len(set(stacks)) == 1:
        return indices + 1
    return np.array(
        [int.from_bytes(hashlib.blake2b(n.encode(), digest_size=8).digest(), "big") >> 2 for n in names], dtype=np.int64
    )


def written_names(p: Particles, path: Path) -> Column:
    """Image names for a file at `path`: relative where the stack is below its folder, else absolute.

    RELION takes an MRC file for a stack of images only where it is called .mrcs, or :mrcs follows its name.
    """
    folder = Path(os.path.abspath(path)).parent
    shown = {s: _relative(Path(s), folder) + (":mrcs" if Path(s).suffix in CALLED_MAPS else "") for s in set(p.stacks)}
    names = np.empty(len(p), dtype=object)
    names[:] = [f"{i + 1:06d}@{shown[s]}" for i, s in zip(p.indices, p.stacks, strict=True)]
    return names


def _relative(stack: Path, folder: Path) -> str:
    absolute = Path(os.path.abspath(stack))
    return str(absolute.relative_to(folder)) if absolute.is_relative_to(folder) else str(absolute)


def texts(values: NDArray) -> Column:
    """Numbers as text: whole, or with 9 digits."""
    out = np.empty(len(values), dtype=object)
    out[:] = [str(v) for v in values] if values.dtype.kind in "iu" else [f"{v:.9g}" for v in values]
    return out
