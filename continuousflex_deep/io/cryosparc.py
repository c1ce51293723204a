"""Particles of cryoSPARC datasets (.cs). Poses are rotation vectors; shifts are in pixels of the refined images.

A .cs file is one structured array in numpy's format with a row per particle, identified by `uid`. The rotation vector
`alignments3D/pose` is that of our R⁻¹ (docs/conventions.md). `alignments3D/shift` has our (and RELION's) sign, in
pixels of `alignments3D/psize_A`, which may differ from the images' `blob/psize_A`.
(`test_cryosparc.py`: against pyem's conversion, and on images of known displacement.)
"""

import dataclasses
import re
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from continuousflex_deep.arrays import Floats, Integers, as_column
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.geometry import matrix_to_euler
from continuousflex_deep.io.columns import CRYOSPARC_UID, Columns, CtfColumns, texts
from continuousflex_deep.io.cryosparc_fields import CRYOSPARC_FIELDS, is_internal
from continuousflex_deep.io.files import is_file, require_file
from continuousflex_deep.io.image_names import ImageNames, require_one_row_per_image, resolve_stack
from continuousflex_deep.io.meanings import check_fields
from continuousflex_deep.io.passthrough import Fields, Wanted, complete_by_uid
from continuousflex_deep.io.relion import HALF_SET, OPTICS_GROUP
from continuousflex_deep.io.stacks import stack_info
from continuousflex_deep.messages import note
from continuousflex_deep.particles import Ctf, Particles
from continuousflex_deep.sampling import same_pixel_size

_CTF: CtfColumns = {  # angles are radians in the file
    "ctf/df1_A": ("defocus_u_A", None),
    "ctf/df2_A": ("defocus_v_A", None),
    "ctf/df_angle_rad": ("defocus_angle_deg", 0.0),
    "ctf/accel_kv": ("voltage_kV", None),
    "ctf/cs_mm": ("cs_mm", None),
    "ctf/amp_contrast": ("amplitude_contrast", None),
    "ctf/phase_shift_rad": ("phase_shift_deg", 0.0),
}
_MICROGRAPH, _MICROGRAPH_COLUMN = "location/micrograph_path", "rlnMicrographName"
# field whose presence means that its group of fields is present -> the group
_WANTED = {
    "blob/path": Wanted("images", needed=True),
    "ctf/df1_A": Wanted("CTF", needed=True),
    "alignments3D/pose": Wanted("poses", needed=True),
    _MICROGRAPH: Wanted("names of micrographs", needed=False),
}
_MULTI = "alignments3D_multi"
_CLASS_POSE = re.compile(r"alignments_class_\d+/pose")
_MAGIC, _COMPRESSED = b"\x93NUMPY", b"\x95CSDAT"
# datasets with many fields exceed numpy's own limit of a header
_LOADING: dict[str, Any] = {"allow_pickle": False, "max_header_size": 200_000}
_ID_BITS = np.uint64(2**63 - 1)


def read_cryosparc(path: Path, pixel_size_A: float | None) -> Particles:
    """Particles of a cryoSPARC dataset; missing fields are taken from the passthrough files of its job, by uid.

    Ids are the uids without their highest bit; the complete uid is the column cfdCryosparcUid. The half set
    (`alignments3D/split`) is 0 or 1 there, 1 or 2 here; the exposure group becomes rlnOpticsGroup, counted from 1 as in
    RELION.
    Raises InputError or FormatError with the file and the field.
    """
    fields, found = complete_by_uid(path, read_fields(path), _WANTED, read_fields)
    for other, what in found.items():
        note(f"'{path.name}' has no {', '.join(what)}; taken from '{other}' by uid")
    columns = Columns(path, fields)
    check_fields(path, fields, CRYOSPARC_FIELDS, is_internal, carried_along=False)
    _require_one_sign(columns)
    images = _images(columns)
    box_px, in_file, in_header = _image_facts(columns, str(images.stacks[0]))
    pixel = columns.agreed_pixel_size(pixel_size_A, in_file, in_header)
    euler_deg, shift_A = _poses(columns, pixel)
    require_one_row_per_image(path, images)
    groups = fields.get("ctf/exp_group_id", np.zeros(len(columns), dtype=np.int64)).astype(np.int64)
    extra = {CRYOSPARC_UID: texts(fields["uid"]), OPTICS_GROUP: texts(groups + 1)} | _micrographs(columns)
    return Particles(
        ids=_ids(path, fields["uid"]),
        stacks=images.stacks,
        indices=images.indices,
        pixel_size_A=pixel,
        box_px=box_px,
        ctf=_ctf(columns),
        euler_deg=euler_deg,
        shift_A=shift_A,
        half=_half_sets(columns),
        extra=extra,
        column_order=(CRYOSPARC_UID, HALF_SET, _MICROGRAPH_COLUMN),
        optics_extra={"rlnOpticsGroupName": np.array([f"cryosparc_exposure_group_{g}" for g in groups], dtype=object)},
    )


