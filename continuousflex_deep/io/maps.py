"""Maps: read from MRC and Spider files, written as MRC."""

from pathlib import Path

import mrcfile
import numpy as np

from continuousflex_deep.arrays import Floats, Map
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.image_files import open_image_file
from continuousflex_deep.io.image_layout import Contents, ImageLayout
from continuousflex_deep.messages import note_once
from continuousflex_deep.sampling import same_pixel_size

_RIGHT_ANGLE_DEG, _SKEW_DEG = 90.0, 0.1
_RESAMPLE = "resample it to cubic voxels (for example by `volume resample` of ChimeraX)"


def read_volume(path: str | Path) -> tuple[Map, float]:
    """A map (d, d, d) in zyx order and its voxel size in Å (0 if the header does not contain it).

    Notes tell what is unusual in the header. Raises InputError if there is no file; FormatError if it is no map, or
    its voxels are not cubic.
    """
    layout = _open_map(path)
    voxel_A = _cubic_voxel_A(layout)
    if voxel_A is None:
        raise FormatError(
            f"map '{layout.file}': its voxels are not cubic: {_shown(layout.voxel_A)} Å along x, y and z; {_RESAMPLE}, "
            "or correct the cell in its header"
        )
    return _read(layout), voxel_A


def read_map(path: str | Path, voxel_size_A: float = 0.0) -> tuple[Map, float]:
    """A map (d, d, d) of finite voxels, and their size in Å: the given size, or the header's if that is 0.

    A note tells where both differ. Raises InputError if voxels are not finite, or their size is unknown.
    """
    layout = _open_map(path)
    header_A = _cubic_voxel_A(layout)
    if header_A is None and voxel_size_A <= 0:
        raise FormatError(
            f"map '{layout.file}': its voxels are not cubic: {_shown(layout.voxel_A)} Å along x, y and z; {_RESAMPLE}; "
            "if only the header is wrong, give the voxel size by --voxel-size-A"
        )
    voxel_A = voxel_size_A if voxel_size_A > 0 else header_A
    if not voxel_A:
        raise InputError(f"map '{path}': its header has no voxel size; give it by --voxel-size-A")
    if voxel_size_A > 0 and header_A != 0 and (header_A is None or not same_pixel_size(voxel_size_A, header_A)):
        note_once(
            f"map '{path}': voxels of {_shown(layout.voxel_A)} Å in its header, {voxel_size_A:g} Å are used as given"
        )
    volume = _read(layout)
    if not np.isfinite(volume).all():
        count = int((~np.isfinite(volume)).sum())
        raise InputError(f"map '{path}': {count} voxels are not finite; compute the map again")
    return volume, voxel_A


def require_cubic(volume: Map, what: str) -> None:
    """InputError if a map is not cubic; what: the map's name in the error."""
    if len(set(volume.shape)) != 1:
        raise InputError(f"{what}: got a map of shape {volume.shape}, expected a cubic one; pad it to a cube")


def volume_origin_A(path: str | Path, voxel_size_A: float) -> Floats:
    """Position (xyz) in Å of a map's first voxel, from its header: the origin, or if that is 0 the start.

    A note tells if both are there and differ.
    """
    layout = _open_map(path)
    start_A = layout.start_vox * voxel_size_A
    if not layout.origin_A.any():
        return start_A
    if start_A.any() and np.abs(start_A - layout.origin_A).max() > voxel_size_A / 2:
        note_once(
            f"map '{path}': its header has two positions of the first voxel: the origin "
            f"({_shown(layout.origin_A, ', ')}) Å, which is used, and the start ({_shown(start_A, ', ')}) Å"
        )
    return layout.origin_A


def write_volume(
    path: str | Path, volume: Map, voxel_size_A: float, origin_A: Floats | None = None
) -> None:
    """Write a map (z, y, x) as .mrc with its voxel size and, if given, the position (xyz) of its first voxel."""
    with atomic_path(path) as temporary, mrcfile.new(temporary, overwrite=True) as mrc:
        mrc.set_data(np.asarray(volume, dtype=np.float32))
        mrc.voxel_size = voxel_size_A
        if origin_A is not None:
            mrc.header.origin = tuple(origin_A)


def _open_map(path: str | Path) -> ImageLayout:
    """The layout of a map's file; notes tell what is unusual in it. FormatError if it is no map."""
    layout = open_image_file(path, "map")
    sections, rows, columns = layout.shape
    if sections == 1:
        raise FormatError(f"map '{layout.file}' is a single image of {columns} × {rows} px; expected a 3D map")
    if layout.contents is Contents.IMAGES or layout.file.suffix.lower() == ".mrcs":
        raise FormatError(
            f"map '{layout.file}' is a stack of {sections} images of {columns} × {rows} px; expected a 3D map (if it "
            "is one, write it as .mrc with space group 1)"
        )
    skew_deg = [angle for angle in layout.angles_deg if angle != 0 and not abs(angle - _RIGHT_ANGLE_DEG) <= _SKEW_DEG]
    if skew_deg:
        raise FormatError(
            f"map '{layout.file}': the angles of its cell are {_shown(layout.angles_deg, ', ')}°, expected 90°; "
            "resample it to a rectangular grid"
        )
    for remark in layout.remarks:
        note_once(f"map '{path}': {remark}")
    if layout.axes != (0, 1, 2):
        note_once(f"map '{path}': its axes are stored in the order {layout.axis_names} and are read as xyz")
    return layout


def _read(layout: ImageLayout) -> Map:
    """The voxels (z, y, x)."""
    count = int(np.prod(layout.shape))
    stored = np.fromfile(layout.file, dtype=layout.dtype, count=count, offset=layout.start)
    if len(stored) < count:
        raise InputError(f"map '{layout.file}': only {len(stored)} of {count} voxels can be read; copy the file again")
    from_slow_to_fast = layout.axes[::-1]
    order = [from_slow_to_fast.index(axis) for axis in (2, 1, 0)]
    with np.errstate(invalid="ignore"):  # NaN, on which callers decide
        return np.ascontiguousarray(stored.reshape(layout.shape).transpose(order), dtype=np.float32)


def _cubic_voxel_A(layout: ImageLayout) -> float | None:
    """The size of cubic voxels, 0 if it is unknown; None if they are not cubic."""
    known = layout.voxel_A[layout.voxel_A > 0]
    if len(known) == 0:
        return 0.0
    return float(known[0]) if same_pixel_size(known.min(), known.max()) else None


def _shown(values: Floats, between: str = " × ") -> str:
    return between.join(f"{value:.5g}" for value in values)
