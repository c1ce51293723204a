"""Image stacks and maps: MRC (by mrcfile) and Spider stacks, of which only the requested images are read."""

import errno
import os
import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import mrcfile
import numpy as np
from numpy.typing import ArrayLike, NDArray

from continuousflex_deep.arrays import Floats, Images, Integers, Map
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import disk_full_explained, require_file
from continuousflex_deep.particles import Particles
from continuousflex_deep.sampling import same_pixel_size

_SPIDER = {".stk", ".spi", ".xmp", ".vol"}
_MRC = {".mrc", ".mrcs", ".map", ".st"}
_HINT = re.compile(r":[A-Za-z]+$")


@dataclass(frozen=True)
class StackInfo:
    """n square images of box_px pixels; pixel_size_A is None if the header does not contain it."""

    n: int
    box_px: int
    pixel_size_A: float | None


@dataclass(frozen=True)
class _Stack:
    """Layout of n images (rows, columns) in a file: the first at byte `start`, the next ones every `stride` bytes."""

    file: Path
    n: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    start: int
    stride: int
    pixel_size_A: float | None

    def read(self, indices: Integers) -> tuple[Images, NDArray[np.object_]]:
        """Images (k, rows, columns), and (k,) why each cannot be read, or ''. Unreadable images are zeros.

        Reading, unlike mapping the file into memory, survives a failing disk. InputError if the whole file is
        affected: it was removed, is not reachable, or is truncated.
        """
        images = np.zeros((len(indices), *self.shape), dtype=np.float32)
        reasons = np.full(len(indices), "", dtype=object)
        count = self.shape[0] * self.shape[1] * self.dtype.itemsize
        with open(self.file, "rb", buffering=0) as file:
            for i, index in enumerate(indices):
                try:
                    raw = os.pread(file.fileno(), count, self.start + int(index) * self.stride)
                except OSError as error:
                    reasons[i] = _damage(self.file, error)
                    continue
                if len(raw) < count:
                    raise InputError(
                        f"'{self.file}' is shorter than when the run began: image {int(index) + 1} is truncated; copy "
                        "or extract it again"
                    )
                images[i] = np.frombuffer(raw, dtype=self.dtype).reshape(self.shape)
        return images, reasons


def plain_stack(name: str) -> str:
    """The file of a stack's name, without the format that RELION, Xmipp and Scipion may add: particles.mrc:mrcs."""
    return _HINT.sub("", name)


def stack_info(path: str | Path) -> StackInfo:
    """Properties of a stack from its header. InputError if it is missing, FormatError if it is truncated, not square or
    of unknown type."""
    stack = _open_stack(str(path))
    rows, columns = stack.shape
    if rows != columns:
        raise FormatError(f"'{path}': images are {columns} × {rows} px; expected square boxes")
    return StackInfo(n=stack.n, box_px=rows, pixel_size_A=stack.pixel_size_A)


def check_images(particles: Particles) -> None:
    """Check, before long work, that every image of the particles exists and has their box and pixel size.

    Raises InputError if one does not; headers without a pixel size are accepted.
    """
    names, of_particle = np.unique(particles.stacks.astype(str), return_inverse=True)
    counts = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(counts, of_particle, particles.indices + 1)
    for stack, highest in zip(names.tolist(), counts.tolist(), strict=True):
        info = stack_info(stack)
        if info.box_px != particles.box_px:
            raise InputError(
                f"'{stack}': images have {info.box_px} px, but other images of this set have {particles.box_px} px; "
                "rescale them"
            )
        pixel = info.pixel_size_A
        if pixel is not None and not same_pixel_size(pixel, particles.pixel_size_A):
            raise InputError(
                f"'{stack}': contradictory pixel sizes: {pixel:g} Å in its header, {particles.pixel_size_A:g} Å in the "
                "particle file; correct the wrong one"
            )
        if highest > info.n:
            raise InputError(
                f"'{stack}' has {info.n} images, but the particle file refers to image {highest}; stack and file do "
                "not belong together"
            )


def require_usable_images(ids: Integers, reasons: NDArray[np.object_]) -> None:
    """InputError with the particles (ids (n,)) whose images are not usable: reasons (n,) that are not ''."""
    bad = np.flatnonzero(reasons != "")
    if len(bad):
        listed = ", ".join(f"{ids[row]} ({reasons[row]})" for row in bad[:5])
        raise InputError(
            f"{len(bad)} of {len(ids)} images cannot be used, for example of particles {listed}; remove them "
            "from the particle file"
        )


def read_images(particles: Particles, rows: ArrayLike | None = None) -> Images:
    """Images (k, d, d) of some rows (default: all), in order. InputError for NaN, infinite or constant images."""
    images, reasons = read_images_with_reasons(particles, rows)
    require_usable_images(particles.ids if rows is None else particles.ids[np.asarray(rows)], reasons)
    return images


