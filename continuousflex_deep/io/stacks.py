"""Image stacks: of MRC and Spider files, only the requested images are read."""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import mrcfile
import numpy as np
from numpy.typing import ArrayLike, NDArray

from continuousflex_deep.arrays import Images, Integers
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import atomic_path, is_file
from continuousflex_deep.io.image_files import open_image_file
from continuousflex_deep.io.image_layout import Contents, ImageLayout
from continuousflex_deep.messages import note_once
from continuousflex_deep.particles import Particles
from continuousflex_deep.sampling import same_pixel_size

_PLAIN_NUMBERS = ("float32", "int16", "uint16")
_NUMBERS = re.compile(r"[-\d.]+")


@dataclass(frozen=True)
class StackInfo:
    """n square images of box_px pixels; pixel_size_A is None if the header does not contain it.

    is_map: the header says that the file is a cubic map. Many programs write stacks of images so, too. remarks: what is
    unusual in the header, and how it is understood. is_plain: other programs find the same images in the file.
    """

    n: int
    box_px: int
    pixel_size_A: float | None
    is_map: bool = False
    remarks: tuple[str, ...] = ()
    is_plain: bool = True


def stack_info(path: str | Path) -> StackInfo:
    """Properties of a stack from its header. InputError if it is missing, FormatError if it is truncated, not square or
    of unknown type."""
    layout = _open_stack(str(path))
    columns, rows = _image_size(layout)
    if rows != columns:
        raise FormatError(f"'{path}': images are {columns} × {rows} px; expected square boxes")
    cube = len(set(layout.shape)) == 1 and layout.file.suffix.lower() != ".mrcs"
    return StackInfo(
        n=layout.shape[0],
        box_px=rows,
        pixel_size_A=_pixel_size_A(layout),
        is_map=cube and layout.contents is Contents.CALLED_MAP,
        remarks=layout.remarks,
        is_plain=not layout.remarks and layout.axes == (0, 1, 2) and layout.dtype.name in _PLAIN_NUMBERS,
    )


def n_sections(path: str | Path) -> int:
    """Images of a stack, or sections of a volume, from its header; 0 if there is no such file."""
    return _open_stack(str(path)).shape[0] if is_file(path) else 0


def check_images(particles: Particles) -> None:
    """Check, before long work, that every image of the particles exists and has their box.

    Raises InputError if one does not. Notes tell of headers with another pixel size than the particles, which are
    right, and of unusual headers.
    """
    names, of_particle = np.unique(particles.stacks.astype(str), return_inverse=True)
    counts = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(counts, of_particle, particles.indices + 1)
    stacks = {name: stack_info(name) for name in names.tolist()}
    for (stack, info), highest in zip(stacks.items(), counts.tolist(), strict=True):
        if info.box_px != particles.box_px:
            raise InputError(
                f"'{stack}': images have {info.box_px} px, but other images of this set have {particles.box_px} px; "
                "rescale them"
            )
        if highest > info.n:
            raise InputError(
                f"'{stack}' has {info.n} images, but the particle file refers to image {highest}; stack and file do "
                "not belong together"
            )
    if all(info.is_map for info in stacks.values()) and (counts == 1).all():
        raise InputError(
            f"'{names[0]}' is a map of {particles.box_px} voxels a side; expected two-dimensional images: subtomograms "
            "and other volumes cannot be analysed"
        )
    called_maps = [stack for stack, info in stacks.items() if info.is_map]
    if called_maps:
        note_once(
            f"{_counted(called_maps, stacks)}: the header says that it is a map; its sections are read as images"
        )
    _note_pixel_sizes(stacks, particles.pixel_size_A)
    _note_remarks(stacks)


def _note_pixel_sizes(stacks: dict[str, StackInfo], pixel_size_A: float) -> None:
    """One note on all headers with another pixel size than the particles."""
    sizes_A = {stack: info.pixel_size_A for stack, info in stacks.items()}
    other = [stack for stack, size in sizes_A.items() if size is not None and not same_pixel_size(size, pixel_size_A)]
    if other:
        note_once(
            f"{_counted(other, stacks)}: the pixel size in the header is {sizes_A[other[0]]:g} Å; the particle file's "
            f"{pixel_size_A:g} Å are used"
        )


