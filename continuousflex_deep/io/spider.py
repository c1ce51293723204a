"""What the header of a Spider file means (Spider image file format, spider.wadsworth.org/spider_doc/spider/docs).

Header words are 4-byte floats, numbered from 1: 1 slices, 2 rows, 5 type, 12 columns, 22 header bytes, 24 stack flag,
26 images in the stack. The pixel size is not read: Spider and Xmipp keep different numbers in the same words.
"""

from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.image_layout import Contents, ImageLayout

HEADER_BYTES = 1024  # the least
_SLICES, _ROWS, _TYPE, _COLUMNS, _LENGTH, _STACKED, _COUNT = 0, 1, 4, 11, 21, 23, 25
_IMAGE, _VOLUME = 1, 3
_TRANSFORMS = (-1, -3, -7, -9, -11, -12, -21, -22)
_LONGEST = 65535  # of a side; longer ones are taken for another format


def spider_layout(file: Path, header: bytes, size: int) -> ImageLayout | None:
    """The layout of a Spider file of `size` bytes from its first 1024 bytes; None if it is no Spider file.

    Raises FormatError for Fourier transforms, stacks of volumes and truncated files.
    """
    with np.errstate(invalid="ignore"):  # NaN
        read = {order: np.frombuffer(header, dtype=f"{order}f4").astype(np.float64) for order in "<>"}
    order = next((order for order, words in read.items() if _plausible(words)), None)
    if order is None:
        return None
    words = read[order]
    if int(words[_TYPE]) in _TRANSFORMS:
        raise FormatError(f"'{file}' contains complex numbers (a Fourier transform); expected images or a map")
    slices, rows, columns = int(words[_SLICES]), int(words[_ROWS]), int(words[_COLUMNS])
    stacked, length = words[_STACKED] > 0, int(words[_LENGTH])
    if words[_STACKED] < 0:
        raise FormatError(f"'{file}' is an indexed Spider stack; copy it into a plain one (CP in Spider)")
    if stacked and slices > 1:
        raise FormatError(f"'{file}' is a Spider stack of volumes; write each volume into its own file")
    if stacked and not 1 <= words[_COUNT] < 2**31:
        raise FormatError(f"'{file}': the header of this stack announces {words[_COUNT]:g} images; write it again")
    pixels = rows * columns * 4
    layout = ImageLayout(
        file,
        shape=(int(words[_COUNT]) if stacked else slices, rows, columns),
        dtype=np.dtype(f"{order}f4"),
        start=2 * length if stacked else length,
        stride=length + pixels if stacked else pixels,
        axes=(0, 1, 2),
        voxel_A=np.zeros(3),
        angles_deg=np.full(3, 90.0),
        origin_A=np.zeros(3),
        start_vox=np.zeros(3),
        contents=Contents.MAP if slices > 1 else Contents.IMAGES,
    )
    if size < layout.end:
        n, what = layout.shape[0], "images" if stacked else "sections"
        raise FormatError(
            f"'{file}' is truncated: {n} {what} of {columns} × {rows} px need {layout.end} bytes, it has {size}; copy "
            "or extract it again"
        )
    return layout


def _plausible(words: Floats) -> bool:
    """Whether header words (256,) describe an image or a volume: whole numbers within their ranges."""
    sides, length = words[[_SLICES, _ROWS, _COLUMNS]], words[_LENGTH]
    if not (np.isfinite(sides).all() and np.isfinite(words[[_TYPE, _LENGTH]]).all()):
        return False
    whole = (sides == np.floor(sides)).all() and (sides >= 1).all() and (sides <= _LONGEST).all()
    known = words[_TYPE] in (_IMAGE, _VOLUME, *_TRANSFORMS)
    return bool(whole and known and length % 4 == 0 and HEADER_BYTES <= length <= HEADER_BYTES + 4 * _LONGEST)