def read_images_with_reasons(particles: Particles, rows: ArrayLike | None = None) -> tuple[Images, NDArray[np.object_]]:
    """Images (k, d, d) and (k,) why each cannot be used: constant, not finite, or unreadable, else ''.

    Images that are not finite or unreadable are zeros. Raises InputError if a stack has fewer images than the particles
    refer to, or is not reachable.
    """
    chosen = np.arange(len(particles)) if rows is None else np.asarray(rows)
    out = np.zeros((len(chosen), particles.box_px, particles.box_px), dtype=np.float32)
    reasons = np.full(len(chosen), "", dtype=object)
    stacks, indices = particles.stacks[chosen], particles.indices[chosen]
    for name in set(stacks):
        here = np.flatnonzero(stacks == name)
        try:
            stack = _open_stack(name)
            _require_images(stack, particles.box_px, int(indices[here].max()))
            out[here], reasons[here] = stack.read(indices[here])
        except OSError as error:
            reasons[here] = _damage(name, error)
    lowest, highest = out.min(axis=(1, 2)), out.max(axis=(1, 2))  # NaN where there is one
    finite = np.isfinite(lowest) & np.isfinite(highest)
    out[~finite] = 0
    reasons[(lowest == highest) & (reasons == "")] = "constant"
    reasons[~finite] = "not finite (NaN or infinite)"
    return out, reasons


def _damage(file: str | Path, error: OSError) -> str:
    """Why an image cannot be read from a failing disk. InputError if the file is not reachable: particles must not be
    excluded because a network file system is temporarily unavailable."""
    if error.errno == errno.EIO:
        return f"cannot be read: {error.strerror}"
    raise InputError(
        f"'{file}' cannot be read: {error.strerror}; make it available and run the same command again, finished work "
        "is kept"
    ) from error


def _require_images(stack: _Stack, box_px: int, highest: int) -> None:
    if stack.shape != (box_px, box_px):
        raise InputError(
            f"'{stack.file}': images are {stack.shape[1]} × {stack.shape[0]} px, expected {box_px} × {box_px} px"
        )
    if highest >= stack.n:
        raise InputError(f"'{stack.file}' has {stack.n} images, but image {highest + 1} is requested")


class StackWriter:
    """Write images to an .mrcs file batch by batch; the file gets its name only when all images are written."""

    def __init__(self, path: str | Path, n: int, box_px: int, pixel_size_A: float) -> None:
        self.path, self._part = Path(path), Path(path).with_suffix(".part.mrcs")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._mrc = mrcfile.new_mmap(self._part, shape=(n, box_px, box_px), mrc_mode=2, overwrite=True)
        self._mrc.set_image_stack()
        self._mrc.voxel_size = (pixel_size_A, pixel_size_A, pixel_size_A)
        self._count, self._next = n, 0
        self._take_space()

    def _take_space(self) -> None:
        """Reserve the disk space of the file: on a full disk, writing to a mapped file would kill the process later."""
        try:
            with disk_full_explained(self.path), open(self._part, "rb+") as file:
                os.posix_fallocate(file.fileno(), 0, self._part.stat().st_size)
        except BaseException:
            self._mrc.close()
            self._part.unlink(missing_ok=True)
            raise

    def write(self, images: Images) -> None:
        """Append images (k, d, d)."""
        self._mrc.data[self._next : self._next + len(images)] = images
        self._next += len(images)

    def __enter__(self) -> "StackWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        complete = kind is None and self._next == len(self._mrc.data)
        self._mrc.close()
        if complete:
            self._part.replace(self.path)
            _open_stack.cache_clear()
        else:
            self._part.unlink(missing_ok=True)
            if kind is None:
                raise InputError(f"'{self.path}': {self._next} images were written, expected {self._count}")


def write_stack(path: str | Path, images: Images, pixel_size_A: float) -> None:
    """Write images (n, d, d) as an .mrcs stack."""
    with StackWriter(path, len(images), images.shape[1], pixel_size_A) as writer:
        writer.write(images)


def read_volume(path: str | Path) -> tuple[Map, float]:
    """A map (d, d, d) in zyx order and its voxel size in Å (0 if the header does not contain it)."""
    file = require_file(path, "map")
    with _open_mrc(file) as mrc:
        volume = np.array(mrc.data, dtype=np.float32)
        voxel = float(mrc.voxel_size.x)
    if volume.ndim != 3:
        raise FormatError(f"'{file}': got an array of shape {volume.shape}, expected a 3D map")
    return volume, voxel


