"""Trajectories of CHARMM, NAMD and X-PLOR (.dcd): coordinates only, of the atoms of a structure file in its order.

The file consists of Fortran records, each between two counts of its bytes: a header of 84 bytes that starts with CORD,
titles, the number of atoms, and for each frame a unit cell (where the header says so) and x, y and z of all atoms.
"""

import struct
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.files import require_file

_HEADER = 84
# places in the header's numbers
_FIXED_ATOMS, _CELL, _FOURTH, _VERSION = 8, 10, 11, 19


def read_dcd(path: str | Path) -> Floats:
    """Coordinates (F, N, 3) in Å of the frames that the file holds, however many its header announces.

    Raises FormatError for a file that is damaged, or whose frames have fixed atoms or a fourth dimension.
    """
    file = require_file(path, "trajectory")
    content = np.memmap(file, dtype=np.uint8, mode="r") if file.stat().st_size else np.zeros(0, np.uint8)
    order = next((o for o in "<>" if bytes(content[:8]) == struct.pack(f"{o}i4s", _HEADER, b"CORD")), "")
    if not order or len(content) < _HEADER + 8:
        raise FormatError(
            f"'{file}' is not a trajectory of CHARMM, NAMD or X-PLOR (.dcd): it does not start with a record of "
            f"{_HEADER} bytes that begins with CORD"
        )
    numbers = content[8:88].view(f"{order}i4")
    if numbers[_FIXED_ATOMS] or (numbers[_VERSION] and numbers[_FOURTH]):
        what = "fixed atoms" if numbers[_FIXED_ATOMS] else "a fourth dimension"
        raise FormatError(f"'{file}' has {what}, which is not read; write all atoms of each frame, in three dimensions")
    try:
        place = _after(content, _after(content, 0, order), order)  # the titles
        if _after(content, place, order) != place + 12:
            raise ValueError("the record of the number of atoms has another length than 4 bytes")
    except ValueError as error:
        raise FormatError(f"'{file}' is damaged at its beginning ({error}); copy it again") from error
    n_atoms = _number(content, place + 4, order)
    return _frames(content[place + 12 :], n_atoms, bool(numbers[_VERSION] and numbers[_CELL]), order, file)


def _frames(content: np.ndarray, n_atoms: int, has_cell: bool, order: str, file: Path) -> Floats:
    records = [("cell", f"{order}f8", 6)] * has_cell + [(axis, f"{order}f4", n_atoms) for axis in "xyz"]
    sizes = {name: np.dtype(kind).itemsize * count for name, kind, count in records}
    size = sum(sizes.values()) + 8 * len(records)
    if n_atoms <= 0 or len(content) < size:
        raise FormatError(f"'{file}' has no complete frame of {n_atoms} atoms; write it again")
    layout = np.dtype(
        [part for name, kind, count in records
         for part in ((f"{name}_begin", f"{order}i4"), (name, kind, (count,)), (f"{name}_end", f"{order}i4"))]
    )  # fmt: skip
    frames = content[: len(content) // size * size].view(layout)
    for name, length in sizes.items():
        wrong = np.flatnonzero((frames[f"{name}_begin"] != length) | (frames[f"{name}_end"] != length))
        if len(wrong):
            raise FormatError(
                f"'{file}': frame {wrong[0] + 1} of {len(frames)} is damaged: its record of {name} is not "
                f"{length} bytes long; copy or write the file again"
            )
    with np.errstate(invalid="ignore"):  # they are refused below
        coords_A = np.stack([frames[axis] for axis in "xyz"], axis=-1).astype(np.float64)
    if not np.isfinite(coords_A).all():
        raise FormatError(f"'{file}' has coordinates that are no numbers; write it again")
    return coords_A


def _after(content: np.ndarray, place: int, order: str) -> int:
    """Where the record ends that begins at a place. ValueError unless both its counts of bytes agree."""
    length = _number(content, place, order)
    end = place + 4 + length
    if length < 0 or _number(content, end, order) != length:
        raise ValueError(f"the record at byte {place} does not end as it begins")
    return end + 4


def _number(content: np.ndarray, place: int, order: str) -> int:
    if not 0 <= place <= len(content) - 4:
        raise ValueError(f"it ends before byte {place}")
    return int(content[place : place + 4].view(f"{order}i4")[0])
