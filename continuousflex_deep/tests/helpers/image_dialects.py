"""Image files as programs of many years write them: MRC with every word of the header, and Spider."""

from pathlib import Path
from typing import Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from continuousflex_deep.particles import Particles

MODES = {"int8": 0, "uint8": 0, "int16": 1, "float32": 2, "complex64": 4, "uint16": 6, "float16": 12}
STAMPS = {"<": b"DD\0\0", ">": b"\x11\x11\0\0"}
IMOD_STAMP = 1146047817


def mrc_bytes(
    data: np.ndarray,
    order: str = "<",
    voxel_A: float | tuple[float, float, float] = 2.0,
    axes: tuple[int, int, int] = (1, 2, 3),
    extended: bytes = b"",
    imod_flags: int | None = None,
    **words: Any,
) -> bytes:
    """An MRC file of data (sections, rows, columns) as MRC2014 has it, but for the given words of the header.

    order: < or >; axes: MAPC, MAPR, MAPS; words: those of mrcfile, also origin and cellb as three numbers, map and
    machst as bytes. The numbers of the grid and the cell belong to x, y and z, whichever axis they lie along.
    """
    stored = data.shape[::-1]  # columns, rows, sections
    along = dict(zip(axes if sorted(axes) == [1, 2, 3] else (1, 2, 3), stored, strict=True))
    header = np.zeros((), dtype=HEADER_DTYPE.newbyteorder(order))
    header["nx"], header["ny"], header["nz"] = stored
    header["mode"] = MODES[data.dtype.name]
    header["mx"], header["my"], header["mz"] = (along[axis] for axis in (1, 2, 3))
    sizes_A = np.broadcast_to(np.asarray(voxel_A, dtype=np.float64), 3)
    header["cella"] = tuple(size * along[axis] for axis, size in zip((1, 2, 3), sizes_A, strict=True))
    header["cellb"] = (90, 90, 90)
    header["mapc"], header["mapr"], header["maps"] = axes
    header["dmin"], header["dmax"], header["dmean"] = 0, -1, -2  # not determined
    header["ispg"], header["nversion"], header["nsymbt"] = 1, 20141, len(extended)
    header["map"], header["machst"] = b"MAP ", list(STAMPS[order])
    for name, value in words.items():
        header[name] = list(value) if name == "machst" else value
    raw = bytearray(header.tobytes())
    if imod_flags is not None:
        raw[152:160] = np.array([IMOD_STAMP, imod_flags], dtype=f"{order}i4").tobytes()
    return bytes(raw) + extended + data.astype(data.dtype.newbyteorder(order)).tobytes()


def spider_bytes(data: np.ndarray, order: str = "<", as_map: bool = False, **words: float) -> bytes:
    """A Spider file of data (n, rows, columns): a stack, or a map. words: number of a word, as w12, and its value."""
    n, rows, columns = data.shape
    length = columns * 4 * int(np.ceil(1024 / (columns * 4)))
    head = np.zeros(length // 4, dtype=f"{order}f4")
    head[[0, 1, 4, 11, 12, 21, 22]] = 1, rows, 1, columns, length / (columns * 4), length, columns * 4
    first = head.copy()
    if as_map:
        first[[0, 4]] = n, 3
    else:
        first[[23, 25]] = 1, n
    for name, value in words.items():
        first[int(name[1:]) - 1] = value
    numbers = data.astype(f"{order}f4")
    if as_map:
        return first.tobytes() + numbers.tobytes()
    return first.tobytes() + b"".join(head.tobytes() + image.tobytes() for image in numbers)


def write_mrc(path: Path, data: np.ndarray, **given: Any) -> Path:
    """Write an MRC file, see `mrc_bytes`."""
    path.write_bytes(mrc_bytes(data, **given))
    return path


def write_spider(path: Path, data: np.ndarray, **given: Any) -> Path:
    """Write a Spider file, see `spider_bytes`."""
    path.write_bytes(spider_bytes(data, **given))
    return path


def particles_of(path: Path, n: int, box_px: int, pixel_size_A: float = 2.0) -> Particles:
    """The n first images of a stack as particles."""
    names = np.array([str(path)] * n, dtype=object)
    return Particles(
        ids=np.arange(1, n + 1), stacks=names, indices=np.arange(n), pixel_size_A=pixel_size_A, box_px=box_px
    )
