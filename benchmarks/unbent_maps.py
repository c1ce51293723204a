"""One map from particles of all conformations: their motion undone, beside the plain average and the best single group.

    python benchmarks/unbent_maps.py [--images 2000] [--snr 0.1] [--range-A 200] [--output unbent_maps.json]

Images of adenylate kinase with amplitudes along modes 7 to 9 of a Gaussian distribution. Each map is compared with that
of the structure at rest: the resolution at which the FSC falls to 0.5, within a sphere. Poses and amplitudes are the
true ones, and those that `align` finds. Groups are the particles nearest to the structure in conformation, 5 to 80% of
all; the best of them is named, though without the truth nobody would know which.

Fills "Deformation-corrected reconstruction" of docs/results.md. The default size takes about a quarter of an hour on 2
cores (estimated from its parts).
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from cases import ARTICLE, TINY, Reference, adenylate_kinase
from command_line import FULL, SMALLEST, add_hardware, benchmark_parser, parse
from measuring import Table, run_command, write_figures

from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.particles import Particles

FEWEST = 4  # particles of a group: two in each half map
IMAGES = {
    "conformations": "gaussian", "box_px": 72, "pixel_size_A": 1.5, "final_box_px": 0, "shift_range_px": 2,
    "defocus_A": [5000, 15000], "tilt_sampling": "uniform-sphere",
}  # fmt: skip
SIZES = {
    FULL: {"images": 2000, "shares": [5, 10, 20, 40, 80], "range_A": 200.0, "setting": ARTICLE},
    SMALLEST: {"images": 16, "shares": [10], "range_A": 70.0, "setting": TINY},
}


def main() -> None:
    """Print a row for each source of poses and amplitudes, and write the figures."""
    parser = benchmark_parser(__doc__, "unbent_maps.json")
    parser.add_argument("--images", type=int, help="images to simulate")
    parser.add_argument("--shares", nargs="+", type=int, help="groups, in percent of all particles")
    parser.add_argument("--snr", type=float, default=0.1, help="their signal-to-noise ratio (default 0.1)")
    parser.add_argument("--range-A", type=float, help="two standard deviations of the amplitudes")
    add_hardware(parser)
    arguments = parse(parser, SIZES)
    table, figures = Table("poses and amplitudes"), {}
    with tempfile.TemporaryDirectory() as name:
        case = Case(Path(name), arguments)
        for known, file in (("true", case.folder / "sim" / "truth.star"), ("aligned", case.aligned())):
            figures[known] = case.compared(file, known)
            table.row(known, {k: v for k, v in figures[known].items() if k != "groups"})
    write_figures(arguments.output, figures)


class Case:
    """Images in a folder, and maps of them."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        from continuousflex_deep.imaging.density import structure_to_map

        self.folder, self._shares, self._align = folder, arguments.shares, arguments.setting.align
        self._hardware = {"device": arguments.device, "threads": arguments.threads}
        self.reference: Reference = adenylate_kinase(folder, setting=arguments.setting)
        asked = {"count": arguments.images, "snr": arguments.snr, "amplitude_range": arguments.range_A}
        made = IMAGES | arguments.setting.simulate | asked
        images = {"output": folder / "sim", "threads": arguments.threads}
        run_command("simulate", self.reference.options | made | images)
        self.box_px, self.pixel_size_A = int(str(made["box_px"])), float(str(made["pixel_size_A"]))
        self.rest = structure_to_map(self.reference.structure, self.box_px, self.pixel_size_A, b_factor_A2=50.0)

    def aligned(self) -> Path:
        """The particles with the poses and amplitudes that `align` finds."""
        files = {"particles": self.folder / "sim" / "particles.star", "output": self.folder / "aligned.star"}
        run_command("align", self.reference.options | self._align | files | self._hardware)
        return self.folder / "aligned.star"

    def compared(self, file: Path, known: str) -> dict[str, object]:
        """Resolutions in Å of the three maps, with poses and amplitudes of a file."""
        started, output = time.perf_counter(), self.folder / f"unbent_{known}"
        run_command("unbend", self.reference.options | {"particles": file, "output": output} | self._hardware)
        seconds = time.perf_counter() - started
        particles = read_particles(file)
        away_A = self._distance_A(particles)
        groups = {share: self._group(particles.select(_nearest(away_A, share))) for share in self._shares}
        best = min(groups, key=lambda share: groups[share])
        return {
            "images": len(particles),
            "from_rest_rmsd_A": float(away_A.mean()),
            "unbent_A": self._against_rest(output / "map.mrc"),
            "average_A": self._against_rest(output / "average.mrc"),
            "best_group_A": groups[best],
            "best_group_percent": best,
            "seconds": seconds,
            "groups": groups,
        }

    def _distance_A(self, particles: Particles) -> np.ndarray:
        """RMSD (n,) of conformations from the structure: modes are orthonormal over all atoms."""
        amplitudes = particles.require_amplitudes("this benchmark")
        return np.linalg.norm(amplitudes, axis=1) / np.sqrt(len(self.reference.structure))

    def _group(self, particles: Particles) -> float:
        """Resolution in Å of the plain map of some particles."""
        write_particles(particles, self.folder / "group.star")
        files = {"particles": self.folder / "group.star", "output": self.folder / "group"}
        run_command("reconstruct", files | self._hardware)
        return self._against_rest(self.folder / "group" / "map.mrc")

    def _against_rest(self, path: Path) -> float:
        """Resolution in Å at which a map's FSC with that of the structure falls to 0.5."""
        from continuousflex_deep.reconstruction import fsc

        mask = fsc.spherical_mask(self.box_px, 0.85 * self.box_px, 4.0)
        curve = fsc.fourier_shell_correlation(read_volume(path)[0] * mask, self.rest * mask)
        return float(fsc.resolution_A(fsc.shell_frequencies(self.box_px, self.pixel_size_A), curve, 0.5))


def _nearest(away_A: np.ndarray, percent: int) -> np.ndarray:
    """Rows, in order, of the share of particles that is nearest."""
    return np.sort(np.argsort(away_A)[: max(FEWEST, len(away_A) * percent // 100)])


if __name__ == "__main__":
    main()
