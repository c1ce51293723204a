"""RELION particle tables (3.0, 3.1 and later) to and from Particles. Shifts are in Å; in pixels in 3.0."""

import re
from itertools import chain
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Column, Floats, Integers, Table
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.columns import AMBIGUOUS, MOTION, NUMBERS, Columns, CtfColumns, motion_column, texts
from continuousflex_deep.io.files import is_file
from continuousflex_deep.io.image_names import ImageNames, written_names
from continuousflex_deep.io.meanings import check_fields
from continuousflex_deep.io.relion_fields import RELION_FIELDS
from continuousflex_deep.io.stacks import stack_info
from continuousflex_deep.io.star import parse_star, table_lines, the_table
from continuousflex_deep.messages import note_once
from continuousflex_deep.particles import SAMPLING, Particles
from continuousflex_deep.sampling import same_pixel_size, size_text

_CTF: CtfColumns = {
    "rlnDefocusU": ("defocus_u_A", None),
    "rlnDefocusV": ("defocus_v_A", None),
    "rlnDefocusAngle": ("defocus_angle_deg", 0.0),
    "rlnVoltage": ("voltage_kV", None),
    "rlnSphericalAberration": ("cs_mm", None),
    "rlnAmplitudeContrast": ("amplitude_contrast", None),
    "rlnPhaseShift": ("phase_shift_deg", 0.0),
}
_OPTICS_CTF = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
_NUMBERS = NUMBERS | {"cfdScore": "score"}
_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
_SHIFTS_A, _SHIFTS_PX = ("rlnOriginXAngst", "rlnOriginYAngst"), ("rlnOriginX", "rlnOriginY")
_SAME_SHIFT_A = 0.01
_OF_DETECTOR = ("rlnDetectorPixelSize", "rlnMagnification")
_NAME = "rlnOpticsGroupName"
HALF_SET, OPTICS_GROUP = "rlnRandomSubset", "rlnOpticsGroup"
_AMPLITUDE = re.compile(r"cfdAmplitude(\d+)(Sd|Free|FreeSd)?")
# what follows the mode in the name of a column -> field of Particles
_OF_AMPLITUDES = {"": "amplitudes", "Sd": "amplitudes_sd", "Free": "free_amplitudes", "FreeSd": "free_amplitudes_sd"}
# columns that have their own fields in Particles; the others are kept unchanged
_INTERPRETED = {
    "rlnImageName", "rlnDetectorPixelSize", "rlnMagnification", "rlnPixelSize", "cfdParticleId", AMBIGUOUS, MOTION,
    HALF_SET,
    *_CTF, *_NUMBERS, *_ANGLES, *_SHIFTS_A, *_SHIFTS_PX,
}  # fmt: skip
_OPTICS_WRITTEN = {
    OPTICS_GROUP, "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnImagePixelSize",
    "rlnImageSize", "rlnImageDimensionality", "rlnCtfDataArePhaseFlipped", "rlnCtfDataAreCtfPremultiplied",
}  # fmt: skip


def is_number(column: str) -> bool:
    """Whether a column of RELION's tables is read as numbers."""
    known = column in _CTF or column in _NUMBERS or column in (*_ANGLES, *_SHIFTS_A, *_SHIFTS_PX, HALF_SET)
    return known or _AMPLITUDE.fullmatch(column) is not None


