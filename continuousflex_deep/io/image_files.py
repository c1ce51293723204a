"""Image files of any format: recognised by their content, not by their names."""

import re
from dataclasses import replace
from pathlib import Path

from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.files import is_file, require_file
from continuousflex_deep.io.image_layout import ImageLayout
from continuousflex_deep.io.mrc import HEADER_BYTES, mrc_layout
from continuousflex_deep.io.spider import spider_layout

_HINT = re.compile(r":[A-Za-z]+$")
# first bytes of files that are given in place of images or maps
_OTHERS = {
    b"\x1f\x8b": "compressed by gzip; decompress it by gunzip",
    b"BZh": "compressed by bzip2; decompress it by bunzip2",
    b"\xfd7zXZ": "compressed by xz; decompress it by unxz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; decompress it by unzstd",
    b"PK": "a zip archive; unpack it",
    b"\x89HDF": "an HDF5 file; convert it to MRC, for example by e2proc3d.py or e2proc2d.py",
    b"II*\0": "a TIFF file; convert it to MRC",
    b"MM\0*": "a TIFF file; convert it to MRC",
}


def plain_stack(name: str) -> str:
    """The file of a stack's name, without the format that RELION, Xmipp and Scipion may add: particles.mrc:mrcs."""
    return _HINT.sub("", name)


def open_image_file(path: str | Path, what: str) -> ImageLayout:
    """The layout of an MRC or Spider file, named with or without a format; what: the name of such a file in errors.

    Raises InputError if there is no file, FormatError if it is truncated, damaged, or of another format.
    """
    name = str(path)
    file = require_file(name if is_file(name) else plain_stack(name), what)
    size = file.stat().st_size
    with open(file, "rb") as opened:
        header = opened.read(HEADER_BYTES)
    if len(header) == HEADER_BYTES:
        # Spider first: read as whole numbers, its floats can be sizes of an MRC file, but not the reverse
        layout = spider_layout(file, header, size) or mrc_layout(file, header, size)
        if layout is not None:
            return _with_remark_on_length(layout, size)
    kind = next((kind for start, kind in _OTHERS.items() if header.startswith(start)), None)
    if kind is not None:
        raise FormatError(f"{what} '{file}' is {kind}")
    raise FormatError(
        f"{what} '{file}': unknown format; expected an MRC or Spider file, and its first {HEADER_BYTES} bytes are "
        "the header of neither"
    )


def _with_remark_on_length(layout: ImageLayout, size: int) -> ImageLayout:
    """The layout, with a remark if the file of `size` bytes is longer than it."""
    if size == layout.end:
        return layout
    more = f"the file is {size - layout.end} bytes longer than its header announces; they are not read"
    return replace(layout, remarks=(*layout.remarks, more))
