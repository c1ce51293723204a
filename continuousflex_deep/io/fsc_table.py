"""Tables of Fourier shell correlations, written by reconstruct, unbend and evaluate; thresholds of the resolution."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.records import read_json
from continuousflex_deep.io.texts import read_rows

THRESHOLDS = (0.143, 0.5)  # of the resolution: between half maps, and against a noise-free map
FREQUENCY = "frequency_per_A"
# curves of a group's map in the evaluate command's table: with which conformation it is compared, …
CENTROID, TRUE_CENTROID, REST, OTHER = "centroid", "true centroid", "structure at rest", "farthest other centroid"
MASKED = ", masked"  # … the same within a mask, which ends their names, …
ALLOWED = "allowed by noise"  # … and the estimate of what noise leaves of the FSC with a perfect reference
LEAST_ALLOWED = 0.25  # where that curve ends: below, F of the half maps is less than 0.03, and as much is chance


def resolution_title(threshold: str) -> str:
    """The title of a table of groups' resolutions."""
    return f"Resolution in Å at which the FSC of the groups' maps, neither filtered nor masked, falls to {threshold}"


def write_fsc(path: str | Path, frequency: Floats, curves: Mapping[str, Floats]) -> None:
    """Write curves (shells,) by name over spatial frequencies (shells,) in 1/Å, as CSV."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow([FREQUENCY, *curves])
        for row in zip(frequency, *curves.values(), strict=True):
            table.writerow([f"{v:.6f}" for v in row])


def read_fsc(path: str | Path) -> dict[str, tuple[Floats, Floats]]:
    """Frequencies (shells,) in 1/Å and correlations (shells,) by curve. FormatError for anything else."""
    head, rows = read_rows(path, "FSC curves")
    try:
        if head[:1] != [FREQUENCY] or not rows:
            raise ValueError(f"got columns {head[:4]} and {len(rows)} rows, expected {FREQUENCY} and curves")
        frequency, *curves = np.array(rows, dtype=np.float64).T
        if not np.isfinite(frequency).all():
            raise ValueError("frequencies that are not finite")
        return {name: (frequency, curve) for name, curve in zip(head[1:], curves, strict=True)}
    except ValueError as error:
        raise FormatError(
            f"FSC curves: '{path}' is not a complete table ({error}); run its command again"
        ) from error


def read_resolutions(path: str | Path) -> dict[str, dict[str, float | None]]:
    """Resolutions in Å by curve and threshold; None where a curve is below the threshold from the start. FormatError
    for a file without them."""
    found = read_json(path, "resolutions").get("resolution_A")
    whole = isinstance(found, dict) and all(
        isinstance(values, dict) and all(v is None or isinstance(v, int | float) for v in values.values())
        for values in found.values()
    )
    if not found or not whole:
        raise FormatError(f"'{path}' has no resolutions of each curve ({found!r:.60}); run the command again")
    return dict(found)
