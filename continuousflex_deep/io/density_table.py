"""density.npz: densities of a landscape along its first coordinate and in its first plane, raw and deconvolved."""

import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.files import atomic_path

DENSITY_NPZ = "density.npz"
_DAMAGED = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, TypeError, EOFError, OSError, NotImplementedError)


@dataclass(frozen=True, eq=False)
class DensityTable:
    """Densities on a grid (*shape) over the first d coordinates, from `corner` (d,) at steps of `spacing` (d,).

    raw: of the coordinates as they are. deconvolved: with the errors of the coordinates. low and high: limits of 95% of
    its bootstrap replicas. error_sd (d,): root mean square error of the coordinates. Densities are positive.
    """

    corner: Floats
    spacing: Floats
    raw: Floats
    deconvolved: Floats
    low: Floats
    high: Floats
    error_sd: Floats

    @property
    def axes(self) -> list[Floats]:
        """The places of the cells along each axis."""
        shape = self.raw.shape
        return [c + s * np.arange(n) for c, s, n in zip(self.corner, self.spacing, shape, strict=True)]


def energy_of(density: Floats, highest: float) -> Floats:
    """−ln(density / highest): the energy in kT relative to the place of the highest density."""
    return np.asarray(-np.log(density / highest))


def write_densities(folder: str | Path, tables: list[DensityTable]) -> None:
    """Write the densities over one coordinate, two, …; remove the file of an earlier run where there are none."""
    path = Path(folder) / DENSITY_NPZ
    if not tables:
        path.unlink(missing_ok=True)
        return
    arrays = {f"{f.name}{t.raw.ndim}": getattr(t, f.name) for t in tables for f in fields(t)}
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)


def read_densities(folder: str | Path) -> list[DensityTable]:
    """The densities of a landscape's folder, in order of their number of coordinates; none where the particles have no
    error bars. FormatError where the file is damaged."""
    path = Path(folder) / DENSITY_NPZ
    if not path.is_file():
        return []
    try:
        with np.load(path) as arrays:
            numbers = sorted(int(name.removeprefix("raw")) for name in arrays if name.startswith("raw"))
            if not numbers:
                raise ValueError("it has no densities")
            tables = [DensityTable(**{f.name: arrays[f"{f.name}{d}"] for f in fields(DensityTable)}) for d in numbers]
        for d, table in zip(numbers, tables, strict=True):
            _require_sound(table, d)
    except _DAMAGED as error:
        raise FormatError(
            f"'{path}' is not a complete file of densities ({error}); run the landscape command again"
        ) from error
    return tables


def _require_sound(table: DensityTable, d: int) -> None:
    """ValueError where shapes do not match, or where a density is not positive."""
    vectors = (table.corner, table.spacing, table.error_sd)
    grids = (table.raw, table.deconvolved, table.low, table.high)
    if any(v.shape != (d,) for v in vectors) or any(g.shape != table.raw.shape or g.ndim != d for g in grids):
        raise ValueError("its arrays do not match")
    if not all((np.isfinite(g) & (g > 0)).all() for g in grids):
        raise ValueError("a density is not positive")
