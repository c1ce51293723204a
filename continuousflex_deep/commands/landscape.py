"""The landscape command: dimension reduction of the amplitudes of one or several sets."""

from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.figures.landscape import save_landscape
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.records import write_record
from continuousflex_deep.io.tables import format_rows
from continuousflex_deep.landscape.embeddings import EmbeddingSettings
from continuousflex_deep.landscape.landscape import Landscape, make_landscape, write_landscape
from continuousflex_deep.landscape.merging import merge_sets
from continuousflex_deep.landscape.pca import PCA
from continuousflex_deep.landscape.reduction import LABELS, Embedding, reduction_facts
from continuousflex_deep.messages import note
from continuousflex_deep.options import LandscapeOptions


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
    folder = Path(options.output)
    write_landscape(folder, landscape, tuple(Path(path).stem for path in options.particles))
    explained = landscape.reduction.explained if isinstance(landscape.reduction, PCA) else None
    save_landscape(folder / "landscape.png", landscape.coordinates, explained, landscape.outlier, source,
                   [Path(p).name for p in options.particles], landscape.labels)  # fmt: skip
    facts: dict[str, Any] = {"particles": len(merged), "outliers": int(landscape.outlier.sum())}
    if isinstance(landscape.reduction, Embedding):
        facts["reduction"] = reduction_facts(landscape.reduction)
    else:
        facts["explained"] = landscape.pca.explained.tolist()
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
    """What the command prints: outliers, then PCA's table or how well an embedding's maps do."""
    n, n_out = len(landscape.particles), int(landscape.outlier.sum())
    head = f"{n} particles, {n_out} of them marked as outliers and left out of the fit"
    reduction = landscape.reduction
    return f"{head}\n{_format_embedding(reduction) if isinstance(reduction, Embedding) else _format_pca(landscape)}"


def _format_pca(landscape: Landscape) -> str:
    """Variance explained and each component's weights on the modes."""
    pca, modes = landscape.pca, landscape.particles.mode_ids
    head = ["component", "variance %", "cumulative %", "deviation [Å]", *(f"q{m}" for m in modes)]
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
        "beyond the landmarks" if errors.unseen else "left out of the maps (but not of the embedding)"
    )
    placed = f"within {100 * errors.transform:.1f}% of the spread" if errors.transform else "exactly"
    return (
        f"{LABELS[reduction.method]}: {k} dimensions, fitted to {len(reduction.landmarks)} landmarks; others are "
        f"placed {placed}\nback from coordinates to amplitudes: {100 * errors.explained:.1f}% of the variance, off by "
        f"{errors.inverse_A:.1f} Å (an RMSD when divided by the root of the number of atoms), for {tested}"
    )


def _settings(options: LandscapeOptions) -> EmbeddingSettings:
    return EmbeddingSettings(
        options.n_components, options.n_neighbors, options.kernel_width_A, options.perplexity, options.seed
    )