def read_fields(path: Path) -> Fields:
    """The fields of a .cs file as arrays (n,) or (n, …), with unique `uid` (n,) uint64."""
    file = require_file(path, "cryoSPARC dataset")
    with _opened(file) as opened:
        start = opened.read(len(_MAGIC))
        if start == _COMPRESSED:
            raise FormatError(
                f"'{path}' is a compressed cryoSPARC stream; expected the array format of job outputs: save it with "
                "cryosparc-tools' Dataset.save(…, format=NUMPY_FORMAT)"
            )
        if start != _MAGIC:
            raise FormatError(
                f"'{path}' is not a cryoSPARC dataset: it begins with {start!r}, expected {_MAGIC!r} (numpy's array "
                "format); is it a file of another format?"
            )
        opened.seek(0)
        try:
            array = np.load(opened, **_LOADING)
        except (ValueError, EOFError, SyntaxError, tokenize.TokenError) as error:
            raise FormatError(
                f"'{path}' cannot be read as a cryoSPARC dataset: {error}; expected a complete array without Python "
                "objects; copy or export it again"
            ) from error
    if array.dtype.names is None or "uid" not in array.dtype.names or array["uid"].dtype.kind not in "ui":
        have = list(array.dtype.names or [])[:8]
        raise FormatError(f"'{path}': got fields {have}, expected 'uid' of whole numbers; is it a cryoSPARC dataset?")
    if array.ndim != 1 or len(array) == 0:
        raise FormatError(f"'{path}' has no particles: got an array of shape {array.shape}, expected (n,) with n > 0")
    fields = {name: np.ascontiguousarray(array[name]) for name in array.dtype.names}
    fields["uid"] = fields["uid"].astype(np.uint64)
    values, counts = np.unique(fields["uid"], return_counts=True)
    if len(values) < len(array):
        raise InputError(
            f"'{path}': {int((counts > 1).sum())} uids occur more than once, for example "
            f"{values[counts > 1][:3].tolist()}; remove duplicate particles in cryoSPARC"
        )
    return fields


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    """The file opened for reading; errors of the file system become an InputError."""
    try:
        with open(file, "rb") as opened:
            yield opened
    except OSError as error:
        raise InputError(f"'{file}' cannot be read: {error.strerror or error}; check its permissions") from error


def _ids(path: Path, uids: NDArray[np.uint64]) -> Integers:
    """Positive ids (n,): the uids without their highest bit, which must stay unique."""
    ids = (uids & _ID_BITS).astype(np.int64)
    values, counts = np.unique(ids, return_counts=True)
    clash = values[(counts > 1) | (values == 0)]
    if len(clash):
        bad = uids[np.isin(ids, clash)][:4].tolist()
        raise InputError(
            f"'{path}': uids {bad} are 0 or differ only in their highest bit, so that their ids would not be unique; "
            "remove one of them in cryoSPARC"
        )
    return ids