def read_relion(path: Path, blocks: dict[str, Table], pixel_size_A: float | None) -> Particles:
    """Particles of a RELION file's tables. Raises InputError or FormatError with the file and the column."""
    if not any("rlnImageName" in table for table in blocks.values()):
        raise FormatError(
            f"'{path}': no table with a rlnImageName or image column; got blocks {list(blocks)}; is it a particle file?"
        )
    main = the_table(path, blocks, "rlnImageName")
    main = {**main, OPTICS_GROUP: _group_names(main[OPTICS_GROUP])} if OPTICS_GROUP in main else main
    optics = _relion_optics(path, blocks, main)
    main = _without_repeated_sampling(path, main, optics)
    columns = Columns(path, {**optics, **main})
    everything = {**blocks.get("general", {}), **columns.table}
    check_fields(path, everything, RELION_FIELDS, lambda name: name.startswith("cfd"), carried_along=True)
    images = columns.images("rlnImageName")
    box_px, header_pixel = _image_facts(columns, images)
    in_file_A = _pixel_sizes_A(columns)
    pixel = columns.agreed_pixel_size(pixel_size_A, None if in_file_A is None else float(in_file_A[0]), header_pixel)
    modes = tuple(sorted(int(m[1]) for m in map(_AMPLITUDE.fullmatch, columns.table) if m and not m[2]))
    of_modes = {name: [f"cfdAmplitude{m}{ending}" for m in modes] for ending, name in _OF_AMPLITUDES.items()}
    # what the optics table is to hold, too, where the particles have it: a copy would outlive a change of the images
    used = _INTERPRETED | ((set(optics) | _OPTICS_WRITTEN) - {OPTICS_GROUP}) | {*chain.from_iterable(of_modes.values())}
    used -= set(_incomplete(columns))
    return Particles(
        ids=columns.ids("cfdParticleId", images),
        stacks=images.stacks,
        indices=images.indices,
        pixel_size_A=pixel,
        box_px=box_px,
        ctf=columns.ctf(_CTF),
        phase_flipped=columns.flag("rlnCtfDataArePhaseFlipped"),
        euler_deg=columns.numbers(*_ANGLES) if columns.has(*_ANGLES) else None,
        shift_A=_shifts_A(columns, in_file_A if in_file_A is not None and not pixel_size_A else pixel),
        mode_ids=modes,
        **{name: columns.numbers(*of) if of and columns.has(*of) else None for name, of in of_modes.items()},
        motion=columns.motion(),
        ambiguous=columns.number(AMBIGUOUS) > 0.5 if AMBIGUOUS in columns else None,
        half=_half_sets(columns),
        extra={k: v if v.dtype == object else texts(v) for k, v in main.items() if k not in used},
        column_order=tuple(k for k in main if k not in used or k == HALF_SET),
        optics_extra=_uninterpreted_optics(optics) | _own_sampling(optics, pixel_size_A),
        **{name: columns.number(column) for column, name in _NUMBERS.items() if column in columns},
    )


def _image_facts(columns: Columns, images: ImageNames) -> tuple[int, float | None]:
    """Box in px, and the pixel size in Å in the first stack's header, if there is one.

    InputError if the first images of the optics groups have other boxes than the file says: then its pixel size may be
    that of other images, too.
    """
    if columns.has(*SAMPLING) and not is_file(images.stacks[0]):
        # poses and amplitudes can be analysed without images; missing images are an error only where they are read
        return int(columns.number("rlnImageSize")[0]), None
    info = stack_info(images.stacks[0])
    boxes = columns.number("rlnImageSize") if "rlnImageSize" in columns else np.full(len(columns), info.box_px)
    groups = columns.table.get(OPTICS_GROUP, np.zeros(len(columns)))
    for row in np.unique(groups.astype(str), return_index=True)[1]:
        stack = images.stacks[row]
        if is_file(stack) and (found := stack_info(stack).box_px) != boxes[row]:
            raise InputError(
                f"'{columns.path}': rlnImageSize is {boxes[row]:g} px, but images of '{stack}' have {found} px; if the "
                "images were rescaled or cropped, correct rlnImageSize and rlnImagePixelSize"
            )
    return info.box_px, info.pixel_size_A


def _relion_optics(path: Path, blocks: dict[str, Table], main: Table) -> Table:
    """The values of the optics table, one row per particle."""
    optics = blocks.get("optics")
    if optics is None:
        return {}
    if OPTICS_GROUP not in main or OPTICS_GROUP not in optics:
        raise FormatError(
            f"'{path}': there is an optics table, but the column {OPTICS_GROUP} is missing in it or in the particles"
        )
    return _spread_optics(str(path), optics, main[OPTICS_GROUP])


def _without_repeated_sampling(path: Path, main: Table, optics: Table) -> Table:
    """The particles' columns without boxes and pixel sizes that the optics table has, too: this one counts, as in
    RELION, and a note says so where they differ."""
    repeated = [name for name in SAMPLING if name in main and name in optics]
    differ = [
        name
        for name in repeated
        if not all(_same(one, other) for one, other in set(zip(main[name], optics[name], strict=True)))
    ]
    if differ:
        note_once(f"'{path.name}': {' and '.join(differ)} of the optics table are used, those of the particles differ")
    return {name: column for name, column in main.items() if name not in repeated}


def _group_names(groups: Column) -> Column:
    """Optics groups (n,) by their numbers, however these are written: 1, 1.000000."""
    names: dict[str, str] = {}
    for group in set(groups):
        try:
            number = float(group)
        except ValueError:
            number = np.nan
        names[group] = str(int(number)) if number.is_integer() else group
    return np.array([names[group] for group in groups], dtype=object)


