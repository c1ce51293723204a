"""The conformational landscape: particles placed by their amplitudes in a few dimensions, and its files.

A landscape folder holds landscape.star (the particles with their coordinates cfdPC1, …, cfdOutlier and cfdSource),
landscape.npz (the same as arrays), pca.json (the map between amplitudes and coordinates), record.json and
landscape.png.
"""

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.analysis.merge import merge_sets
from continuousflex_deep.analysis.outliers import mahalanobis_distance
from continuousflex_deep.analysis.pca import PCA
from continuousflex_deep.analysis.plots import draw_landscape
from continuousflex_deep.analysis.tables import format_rows
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import atomic_path, require_file
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.records import write_json, write_record
from continuousflex_deep.options import LandscapeOptions
from continuousflex_deep.particles import Particles

Floats = NDArray[np.float64]
MOST_COMPONENTS = 10  # kept when none is asked for; more are neither looked at nor stable


@dataclass(frozen=True, eq=False)
class Landscape:
    """n particles with coordinates (n, k), Mahalanobis distance, outlier mark and file number (from 1), each (n,).

    pca maps amplitudes to coordinates; it was fitted without the outliers, which are placed by it all the same.
    """

    particles: Particles
    coordinates: Floats
    distance: Floats
    outlier: NDArray[np.bool_]
    source: NDArray[np.int64]
    pca: PCA


def make_landscape(
    particles: Particles, source: NDArray[np.int64], n_components: int = 0, outlier_distance: float = 3.2
) -> Landscape:
    """PCA of the amplitudes of all particles within outlier_distance (0 keeps all) of the mean.

    Raises InputError without amplitudes, with fewer than 2 particles left, or for more components than modes.
    """
    amplitudes = particles.require_amplitudes("a landscape")
    n_modes = amplitudes.shape[1]
    if n_components > n_modes:
        raise InputError(
            f"--n-components: got {n_components}, but there are only {n_modes} modes; give {n_modes} or fewer"
        )
    distance = mahalanobis_distance(amplitudes)
    outlier = distance > outlier_distance if outlier_distance > 0 else np.zeros(len(particles), dtype=bool)
    if (~outlier).sum() < 2:
        raise InputError(
            f"a landscape needs at least 2 particles, got {int((~outlier).sum())} of {len(outlier)} within "
            f"a Mahalanobis distance of {outlier_distance:g}; give more particles or a larger --outlier-distance"
        )
    pca = PCA.fit(amplitudes[~outlier], n_components or min(n_modes, MOST_COMPONENTS))
    return Landscape(particles, pca.transform(amplitudes), distance, outlier, source, pca)


def landscape_columns(landscape: Landscape) -> dict[str, NDArray[np.object_]]:
    """Coordinates, outlier marks and origins as STAR columns."""
    columns = {f"cfdPC{i}": _text(c, ".6f") for i, c in enumerate(landscape.coordinates.T, start=1)}
    return columns | {
        "cfdOutlier": _text(landscape.outlier.astype(int), "d"),
        "cfdSource": _text(landscape.source, "d"),
    }


def write_landscape(folder: Path, landscape: Landscape) -> None:
    """Write landscape.star, landscape.npz and pca.json."""
    stale = re.compile(r"cfdPC\d+|cfdOutlier|cfdSource")  # of a landscape that the particles were in before
    kept = {k: v for k, v in landscape.particles.extra.items() if not stale.fullmatch(k)}
    with_columns = landscape.particles.replace(extra=kept | landscape_columns(landscape))
    write_particles(with_columns, folder / "landscape.star")
    arrays = {
        "ids": landscape.particles.ids,
        "mode_ids": np.array(landscape.particles.mode_ids),
        "amplitudes": landscape.particles.require_amplitudes("a landscape"),
        "coordinates": landscape.coordinates,
        "distance": landscape.distance,
        "outlier": landscape.outlier,
        "source": landscape.source,
    }
    with atomic_path(folder / "landscape.npz") as temporary:
        np.savez(temporary, **arrays)
    write_json(folder / "pca.json", {"mode_ids": list(landscape.particles.mode_ids), **landscape.pca.as_dict()})


def read_landscape(folder: str | Path) -> Landscape:
    """The landscape that the landscape command wrote. Raises InputError or FormatError naming what is wrong."""
    base = Path(folder)
    if not base.is_dir():
        raise InputError(f"landscape: '{base}' is not a folder; make one with the landscape command")
    particles = read_particles(base / "landscape.star")
    file = require_file(base / "landscape.npz", "landscape arrays")
    try:
        with np.load(file) as arrays:
            ids, rest = arrays["ids"], {k: arrays[k] for k in ("coordinates", "distance", "outlier", "source")}
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise FormatError(f"'{file}' is not a whole landscape ({error}); run the landscape command again") from error
    if not np.array_equal(ids, particles.ids):
        raise FormatError(
            f"'{base}': landscape.star and landscape.npz hold different particles; run the landscape command again"
        )
    return Landscape(particles, **rest, pca=_read_pca(base / "pca.json"))


def run(options: LandscapeOptions) -> None:
    """The `landscape` command."""
    sets = [read_particles(path) for path in options.particles]
    for path, particles in zip(options.particles, sets, strict=True):
        particles.require_amplitudes(f"a landscape with '{path}'")
    merged, source, dropped = merge_sets(sets, options.particles)
    landscape = make_landscape(merged, source, options.n_components, options.outlier_distance)
    folder = Path(options.output)
    write_landscape(folder, landscape)
    draw_landscape(folder / "landscape.png", landscape.coordinates, landscape.pca.explained, landscape.outlier, source,
                   [Path(p).name for p in options.particles])  # fmt: skip
    facts = {
        "particles": len(merged),
        "outliers": int(landscape.outlier.sum()),
        "explained": landscape.pca.explained.tolist(),
    }
    files = [
        {"source": i, "file": path, "particles": len(p)}
        for i, (path, p) in enumerate(zip(options.particles, sets, strict=True), 1)
    ]
    write_record(folder / "record.json", "landscape", options, **facts, sources=files, columns_not_in_all_files=dropped)
    if dropped:
        print(f"left out, because not all files have it: {', '.join(dropped)}")
    print(format_landscape(landscape))
    print(f"written: {folder}")


def format_landscape(landscape: Landscape) -> str:
    """The table that the command prints: variance explained and each component's weights on the modes."""
    pca, modes = landscape.pca, landscape.particles.mode_ids
    head = ["component", "variance %", "cumulative %", "deviation [Å]", *(f"q{m}" for m in modes)]
    cumulative = np.cumsum(pca.explained)
    rows = [
        [f"PC{i + 1}", f"{100 * pca.explained[i]:.1f}", f"{100 * cumulative[i]:.1f}", f"{np.sqrt(pca.variance[i]):.1f}",
         *(f"{w:+.2f}" for w in pca.components[i])]
        for i in range(len(pca.variance))
    ]  # fmt: skip
    n, n_out = len(landscape.particles), int(landscape.outlier.sum())
    return f"{n} particles, {n_out} of them marked as outliers and left out of the fit\n{format_rows(head, rows)}"


def _read_pca(path: Path) -> PCA:
    file = require_file(path, "landscape map")
    try:
        return PCA.from_dict(json.loads(file.read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"'{file}' is not the map that the landscape command writes ({error})") from error


def _text(values: NDArray[np.generic], form: str) -> NDArray[np.object_]:
    out = np.empty(len(values), dtype=object)
    out[:] = [format(v, form) for v in values.tolist()]
    return out
