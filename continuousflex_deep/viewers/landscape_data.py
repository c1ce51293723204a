"""What a landscape's folder says, as named columns to plot and colour by."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.errors import FormatError, InputError

Floats = NDArray[np.float64]
_BESIDE = ("distance", "source", "outlier")


@dataclass(frozen=True, eq=False)
class LandscapeData:
    """ids (n,) of the particles and columns by name, each (n,): PC 1 ... (or Isomap 1 ..., as the method is called),
    q 7 ... [Å], distance, source, outlier; units by name of those that have one."""

    ids: NDArray[np.int64]
    columns: dict[str, Floats]
    units: dict[str, str]

    def axes(self) -> list[str]:
        """Names of the columns that make sense as axes: components and amplitudes."""
        return [name for name in self.columns if name not in _BESIDE]

    def label(self, name: str) -> str:
        """A column's name with its unit, as axes show it."""
        return f"{name} ({self.units[name]})" if name in self.units else name


def read_landscape_data(folder: str | Path) -> LandscapeData:
    """The particles of a folder that the landscape command wrote. Raises InputError or FormatError when it is none."""
    path = Path(folder) / "landscape.npz"
    if not path.is_file():
        raise InputError(f"'{folder}' holds no landscape: there is no '{path.name}'; run the landscape protocol again")
    try:
        with np.load(path) as arrays:
            coordinates = arrays["coordinates"].T
            names = [f"PC {i + 1}" for i in range(len(coordinates))]
            unit = str(arrays["units"]) if "units" in arrays else "Å"
            if "labels" in arrays and not str(arrays["labels"][0]).startswith("PC"):
                names = arrays["labels"].tolist()
            columns = dict(zip(names, coordinates, strict=True))
            units = dict.fromkeys(names, unit) if unit else {}
            columns |= {f"q {m}": q for m, q in zip(arrays["mode_ids"], arrays["amplitudes"].T, strict=True)}
            units |= {f"q {m}": "Å" for m in arrays["mode_ids"]}
            columns |= {name: arrays[name].astype(np.float64) for name in _BESIDE}
            return LandscapeData(ids=arrays["ids"], columns=columns, units=units)
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise FormatError(f"'{path}' is not what the landscape command writes ({error}); run it again") from error
