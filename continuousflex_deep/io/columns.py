"""Columns of particle tables as arrays, and arrays as columns of text."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Column, Floats, Integers, Table, as_column
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.ctf_units import check_units
from continuousflex_deep.io.image_names import ImageNames, locate_images, require_one_row_per_image
from continuousflex_deep.io.meanings import MISSING, TRUTHS
from continuousflex_deep.io.stacks import n_sections
from continuousflex_deep.messages import note_once
from continuousflex_deep.particles import MOTIONS, STRAIGHT, Ctf, Particles
from continuousflex_deep.sampling import same_pixel_size

# Columns of this program, in all file formats; as attributes of Scipion's particles they begin with an underscore.
# Column of numbers -> field of Particles:
NUMBERS = {"cfdAngleSd": "angle_sd_deg", "cfdShiftSd": "shift_sd_A"}
AMBIGUOUS, CRYOSPARC_UID = "cfdAmbiguous", "cfdCryosparcUid"
AMPLITUDES_SD = "cfdAmplitudesSd"  # one vector; RELION's files have a column per mode
# column of a vector -> field of Particles
VECTORS = {
    AMPLITUDES_SD: "amplitudes_sd", "cfdAmplitudesFree": "free_amplitudes", "cfdAmplitudesFreeSd": "free_amplitudes_sd",
}  # fmt: skip
MOTION = "cfdMotion"  # that the amplitudes are of, unless straight
# file column -> (Ctf field, default when the file leaves it out)
CtfColumns = Mapping[str, tuple[str, float | None]]
_MOST_OPENED = 100  # files of single images that are looked into: those of a set are alike


@dataclass(frozen=True, eq=False)
class Columns:
    """A particle table: columns (rows, …) by name, read as numbers, vectors, images and ids.

    Methods raise FormatError or InputError with the file and the column.
    """

    path: Path
    table: Mapping[str, NDArray[Any]]

    def __contains__(self, name: object) -> bool:
        return name in self.table

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column, uninterpreted."""
        return self.table[name]

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.table.values())))

    def has(self, *names: str) -> bool:
        """Whether the table has all these columns."""
        return all(name in self.table for name in names)

    def select(self, rows: NDArray[Any]) -> "Columns":
        """Some rows, by mask or index."""
        return Columns(self.path, {name: column[rows] for name, column in self.table.items()})

    def numbers(self, *names: str) -> Floats:
        """Columns as finite numbers (rows, columns)."""
        out = np.empty((len(self), len(names)))
        for i, name in enumerate(names):
            try:
                with np.errstate(invalid="ignore"):  # a NaN that signals
                    out[:, i] = self.table[name].astype(np.float64)
            except ValueError as error:
                raise FormatError(f"'{self.path}', column {name}: expected numbers ({error})") from error
            bad = np.flatnonzero(~np.isfinite(out[:, i]))
            if len(bad):
                raise FormatError(
                    f"'{self.path}', column {name}: {len(bad)} values are not finite, first in row {bad[0] + 1}; "
                    "remove those particles"
                )
        return out

    def number(self, name: str) -> Floats:
        """A column as finite numbers (rows,)."""
        return self.numbers(name)[:, 0]

    def vectors(self, name: str) -> Floats:
        """A column of Xmipp vectors such as "-27.1 -28.4" as an array (rows, k)."""
        rows = [text.split() for text in self.table[name]]
        widths = {len(row) for row in rows}
        if len(widths) != 1:
            raise FormatError(f"'{self.path}', column {name}: vectors of different lengths {sorted(widths)}")
        try:
            return np.array(rows, dtype=np.float64)
        except ValueError as error:
            raise FormatError(f"'{self.path}', column {name}: expected vectors of numbers ({error})") from error

    def constant(self, name: str, default: str) -> str:
        """The value of a column that is the same in all rows; the default if there is no such column."""
        values = sorted(set(self.table.get(name, [default])))
        if len(values) > 1:
            raise InputError(
                f"'{self.path}': {name} differs between particles ({values}); process the groups separately"
            )
        return str(values[0])

    def flag(self, name: str) -> bool:
        """Whether a column is not 0, the same in all rows; False if there is no such column, or no value in it."""
        values = {_truth(str(value)) for value in set(self.table.get(name, np.array(["0"])).tolist())}
        if None in values:
            raise FormatError(f"'{self.path}', column {name}: expected 0 or 1; correct it")
        if len(values) > 1:
            raise InputError(f"'{self.path}': {name} differs between particles; process the groups separately")
        return bool(values.pop())

    def motion(self) -> str:
        """The motion that the amplitudes are of, the same in all rows; FormatError for an unknown one."""
        motion = self.constant(MOTION, STRAIGHT)
        if motion not in MOTIONS:
            raise FormatError(
                f"'{self.path}', column {MOTION}: got '{motion}', expected {', '.join(MOTIONS[:-1])} or "
                f"{MOTIONS[-1]}; correct it"
            )
        return motion

    def ctf(self, columns: CtfColumns) -> Ctf | None:
        """The CTF; None if the first of its columns is absent."""
        if next(iter(columns)) not in self:
            return None
        values = {}
        for column, (name, default) in columns.items():
            if column in self:
                values[name] = self.number(column)
            elif default is not None:
                values[name] = np.full(len(self), default)
            else:
                raise FormatError(
                    f"'{self.path}': there is a CTF, but its column {column} is missing; add it, or remove the defocus "
                    "columns"
                )
        ctf = Ctf(**values)
        check_units(self.path, ctf)
        return ctf

    def images(self, name: str) -> ImageNames:
        """The images of a column of names like 000012@folder/stack.mrcs.

        InputError where rows name whole files of several images or sections, such as subtomograms, without a number.
        """
        images = locate_images(self.path, self.table[name])
        whole = [row for row, text in enumerate(images.names) if "@" not in text]
        repeated = len({images.stacks[row] for row in whole}) < len(whole)
        if repeated or any(n_sections(images.stacks[row]) > 1 for row in whole[:_MOST_OPENED]):
            raise InputError(
                f"'{self.path}': the rows name whole files, such as '{images.names[whole[0]]}', not the place of each "
                "image in it; expected NUMBER@STACK. Volumes, such as subtomograms, are no images"
            )
        return images

    def ids(self, name: str, images: ImageNames) -> Integers:
        """Particle ids (rows,): those of the column if there is one, else those of the images.

        InputError where several rows without ids of their own are of one image (see `require_one_row_per_image`).
        """
        try:
            ids = self.table[name].astype(np.int64) if name in self else images.ids()
        except (ValueError, OverflowError) as error:
            raise FormatError(f"'{self.path}', {name}: particle ids must be whole numbers ({error})") from error
        if len(np.unique(ids)) < len(ids):
            require_one_row_per_image(self.path, images)
        return ids

    def pixel_sizes_A(self, name: str) -> Floats | None:
        """Pixel sizes (rows,) in Å of a column; None if there is none. InputError if they differ."""
        if name not in self:
            return None
        values = self.number(name)
        self.require_one_pixel_size(values)
        return values

    def require_one_pixel_size(self, sizes_A: Floats) -> None:
        """InputError if the pixel sizes (rows,) of the images differ."""
        low, high = sizes_A.min(), sizes_A.max()
        if low < high and not same_pixel_size(low, high):
            raise InputError(
                f"'{self.path}': images have different pixel sizes ({low:g} to {high:g} Å); rescale them to one size "
                "first"
            )

    def agreed_pixel_size(self, given: float | None, in_file: float | None, in_header: float | None) -> float:
        """The pixel size in Å: the given one, else that of the particle file, else that of the stack's header.

        A file that contradicts the given one is reported once; headers of stacks, into which many programs write 1 Å,
        are compared where the images are read.
        """
        known = [v for v in (given, in_file, in_header) if v is not None and v > 0]
        if not known:
            raise InputError(
                f"'{self.path}': there is no pixel size in the file or in its stack's header; give it by "
                "--pixel-size-A to train, or to convert, preprocess, align or infer, which write it into their output"
            )
        if given and in_file and not same_pixel_size(given, in_file):
            note_once(f"'{self.path}': the given pixel size {given:g} Å is used, not that of the file, {in_file:g} Å")
        return known[0]


def _truth(text: str) -> bool | None:
    """What a flag's text means; None for another text."""
    if text.lower() in MISSING:
        return False
    if text.lower() in TRUTHS:
        return TRUTHS[text.lower()] != 0
    try:
        return float(text) != 0
    except ValueError:
        return None


def texts(values: NDArray[Any]) -> Column:
    """Numbers as text: integers, or with 9 significant digits."""
    out = np.empty(len(values), dtype=object)
    numbers = values.tolist()  # Python's, which are written several times faster than numpy's
    out[:] = [str(v) for v in numbers] if values.dtype.kind in "iu" else [f"{v:.9g}" for v in numbers]
    return out


def vector_texts(values: Floats) -> Column:
    """Vectors (n, k) as text, in Xmipp's format."""
    rows = np.empty(len(values), dtype=object)
    rows[:] = [" " + " ".join(f"{v:.6f}" for v in row) + " " for row in values]
    return rows


def motion_column(particles: Particles) -> Table:
    """The column of the particles' motion, if they have amplitudes of another than the straight one."""
    if particles.amplitudes is None or particles.motion == STRAIGHT:
        return {}
    return {MOTION: as_column([particles.motion] * len(particles))}
