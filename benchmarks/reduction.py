"""How the landscape's methods go with the number of particles, and how well they unroll a curved path.

    python benchmarks/reduction.py [--only isomap lle …] [--particles 100000 1000000] [--output reduction.json]

Amplitudes of three modes along 270° of a rising arc of radius 150 Å, with noise of 5 Å each: two of three directions of
the noise lie across the path, so that a perfect coordinate leads back to within 7.1 Å. Each run is a process of its
own, of as many threads as the environment allows. Neighbours: 12; 30 for lle, 60 for hessian-lle and ltsa; the rest are
defaults.

fit         seconds to choose landmarks, embed them and learn the maps
transform   seconds to place all particles
inverse     seconds to lead all back to amplitudes
order       rank correlation of the (first) coordinate with the place along the path
back        root mean square error of the amplitudes that come back, of particles that were not fitted
memory      peak that fitting and placing add

Fills "Dimension reduction, groups and energies" of docs/results.md (with --particles 1000000). The default size takes
about 2 minutes on one core (estimated from the times there).
"""

import time
from typing import get_args

import numpy as np
from command_line import FULL, SMALLEST, add_only, benchmark_parser, parse
from measuring import Figures, Table, in_own_process, peak_memory_GiB, write_figures
from scipy.stats import spearmanr

from continuousflex_deep.landscape.embeddings import EmbeddingSettings
from continuousflex_deep.landscape.reduction import fit_embedding
from continuousflex_deep.options import LandscapeOptions, ReductionMethod

NOISE_A = 5.0
NEIGHBOURS = {"lle": 30, "hessian-lle": 60, "ltsa": 60}
METHODS = [method for method in get_args(ReductionMethod) if method != "pca"]
SIZES = {
    FULL: {"particles": [100_000]},
    SMALLEST: {"particles": [200], "only": ["isomap", "hessian-lle"]},
}


def main() -> None:
    """Print a row for each method and number of particles, and write the figures."""
    parser = benchmark_parser(__doc__, "reduction.json")
    add_only(parser, METHODS, [method for method in METHODS if method != "umap"])
    parser.add_argument("--particles", nargs="+", type=int, help="numbers of particles")
    arguments = parse(parser, SIZES)
    table, rows = Table("method"), []
    for particles in arguments.particles:
        for method in arguments.only:
            figures = in_own_process(measure, method, particles)
            table.row(method, figures)
            rows.append({"method": method, **figures})
    write_figures(arguments.output, {"rows": rows})


def measure(method: str, particles: int) -> Figures:
    """Figures of one method on so many particles."""
    rng = np.random.default_rng(0)
    place = rng.uniform(size=particles)
    angle = 1.5 * np.pi * place
    path = np.stack([150 * np.cos(angle), 150 * np.sin(angle), 80 * (place - 0.5)], axis=1)
    amplitudes = path + NOISE_A * rng.normal(size=path.shape)
    settings = EmbeddingSettings(1, NEIGHBOURS.get(method, LandscapeOptions.n_neighbors))
    before, started = peak_memory_GiB(), time.perf_counter()
    embedding, _ = fit_embedding(method, amplitudes, settings, LandscapeOptions.landmarks)
    fitted = time.perf_counter()
    coordinates = embedding.transform(amplitudes)
    placed = time.perf_counter()
    embedding.inverse_transform(coordinates)
    ended = time.perf_counter()
    return {
        "particles": particles,
        "fit_s": fitted - started,
        "transform_s": placed - fitted,
        "inverse_s": ended - placed,
        "order": abs(float(spearmanr(coordinates[:, 0], place)[0])),
        "back_A": embedding.errors.inverse_A,
        "memory_GiB": peak_memory_GiB() - before,
    }


if __name__ == "__main__":
    main()