def _images(columns: Columns) -> ImageNames:
    """The images, by absolute paths of their stacks."""
    if not columns.has("blob/path", "blob/idx"):
        raise InputError(
            f"'{columns.path}' has no images: there are no fields blob/path and blob/idx in it or in a passthrough "
            "file of its job beside it; give the file that has them, or copy JOB_passthrough_particles.cs into its "
            "folder"
        )
    files = _paths(columns, "blob/path")
    known = {file: resolve_stack(columns.path, file) for file in set(files)}
    indices = columns["blob/idx"].astype(np.int64)
    if (indices < 0).any():
        raise FormatError(f"'{columns.path}', field blob/idx: got {int(indices.min())}, expected positions from 0")
    names = [f"{index + 1}@{file}" for index, file in zip(indices.tolist(), files.tolist(), strict=True)]
    return ImageNames(as_column(names), files, as_column([known[file] for file in files]), indices)


def _require_one_sign(columns: Columns) -> None:
    """The engine finds out whether particles are bright or dark, for all of them at once."""
    if "blob/sign" in columns and len(signs := np.unique(columns.number("blob/sign"))) > 1:
        counts = [f"{int((columns.number('blob/sign') == sign).sum())} of sign {sign:g}" for sign in signs]
        raise InputError(
            f"'{columns.path}', field blob/sign: images of opposite contrast, {' and '.join(counts)}; expected one "
            "sign. "
            "Divide the particles by this field, in cryosparc-tools by query({'blob/sign': 1}), or import the images "
            "of one sign again with the other sign"
        )


def _paths(columns: Columns, field: str) -> NDArray[np.object_]:
    """Paths (n,) in a field of text, relative to cryoSPARC's project folder, which exported files mark by '>'."""
    values, place = columns[field], f"'{columns.path}', field {field}"
    if values.dtype.kind not in "SU" or values.ndim != 1:
        raise FormatError(f"{place}: got {values.dtype} of shape {values.shape}, expected text (n,)")
    out = np.empty(len(values), dtype=object)
    shown = values.tolist()
    out[:] = [(v.decode("utf-8", "replace") if isinstance(v, bytes) else v).removeprefix(">") for v in shown]
    empty = np.flatnonzero(out == "")
    if len(empty):
        raise FormatError(f"{place}: it is empty for {len(empty)} particles, first in row {empty[0] + 1}")
    return out


def _micrographs(columns: Columns) -> dict[str, NDArray[np.object_]]:
    """rlnMicrographName, if every particle has one; no command needs it."""
    if _MICROGRAPH not in columns:
        return {}
    try:
        return {_MICROGRAPH_COLUMN: _paths(columns, _MICROGRAPH)}
    except InputError as error:
        note(f"'{columns.path.name}': names of micrographs are not read: {error}")
        return {}


def _image_facts(columns: Columns, stack: str) -> tuple[int, float | None, float | None]:
    """Box in px, and pixel sizes in Å of the dataset and of the first stack's header."""
    pixel = None
    if "blob/psize_A" in columns:
        sizes = columns.number("blob/psize_A")
        if not same_pixel_size(sizes.min(), sizes.max()):
            raise InputError(
                f"'{columns.path}', field blob/psize_A: got {sizes.min():g} to {sizes.max():g} Å, expected one size "
                "above 0; rescale the images to one size first"
            )
        pixel = float(f"{sizes[0]:.7g}")  # the file has single precision
    if "blob/shape" not in columns:
        info = stack_info(stack)
        return info.box_px, pixel, info.pixel_size_A
    shapes = np.unique(columns["blob/shape"].reshape(len(columns), -1), axis=0)
    if len(shapes) > 1 or shapes.shape[1] != 2 or shapes[0, 0] != shapes[0, 1]:
        raise InputError(f"'{columns.path}', field blob/shape: got {shapes[:3].tolist()}, expected one square box")
    # poses can be analysed without images; missing images are an error only where they are read
    in_header = stack_info(stack).pixel_size_A if is_file(stack) else None
    return int(shapes[0, 0]), pixel, in_header


def _ctf(columns: Columns) -> Ctf | None:
    fields = dict(columns.table)
    if "ctf/ac" in fields:  # its name in early versions
        fields.setdefault("ctf/amp_contrast", fields["ctf/ac"])
    ctf, file = Columns(columns.path, fields).ctf(_CTF), columns.path.name
    if ctf is None:
        note(f"'{file}' has no CTF")
        return None
    return dataclasses.replace(
        ctf,
        cs_mm=ctf.cs_mm.round(6),  # 0.07 in single precision is 0.0700000003
        amplitude_contrast=ctf.amplitude_contrast.round(6),
        defocus_angle_deg=np.degrees(ctf.defocus_angle_deg),
        phase_shift_deg=np.degrees(ctf.phase_shift_deg),
    )


