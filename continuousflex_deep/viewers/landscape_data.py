"""What a landscape's folder says, as named columns to plot and colour by."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.errors import FormatError, InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LandscapeData:
    """ids (n,) of the particles and columns by name, each (n,): PC 1 ..., q 7 ... [Å], distance, source, outlier."""

    ids: NDArray[np.int64]
    columns: dict[str, Floats]

    def axes(self) -> list[str]:
        """Names of the columns that make sense as axes: components and amplitudes."""
        return [name for name in self.columns if name.startswith(("PC ", "q "))]


def read_landscape_data(folder: str | Path) -> LandscapeData:
    """The particles of a folder that the landscape command wrote. Raises InputError or FormatError when it is none."""
    path = Path(folder) / "landscape.npz"
    if not path.is_file():
        raise InputError(f"'{folder}' holds no landscape: there is no '{path.name}'; run the landscape protocol again")
    try:
        with np.load(path) as arrays:
            columns = {f"PC {i}": column for i, column in enumerate(arrays["coordinates"].T, start=1)}
            columns |= {f"q {m}": q for m, q in zip(arrays["mode_ids"], arrays["amplitudes"].T, strict=True)}
            columns |= {name: arrays[name].astype(np.float64) for name in ("distance", "source", "outlier")}
            return LandscapeData(ids=arrays["ids"], columns=columns)
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise FormatError(f"'{path}' is not what the landscape command writes ({error}); run it again") from error
