"""Whether the first coordinates of a landscape depend on how its particles were imaged, as text, facts and picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.figures.dependence import save_dependence
from continuousflex_deep.landscape.coordinate_errors import measured_coordinates
from continuousflex_deep.landscape.dependence import (
    DEFOCUS,
    IN_PLANE,
    Dependence,
    Imaging,
    describe_dependence,
    find_dependence,
    imaging_of,
)
from continuousflex_deep.landscape.landscape import Landscape
from continuousflex_deep.particles import evenly_spread

_MOST_TESTED = 200_000  # particles
_TESTED = 3  # coordinates


@dataclass(frozen=True, eq=False)
class ImagingCheck:
    """Tests of coordinates against how n particles were imaged, the smallest p-value first, and what they say.

    values (n,): the coordinate with the smallest p-value, whose name on axes is label.
    """

    tests: list[Dependence]
    sentence: str
    imaging: Imaging
    values: Floats
    label: str

    @property
    def alarm(self) -> bool:
        """Whether a dependence is to be reported."""
        return any(test.alarms for test in self.tests)

    def facts(self) -> dict[str, Any]:
        """The facts of a record."""
        return {"sentence": self.sentence, "alarm": self.alarm, "tests": [vars(test) for test in self.tests]}

    def save(self, path: str | Path) -> None:
        """The means of the coordinate over view, in-plane angle, defocus and micrographs as PNG."""
        known, units = self.imaging, {IN_PLANE: " [°]", DEFOCUS: " [Å]"}
        factors = {IN_PLANE: known.psi_deg, DEFOCUS: known.defocus_A}
        shown = {name: (units[name], values) for name, values in factors.items() if values is not None}
        save_dependence(path, self.values, self.label, known.view, shown, known.micrograph)


def check_imaging(landscape: Landscape, error_bars: bool) -> ImagingCheck:
    """Tests of the first coordinates of a landscape's particles, without outliers. error_bars: whether those of the
    particles are to be trusted; spreads are tested with them only."""
    rows = np.flatnonzero(~landscape.outlier)
    kept = landscape.select(rows[evenly_spread(len(rows), _MOST_TESTED)])
    number = min(kept.coordinates.shape[1], _TESTED)
    particles, variances, coordinates = kept.particles, None, kept.coordinates[:, :number]
    found = measured_coordinates(kept.reduction, particles, coordinates, tuple(range(number))) if error_bars else None
    if found is not None and len(found.rows) > 1:
        particles, coordinates = particles.select(found.rows), found.points
        variances = np.diagonal(found.covariances, axis1=1, axis2=2)
    imaging, table = imaging_of(particles), kept.table()
    tests = find_dependence(coordinates, variances, imaging)
    shown = tests[0].coordinate if tests else 0
    sentence = describe_dependence(tests, list(table.labels))
    return ImagingCheck(tests, sentence, imaging, coordinates[:, shown], table.axis_labels[shown])
