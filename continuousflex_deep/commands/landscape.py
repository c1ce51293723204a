"""The `landscape` command: dimension reduction of the amplitudes of one or several particle sets."""

from pathlib import Path
from typing import Any

from continuousflex_deep.figures.density import save_densities
from continuousflex_deep.figures.landscape import save_landscape
from continuousflex_deep.io.density_table import write_densities
from continuousflex_deep.io.file_names import DEPENDENCE_PNG, RECORD_JSON
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.records import write_record
from continuousflex_deep.landscape.embeddings import EmbeddingSettings
from continuousflex_deep.landscape.imaging_check import check_imaging
from continuousflex_deep.landscape.landscape import format_landscape, make_landscape, write_landscape
from continuousflex_deep.landscape.merging import merge_sets
from continuousflex_deep.landscape.pca import PCA
from continuousflex_deep.landscape.reduction import LABELS, Embedding, reduction_facts
from continuousflex_deep.messages import note
from continuousflex_deep.options import LandscapeOptions
from continuousflex_deep.runs.sole_writer import sole_writer
from continuousflex_deep.trajectories.deconvolved_density import format_errors, plane_densities


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
    densities = plane_densities(landscape) if options.density == "deconvolved" else []
    write_densities(folder, densities)
    save_densities(folder / "density.png", densities, landscape.table().axis_labels)
    imaging = check_imaging(landscape, error_bars=options.density != "raw")
    imaging.save(folder / DEPENDENCE_PNG)
    facts: dict[str, Any] = {"particles": len(merged), "outliers": int(landscape.outlier.sum())}
    facts["dependence"] = imaging.facts()
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
        print(format_errors(densities[-1], landscape))
    if imaging.alarm:
        note(imaging.sentence)
    else:
        print(imaging.sentence)
    print(f"written: {folder}")


def _settings(options: LandscapeOptions) -> EmbeddingSettings:
    return EmbeddingSettings(
        options.n_components, options.n_neighbors, options.kernel_width_A, options.perplexity, options.seed
    )
