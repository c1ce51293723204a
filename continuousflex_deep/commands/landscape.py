"""The `landscape` command: dimension reduction of the amplitudes of one or several particle sets."""

from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.figures.density import save_densities
from continuousflex_deep.figures.dependence import save_dependence
from continuousflex_deep.figures.landscape import save_landscape
from continuousflex_deep.io.density_table import DensityTable, write_densities
from continuousflex_deep.io.file_names import DEPENDENCE_PNG, RECORD_JSON
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.records import write_record
from continuousflex_deep.io.tables import format_rows
from continuousflex_deep.landscape.coordinate_errors import coordinate_covariances
from continuousflex_deep.landscape.deconvolution import has_spread
from continuousflex_deep.landscape.dependence import (
    DEFOCUS,
    IN_PLANE,
    Dependence,
    describe_dependence,
    find_dependence,
    imaging_of,
)
from continuousflex_deep.landscape.embeddings import EmbeddingSettings
from continuousflex_deep.landscape.landscape import Landscape, make_landscape, write_landscape
from continuousflex_deep.landscape.merging import merge_sets
from continuousflex_deep.landscape.pca import PCA
from continuousflex_deep.landscape.reduction import LABELS, Embedding, reduction_facts
from continuousflex_deep.messages import note
from continuousflex_deep.options import LandscapeOptions
from continuousflex_deep.particles import evenly_spread
from continuousflex_deep.runs.sole_writer import sole_writer
from continuousflex_deep.trajectories.deconvolved_density import density_table

_PLANE = 2  # coordinates whose densities are written
_MOST_TESTED = 200_000  # particles
_TESTED = 3  # coordinates whose dependence on imaging is tested


@sole_writer
def run(options: LandscapeOptions) -> None:
    """The `landscape` command."""
    sets = [read_particles(path) for path in options.particles]
    for path, particles in zip(options.particles, sets, strict=True):
        particles.require_amplitudes(f"a landscape with '{path}'")
    merged, source, dropped = merge_sets(sets, options.particles)
    if options.method != "pca":
        note(f"fitting {LABELS[options.method]} to {min(len(merged), options.landmarks)} of {len(merged)} particles")
    landscape = make_landscape(
        merged, source, options.n_components, options.outlier_distance, options.method, _settings(options),
        options.landmarks,
    )  # fmt: skip
    folder, names = Path(options.output), tuple(Path(path).stem for path in options.particles)
    write_landscape(folder, landscape, names)
    explained = landscape.reduction.explained if isinstance(landscape.reduction, PCA) else None
    save_landscape(folder / "landscape.png", landscape.table(names), explained)
    densities = _densities(landscape) if options.density == "deconvolved" else []
    write_densities(folder, densities)
    save_densities(folder / "density.png", densities, landscape.table().axis_labels)
    tests, dependence = _dependence(landscape, options.density != "raw", folder / DEPENDENCE_PNG)
    facts: dict[str, Any] = {"particles": len(merged), "outliers": int(landscape.outlier.sum())}
    facts["dependence"] = {
        "sentence": dependence,
        "alarm": any(test.alarms for test in tests),
        "tests": [vars(test) for test in tests],
    }
    if densities:
        facts["error_sd"] = densities[-1].error_sd.tolist()
    if isinstance(landscape.reduction, Embedding):
        facts["reduction"] = reduction_facts(landscape.reduction)
    else:
        facts["explained"] = landscape.pca.explained.tolist()
    files = [
        {"source": i, "file": path, "particles": len(p)}
        for i, (path, p) in enumerate(zip(options.particles, sets, strict=True), 1)
    ]
    write_record(folder / RECORD_JSON, "landscape", options, **facts, sources=files, columns_not_in_all_files=dropped)
    if dropped:
        print(f"columns dropped, since not all files have them: {', '.join(dropped)}")
    print(format_landscape(landscape))
    if densities:
        print(_format_errors(densities[-1], landscape))
    if facts["dependence"]["alarm"]:
        note(dependence)
    else:
        print(dependence)
    print(f"written: {folder}")