def read_map(path: str | Path, voxel_size_A: float = 0.0) -> tuple[Map, float]:
    """A map (d, d, d) of finite voxels, and their size in Å: the given size, or the header's if that is 0.

    Raises InputError if voxels are not finite, or their size is unknown.
    """
    volume, header_A = read_volume(path)
    if not np.isfinite(volume).all():
        count = int((~np.isfinite(volume)).sum())
        raise InputError(f"map '{path}': {count} voxels are not finite; compute the map again")
    voxel_A = voxel_size_A or header_A
    if voxel_A <= 0:
        raise InputError(f"map '{path}': its header has no voxel size; give it by --voxel-size-A")
    return volume, voxel_A


def require_cubic(volume: Map, what: str) -> None:
    """InputError if a map is not cubic; what: the map's name in the error."""
    if len(set(volume.shape)) != 1:
        raise InputError(f"{what}: got a map of shape {volume.shape}, expected a cubic one; pad it to a cube")


def volume_origin_A(path: str | Path, voxel_size_A: float) -> Floats:
    """Position (xyz) in Å of an MRC map's first voxel, from its header: the origin, or if that is 0 the start."""
    with _open_mrc(require_file(path, "map")) as mrc:
        origin = np.array([mrc.header.origin[axis] for axis in "xyz"], dtype=np.float64)
        start = np.array([mrc.header[f"n{axis}start"] for axis in "xyz"], dtype=np.float64)
    return origin if origin.any() else start * voxel_size_A


def write_volume(
    path: str | Path, volume: Map, voxel_size_A: float, origin_A: Floats | None = None
) -> None:
    """Write a map (z, y, x) as .mrc with its voxel size and, if given, the position (xyz) of its first voxel."""
    part = Path(path).with_suffix(".part.mrc")
    part.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(part, overwrite=True) as mrc:
        mrc.set_data(np.asarray(volume, dtype=np.float32))
        mrc.voxel_size = voxel_size_A
        if origin_A is not None:
            mrc.header.origin = tuple(origin_A)
    part.replace(path)


@lru_cache(maxsize=4096)
def _open_stack(path: str) -> _Stack:
    file = require_file(path, "image stack")
    if file.suffix in _SPIDER:
        return _open_spider(file)
    if file.suffix not in _MRC:
        raise FormatError(f"'{file}': unknown format of image stack; expected one of {sorted(_MRC | _SPIDER)}")
    with _open_mrc(file) as mrc:
        if np.iscomplexobj(mrc.data):
            raise FormatError(f"'{file}' contains complex numbers (Fourier transforms); expected real images")
        rows, columns = mrc.data.shape[-2:]
        n = mrc.data.shape[0] if mrc.data.ndim == 3 else 1
        start, dtype, pixel = int(mrc.data.offset), mrc.data.dtype, float(mrc.voxel_size.x)
    stride = rows * columns * dtype.itemsize
    return _Stack(file, n, (rows, columns), dtype, start, stride, pixel if pixel > 0 else None)


def _open_mrc(file: Path) -> mrcfile.mrcmemmap.MrcMemmap:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # unusual but harmless headers; a wrong size still raises
            return mrcfile.mmap(file, mode="r")
    except ValueError as error:
        raise FormatError(f"'{file}' is not a complete MRC file: {error}; copy or extract it again") from error


def _open_spider(file: Path) -> _Stack:
    """The images of a Spider stack.

    Header words (4-byte floats, numbered from 1): 1 slices, 2 rows, 5 type, 12 columns, 22 header bytes, 24 stack flag,
    26 images in the stack (Spider image file format, spider.wadsworth.org/spider_doc/spider/docs/image_doc.html).
    """
    size = file.stat().st_size
    if size < 256 * 4:
        raise FormatError(f"'{file}' is too short for a Spider header ({size} bytes)")
    with open(file, "rb") as opened:
        header = opened.read(27 * 4)
    for order in "<>":
        head = np.frombuffer(header, dtype=f"{order}f4")
        slices, rows, columns, header_bytes, stacked = head[0], head[1], head[11], int(head[21]), head[23] > 0
        if head[4] in (1.0, 3.0) and slices == 1 and rows >= 1 and columns >= 1 and header_bytes >= columns * 4:
            break
    else:
        raise FormatError(f"'{file}' is not a Spider image stack: its header does not describe a 2D image")
    rows, columns = int(rows), int(columns)
    n, start = (int(head[25]), header_bytes) if stacked else (1, 0)
    record = header_bytes + rows * columns * 4
    if size < start + n * record:
        raise FormatError(
            f"'{file}' is truncated: {n} images of {columns} × {rows} px need {start + n * record} bytes, it has {size}"
        )
    return _Stack(file, n, (rows, columns), np.dtype(f"{order}f4"), start + header_bytes, record, None)
