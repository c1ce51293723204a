"""What limits the inference of millions of particles: each stage by itself, and the whole command.

    python benchmarks/inference_speed.py [--particles 20000] [--table-rows 1000000] [--box 128] [--network-box 64]
                                         [--backbone resnet34] [--device auto] [--threads 0] [--output FILE.json]

A network of random weights, which costs what a trained one does, and images of noise. `--table-rows` particles are
written and read as STAR; `--particles` of them are predicted by the infer command, with all three types of parameters
and their error bars. The stack holds `--images` different images, named again and again: after the first pass it comes
from the system's memory, so that the disk is left out (what it must deliver is printed).

floor       the network alone, on input that is there already: nothing can be faster
decoded     network outputs to rotations, amplitudes, shifts and error bars
prepared    whitening and reduction of images to the network's input
read        images from the stack, by 0, 1, 2 and 4 threads
written     a STAR file of so many rows written, read
whole       the command: particles a second while it predicts, its whole time, its peak memory (and that for a tenth of
            the particles: it must not grow with their number, but for the table)

Fills "Speed of inference" of docs/results.md. The default size takes about 2 minutes on 2 cores (estimated from the
speeds there).
"""

from command_line import FULL, SMALLEST, add_hardware, benchmark_parser, parse
from measuring import write_figures

SIZES = {
    FULL: {
        "particles": 20_000, "table_rows": 1_000_000, "images": 4096, "box": 128, "network_box": 64,
        "backbone": "resnet34", "seconds": 3.0,
    },
    SMALLEST: {
        "particles": 40, "table_rows": 100, "images": 16, "box": 32, "network_box": 16, "backbone": "resnet18",
        "seconds": 0.01,
    },
}  # fmt: skip


def main() -> None:
    """Print a line per stage and write the figures."""
    parser = benchmark_parser(__doc__, "inference_speed.json")
    parser.add_argument("--particles", type=int, help="particles that the command predicts")
    parser.add_argument("--table-rows", type=int, help="rows of the STAR file")
    parser.add_argument("--images", type=int, help="different images of the stack")
    parser.add_argument("--box", type=int, help="their box in pixels")
    parser.add_argument("--network-box", type=int, help="box of the network's input in pixels")
    parser.add_argument("--backbone", help="resnet18, resnet34, resnet50 or resnet101")
    parser.add_argument("--seconds", type=float, help="time for which a stage is repeated, at least")
    add_hardware(parser)
    arguments = parse(parser, SIZES)
    from inference_speed_stages import measure  # imports the network

    write_figures(arguments.output, measure(arguments))


if __name__ == "__main__":
    main()