def _note_remarks(stacks: dict[str, StackInfo]) -> None:
    """One note on all headers that are unusual in the same way."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for stack, info in stacks.items():
        for remark in info.remarks:
            alike.setdefault(_NUMBERS.sub("", remark), []).append((stack, remark))
    for found in alike.values():
        note_once(f"{_counted([stack for stack, _ in found], stacks)}: {found[0][1]}")


def _counted(found: Sequence[str], stacks: dict[str, StackInfo]) -> str:
    if len(stacks) == 1:
        return f"image stack '{found[0]}'"
    return f"{len(found)} of {len(stacks)} image stacks, for example '{found[0]}'"


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
            layout = _open_stack(name)
            _require_images(layout, particles.box_px, int(indices[here].max()))
            out[here], reasons[here] = _read_sections(layout, indices[here])
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


def _require_images(layout: ImageLayout, box_px: int, highest: int) -> None:
    columns, rows = _image_size(layout)
    if (columns, rows) != (box_px, box_px):
        raise InputError(f"'{layout.file}': images are {columns} × {rows} px, expected {box_px} × {box_px} px")
    if highest >= layout.shape[0]:
        raise InputError(f"'{layout.file}' has {layout.shape[0]} images, but image {highest + 1} is requested")


def _read_sections(layout: ImageLayout, indices: Integers) -> tuple[Images, NDArray[np.object_]]:
    """Images (k, y, x), and (k,) why each cannot be read, or ''. Unreadable images are zeros.

    Reading, unlike mapping the file into memory, survives a failing disk. InputError if the whole file is affected: it
    was removed, is not reachable, or is truncated.
    """
    columns, rows = _image_size(layout)
    images = np.zeros((len(indices), rows, columns), dtype=np.float32)
    reasons = np.full(len(indices), "", dtype=object)
    with open(layout.file, "rb", buffering=0) as file:
        for i, index in enumerate(indices):
            try:
                raw = os.pread(file.fileno(), layout.section_bytes, layout.start + int(index) * layout.stride)
            except OSError as error:
                reasons[i] = _damage(layout.file, error)
                continue
            if len(raw) < layout.section_bytes:
                raise InputError(
                    f"'{layout.file}' is shorter than when the run began: image {int(index) + 1} is truncated; copy "
                    "or extract it again"
                )
            stored = np.frombuffer(raw, dtype=layout.dtype).reshape(layout.shape[1:])
            with np.errstate(invalid="ignore"):  # NaN; who uses the image is told by its reason
                images[i] = stored.T if layout.axes[0] == 1 else stored
    return images, reasons


class StackWriter:
    """Appends images to a stack; see `stack_writer`."""

    def __init__(self, images: Images) -> None:
        self._images, self.written = images, 0

    def write(self, images: Images) -> None:
        """Append images (k, d, d)."""
        self._images[self.written : self.written + len(images)] = images
        self.written += len(images)


@contextmanager
def stack_writer(path: str | Path, n: int, box_px: int, pixel_size_A: float) -> Iterator[StackWriter]:
    """Write n images to an .mrcs file batch by batch; the file gets its name only when all images are written.

    Raises InputError if fewer are written, and DiskFullError before the first if there is no space for all.
    """
    with atomic_path(path) as temporary:
        with mrcfile.new_mmap(temporary, shape=(n, box_px, box_px), mrc_mode=2, overwrite=True) as mrc:
            mrc.set_image_stack()
            mrc.voxel_size = (pixel_size_A, pixel_size_A, pixel_size_A)
            _take_space(temporary)
            writer = StackWriter(mrc.data)
            yield writer
        if writer.written != n:
            raise InputError(f"'{path}': {writer.written} images were written, expected {n}")
    _open_stack.cache_clear()


def _take_space(path: Path) -> None:
    """Reserve the disk space of a file: on a full disk, writing to a mapped file would kill the process later."""
    with open(path, "rb+") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def write_stack(path: str | Path, images: Images, pixel_size_A: float) -> None:
    """Write images (n, d, d) as an .mrcs stack."""
    with stack_writer(path, len(images), images.shape[1], pixel_size_A) as writer:
        writer.write(images)


@lru_cache(maxsize=4096)
def _open_stack(path: str) -> ImageLayout:
    """The layout of a stack. Raises InputError if it is missing; FormatError for maps, axes other than x and y within
    the images, and pixels that are not square."""
    layout = open_image_file(path, "image stack")
    if layout.axes[2] != 2:
        raise FormatError(
            f"'{path}': sections lie along {layout.axis_names[2]} (axes {layout.axis_names}); expected images in the "
            "plane of x and y: correct the words MAPC, MAPR and MAPS of its header"
        )
    if layout.contents is Contents.MAP:
        sections, rows, columns = layout.shape
        raise FormatError(f"'{path}' is a map of {sections} sections of {columns} × {rows} voxels; expected images")
    x_A, y_A = layout.voxel_A[:2]
    if x_A > 0 and y_A > 0 and not same_pixel_size(x_A, y_A):
        raise FormatError(f"'{path}': pixels are {x_A:g} × {y_A:g} Å in its header; expected square ones: resample it")
    return layout


def _image_size(layout: ImageLayout) -> tuple[int, int]:
    """Width and height of the images in pixels."""
    _, rows, columns = layout.shape
    return (columns, rows) if layout.axes[0] == 0 else (rows, columns)


def _pixel_size_A(layout: ImageLayout) -> float | None:
    return float(layout.voxel_A[:2].max()) or None