def _spread_optics(origin: str, optics: Table, groups: Column) -> Table:
    """An optics table's rows for particles of these groups (n,). FormatError for groups that are not in the table, or
    have two rows that differ."""
    optics = {**optics, OPTICS_GROUP: _group_names(optics[OPTICS_GROUP])}
    place: dict[str, int] = {}
    for i, group in enumerate(optics[OPTICS_GROUP]):
        first = place.setdefault(group, i)
        differ = [name for name, column in optics.items() if not _same(column[i], column[first])]
        if differ:
            raise FormatError(
                f"'{origin}': the optics table has two rows for group {group}, which differ in {', '.join(differ)}; "
                "keep the right one, or give each a group of its own"
            )
    unknown = sorted({g for g in groups if g not in place})
    if unknown:
        raise FormatError(
            f"'{origin}': particles refer to optics groups {unknown[:5]}, the optics table has {list(place)}"
        )
    rows = np.array([place[g] for g in groups], dtype=np.int64)
    return {name: column[rows] for name, column in optics.items()}


def _same(one: object, other: object) -> bool:
    """Whether two values are equal, as numbers where both are: 4.0 and 4.000."""
    try:
        return one == other or float(str(one)) == float(str(other))
    except ValueError:
        return False


def _own_sampling(optics: Table, given_A: float | None) -> Table:
    """Pixel sizes and boxes of optics groups that have different ones, as in their table, one row per particle; none
    where a pixel size was given instead."""
    names = SAMPLING[:1] if given_A else SAMPLING
    return {name: optics[name] for name in names if name in optics and len(set(optics[name])) > 1}


def _uninterpreted_optics(spread: Table) -> Table:
    """The columns of an optics table, one row per particle, without those that have their own fields in Particles and
    without default names of groups."""
    kept = {k: v for k, v in spread.items() if k not in _OPTICS_WRITTEN}
    names = kept.get(_NAME)
    if names is not None and (names == _default_names(spread[OPTICS_GROUP])).all():
        del kept[_NAME]
    return kept


def _default_names(groups: Column) -> Column:
    return np.array([f"opticsGroup{g}" for g in groups], dtype=object)


def _pixel_sizes_A(columns: Columns) -> Floats | None:
    """The pixel size (n,) in Å of each image in the file; None if there is none. InputError if they differ."""
    known = {name: columns.number(name) for name in ("rlnImagePixelSize", "rlnPixelSize") if name in columns}
    if columns.has(*_OF_DETECTOR):  # RELION 3.0: µm at the detector over magnification
        detector_um, magnification = (columns.number(name) for name in _OF_DETECTOR)
        known["rlnDetectorPixelSize over rlnMagnification"] = detector_um * 1e4 / magnification
    # the sizes at the detector come before rlnPixelSize, which is of other programs
    order = sorted(known, key=lambda name: name == "rlnPixelSize")
    if not order:
        return None
    used = known[order[0]]
    columns.require_one_pixel_size(used)
    for other in order[1:]:
        if not same_pixel_size(known[other][0], used[0]):
            note_once(
                f"'{columns.path.name}': {order[0]}, {used[0]:g} Å, is used as the pixel size; {other} is "
                f"{known[other][0]:g} Å"
            )
    return used


def _incomplete(columns: Columns) -> list[str]:
    """Angles and shifts of which others are missing, as of two-dimensional alignments: they are kept as they are."""
    found = []
    for names in (_ANGLES, _SHIFTS_A, _SHIFTS_PX):
        here, missing = ([name for name in names if (name in columns) == there] for there in (True, False))
        if here and missing:
            note_once(
                f"'{columns.path.name}': there is {' and '.join(here)}, but no {' and '.join(missing)}: not used, and "
                "carried along"
            )
            found += here
    return found


def _shifts_A(columns: Columns, pixel_size_A: Floats | float) -> Floats | None:
    in_A = columns.numbers(*_SHIFTS_A) if columns.has(*_SHIFTS_A) else None
    if not columns.has(*_SHIFTS_PX):
        return in_A
    of_px = columns.numbers(*_SHIFTS_PX) * np.broadcast_to(pixel_size_A, len(columns))[:, None]
    if in_A is not None and np.abs(in_A - of_px).max() > _SAME_SHIFT_A:
        note_once(
            f"'{columns.path.name}': the shifts in Å ({', '.join(_SHIFTS_A)}) are used; those in pixels "
            f"({', '.join(_SHIFTS_PX)}) differ from them by up to {np.abs(in_A - of_px).max():.3g} Å"
        )
    return of_px if in_A is None else in_A