def _poses(columns: Columns, pixel_size_A: float) -> tuple[Floats | None, Floats | None]:
    """(euler_deg (n, 3), shift_A (n, 2)); None twice, with a note, if the dataset has no single set of poses."""
    pose, shift, size = (_alignment(columns, name) for name in ("pose", "shift", "psize_A"))
    if pose is None or shift is None:
        note(f"'{columns.path.name}': poses are not read, {_why_no_poses(columns)}")
        return None, None
    if size is None and "blob/psize_A" in columns:
        note(f"'{columns.path.name}' has no alignments3D/psize_A; shifts are taken for pixels of the images")
    if pose.shape[1:] != (3,) or shift.shape[1:] != (2,):
        raise FormatError(
            f"'{columns.path}': alignments3D/pose and shift have shapes {pose.shape} and {shift.shape}, expected "
            "(n, 3) and (n, 2); export the particles again"
        )
    rows = {f"alignments3D/pose[{i}]": pose[:, i] for i in range(3)}
    rows |= {f"alignments3D/shift[{i}]": shift[:, i] for i in range(2)}
    rows["alignments3D/psize_A"] = np.full(len(pose), pixel_size_A) if size is None else size
    values = Columns(columns.path, rows).numbers(*rows)
    smallest = values[:, 5].min()
    if smallest <= 0:
        raise FormatError(f"'{columns.path}', field alignments3D/psize_A: got {smallest:g} Å, expected above 0")
    rotations = Rotation.from_rotvec(-values[:, :3]).as_matrix()
    return matrix_to_euler(rotations), values[:, 3:5] * values[:, 5:]


def _alignment(columns: Columns, name: str) -> NDArray[Any] | None:
    """A field of the dataset's single 3D alignment; None if it is missing."""
    group = _alignment_group(columns)
    found = None if group is None else columns.table.get(f"{group}/{name}")
    return found[:, 0] if found is not None and group == _MULTI and found.ndim > 1 else found


def _alignment_group(columns: Columns) -> str | None:
    """The group of fields of the dataset's single 3D alignment: of a refinement, or of a job with a single class."""
    if "alignments3D/pose" in columns:
        return "alignments3D"
    several = columns.table.get(f"{_MULTI}/pose")
    if several is not None and several.ndim == 3 and several.shape[1] == 1:
        return _MULTI
    classes = [n for n in columns.table if _CLASS_POSE.fullmatch(n)]
    return classes[0].removesuffix("/pose") if len(classes) == 1 else None


def _why_no_poses(columns: Columns) -> str:
    group = _alignment_group(columns)
    if group is not None:
        return f"because there is {group}/pose, but no {group}/shift; export the particles again with both"
    if f"{_MULTI}/pose" in columns or any(_CLASS_POSE.fullmatch(n) for n in columns.table):
        return (
            "because there are poses for several classes, each in the frame of its own volume; give the particles of "
            "one class (…_class_00_…particles.cs), or refine them together"
        )
    if "alignments3D/shift" in columns:
        return "because there is alignments3D/shift, but no alignments3D/pose; export the particles again with both"
    if "alignments2D/pose" in columns:
        return "because there are only those of a 2D classification (alignments2D)"
    return "because there is no alignments3D in it or in a passthrough file of its job beside it"


def _half_sets(columns: Columns) -> Integers | None:
    """The half set of each particle (n,), 1 or 2; None if the dataset has no two halves."""
    split = _alignment(columns, "split")
    if split is None:
        split = columns.table.get(f"{_MULTI}/split")
    if split is None or split.ndim != 1:
        return None
    values = np.unique(split).tolist()
    if values != [0, 1]:
        if len(values) > 1:
            note(
                f"'{columns.path.name}', field alignments3D/split: got {values[:5]}, expected 0 and 1; half sets are "
                "ignored"
            )
        return None
    return split.astype(np.int64) + 1
