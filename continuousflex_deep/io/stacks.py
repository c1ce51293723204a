"""Image stacks and volumes: MRC (through mrcfile, memory mapped) and Spider stacks, read lazily by particle."""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import mrcfile
import numpy as np
from numpy.typing import ArrayLike, NDArray

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import require_file
from continuousflex_deep.particles import Particles
from continuousflex_deep.progress import progress_bar

Images = NDArray[np.float32]
_SPIDER = {".stk", ".spi", ".xmp", ".vol"}
_MRC = {".mrc", ".mrcs", ".map", ".st"}


@dataclass(frozen=True)
class StackInfo:
    """n square images of box_px pixels; pixel_size_A is None where the header does not say."""

    n: int
    box_px: int
    pixel_size_A: float | None


def stack_info(path: str | Path) -> StackInfo:
    """Header facts of a stack. InputError when missing, FormatError when truncated, not square or of unknown type."""
    data, pixel = _open_stack(str(path))
    if data.shape[1] != data.shape[2]:
        raise FormatError(f"'{path}': images are {data.shape[2]} × {data.shape[1]} px; expected square boxes")
    return StackInfo(n=data.shape[0], box_px=data.shape[1], pixel_size_A=pixel)


def check_images(particles: Particles) -> None:
    """Check, before long work, that every image the particles name exists and has their box and pixel size.

    Raises InputError; pixel sizes may differ by 1%, and a header may leave its own out.
    """
    for stack in sorted(set(particles.stacks)):
        info = stack_info(stack)
        if info.box_px != particles.box_px:
            raise InputError(
                f"'{stack}': images are {info.box_px} px, but other images of this set are {particles.box_px} px; "
                "rescale them"
            )
        pixel = info.pixel_size_A
        if pixel is not None and abs(pixel / particles.pixel_size_A - 1) > 0.01:
            raise InputError(
                f"'{stack}': contradictory pixel sizes: its header says {pixel:g} Å, the particles have "
                f"{particles.pixel_size_A:g} Å; correct the wrong one"
            )
        highest = int(particles.indices[particles.stacks == stack].max()) + 1
        if highest > info.n:
            raise InputError(
                f"'{stack}' has {info.n} images, but the particle file asks for image {highest}; stack and file do not "
                "belong together"
            )


def scan_images(particles: Particles, batch: int = 256) -> None:
    """Read every image once, before long work; InputError with a list of those that are constant or not finite."""
    bad = np.zeros(len(particles), dtype=bool)
    with progress_bar("checking images", len(particles)) as bar:
        for start in range(0, len(particles), batch):
            rows = np.arange(start, min(start + batch, len(particles)))
            bad[rows] = read_images_marking_bad(particles, rows)[1]
            bar.update(len(rows))
    if bad.any():
        raise _bad_images(particles.ids[bad])


def read_images(particles: Particles, rows: ArrayLike | None = None) -> Images:
    """Images (k, d, d) of some rows (all by default), in order. InputError for NaN, infinite or constant images."""
    images, bad = read_images_marking_bad(particles, rows)
    if bad.any():
        ids = particles.ids if rows is None else particles.ids[np.asarray(rows)]
        raise _bad_images(ids[bad])
    return images


def read_images_marking_bad(particles: Particles, rows: ArrayLike | None = None) -> tuple[Images, NDArray[np.bool_]]:
    """Images (k, d, d) and a mask (k,) of those that are constant or not finite, which come back as zeros."""
    chosen = np.arange(len(particles)) if rows is None else np.asarray(rows)
    out = np.empty((len(chosen), particles.box_px, particles.box_px), dtype=np.float32)
    stacks, indices = particles.stacks[chosen], particles.indices[chosen]
    for stack in set(stacks):
        here = np.flatnonzero(stacks == stack)
        data, _ = _open_stack(stack)
        if data.shape[1:] != out.shape[1:]:
            raise InputError(
                f"'{stack}': images are {data.shape[2]} × {data.shape[1]} px, expected {out.shape[2]} × {out.shape[1]} "
                "px"
            )
        if indices[here].max() >= len(data):
            raise InputError(f"'{stack}' has {len(data)} images, but image {indices[here].max() + 1} is asked for")
        out[here] = data[indices[here]]
    flat = out.reshape(len(out), -1)
    bad = ~np.isfinite(flat).all(axis=1)
    out[bad] = 0
    bad |= np.ptp(flat, axis=1) == 0
    return out, bad


def _bad_images(ids: NDArray[np.int64]) -> InputError:
    return InputError(
        f"{len(ids)} images are constant or not finite (NaN), for example of particles {ids[:5].tolist()}; "
        "remove them from the particle file"
    )


