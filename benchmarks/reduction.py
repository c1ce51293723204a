"""How the landscape's methods go with the number of particles, and how well they unroll a curved path.

    python benchmarks/reduction.py [--methods isomap lle …] [--particles 100000 1000000] [--output reduction.json]

Amplitudes of three modes along 270° of a rising arc of radius 150 Å, with noise of 5 Å each: two of three directions of
the noise lie across the path, so that a perfect coordinate leads back to within 7.1 Å. Each run is a process of its
own, of as many threads as the environment allows. Neighbours: 12; 30 for lle, 60 for hessian-lle and ltsa; the rest are
defaults.

fit         seconds to choose landmarks, embed them and learn the maps
transform   seconds to place all particles, of which the peak memory that is added is told as well
inverse     seconds to lead all back to amplitudes
order       rank correlation of the (first) coordinate with the place along the path
back        root mean square error of the amplitudes that come back, of particles that were not fitted
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
from scipy.stats import spearmanr

from continuousflex_deep.landscape.embeddings import EmbeddingSettings
from continuousflex_deep.landscape.reduction import fit_embedding
from continuousflex_deep.options import LandscapeOptions, ReductionMethod

NOISE_A = 5.0
NEIGHBOURS = {"lle": 30, "hessian-lle": 60, "ltsa": 60}


def main() -> None:
    """Print a line per method and number of particles, and write the figures."""
    methods = [method for method in get_args(ReductionMethod) if method not in ("pca", "umap")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=[*methods, "umap"], default=methods)
    parser.add_argument("--particles", nargs="+", type=int, default=[100_000])
    parser.add_argument("--output", type=Path, default=Path("reduction.json"))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.methods[0], arguments.particles[0])))
        return
    rows = []
    for n in arguments.particles:
        for method in arguments.methods:
            command = [sys.executable, __file__, "--one", "--methods", method, "--particles", str(n)]
            run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(run.stdout))
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    arguments.output.write_text(json.dumps(rows, indent=2) + "\n")


def measure(method: str, n: int) -> dict[str, object]:
    """Figures of one method on n particles."""
    rng = np.random.default_rng(0)
    place = rng.uniform(size=n)
    angle = 1.5 * np.pi * place
    path = np.stack([150 * np.cos(angle), 150 * np.sin(angle), 80 * (place - 0.5)], axis=1)
    amplitudes = path + NOISE_A * rng.normal(size=path.shape)
    settings = EmbeddingSettings(1, NEIGHBOURS.get(method, LandscapeOptions.n_neighbors))
    before, started = _memory_gb(), time.perf_counter()
    embedding, _ = fit_embedding(method, amplitudes, settings, LandscapeOptions.landmarks)
    fitted = time.perf_counter()
    coordinates = embedding.transform(amplitudes)
    placed = time.perf_counter()
    embedding.inverse_transform(coordinates)
    ended = time.perf_counter()
    return {
        "method": method,
        "particles": n,
        "fit_s": round(fitted - started, 1),
        "transform_s": round(placed - fitted, 1),
        "inverse_s": round(ended - placed, 1),
        "order": round(abs(float(spearmanr(coordinates[:, 0], place)[0])), 4),
        "back_A": round(embedding.errors.inverse_A, 2),
        "memory_GB": round(_memory_gb() - before, 2),
    }


def _memory_gb() -> float:
    """Peak of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
