"""Particles of FREALIGN's parameter files (.par): of versions 8 and 9, of FrealignX and of cisTEM.

One row for each particle, in columns whose number tells the version; lines that begin with C are comments. PHI, THETA
and PSI are our rot, tilt and psi (docs/conventions.md). SHX and SHY are where the particle is, so our shifts have the
other sign; they are in pixels in version 8, in Å since. PSHIFT is in radians. The file names neither its stack nor the
microscope. Of a classification, each class has a file with all particles, in which OCC is their share of this class.
(`test_frealign.py`: on images of known displacement, and on rows as each version writes them)
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Booleans, Floats
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.columns import Columns, CtfColumns, texts
from continuousflex_deep.io.frealign_fields import FREALIGN_FIELDS
from continuousflex_deep.io.image_names import ImageNames, locate_images, require_one_row_per_image
from continuousflex_deep.io.meanings import check_fields
from continuousflex_deep.io.stacks import stack_info
from continuousflex_deep.io.star_rows import RowReader
from continuousflex_deep.io.texts import read_text
from continuousflex_deep.messages import note
from continuousflex_deep.particles import Particles
from continuousflex_deep.sampling import same_pixel_size

_FILE = "FREALIGN's parameter file"
_INCLUDE = "INCLUDE"  # what cisTEM's files have in the place of FILM
_VOLTAGE, _CS, _CONTRAST = "voltage", "spherical aberration", "amplitude contrast"
_CTF: CtfColumns = {
    "DF1": ("defocus_u_A", None),
    "DF2": ("defocus_v_A", None),
    "ANGAST": ("defocus_angle_deg", None),
    _VOLTAGE: ("voltage_kV", None),
    _CS: ("cs_mm", None),
    _CONTRAST: ("amplitude_contrast", None),
    "PSHIFT": ("phase_shift_deg", 0.0),
}


@dataclass(frozen=True)
class Layout:
    """The columns of one version: their names, and their widths in characters."""

    columns: tuple[str, ...]
    widths: tuple[int, ...]

    @property
    def shifts_in_px(self) -> bool:
        """Whether it is of version 8, which has no occupancies."""
        return "OCC" not in self.columns

    def numbers(self, line: str) -> list[str]:
        """The numbers of a row: between blanks, or by their widths, for Fortran leaves no blank where a number fills
        its columns."""
        found = line.split()
        if len(found) == len(self.columns) or len(line) != sum(self.widths):
            return found
        ends = np.cumsum(self.widths).tolist()
        return [line[end - width : end].strip() for end, width in zip(ends, self.widths, strict=True)]

    def holds(self, line: str) -> bool:
        """Whether a row has as many numbers by the widths of this layout."""
        return len(line) == sum(self.widths) and all(map(_is_number, self.numbers(line)))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _layout(columns: str, *widths: int) -> Layout:
    return Layout(tuple(columns.split()), widths)


_POSE = "NO PSI THETA PHI SHX SHY MAG FILM DF1 DF2 ANGAST"
_OF_8, _OF_9 = (7, 8, 8, 8, 8, 8, 8, 6, 9, 9, 8), (7, 8, 8, 8, 10, 10, 8, 6, 9, 9, 8)
_LAYOUTS = (
    _layout(f"{_POSE} PRESA", *_OF_8, 7),
    _layout(f"{_POSE} PRESA DPRES", *_OF_8, 7, 8),
    _layout(f"{_POSE} OCC LOGP SCORE CHANGE", *_OF_9, 8, 13, 8, 8),  # the first files of version 9
    _layout(f"{_POSE} OCC LOGP SIGMA SCORE CHANGE", *_OF_9, 8, 10, 11, 8, 8),
    _layout(f"{_POSE} PSHIFT OCC LOGP SIGMA SCORE CHANGE", *_OF_9, 8, 8, 10, 11, 8, 8),  # FrealignX, cisTEM
)


@dataclass(frozen=True)
class Microscope:
    """What a parameter file lacks of the CTF."""

    voltage_kV: float
    cs_mm: float
    amplitude_contrast: float


def read_frealign(
    path: Path,
    stack: str,
    microscope: Microscope,
    pixel_size_A: float | None = None,
    min_occupancy_percent: float = 0.0,
) -> Particles:
    """Particles of a parameter file, whose images are in a stack.

    Ids are positions in the stack, from 1. pixel_size_A: of the images; by default that of the stack's header.
    Particles with a negative FILM or INCLUDE, and those of a lower occupancy, are left out; a note says how many.
    Raises InputError or FormatError with the file, and the line or the column.
    """
    layout, columns = _read_columns(path)
    kept = _kept(columns, min_occupancy_percent)
    columns = columns.select(kept)
    images = _images(columns, stack)
    info = stack_info(stack)
    if (last := int(images.indices.max()) + 1) > info.n:
        raise InputError(f"'{path}' refers to image {last}, but '{stack}' has {info.n}; give the stack of this file")
    pixel = columns.agreed_pixel_size(pixel_size_A, None, info.pixel_size_A)
    return Particles(
        ids=images.ids(),
        stacks=images.stacks,
        indices=images.indices,
        pixel_size_A=pixel,
        box_px=info.box_px,
        ctf=_with_microscope(columns, microscope).ctf(_CTF),
        euler_deg=columns.numbers("PHI", "THETA", "PSI"),
        shift_A=-columns.numbers("SHX", "SHY") * (pixel if layout.shifts_in_px else 1.0),
        extra={"rlnMicrographId": texts(columns["FILM"].astype(np.int64))} if "FILM" in columns else {},
    )


def _read_columns(path: Path) -> tuple[Layout, Columns]:
    """The layout of a file, and its numbers."""
    lines = [line.rstrip() for line in read_text(path, _FILE).splitlines()]
    rows = [(number, line) for number, line in enumerate(lines, start=1) if line and line[0] != "C"]
    if not rows:
        raise FormatError(f"'{path}' has no particles: all its lines are empty or comments, which begin with C")
    layout = _layout_of(path, *rows[0])
    head = " ".join(line for line in lines[: rows[0][0] - 1]).upper().split()
    if "SIGMA" in head and "SIGMA" not in layout.columns:
        raise InputError(
            f"'{path}' has the columns of a file of changes (.shft); give the .par file of the same round"
        )
    names = [_INCLUDE if name == "FILM" and _INCLUDE in head else name for name in layout.columns]
    reader = RowReader(str(path), names, lambda _name: True)
    for number, line in rows:
        reader.add(number, " ".join(layout.numbers(line)))
    columns = Columns(path, reader.columns())
    magnification = columns.number("MAG")
    same = not magnification.any() or same_pixel_size(magnification.min(), magnification.max())
    spoken = {name: columns[name] for name in names if name != "MAG" or not same}
    check_fields(path, spoken, FREALIGN_FIELDS, lambda _name: False, carried_along=False)
    return layout, columns


def _layout_of(path: Path, number: int, line: str) -> Layout:
    """The layout of the first row: by the widths of its columns, some of which may touch each other, else by their
    number."""
    by_widths = [layout for layout in _LAYOUTS if layout.holds(line)]
    by_number = [layout for layout in _LAYOUTS if len(layout.columns) == len(line.split())]
    if by_widths or by_number:
        return (by_widths or by_number)[0]
    known = ", ".join(str(len(layout.columns)) for layout in _LAYOUTS)
    raise FormatError(
        f"'{path}', line {number}: got {len(line.split())} columns, expected those of FREALIGN ({known}): "
        f"'{line.strip()[:60]}'; is it one of its parameter files?"
    )


def _kept(columns: Columns, min_occupancy_percent: float) -> Booleans:
    """Which particles (rows,) belong to the class and were not left out before."""
    active = np.ones(len(columns), dtype=bool)
    for name in ("FILM", _INCLUDE):
        if name in columns:
            active = columns.number(name) >= 0
    occupancy = columns.number("OCC") if "OCC" in columns else np.full(len(columns), 100.0)
    low = active & (occupancy < min_occupancy_percent)
    left_out = [f"{(~active).sum()} that it marks by a negative number of their film"] * bool((~active).any())
    left_out += [
        f"{low.sum()} whose occupancy is below {min_occupancy_percent:g}% (--min-occupancy-percent)"
    ] * bool(low.any())
    if left_out:
        note(f"'{columns.path.name}': of {len(columns)} particles are left out {' and '.join(left_out)}")
    kept = active & ~low
    if not kept.any():
        raise InputError(
            f"'{columns.path}': no particle is left of {len(columns)}; reduce --min-occupancy-percent, or give the "
            "file of another class"
        )
    return kept


def _images(columns: Columns, stack: str) -> ImageNames:
    """The images, of which each row names the position in the stack."""
    position = columns.number("NO")
    bad = np.flatnonzero((position < 1) | (position % 1 != 0))
    if len(bad):
        raise FormatError(
            f"'{columns.path}', column NO: got {position[bad[0]]:g}, expected positions in the stack, from 1; correct "
            "the file"
        )
    names = np.array([f"{number:06d}@{stack}" for number in position.astype(np.int64).tolist()], dtype=object)
    images = locate_images(columns.path, names)
    require_one_row_per_image(columns.path, images)
    return images


def _with_microscope(columns: Columns, microscope: Microscope) -> Columns:
    """The columns with those of the CTF that the file lacks, and phase shifts in degrees."""
    more: dict[str, Floats] = {
        name: np.full(len(columns), value)
        for name, value in zip(
            (_VOLTAGE, _CS, _CONTRAST),
            (microscope.voltage_kV, microscope.cs_mm, microscope.amplitude_contrast),
            strict=True,
        )
    }
    if "PSHIFT" in columns:
        more["PSHIFT"] = np.degrees(columns.number("PSHIFT"))
    return Columns(columns.path, {**columns.table, **more})
