"""Where the pixels of an image file are, and what its header says about them: one form for MRC and Spider files."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Floats

XYZ = "xyz"


class Contents(Enum):
    """What a header says that its file contains. CALLED_MAP: a map, but many programs call stacks of images so, too."""

    IMAGES = "images"
    MAP = "map"
    CALLED_MAP = "called map"
    UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class ImageLayout:
    """The sections of an image file: images of a stack, or slices of a map.

    shape: stored sections, rows and columns; start: byte of the first section; stride: bytes from one section to the
    next. axes: the axis (0 for x, 1 for y, 2 for z) along which columns, rows and sections lie. voxel_A (3,): size
    along x, y and z, 0 where the header does not contain it; angles_deg (3,): angles of the cell. origin_A, start_vox
    (3,): the two positions (xyz) of the first voxel that an MRC header can contain. remarks: what is unusual in the
    header, and how it is understood.
    """

    file: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    start: int
    stride: int
    axes: tuple[int, int, int]
    voxel_A: Floats
    angles_deg: Floats
    origin_A: Floats
    start_vox: Floats
    contents: Contents
    remarks: tuple[str, ...] = ()

    @property
    def section_bytes(self) -> int:
        """Bytes of the pixels of one section."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    @property
    def end(self) -> int:
        """Bytes of a complete file."""
        return self.start + (self.shape[0] - 1) * self.stride + self.section_bytes

    @property
    def axis_names(self) -> str:
        """Names of the axes along which columns, rows and sections lie, for example zyx."""
        return "".join(XYZ[axis] for axis in self.axes)
