"""Image names in particle files, such as 000012@folder/stack.mrcs, and the stacks and positions that they denote."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Column, Integers, as_column
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import is_file
from continuousflex_deep.io.image_files import plain_stack
from continuousflex_deep.particles import Particles

_MOST_DIGITS = 19  # of a number that an index can hold
CALLED_MAPS = {".mrc", ".map", ".st"}  # suffixes of MRC files that RELION and Scipion read as maps


@dataclass(frozen=True, eq=False)
class ImageNames:
    """Names (n,) of images, with the absolute paths of their stacks and their zero-based indices in these (n,).

    files (n,): the stacks as the names have them, without a format such as :mrcs.
    """

    names: Column
    files: Column
    stacks: NDArray[np.object_]
    indices: Integers

    def places(self) -> Integers:
        """(n,) number of each row's image, from 0 in their order; rows of one image have one number."""
        number: dict[tuple[str, int], int] = {}
        images = zip(self.stacks.tolist(), self.indices.tolist(), strict=True)
        return np.array([number.setdefault(image, len(number)) for image in images], dtype=np.int64)

    def ids(self) -> Integers:
        """Ids (n,) for particles that have none: positions in the stack if there is only one, else hashes of the names,
        which are the same in every file."""
        if len(set(self.stacks)) == 1:
            return self.indices + 1
        # in RELION's form, however the file writes them: 1@s.mrcs, 000001@s.mrcs:mrcs
        names = (f"{i + 1:06d}@{stack}" for i, stack in zip(self.indices.tolist(), self.files.tolist(), strict=True))
        digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
        return (np.frombuffer(digests, dtype=">u8") >> np.uint64(2)).astype(np.int64)


def resolve_stack(file: Path, stack: str) -> str:
    """Absolute path of a stack named in a particle file, relative to the file's folder or to a folder above it."""
    candidate = Path(stack)
    if candidate.is_absolute():
        return str(candidate)
    folder = Path(os.path.abspath(file)).parent
    for base in (folder, *folder.parents):
        if is_file(base / candidate):
            return str(base / candidate)
    return str(folder / candidate)  # the error comes when the image is read


def locate_images(path: Path, names: Column) -> ImageNames:
    """The images of names (n,) in the particle file `path`. FormatError if there are none, or one is malformed."""
    if len(names) == 0:
        raise FormatError(f"'{path}' has no particles: its table is empty")
    indices = np.zeros(len(names), dtype=np.int64)
    files, stacks = [""] * len(names), [""] * len(names)
    known: dict[str, tuple[str, str]] = {}
    for row, name in enumerate(names):
        index, stack = _parsed(name)
        if index < 0 or not stack:
            raise FormatError(
                f"'{path}', row {row + 1}: image name '{name}'; expected NUMBER@STACK with a number from 1"
            )
        indices[row] = index
        if stack not in known:
            known[stack] = plain_stack(stack), resolve_stack(path, plain_stack(stack))
        files[row], stacks[row] = known[stack]
    return ImageNames(names, as_column(files), as_column(stacks), indices)


def require_one_row_per_image(path: Path, images: ImageNames) -> None:
    """InputError where several rows of the particle file `path` are of one image, as after a symmetry expansion: copies
    of a particle would stand on both sides of a half set or a validation."""
    places = images.places()
    counts = np.bincount(places)
    if counts.max() == 1:
        return
    same = np.flatnonzero(places == int(counts.argmax()))
    raise InputError(
        f"'{path}': rows {', '.join(str(row + 1) for row in same[:4])} are all of the image "
        f"'{images.names[same[0]]}', and so for {int((counts > 1).sum())} of {len(counts)} images, as after a symmetry "
        "expansion; use the particles before the expansion, each image in one row. Poses of symmetric particles are "
        "compared by --symmetry"
    )


def _parsed(name: str) -> tuple[int, str]:
    """The zero-based index in its stack, and the stack; index -1 if the name is malformed.

    The first @ divides them: names of folders may have others, as in 000001@user@host/stack.mrcs.
    """
    number, at, stack = name.partition("@")
    if number.isascii() and number.isdecimal() and at:
        return (int(number) - 1 if len(number) < _MOST_DIGITS else -1), stack
    return (0 if "/" in number or not at else -1), name


def written_names(p: Particles, path: Path) -> Column:
    """Image names for a file at `path`: relative for stacks below its folder, else absolute.

    RELION reads an MRC file as a stack of images only if its suffix is .mrcs, or if :mrcs follows its name.
    """
    folder = Path(os.path.abspath(path)).parent
    called_map = {s: Path(s).suffix.lower() in CALLED_MAPS for s in set(p.stacks)}
    shown = {s: _relative(Path(s), folder) + ":mrcs" * is_map for s, is_map in called_map.items()}
    names = np.empty(len(p), dtype=object)
    names[:] = [f"{i + 1:06d}@{shown[s]}" for i, s in zip(p.indices, p.stacks, strict=True)]
    return names


def _relative(stack: Path, folder: Path) -> str:
    absolute = Path(os.path.abspath(stack))
    return str(absolute.relative_to(folder)) if absolute.is_relative_to(folder) else str(absolute)
