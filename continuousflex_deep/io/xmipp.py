"""Xmipp particle tables (xmd) to and from Particles. Shifts are in pixels; amplitudes are one vector per particle.

Xmipp's cost is half the squared difference of normalised images: a better fit has a lower cost. Our score, which rises
with a better fit, is 1 - cost.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Booleans, Floats, Table
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.columns import (
    AMBIGUOUS,
    MOTION,
    NUMBERS,
    VECTORS,
    Columns,
    CtfColumns,
    motion_column,
    texts,
    vector_texts,
)
from continuousflex_deep.io.image_names import require_one_row_per_image, written_names
from continuousflex_deep.io.meanings import check_fields
from continuousflex_deep.io.modes import parse_mode_list
from continuousflex_deep.io.stacks import stack_info
from continuousflex_deep.io.star import read_star, the_table, write_star
from continuousflex_deep.io.xmipp_fields import XMIPP_FIELDS
from continuousflex_deep.particles import Particles

IMAGES_XMD, MODES_XMD = "images.xmd", "modes.xmd"  # names in the runs of ContinuousFlex
NMA_DISPLACEMENTS, _MODES = "nmaDisplacements", "cfdModes"
_GREATEST_COST = 2.0  # of an image and its negative
_CTF: CtfColumns = {
    "ctfDefocusU": ("defocus_u_A", None),
    "ctfDefocusV": ("defocus_v_A", None),
    "ctfDefocusAngle": ("defocus_angle_deg", 0.0),
    "ctfVoltage": ("voltage_kV", None),
    "ctfSphericalAberration": ("cs_mm", None),
    "ctfQ0": ("amplitude_contrast", None),
    "ctfPhaseShift": ("phase_shift_deg", 0.0),
}
_SHIFTS = ("shiftX", "shiftY")
_ANGLES = ("angleRot", "angleTilt", "anglePsi")
# columns that have their own fields in Particles; the others are kept unchanged
_INTERPRETED = {
    "image", "itemId", "flip", *_SHIFTS, NMA_DISPLACEMENTS, "samplingRate", "cost", "ctfPhaseFlipped", _MODES,
    AMBIGUOUS, MOTION, *VECTORS, *NUMBERS, *_ANGLES, *_CTF,
}  # fmt: skip


def is_number(column: str) -> bool:
    """Whether a column of Xmipp's tables is read as numbers."""
    return column in _CTF or column in NUMBERS or column in (*_ANGLES, *_SHIFTS, "cost", "flip")


def score_of_cost(cost: Floats) -> tuple[Floats, Booleans]:
    """Scores (n,) of Xmipp's costs (n,), and which fits failed (n,); these have score 0.

    A cost is between 0 and 2; a failed fit has -1 or the initial value of Xmipp's optimiser.
    """
    failed = ~((cost >= 0) & (cost <= _GREATEST_COST))
    return np.where(failed, 0.0, 1 - cost), failed


def read_xmipp(
    path: Path, blocks: dict[str, Table], pixel_size_A: float | None, mode_ids: tuple[int, ...] | None
) -> Particles:
    """Particles of an xmd file's tables; mode_ids: the modes of its amplitudes, if the file does not contain them."""
    columns = Columns(path, the_table(path, blocks, "image"))
    if "enabled" in columns:  # Xmipp leaves out images marked by -1 or 0
        columns = columns.select(columns.number("enabled") > 0)
    check_fields(path, columns.table, XMIPP_FIELDS, lambda name: name.startswith("cfd"), carried_along=True)
    images = columns.images("image")
    require_one_row_per_image(path, images)  # Xmipp gives copies ids of their own
    info = stack_info(images.stacks[0])
    in_file_A = columns.pixel_sizes_A("samplingRate")
    pixel = columns.agreed_pixel_size(pixel_size_A, None if in_file_A is None else in_file_A[0], info.pixel_size_A)
    modes, amplitudes = _amplitudes(columns, mode_ids)
    score, ambiguous = None, columns.number(AMBIGUOUS) > 0.5 if AMBIGUOUS in columns else None
    if "cost" in columns:
        score, failed = score_of_cost(columns.number("cost"))
        ambiguous = with_failed(ambiguous, failed)
    euler_deg, shift_px = _poses(columns)
    numbers: dict[str, Any] = {name: columns.number(column) for column, name in NUMBERS.items() if column in columns}
    numbers |= {name: columns.vectors(column) for column, name in VECTORS.items() if column in columns}
    return Particles(
        ids=columns.ids("itemId", images),
        stacks=images.stacks,
        indices=images.indices,
        pixel_size_A=pixel,
        box_px=info.box_px,
        ctf=columns.ctf(_CTF),
        phase_flipped=columns.flag("ctfPhaseFlipped"),
        euler_deg=euler_deg,
        shift_A=None if shift_px is None else shift_px * pixel,
        mode_ids=modes,
        amplitudes=amplitudes,
        motion=columns.motion(),
        score=score,
        ambiguous=ambiguous,
        extra={k: v for k, v in columns.table.items() if k not in _INTERPRETED},
        **numbers,
    )


