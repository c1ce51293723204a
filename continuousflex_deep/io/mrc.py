"""What the header of an MRC file means, whichever program wrote it.

The format is MRC2014 (Cheng et al. 2015, J Struct Biol 192:146); what programs write besides follows the descriptions
of IMOD and CCP4. docs/formats.md has a table of the header words, and what is done with each.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.utils import byte_order_from_machine_stamp, dtype_from_mode, spacegroup_is_volume_stack

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.image_layout import XYZ, Contents, ImageLayout

HEADER_BYTES = 1024
_REAL_NUMBERS = (0, 1, 2, 6, 12)  # modes
_OTHER_DATA = {
    3: "complex numbers (a Fourier transform)",
    4: "complex numbers (a Fourier transform)",
    16: "colours (RGB)",
    101: "4-bit numbers",
}
_IMOD_STAMP, _IMOD_STAMP_WORD, _IMOD_FLAGS_WORD = 1146047817, 38, 39
_SIGNED_BYTES, _ORIGIN_OF_MRC2014, _PACKED_BYTES = 1, 4, 16  # bits of IMOD's flags
_FIRST_VERSION = 20140  # of headers that follow MRC2014
_LONGEST = 65535  # of a side: the sides of a header in the other byte order are longer
_VOXELS_A = (1e-3, 1e5)  # sizes outside this range are errors of a program
_ORIGINS_A = (1e-3, 1e7)  # likewise


@dataclass(frozen=True)
class _Header:
    """The words of a header, the file's byte order (< or >), and IMOD's flags: None without IMOD's stamp."""

    words: Any
    order: str
    imod_flags: int | None
    remarks: tuple[str, ...]


def mrc_layout(file: Path, header: bytes, size: int) -> ImageLayout | None:
    """The layout of an MRC file of `size` bytes from its first 1024 bytes; None if it is no MRC file.

    Raises FormatError for damaged headers, data other than real numbers, stacks of volumes, and truncated files.
    """
    found = _read_header(file, header)
    if found is None:
        return None
    words = found.words
    _require_real_numbers(file, found)
    if spacegroup_is_volume_stack(words.ispg):
        raise FormatError(
            f"'{file}' is a stack of volumes (its space group is {words.ispg}); write each volume into its own file"
        )
    dtype, of_bytes = _number_type(found)
    voxel_A, of_voxels = _voxel_A(words)
    origin_A, of_origin = _origin_A(found)
    axes = _axes(file, words)
    columns, rows, sections = (int(words[f"n{axis}"]) for axis in XYZ)
    start_vox = np.zeros(3)
    start_vox[list(axes)] = [words[f"n{axis}start"] for axis in XYZ]  # of columns, rows and sections
    layout = ImageLayout(
        file,
        shape=(sections, rows, columns),
        dtype=dtype,
        start=HEADER_BYTES + int(words.nsymbt),
        stride=rows * columns * dtype.itemsize,
        axes=axes,
        voxel_A=voxel_A,
        angles_deg=np.array([float(words.cellb[name]) for name in ("alpha", "beta", "gamma")]),
        origin_A=origin_A,
        start_vox=start_vox,
        contents=_contents(words),
        remarks=(*found.remarks, *of_bytes, *of_voxels, *of_origin),
    )
    if size < layout.end:
        raise FormatError(
            f"'{file}' is not a complete MRC file: its header announces {sections} × {rows} × {columns} numbers of "
            f"{dtype.itemsize} bytes, together {layout.end} bytes, but it has {size}; copy or extract it again"
        )
    return layout


def _read_header(file: Path, header: bytes) -> _Header | None:
    """The header in the byte order that makes sense; None without one. FormatError if an MRC header makes none."""
    native = np.frombuffer(header, dtype=HEADER_DTYPE)[0].view(np.recarray)
    called_map = bytes(native.map)[:3] == b"MAP"
    try:
        stamped = byte_order_from_machine_stamp(native.machst)
    except ValueError:
        stamped = None
    orders = [order for order in "<>" if _plausible(_in_order(header, order))]
    if not orders:
        if not called_map:
            return None
        words = _in_order(header, stamped or "<")
        raise FormatError(
            f"'{file}': damaged MRC header: got {words.nx} × {words.ny} × {words.nz} numbers of mode {words.mode} and "
            f"an extended header of {words.nsymbt} bytes; copy the file, or write it, again"
        )
    order = stamped if stamped in orders else orders[0]
    remarks = []
    if not called_map:
        remarks.append("the header lacks the word MAP")
    if stamped != order:
        name, stamp = {"<": "little", ">": "big"}[order], " ".join(f"{byte:02x}" for byte in native.machst)
        remarks.append(f"the machine stamp is {stamp}; the numbers are read as {name}-endian, as the sizes require")
    integers = np.frombuffer(header, dtype=f"{order}i4")
    flags = int(integers[_IMOD_FLAGS_WORD]) if integers[_IMOD_STAMP_WORD] == _IMOD_STAMP else None
    return _Header(_in_order(header, order), order, flags, tuple(remarks))