class StackWriter:
    """Write images to an .mrcs one batch after another; the file appears under its name only when all are written."""

    def __init__(self, path: str | Path, n: int, box_px: int, pixel_size_A: float) -> None:
        self.path, self._part = Path(path), Path(path).with_suffix(".part.mrcs")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._mrc = mrcfile.new_mmap(self._part, shape=(n, box_px, box_px), mrc_mode=2, overwrite=True)
        self._mrc.set_image_stack()
        self._mrc.voxel_size = (pixel_size_A, pixel_size_A, pixel_size_A)
        self._next = 0

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
                raise InputError(f"'{self.path}': {self._next} images were written, which is not the number announced")


def write_stack(path: str | Path, images: Images, pixel_size_A: float) -> None:
    """Write images (n, d, d) as an .mrcs stack."""
    with StackWriter(path, len(images), images.shape[1], pixel_size_A) as writer:
        writer.write(images)


def read_volume(path: str | Path) -> tuple[Images, float]:
    """A map (d, d, d) in zyx order and its voxel size in Å (0 where the header does not say)."""
    file = require_file(path, "map")
    with _open_mrc(file) as mrc:
        volume = np.array(mrc.data, dtype=np.float32)
        voxel = float(mrc.voxel_size.x)
    if volume.ndim != 3:
        raise FormatError(f"'{file}': got an array of shape {volume.shape}, expected a 3D map")
    return volume, voxel


def write_volume(path: str | Path, volume: Images, voxel_size_A: float) -> None:
    """Write a map (z, y, x) as .mrc with its voxel size."""
    part = Path(path).with_suffix(".part.mrc")
    part.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(part, overwrite=True) as mrc:
        mrc.set_data(np.asarray(volume, dtype=np.float32))
        mrc.voxel_size = voxel_size_A
    part.replace(path)


@lru_cache(maxsize=64)
def _open_stack(path: str) -> tuple[NDArray[np.float32], float | None]:
    file = require_file(path, "image stack")
    if file.suffix in _SPIDER:
        return _open_spider(file), None
    if file.suffix not in _MRC:
        raise FormatError(f"'{file}': unknown kind of image stack; expected one of {sorted(_MRC | _SPIDER)}")
    mrc = _open_mrc(file)
    if np.iscomplexobj(mrc.data):
        raise FormatError(f"'{file}' holds complex numbers (transforms); expected real images")
    data = mrc.data if mrc.data.ndim == 3 else mrc.data[np.newaxis]
    pixel = float(mrc.voxel_size.x)
    return data, pixel if pixel > 0 else None


def _open_mrc(file: Path) -> mrcfile.mrcmemmap.MrcMemmap:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of odd but harmless headers; a wrong size still raises
            return mrcfile.mmap(file, mode="r")
    except ValueError as error:
        raise FormatError(f"'{file}' is not a whole MRC file: {error}; copy or extract it again") from error


def _open_spider(file: Path) -> NDArray[np.float32]:
    """A Spider stack as a view (n, rows, columns) into the mapped file.

    Header words (4-byte floats, numbered from 1): 1 slices, 2 rows, 5 type, 12 columns, 22 header bytes, 24 stack flag,
    26 images in the stack (Spider image file format, spider.wadsworth.org/spider_doc/spider/docs/image_doc.html).
    """
    raw = np.memmap(file, dtype=np.uint8, mode="r")
    if len(raw) < 256 * 4:
        raise FormatError(f"'{file}' is too short for a Spider header ({len(raw)} bytes)")
    for order in "<>":
        head = np.frombuffer(raw[: 27 * 4].tobytes(), dtype=f"{order}f4")
        slices, rows, columns, header_bytes, stacked = head[0], head[1], head[11], int(head[21]), head[23] > 0
        if head[4] in (1.0, 3.0) and slices == 1 and rows >= 1 and columns >= 1 and header_bytes >= columns * 4:
            break
    else:
        raise FormatError(f"'{file}' is not a Spider image stack: its header is not one of a 2D image")
    rows, columns = int(rows), int(columns)
    n, start = (int(head[25]), header_bytes) if stacked else (1, 0)
    record = header_bytes + rows * columns * 4
    if len(raw) < start + n * record:
        raise FormatError(
            f"'{file}' is cut off: {n} images of {columns} × {rows} px need {start + n * record} bytes, it has "
            f"{len(raw)}"
        )
    records = raw[start : start + n * record].reshape(n, record)[:, header_bytes:]
    return records.view(f"{order}f4").reshape(n, rows, columns)