def _dependence(landscape: Landscape, error_bars: bool, picture: Path) -> tuple[list[Dependence], str]:
    """Tests of the first coordinates against how particles were imaged, what they say, and a picture of the coordinate
    with the smallest p-value. error_bars: whether those of the particles are to be trusted."""
    rows = np.flatnonzero(~landscape.outlier)
    kept = landscape.select(rows[evenly_spread(len(rows), _MOST_TESTED)])
    number = min(kept.coordinates.shape[1], _TESTED)
    dimensions, particles = tuple(range(number)), kept.particles
    variances = None
    if error_bars and particles.amplitudes_sd is not None:
        amplitudes = particles.require_amplitudes("a landscape")
        covariances = coordinate_covariances(kept.reduction, amplitudes, particles.amplitudes_sd, dimensions)
        variances = np.diagonal(covariances, axis1=1, axis2=2)
    imaging = imaging_of(particles)
    tests = find_dependence(kept.coordinates[:, :number], variances, imaging)
    labels = kept.table().axis_labels
    shown = tests[0].coordinate if tests else 0
    factors = {IN_PLANE: (" [°]", imaging.psi_deg), DEFOCUS: (" [Å]", imaging.defocus_A)}
    save_dependence(
        picture, kept.coordinates[:, shown], labels[shown], imaging.view,
        {name: (unit, values) for name, (unit, values) in factors.items() if values is not None}, imaging.micrograph,
    )  # fmt: skip
    return tests, describe_dependence(tests, list(kept.table().labels))


def _densities(landscape: Landscape) -> list[DensityTable]:
    """Densities along the first coordinate and in the first plane, as far as particles differ along them; none for
    particles without error bars."""
    number = int(np.cumprod(has_spread(landscape.coordinates[~landscape.outlier, :_PLANE])).sum())
    if number == 0:
        return []
    if landscape.particles.amplitudes_sd is not None:
        note(f"deconvolving the density of the first {number} coordinates with the errors of the particles")
    tables = [density_table(landscape, tuple(range(d))) for d in range(1, number + 1)]
    return [table for table in tables if table is not None]


def _format_errors(density: DensityTable, landscape: Landscape) -> str:
    """The errors of the first coordinates, beside their spread."""
    kept = landscape.coordinates[~landscape.outlier]
    parts = [
        f"{label} {error:.3g} of {kept[:, i].std():.3g}"
        for i, (label, error) in enumerate(zip(landscape.table().axis_labels, density.error_sd, strict=False))
    ]
    return f"errors of coordinates, of their standard deviation: {', '.join(parts)}; density.png is without them"


def format_landscape(landscape: Landscape) -> str:
    """What the command prints: outliers, then the table of PCA or the errors of the maps of an embedding."""
    n, n_out = len(landscape.particles), int(landscape.outlier.sum())
    head = f"{n} particles, of which {n_out} are marked as outliers and excluded from the fit"
    reduction = landscape.reduction
    return f"{head}\n{_format_embedding(reduction) if isinstance(reduction, Embedding) else _format_pca(landscape)}"


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


def _format_embedding(reduction: Embedding) -> str:
    errors, k = reduction.errors, reduction.coordinates.shape[1]
    tested = f"{errors.particles} particles " + (
        "that are no landmarks" if errors.unseen else "held out from the maps (but not from the embedding)"
    )
    accuracy = f"an error of {100 * errors.transform:.1f}% of their spread" if errors.transform else "no error"
    return (
        f"{LABELS[reduction.method]}: {k} dimensions, fitted to {len(reduction.landmarks)} landmarks; coordinates of "
        f"other particles have {accuracy}\namplitudes mapped back from coordinates: {100 * errors.explained:.1f}% of "
        f"the variance, with an error of {errors.inverse_A:.1f} Å (divide by √atoms for an RMSD), for {tested}"
    )


def _settings(options: LandscapeOptions) -> EmbeddingSettings:
    return EmbeddingSettings(
        options.n_components, options.n_neighbors, options.kernel_width_A, options.perplexity, options.seed
    )