def _poses(columns: Columns) -> tuple[Floats | None, Floats | None]:
    """Angles (n, 3) and shifts (n, 2) in px of the images as they are.

    Xmipp's flip says that the image is mirrored in x before it fits the projection. A mirrored projection is that from
    the opposite side, so its pose is (rot, tilt + 180, -psi), and its shift in x has the other sign.
    """
    euler_deg = columns.numbers(*_ANGLES) if columns.has(*_ANGLES) else None
    shift_px = columns.numbers(*_SHIFTS) if columns.has(*_SHIFTS) else None
    flipped = columns.number("flip") != 0 if "flip" in columns else np.zeros(len(columns), dtype=bool)
    if flipped.any() and euler_deg is None:
        raise InputError(f"'{columns.path}': images are mirrored (flip), but there are no angles to turn; remove flip")
    if euler_deg is not None and flipped.any():
        euler_deg[flipped] = euler_deg[flipped] * (1, 1, -1) + (0, 180, 0)
    if shift_px is not None:
        shift_px[flipped, 0] *= -1
    return euler_deg, shift_px


def _amplitudes(columns: Columns, mode_ids: tuple[int, ...] | None) -> tuple[tuple[int, ...], Floats | None]:
    """The amplitudes (n, M) and their modes: those in the file, else the given ones, else 7, 8, …."""
    if NMA_DISPLACEMENTS not in columns:
        return (), None
    amplitudes = columns.vectors(NMA_DISPLACEMENTS)
    if _MODES in columns:
        mode_ids = _named_modes(columns)
    mode_ids = mode_ids or tuple(range(7, 7 + amplitudes.shape[1]))
    if len(mode_ids) != amplitudes.shape[1]:
        raise InputError(
            f"'{columns.path}': nmaDisplacements has {amplitudes.shape[1]} values per particle, but there are "
            f"{len(mode_ids)} modes: {list(mode_ids)}"
        )
    return mode_ids, amplitudes


def _named_modes(columns: Columns) -> tuple[int, ...]:
    """The modes that the file names; FormatError where it names none, or one more than once."""
    text = columns.constant(_MODES, "")
    try:
        return parse_mode_list(text)
    except InputError as error:
        raise FormatError(f"'{columns.path}': {_MODES} does not name the modes of the amplitudes: {error}") from error


def with_failed(ambiguous: Booleans | None, failed: Booleans) -> Booleans | None:
    """The flags of ambiguous particles, including those with failed fits; None if there are neither."""
    if not failed.any():
        return ambiguous
    return failed if ambiguous is None else ambiguous | failed


def xmipp_table(p: Particles, path: Path) -> Table:
    table: Table = {
        "image": written_names(p, path),
        "enabled": p.extra.get("enabled", texts(np.ones(len(p), dtype=int))),
    }
    if p.euler_deg is not None:
        table |= {f"angle{a}": texts(p.euler_deg[:, i]) for i, a in enumerate(("Rot", "Tilt", "Psi"))}
    if p.shift_A is not None:
        table |= {f"shift{a}": texts(p.shift_A[:, i] / p.pixel_size_A) for i, a in enumerate("XY")}
    if p.amplitudes is not None:
        # Xmipp has no column for the numbers of modes, but keeps unknown columns
        table[NMA_DISPLACEMENTS] = vector_texts(p.amplitudes)
        table[_MODES] = np.array([" ".join(map(str, p.mode_ids)) + " "] * len(p), dtype=object)
    vectors = {column: getattr(p, name) for column, name in VECTORS.items()}
    table |= {column: vector_texts(values) for column, values in vectors.items() if values is not None}
    table |= motion_column(p)
    cost = None if p.score is None else 1 - p.score
    numbers = {"cost": cost, **{column: getattr(p, name) for column, name in NUMBERS.items()}}
    table |= {column: texts(values) for column, values in numbers.items() if values is not None}
    if p.ambiguous is not None:
        table[AMBIGUOUS] = texts(p.ambiguous.astype(int))
    if p.ctf is not None:
        table |= {column: texts(getattr(p.ctf, name)) for column, (name, _) in _CTF.items()}
    if p.phase_flipped:
        table["ctfPhaseFlipped"] = texts(np.ones(len(p), dtype=int))
    table |= {"samplingRate": texts(np.full(len(p), p.pixel_size_A)), "itemId": texts(p.ids)}
    return table | {k: v for k, v in p.extra.items() if k not in table and not k.startswith("rln")}


def modes_table(files: Mapping[int, str]) -> Table:
    """The list of normal modes for Xmipp's programs: the number of each mode and the file of its vector."""
    return {
        "enabled": texts(np.ones(len(files), dtype=int)),
        "nmaModefile": np.array(list(files.values()), dtype=object),
        "order_": texts(np.array(list(files), dtype=int)),
    }


def read_mode_list(path: str | Path) -> tuple[int, ...]:
    """The numbers of the modes in such a list, without those marked as excluded."""
    for table in read_star(path).values():
        if "order_" in table:
            used = table["enabled"] != "-1" if "enabled" in table else np.ones(len(table["order_"]), dtype=bool)
            return tuple(int(number) for number in table["order_"][used])
    raise FormatError(f"'{path}' is not a list of normal modes in Xmipp's format: there is no column order_")


def amplitudes_of(path: str | Path, item_id: int) -> Floats | None:
    """The amplitudes (M,) of the particle with this id in a table of images; None if it has none."""
    for table in read_star(path).values():
        columns = Columns(Path(path), table)
        if columns.has("itemId", NMA_DISPLACEMENTS):
            here = columns["itemId"] == str(item_id)
            if here.any():
                return columns.select(here).vectors(NMA_DISPLACEMENTS)[0]
    return None


def write_xmd(path: str | Path, table: Table) -> None:
    """Write one table in Xmipp's metadata format, atomically."""
    write_star(path, {"noname": table}, header="# XMIPP_STAR_1 * \n# ")
