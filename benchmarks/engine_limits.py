"""How the embedded engine's errors, losses, error bars and flags go with the signal-to-noise ratio.

    python benchmarks/engine_limits.py [--snr 0.3 0.1 0.03 0.01] [--count 200] [--data ../shared/data]

Images of adenylate kinase as the article makes them (our simulation: scattering factors, CTF, two noises; 128 px), all
orientations, modes 7-9 of elNemo. Lost: more than 5° from the true orientation. Errors over the particles found, in
units of the Cramér-Rao bound; spread: error over reported deviation; flagged: share of the lost, and of the found,
particles that are marked as ambiguous.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from continuousflex_deep.analysis.evaluate import evaluate
from continuousflex_deep.hemnma.bound import cramer_rao_bound
from continuousflex_deep.hemnma.embedded import EmbeddedEngine
from continuousflex_deep.imaging.simulate import run as simulate
from continuousflex_deep.io.modes import read_modes
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.options import AlignOptions, SimulateOptions


def main() -> None:
    """Print a line per SNR and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snr", type=float, nargs="+", default=[0.3, 0.1, 0.03, 0.01])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("engine_limits.json"))
    arguments = parser.parse_args()
    columns = [
        "SNR",
        "lost",
        "amplitude",
        "angle",
        "shift",
        "spread q",
        "spread angle",
        "flagged lost",
        "found",
        "CPU-s",
    ]
    print("".join(f"{c:>14}" for c in columns))
    figures = []
    for snr in arguments.snr:
        with tempfile.TemporaryDirectory() as folder:
            figures.append(measure(arguments.data, Path(folder), snr, arguments.count))
        print("".join(f"{'–' if v is None else format(v, '.3g'):>14}" for v in figures[-1].values()), flush=True)
    arguments.output.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written: {arguments.output}")


def measure(data: Path, folder: Path, snr: float, count: int) -> dict[str, float | None]:
    """Figures of one SNR; None for the lost ones' flags where none is lost."""
    pdb, vectors = data / "gold10" / "AK.pdb", data / "elnemo_ak"
    simulate(SimulateOptions(structure=str(pdb), modes=str(vectors), output=str(folder), count=count, snr=snr, seed=1))
    structure, modes = read_structure(pdb), read_modes(vectors, (7, 8, 9))
    particles, truth = read_particles(folder / "particles.star"), read_particles(folder / "truth.star")
    started = time.process_time()
    aligned = EmbeddedEngine(structure, modes, AlignOptions()).align(particles)
    cpu_s = (time.process_time() - started) / count
    local = EmbeddedEngine(structure, modes, AlignOptions(init="local"))
    bound = cramer_rao_bound(local, truth, local.calibration(truth)).as_errors()
    result = evaluate(aligned, truth, structure, modes)
    found, flagged = ~result.lost, np.asarray(aligned.ambiguous)
    ratio = {k: float(result.errors[k][found].mean() / bound[k]) for k in ("amplitude", "angle_deg", "shift_A")}
    amplitude_spread = float(np.mean([result.spread[f"amplitude_{m}"] for m in modes.mode_ids]))
    return {
        "snr": snr,
        "lost_share": float(result.lost.mean()),
        **{f"{k}_over_bound": v for k, v in ratio.items()},
        "spread_amplitude": amplitude_spread,
        "spread_angle": result.spread["angle_rms"],
        "flagged_of_lost": float(flagged[result.lost].mean()) if result.lost.any() else None,
        "flagged_of_found": float(flagged[found].mean()),
        "cpu_s_per_image": cpu_s,
    }


if __name__ == "__main__":
    main()