def _half_sets(columns: Columns) -> Integers | None:
    """The half set of each particle (n,), 1 or 2, or 0 for none; None if there is no such column."""
    if HALF_SET not in columns:
        return None
    values = columns.number(HALF_SET)
    if not np.isin(values, (0, 1, 2)).all():
        got = " ".join(f"{value:g}" for value in np.unique(values)[:5])
        raise FormatError(
            f"'{columns.path}', column {HALF_SET}: got values {got}, expected 1 and 2, and 0 for particles in neither "
            "half; correct or remove the column"
        )
    return values.astype(np.int64)


def optics_groups(p: Particles) -> Column:
    """The optics group of each particle (n,)."""
    return p.extra.get(OPTICS_GROUP, texts(np.ones(len(p), dtype=int)))


def optics_table(p: Particles) -> Table:
    """RELION's optics table: one row for each group of the particles, in the order of their numbers."""
    groups = optics_groups(p)
    optics: Table = {OPTICS_GROUP: np.array(sorted(set(groups), key=lambda g: (len(g), g)), dtype=object)}
    n_groups = len(optics[OPTICS_GROUP])
    first = [int(np.flatnonzero(groups == g)[0]) for g in optics[OPTICS_GROUP]]
    if p.ctf is not None:
        for column in _OPTICS_CTF:
            optics[column] = texts(getattr(p.ctf, _CTF[column][0])[first])
    constants = {
        "rlnImagePixelSize": size_text(p.pixel_size_A),
        "rlnImageSize": str(p.box_px),
        "rlnImageDimensionality": "2",
        "rlnCtfDataArePhaseFlipped": str(int(p.phase_flipped)),
    }
    optics |= {k: np.array([v] * n_groups, dtype=object) for k, v in constants.items()}
    optics |= {k: v[first] for k, v in p.optics_extra.items()}
    names = optics.get(_NAME, _default_names(optics[OPTICS_GROUP]))
    if len(set(names)) < n_groups:  # groups of several files; RELION distinguishes them by their names
        names = np.array([f"{name}_{g}" for name, g in zip(names, optics[OPTICS_GROUP], strict=True)], dtype=object)
    return optics | {_NAME: names}


def optics_text(p: Particles) -> str:
    """RELION's optics table as the text of a STAR block."""
    return "".join(table_lines("optics", optics_table(p)))


def optics_of_text(text: str, groups: Column) -> Table:
    """The uninterpreted columns of such a text, one row per particle of these groups (n,); empty if the table lacks one
    of the groups, as in a union of sets that has the table of one of them."""
    origin = "optics groups"
    try:
        return _uninterpreted_optics(_spread_optics(origin, parse_star(text, origin)["optics"], groups))
    except (KeyError, FormatError):
        return {}


def relion_blocks(p: Particles, path: Path) -> dict[str, Table]:
    """The tables of a RELION 3.1 file to be written at `path`."""
    groups, optics = optics_groups(p), optics_table(p)
    place = {group: i for i, group in enumerate(optics[OPTICS_GROUP])}
    group_of = np.array([place[g] for g in groups], dtype=np.int64)
    table: Table = {"rlnImageName": written_names(p, path), OPTICS_GROUP: groups, "cfdParticleId": texts(p.ids)}
    if p.ctf is not None:
        for column, (name, _) in _CTF.items():
            values = texts(getattr(p.ctf, name))
            # optics parameters are in the optics table, and also with the particles if they differ within a group
            if column not in _OPTICS_CTF or (values != optics[column][group_of]).any():
                table[column] = values
    if p.euler_deg is not None:
        table |= {name: texts(p.euler_deg[:, i]) for i, name in enumerate(_ANGLES)}
    if p.shift_A is not None:
        table |= {name: texts(p.shift_A[:, i]) for i, name in enumerate(_SHIFTS_A)}
    for i, mode in enumerate(p.mode_ids):
        for ending, name in _OF_AMPLITUDES.items():
            if (values := getattr(p, name)) is not None:
                table[f"cfdAmplitude{mode}{ending}"] = texts(values[:, i])
    table |= motion_column(p)
    for column, name in _NUMBERS.items():
        if getattr(p, name) is not None:
            table[column] = texts(getattr(p, name))
    if p.ambiguous is not None:
        table[AMBIGUOUS] = texts(p.ambiguous.astype(int))
    return {"optics": optics, "particles": table | {k: v for k, v in _handed_on(p).items() if k not in table}}


def _handed_on(p: Particles) -> Table:
    """The last columns: half sets and uninterpreted columns, in the order of the source file."""
    columns = p.extra if p.half is None else {HALF_SET: texts(p.half), **p.extra}
    place = {name: i for i, name in enumerate(p.column_order)}
    return {name: columns[name] for name in sorted(columns, key=lambda name: place.get(name, len(place)))}
