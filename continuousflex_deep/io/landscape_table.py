"""landscape.npz: everything known about the particles of a landscape, as arrays that are read in a second for any
number of particles."""

import os
import zipfile
import zlib
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Booleans, Floats, Integers
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.particles import MOTIONS, STRAIGHT, Particles, find_rows

LANDSCAPE_NPZ = "landscape.npz"
# of columns other than coordinates and amplitudes, in the order in which they are offered
COLUMN_LABELS = {
    "score": "score", "ambiguous": "ambiguous", "angle_sd": "angle deviation [°]", "shift_sd": "shift deviation [Å]",
    "defocus": "defocus [Å]", "rot": "rot [°]", "tilt": "tilt [°]", "psi": "psi [°]", "shift_x": "shift x [Å]",
    "shift_y": "shift y [Å]", "outlier": "outlier", "distance": "Mahalanobis distance", "source": "source",
}  # fmt: skip
_DAMAGED = (zipfile.BadZipFile, zlib.error)
# kinds of numpy's types that a column may have, and its shape after the rows: a number, or what has as many values
_KINDS = {
    **dict.fromkeys(("ids", "source", "stack", "index"), ("iu", ())),
    **dict.fromkeys(("outlier", "ambiguous"), ("b", ())),
    **dict.fromkeys(("distance", "score", "angle_sd_deg", "shift_sd_A", "defocus_A"), ("f", ())),
    **dict.fromkeys(("amplitudes", "amplitudes_sd", "free_amplitudes", "free_amplitudes_sd"), ("f", ("mode_ids",))),
    "coordinates": ("f", ("labels",)),
    "euler_deg": ("f", (3,)),
    "shift_A": ("f", (2,)),
}
_FINITE = ("coordinates", "amplitudes")


@dataclass(frozen=True, eq=False)
class LandscapeTable:
    """n particles in a landscape of k coordinates; arrays are None if unknown.

    labels (k,): names of the coordinates in pictures; unit: their unit ('' for none); principal: whether they are
    principal components. distance (n,) and outlier (n,); source (n,): number of the particle's file, from 1;
    source_names: names of these files. The other arrays are those of Particles, in the same units; defocus_A (n,) is
    the mean of both defoci. stack (n,) is a row of stack_names, index (n,) counts from 0.
    """

    ids: Integers
    coordinates: Floats
    labels: tuple[str, ...]
    unit: str
    principal: bool
    mode_ids: tuple[int, ...]
    amplitudes: Floats
    distance: Floats
    outlier: Booleans
    source: Integers
    source_names: tuple[str, ...]
    stack_names: tuple[str, ...]
    stack: NDArray[np.int32]
    index: Integers
    box_px: int
    pixel_size_A: float
    motion: str = STRAIGHT
    amplitudes_sd: Floats | None = field(default=None)
    free_amplitudes: Floats | None = field(default=None)
    free_amplitudes_sd: Floats | None = field(default=None)
    euler_deg: Floats | None = field(default=None)
    shift_A: Floats | None = field(default=None)
    score: Floats | None = field(default=None)
    ambiguous: Booleans | None = field(default=None)
    angle_sd_deg: Floats | None = field(default=None)
    shift_sd_A: Floats | None = field(default=None)
    defocus_A: Floats | None = field(default=None)

    def __len__(self) -> int:
        return len(self.ids)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns of conditions, as arrays (n,): the coordinates as pc1 … and as dim1 … with every method,
        q7 … [Å], q7_sd …, outlier, distance, source, id, and if known score, ambiguous, angle_sd [°], shift_sd [Å],
        rot, tilt, psi [°], shift_x, shift_y [Å], defocus [Å]."""
        names: dict[str, NDArray[Any]] = {}
        for kind in ("pc", "dim"):
            names |= {f"{kind}{i}": c for i, c in enumerate(self.coordinates.T, start=1)}
        for ending, values in (("", self.amplitudes), ("_sd", self.amplitudes_sd)):
            if values is not None:
                names |= {f"q{m}{ending}": values[:, i] for i, m in enumerate(self.mode_ids)}
        names |= {"outlier": self.outlier, "distance": self.distance, "source": self.source, "id": self.ids}
        optional = {
            "score": self.score, "ambiguous": self.ambiguous, "angle_sd": self.angle_sd_deg,
            "shift_sd": self.shift_sd_A, "defocus": self.defocus_A,
        }  # fmt: skip
        names |= {name: values for name, values in optional.items() if values is not None}
        if self.euler_deg is not None:
            names |= dict(zip(("rot", "tilt", "psi"), self.euler_deg.T, strict=True))
        if self.shift_A is not None:
            names |= dict(zip(("shift_x", "shift_y"), self.shift_A.T, strict=True))
        return names

    @property
    def axis_labels(self) -> list[str]:
        """The coordinates' labels with their unit, as axes and tables show them."""
        return [f"{label} [{self.unit}]" if self.unit else label for label in self.labels]

    def find(self, ids: Integers) -> tuple[Integers, Booleans]:
        """Rows (m,) of particles by their ids (m,), and whether each is here; the row of an absent id is arbitrary."""
        return find_rows(self.ids, ids, self._order)

    @cached_property
    def _order(self) -> Integers:
        return np.argsort(self.ids, kind="stable")

    def coordinate_names(self) -> list[str]:
        """The coordinates' names in conditions: pc1, … for principal components, otherwise dim1, …."""
        return [f"{'pc' if self.principal else 'dim'}{i + 1}" for i in range(self.coordinates.shape[1])]

    def label(self, name: str) -> str:
        """A column's name with its unit, as axes, scales and pages show it."""
        names = self.coordinate_names()
        if name in names:
            return f"{self.labels[names.index(name)]} [{self.unit}]" if self.unit else self.labels[names.index(name)]
        if name in COLUMN_LABELS:
            return COLUMN_LABELS[name]
        return f"{name.removesuffix('_sd')} deviation [Å]" if name.endswith("_sd") else f"{name} [Å]"

    def image(self, row: int) -> Particles:
        """The particle of one row, for reading its image."""
        return Particles(
            ids=self.ids[[row]],
            stacks=np.array([self.stack_names[self.stack[row]]], dtype=object),
            indices=self.index[[row]],
            pixel_size_A=self.pixel_size_A,
            box_px=self.box_px,
        )


