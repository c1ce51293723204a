"""One map from particles of all conformations: their motion undone, beside the plain average and the best single group.

    python benchmarks/unbent_maps.py [--images 2000] [--snr 0.1] [--output unbent_maps.json]

Images of adenylate kinase (4AKE) with amplitudes along modes 7 to 9 of a Gaussian distribution.
Each map is compared with that of the structure at rest: the resolution at which the FSC falls to 0.5, within a sphere.
Poses and amplitudes are the true ones, and those that `align` finds. Groups are the particles nearest to the structure
in conformation, 5 to 80% of all; the best of them is told, though without the truth nobody would know which.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from continuousflex_deep import cli
from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.imaging.density import structure_to_map
from continuousflex_deep.io.modes import read_modes
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import read_volume, write_volume
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.reconstruction.fsc import (
    fourier_shell_correlation,
    resolution_A,
    shell_frequencies,
    spherical_mask,
)

BOX, PIXEL_A, MODES, SHARES = 72, 1.5, "7-9", (5, 10, 20, 40, 80)


def main() -> None:
    """Print the table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--snr", type=float, default=0.1)
    parser.add_argument("--range", type=float, default=200.0, help="two deviations of the amplitudes, in Å")
    parser.add_argument("--output", type=Path, default=Path("unbent_maps.json"))
    arguments = parser.parse_args()
    figures: dict[str, object] = {"machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make(folder, arguments)
        for known, file in (("true", "sim/truth.star"), ("aligned", "aligned.star")):
            figures[known] = _compared(folder, folder / file, known)
    arguments.output.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written: {arguments.output}")


def _make(folder: Path, arguments: argparse.Namespace) -> None:
    common = ["--structure", str(ADENYLATE_KINASE)]
    _run("nma", *common, "--output", str(folder / "modes"), "--n-modes", "9")
    flexible = [*common, "--modes", str(folder / "modes"), "--mode-list", MODES]
    made = ["--count", str(arguments.images), "--conformations", "gaussian", "--amplitude-range", str(arguments.range)]
    made += ["--box-px", str(BOX), "--pixel-size-A", str(PIXEL_A), "--final-box-px", "0", "--shift-range-px", "2"]
    made += ["--snr", str(arguments.snr), "--defocus-A", "5000", "15000", "--tilt-sampling", "uniform-sphere"]
    _run("simulate", *flexible, *made, "--output", str(folder / "sim"))
    particles = ["--particles", str(folder / "sim" / "particles.star")]
    _run("align", *flexible, *particles, "--output", str(folder / "aligned.star"))
    truth = structure_to_map(read_structure(ADENYLATE_KINASE), BOX, PIXEL_A, b_factor_A2=50.0)
    write_volume(folder / "rest.mrc", truth, PIXEL_A)


def _compared(folder: Path, file: Path, known: str) -> dict[str, object]:
    """Resolutions of the three maps, with poses and amplitudes of a file."""
    flexible = ["--structure", str(ADENYLATE_KINASE), "--modes", str(folder / "modes"), "--mode-list", MODES]
    started = time.perf_counter()
    output = folder / f"unbent_{known}"
    _run("unbend", *flexible, "--particles", str(file), "--output", str(output))
    seconds = time.perf_counter() - started
    particles = read_particles(file)
    away_A = _distance_A(folder, particles.require_amplitudes("this benchmark"))
    groups = {}
    for share in SHARES:
        nearest = np.argsort(away_A)[: len(away_A) * share // 100]
        write_particles(particles.select(np.sort(nearest)), folder / "group.star")
        _run("reconstruct", "--particles", str(folder / "group.star"), "--output", str(folder / "group"))
        groups[share] = _against_rest(folder, folder / "group" / "map.mrc")
    best = min(groups, key=lambda share: groups[share])
    found = {
        "unbent": _against_rest(folder, output / "map.mrc"),
        "average": _against_rest(folder, output / "average.mrc"),
        "best group": groups[best],
        "best group is of": f"{best}%",
        "groups": groups,
        "mean RMSD of conformations from the structure": float(away_A.mean()),
        "seconds": seconds,
    }
    print(
        f"{known} poses and amplitudes, {len(particles)} images, conformations {away_A.mean():.2f} Å from rest: "
        f"motion undone {found['unbent']:.2f} Å, average {found['average']:.2f} Å, best group (nearest {best}%) "
        f"{groups[best]:.2f} Å; {seconds:.0f} s"
    )
    return found


def _distance_A(folder: Path, amplitudes: np.ndarray) -> np.ndarray:
    """RMSD (n,) of conformations from the structure: modes are orthonormal over all atoms."""
    atoms = read_modes(folder / "modes").vectors.shape[1]
    return np.linalg.norm(amplitudes, axis=1) / np.sqrt(atoms)


def _against_rest(folder: Path, path: Path) -> float:
    """Resolution in Å at which a map's FSC with that of the structure falls to 0.5."""
    mask = spherical_mask(BOX, 0.85 * BOX, 4.0)
    rest, volume = (read_volume(p)[0] * mask for p in (folder / "rest.mrc", path))
    curve = fourier_shell_correlation(volume, rest)
    return float(resolution_A(shell_frequencies(BOX, PIXEL_A), curve, 0.5))


def _run(*arguments: str) -> None:
    """A command of the package, silent unless it fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = cli.main(arguments)
    if code:
        raise SystemExit(f"{arguments[0]} failed:\n{said.getvalue()}")


if __name__ == "__main__":
    main()
