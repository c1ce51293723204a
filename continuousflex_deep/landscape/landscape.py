"""The conformational landscape: particles in a space of few dimensions according to their amplitudes, and its files.

The folder of a landscape contains landscape.star (the particles with their coordinates, cfdOutlier and cfdSource),
landscape.npz (the same as arrays), the map between amplitudes and coordinates, record.json and landscape.png. With PCA
the coordinates are the columns cfdPC1, … and the map is pca.json; with other methods they are cfdDim1, … and the map is
reduction.npz with reduction.json. Conditions can name both as pc1, … or dim1, ….
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Booleans, Floats, Integers
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.density_table import write_densities
from continuousflex_deep.io.file_names import LANDSCAPE_STAR
from continuousflex_deep.io.landscape_table import (
    LANDSCAPE_NPZ,
    LandscapeTable,
    read_landscape_table,
    table_of,
    write_landscape_table,
)
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.records import begin_results
from continuousflex_deep.io.tables import format_rows
from continuousflex_deep.landscape.embeddings import EmbeddingSettings
from continuousflex_deep.landscape.outliers import mahalanobis_distance
from continuousflex_deep.landscape.pca import PCA
from continuousflex_deep.landscape.reduction import (
    LABELS,
    METRIC,
    Embedding,
    Reduction,
    fit_embedding,
    format_embedding,
    read_reduction,
    write_reduction,
)
from continuousflex_deep.options import LandscapeOptions
from continuousflex_deep.particles import Particles

MOST_COMPONENTS = 10  # of PCA by default; more are neither inspected nor reproducible
_EMBEDDED = 2  # dimensions of other methods by default


@dataclass(frozen=True, eq=False)
class Landscape:
    """n particles with coordinates (n, k) and, each (n,), Mahalanobis distance, outlier mark and file number (from 1).

    reduction maps amplitudes to coordinates. It was fitted without the outliers, but gives them coordinates, too.
    """

    particles: Particles
    coordinates: Floats
    distance: Floats
    outlier: Booleans
    source: Integers
    reduction: Reduction

    @property
    def pca(self) -> PCA:
        """The reduction if it is PCA, otherwise an InputError."""
        if not isinstance(self.reduction, PCA):
            raise InputError(
                f"this landscape has no principal components: it was made with --method {self.reduction.method}; make "
                "one with --method pca"
            )
        return self.reduction

    def select(self, rows: Integers) -> "Landscape":
        """The particles of these rows, in this order."""
        arrays = {name: getattr(self, name)[rows] for name in ("coordinates", "distance", "outlier", "source")}
        return replace(self, particles=self.particles.select(rows), **arrays)

    def table(self, source_names: tuple[str, ...] = ()) -> LandscapeTable:
        """The landscape as named columns. source_names: of the files that the particles come from."""
        method, k = self.reduction.method, self.coordinates.shape[1]
        return table_of(
            self.particles, self.coordinates, self.distance, self.outlier, self.source,
            labels=tuple(_name(method, i + 1) for i in range(k)), unit="Å" if method in METRIC else "",
            principal=method == "pca", source_names=source_names,
        )  # fmt: skip


def make_landscape(
    particles: Particles,
    source: Integers,
    n_components: int = 0,
    outlier_distance: float = 3.2,
    method: str = "pca",
    settings: EmbeddingSettings | None = None,
    n_landmarks: int = LandscapeOptions.landmarks,
) -> Landscape:
    """The landscape of amplitudes by a method of dimension reduction, fitted without outliers.

    Outliers are particles beyond outlier_distance from the mean (Mahalanobis distance); 0 marks none. n_components: the
    number of dimensions, 0 for the method's default. settings and n_landmarks are those of methods other than PCA.
    Raises InputError without amplitudes, for too few particles, and for more components than modes.
    """
    amplitudes = particles.require_amplitudes("a landscape")
    n_modes = amplitudes.shape[1]
    if n_components > n_modes:
        raise InputError(
            f"--n-components: got {n_components}, but the particles have {n_modes} modes; give {n_modes} or fewer"
        )
    distance = mahalanobis_distance(amplitudes)
    outlier = distance > outlier_distance if outlier_distance > 0 else np.zeros(len(particles), dtype=bool)
    if (~outlier).sum() < 2:
        raise InputError(
            f"a landscape needs at least 2 particles, got {int((~outlier).sum())} of {len(outlier)} within "
            f"a Mahalanobis distance of {outlier_distance:g}; give more particles or a larger --outlier-distance"
        )
    kept = amplitudes[~outlier]
    k = n_components or min(n_modes, MOST_COMPONENTS if method == "pca" else _EMBEDDED)
    reduction: Reduction
    if method == "pca":
        reduction = PCA.fit(kept, k)
        return Landscape(particles, reduction.transform(amplitudes), distance, outlier, source, reduction)
    settings = replace(settings or EmbeddingSettings(k), n_components=k)
    reduction, rows = fit_embedding(method, kept, settings, n_landmarks)
    coordinates = reduction.transform(amplitudes)
    coordinates[np.flatnonzero(~outlier)[rows]] = reduction.coordinates  # the method's own, not those of the map
    return Landscape(particles, coordinates, distance, outlier, source, reduction)


def landscape_columns(landscape: Landscape) -> dict[str, NDArray[np.object_]]:
    """Coordinates, outlier marks and file numbers as STAR columns."""
    prefix = "cfdPC" if landscape.reduction.method == "pca" else "cfdDim"
    columns = {f"{prefix}{i}": _text(c, ".6f") for i, c in enumerate(landscape.coordinates.T, start=1)}
    return columns | {
        "cfdOutlier": _text(landscape.outlier.astype(int), "d"),
        "cfdSource": _text(landscape.source, "d"),
    }


def write_landscape(folder: Path, landscape: Landscape, source_names: tuple[str, ...] = ()) -> None:
    """Write landscape.star, the reduction's files and, as the last of what readers need, landscape.npz.

    source_names: of the particle files.
    """
    begin_results(folder, LANDSCAPE_NPZ)
    stale = re.compile(r"cfd(PC|Dim)\d+|cfdOutlier|cfdSource")  # columns of an earlier landscape
    kept = {k: v for k, v in landscape.particles.extra.items() if not stale.fullmatch(k)}
    with_columns = landscape.particles.replace(extra=kept | landscape_columns(landscape))
    write_particles(with_columns, folder / LANDSCAPE_STAR)
    write_densities(folder, [])  # those of an earlier landscape in this folder
    write_reduction(folder, landscape.reduction, landscape.particles.mode_ids)
    write_landscape_table(folder, landscape.table(source_names))


def read_landscape(folder: str | Path) -> Landscape:
    """The landscape that the landscape command wrote. Raises InputError or FormatError for another folder."""
    base = Path(folder)
    if not base.is_dir():
        raise InputError(f"landscape: '{base}' is not a folder; make one with the landscape command")
    particles = read_particles(base / LANDSCAPE_STAR)
    table = read_landscape_table(base)
    if not np.array_equal(table.ids, particles.ids):
        raise FormatError(
            f"'{base}': landscape.star and landscape.npz contain different particles; run the landscape command again"
        )
    return Landscape(
        particles, table.coordinates, table.distance, table.outlier, table.source, reduction=read_reduction(base)
    )


def format_landscape(landscape: Landscape) -> str:
    """A landscape as text: outliers, then the table of PCA or the errors of the maps of an embedding."""
    n, n_out = len(landscape.particles), int(landscape.outlier.sum())
    head = f"{n} particles, of which {n_out} are marked as outliers and excluded from the fit"
    reduction = landscape.reduction
    return f"{head}\n{format_embedding(reduction) if isinstance(reduction, Embedding) else _format_pca(landscape)}"


def _format_pca(landscape: Landscape) -> str:
    """The variance that each component explains, and its weights on the modes."""
    pca, modes = landscape.pca, landscape.particles.mode_ids
    head = ["component", "variance %", "cumulative %", "SD [Å]", *(f"q{m}" for m in modes)]
    cumulative = np.cumsum(pca.explained)
    rows = [
        [f"PC{i + 1}", f"{100 * pca.explained[i]:.1f}", f"{100 * cumulative[i]:.1f}", f"{np.sqrt(pca.variance[i]):.1f}",
         *(f"{w:+.2f}" for w in pca.components[i])]
        for i in range(len(pca.variance))
    ]  # fmt: skip
    return format_rows(head, rows)


def _name(method: str, number: int) -> str:
    """The label of a coordinate in figures and viewers."""
    return f"PC{number}" if method == "pca" else f"{LABELS[method]} {number}"


def _text(values: NDArray[np.generic], form: str) -> NDArray[np.object_]:
    out = np.empty(len(values), dtype=object)
    out[:] = [format(v, form) for v in values.tolist()]
    return out