def table_of(
    particles: Particles,
    coordinates: Floats,
    distance: Floats,
    outlier: Booleans,
    source: Integers,
    labels: tuple[str, ...],
    unit: str,
    principal: bool,
    source_names: tuple[str, ...] = (),
) -> LandscapeTable:
    """The table of n particles with amplitudes; see LandscapeTable for the arrays."""
    names = sorted(set(particles.stacks))
    place = {name: row for row, name in enumerate(names)}
    ctf = particles.ctf
    return LandscapeTable(
        ids=particles.ids,
        coordinates=coordinates,
        labels=labels,
        unit=unit,
        principal=principal,
        mode_ids=tuple(particles.mode_ids),
        amplitudes=particles.require_amplitudes("a landscape"),
        distance=distance,
        outlier=outlier,
        source=source,
        source_names=source_names,
        stack_names=tuple(map(str, names)),
        stack=np.fromiter((place[name] for name in particles.stacks), np.int32, len(particles)),
        index=particles.indices,
        box_px=particles.box_px,
        pixel_size_A=particles.pixel_size_A,
        motion=particles.motion,
        amplitudes_sd=particles.amplitudes_sd,
        free_amplitudes=particles.free_amplitudes,
        free_amplitudes_sd=particles.free_amplitudes_sd,
        euler_deg=particles.euler_deg,
        shift_A=particles.shift_A,
        score=particles.score,
        ambiguous=particles.ambiguous,
        angle_sd_deg=particles.angle_sd_deg,
        shift_sd_A=particles.shift_sd_A,
        defocus_A=None if ctf is None else (ctf.defocus_u_A + ctf.defocus_v_A) / 2,
    )


def _require_sound(table: LandscapeTable) -> None:
    """ValueError if the columns do not belong together, or do not hold what they should."""
    sound = type(table.box_px) is int and type(table.pixel_size_A) is float
    if not sound or table.box_px < 1 or not 0 < table.pixel_size_A < np.inf:
        raise ValueError(f"its images are of {table.box_px} px of {table.pixel_size_A} Å")
    for name, (kinds, more) in _KINDS.items():
        values = getattr(table, name)
        if values is None:
            continue
        shape = (len(table), *(len(getattr(table, n)) if isinstance(n, str) else n for n in more))
        if values.dtype.kind not in kinds or values.shape != shape:
            raise ValueError(f"{name} is {values.dtype} of shape {values.shape}, expected shape {shape}")
        if name in _FINITE and not np.isfinite(values).all():
            raise ValueError(f"{name} is not finite")
    if table.motion not in MOTIONS:
        raise ValueError(f"its motion is {table.motion!r}")
    if not all(isinstance(mode, int) for mode in table.mode_ids):
        raise ValueError("its modes are not numbers")
    if len(table) and not 0 <= table.stack.min() <= table.stack.max() < len(table.stack_names):
        raise ValueError("stack is not within stack_names")


def write_landscape_table(folder: str | Path, table: LandscapeTable) -> None:
    """Write landscape.npz into a landscape's folder."""
    arrays: dict[str, Any] = {f.name: getattr(table, f.name) for f in fields(table)}
    # relative to the folder, so that both can be moved together
    arrays["stack_names"] = [os.path.relpath(name, folder) for name in table.stack_names]
    with atomic_path(Path(folder) / LANDSCAPE_NPZ) as temporary:
        np.savez(temporary, **{name: np.asarray(value) for name, value in arrays.items() if value is not None})


def read_landscape_table(folder: str | Path) -> LandscapeTable:
    """The table of a landscape's folder. Raises InputError if there is none, FormatError if it is damaged."""
    path = Path(folder) / LANDSCAPE_NPZ
    if not path.is_file():
        raise InputError(
            f"'{folder}' contains no landscape: there is no '{path.name}'; compute one with the landscape command"
        )
    try:
        with np.load(path) as arrays:
            found = {f.name: arrays[f.name] for f in fields(LandscapeTable) if f.name in arrays}
        for name in ("labels", "mode_ids", "source_names", "stack_names"):
            found[name] = tuple(found[name].tolist())
        for name in ("unit", "principal", "box_px", "pixel_size_A", *(["motion"] if "motion" in found else [])):
            found[name] = found[name].item()
        found["stack_names"] = tuple(os.path.normpath(Path(folder).absolute() / name) for name in found["stack_names"])
        table = LandscapeTable(**found)
        _require_sound(table)
    except (KeyError, ValueError, TypeError, EOFError, OSError, NotImplementedError, *_DAMAGED) as error:
        raise FormatError(
            f"'{path}' is not a complete landscape of this version ({error}); run the landscape command again"
        ) from error
    return table
