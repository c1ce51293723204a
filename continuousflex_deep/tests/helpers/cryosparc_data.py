"""cryoSPARC datasets as its jobs write them: structured arrays of single precision, paths as bytes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOB: list[tuple[Any, ...]] = [
    ("blob/path", "S89"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)), ("blob/psize_A", "<f4"),
    ("blob/sign", "<f4"),
]  # fmt: skip
CTF: list[tuple[Any, ...]] = [
    ("ctf/type", "S9"), ("ctf/exp_group_id", "<u4"), ("ctf/accel_kv", "<f4"), ("ctf/cs_mm", "<f4"),
    ("ctf/amp_contrast", "<f4"), ("ctf/df1_A", "<f4"), ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4"),
    ("ctf/phase_shift_rad", "<f4"), ("ctf/tilt_A", "<f4", (2,)), ("ctf/anisomag", "<f4", (4,)),
]  # fmt: skip
ALIGNMENT: list[tuple[Any, ...]] = [
    ("alignments3D/split", "<u4"), ("alignments3D/shift", "<f4", (2,)), ("alignments3D/pose", "<f4", (3,)),
    ("alignments3D/psize_A", "<f4"),
]  # fmt: skip
UID: list[tuple[Any, ...]] = [("uid", "<u8")]
# uids with and without the highest bit
UIDS = np.array([15494748553812943456, 3806243878409217281, 17, 2**63 + 5, 2714306824294111763, 99], dtype=np.uint64)


def dataset(n: int = 6, box_px: int = 8, pixel_size_A: float = 1.5) -> NDArray[Any]:
    """Particles of one stack with CTF and poses, in two exposure groups and both halves."""
    rng = np.random.default_rng(3)
    table = np.zeros(n, dtype=UID + BLOB + CTF + ALIGNMENT)
    table["uid"] = UIDS[:n] if n <= len(UIDS) else rng.integers(1, 2**64, n, dtype=np.uint64)
    table["blob/path"], table["blob/idx"] = b"J1/extract/a.mrc", np.arange(n)[::-1]
    table["blob/shape"], table["blob/psize_A"], table["blob/sign"] = box_px, pixel_size_A, -1
    table["ctf/type"], table["ctf/exp_group_id"], table["ctf/accel_kv"] = b"spline", np.arange(n) % 2 + 2, 300
    table["ctf/cs_mm"], table["ctf/amp_contrast"] = 2.7, 0.07
    table["ctf/df1_A"], table["ctf/df2_A"] = rng.uniform(1e4, 2e4, n), rng.uniform(1e4, 2e4, n)
    table["ctf/df_angle_rad"], table["ctf/phase_shift_rad"] = rng.uniform(-1.5, 1.5, n), rng.uniform(0, 1.5, n)
    table["alignments3D/split"], table["alignments3D/psize_A"] = np.arange(n) // 2 % 2, pixel_size_A
    table["alignments3D/pose"], table["alignments3D/shift"] = rng.normal(size=(n, 3)), rng.normal(size=(n, 2))
    return table


def columns(table: NDArray[Any], *prefixes: str) -> NDArray[Any]:
    """The uids and the fields that begin so."""
    names = [n for n in table.dtype.names or () if n == "uid" or n.startswith(prefixes)]
    out = np.zeros(len(table), dtype=[(n, table.dtype[n]) for n in names])
    for name in names:
        out[name] = table[name]
    return out


def without(table: NDArray[Any], *names: str) -> NDArray[Any]:
    """The table without some fields."""
    kept = [n for n in table.dtype.names or () if n not in names]
    out = np.zeros(len(table), dtype=[(n, table.dtype[n]) for n in kept])
    for name in kept:
        out[name] = table[name]
    return out


def save(path: Path, table: NDArray[Any]) -> Path:
    """Write a dataset as cryoSPARC does: numpy's format under the suffix .cs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        np.save(file, table, allow_pickle=False)
    return path