def _in_order(header: bytes, order: str) -> Any:
    """The header's words as a numpy record."""
    return np.frombuffer(header, dtype=HEADER_DTYPE.newbyteorder(order))[0].view(np.recarray)


def _plausible(words: Any) -> bool:
    """Whether words make sense in their byte order: sizes, mode, and the length of the extended header."""
    sides = 0 < words.nx <= _LONGEST and 0 < words.ny <= _LONGEST and words.nz > 0
    return bool(sides and words.nsymbt >= 0 and words.mode in (*_REAL_NUMBERS, *_OTHER_DATA))


def _require_real_numbers(file: Path, header: _Header) -> None:
    mode = int(header.words.mode)
    if mode in _OTHER_DATA:
        raise FormatError(f"'{file}' contains {_OTHER_DATA[mode]}, its mode is {mode}; expected real numbers")
    if mode == 0 and header.imod_flags is not None and header.imod_flags & _PACKED_BYTES:
        raise FormatError(
            f"'{file}' contains {_OTHER_DATA[101]}, two in a byte (IMOD's flag {_PACKED_BYTES}); expected real numbers"
        )


def _contents(words: Any) -> Contents:
    """By MRC2014, stacks of images have space group 0 and one section in the cell; maps a group, and all sections."""
    if words.nz > 1 and words.ispg == 0 and words.mz == 1:
        return Contents.IMAGES
    return Contents.CALLED_MAP if words.nz > 1 and words.ispg != 0 and words.mz == words.nz else Contents.UNKNOWN


def _number_type(header: _Header) -> tuple[np.dtype[Any], list[str]]:
    """The type of the numbers, and of bytes a remark that tells whether they are signed, and why."""
    words = header.words
    if words.mode != 0:
        return dtype_from_mode(words.mode).newbyteorder(header.order), []
    low, high = float(words.dmin), float(words.dmax)
    if header.imod_flags is not None:
        signed, why = bool(header.imod_flags & _SIGNED_BYTES), "by IMOD's flag"
    elif np.isfinite([low, high]).all() and low < high and (low < 0 or high >= 128):
        signed, why = low < 0 and (high < 128 or -low > high - 128), f"since the header's range is {low:g} to {high:g}"
    else:
        signed, why = True, "as MRC2014 defines; the header's range does not decide it"
    return np.dtype(np.int8 if signed else np.uint8), [f"its bytes are read as {'' if signed else 'un'}signed, {why}"]


def _voxel_A(words: Any) -> tuple[Floats, list[str]]:
    """Voxel size (3,) along x, y and z, 0 where unknown, and a remark on impossible ones."""
    cell_A = [float(words.cella[axis]) for axis in XYZ]
    intervals = [int(words[f"m{axis}"]) for axis in XYZ]
    sizes_A = np.array([cell / m if m else 0.0 for cell, m in zip(cell_A, intervals, strict=True)])
    possible = (sizes_A >= _VOXELS_A[0]) & (sizes_A <= _VOXELS_A[1])
    if (possible | (sizes_A == 0)).all():
        return sizes_A, []
    shown = " × ".join(f"{size:g}" for size in sizes_A)
    return np.where(possible, sizes_A, 0.0), [f"the voxel size in its header, {shown} Å, is impossible and not used"]


def _axes(file: Path, words: Any) -> tuple[int, int, int]:
    """The axes (0 for x, 1 for y, 2 for z) along which columns, rows and sections lie; xyz if all three are 0."""
    found = tuple(int(axis) for axis in (words.mapc, words.mapr, words.maps))
    if found == (0, 0, 0):
        return 0, 1, 2
    if sorted(found) != [1, 2, 3]:
        raise FormatError(
            f"'{file}': columns, rows and sections lie along the axes {found} (MAPC, MAPR, MAPS), expected each of "
            "1, 2 and 3 once; correct the header"
        )
    return found[0] - 1, found[1] - 1, found[2] - 1


def _origin_A(header: _Header) -> tuple[Floats, list[str]]:
    """Position (3,), xyz, of the first voxel from the words ORIGIN, 0 if one is impossible; a remark on IMOD's sign.

    IMOD stores the position of the coordinates' origin relative to the first voxel, unless a flag or the version
    says that it follows MRC2014.
    """
    words, flags = header.words, header.imod_flags
    origin_A = np.array([float(words.origin[axis]) for axis in XYZ])
    size = np.abs(origin_A)
    possible = (size == 0) | ((size >= _ORIGINS_A[0]) & (size <= _ORIGINS_A[1]))
    if not possible.all() or not origin_A.any():
        return np.zeros(3), []
    if flags is not None and not flags & _ORIGIN_OF_MRC2014 and words.nversion < _FIRST_VERSION:
        return -origin_A, ["its origin is read with the sign that IMOD gives it"]
    return origin_A, []
