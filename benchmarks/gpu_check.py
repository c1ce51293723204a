"""Whether a device computes what a CPU does, and how fast it is at every stage, in one table.

    python benchmarks/gpu_check.py [--only NAME …] [--device cuda] [--limit 60] [--output gpu_check.json]

agreement   images simulated on the device, and alignments, against those of the CPU
simulate    images of the article's kind, 256 px reduced to 128 px, without writing them
align       adenylate kinase at 128 px, three modes, from nothing
ribosome    14,218 points, four modes, from nothing
train       the default network on simulated images
infer       the command: its steady speed, and the seconds to its first image
polish      the engine from predictions that are off as a network's are

Each stage runs in a process of its own and has --limit seconds; one that fails or takes longer does not stop the
others. The table has the goals, which are for one H200-class card, as met or not met. The program ends with status 1
where the device disagrees with the CPU, or a stage does not come to its end.

Fills "On a GPU" of docs/results.md. The default size takes at most 7 minutes on a GPU, for that is the limit of its
stages together; without a GPU give --size smallest --device cpu, which only shows that all stages run.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from cases import ARTICLE, TINY
from command_line import FULL, SMALLEST, add_hardware, add_only, benchmark_parser, parse
from measuring import write_figures

STAGES = ("agreement", "simulate", "align", "ribosome", "train", "infer", "polish")
# the figure that a stage shows, and what it should be: at least, or at most
AT_LEAST, AT_MOST = "at least", "at most"
GOALS = {
    "images: largest difference over deviation": (AT_MOST, 1e-5),
    "alignments: share that differ by an error bar": (AT_MOST, 0.0),
    "simulate: images/s": (AT_LEAST, 20_000),
    "ak: images/s": (AT_LEAST, 6000),
    "ak: lost": (AT_MOST, 0.001),
    "ribosome: images/s": (AT_LEAST, 1000),
    "train: images/s": (AT_LEAST, 15_000),
    "infer: images/s": (AT_LEAST, 25_000),
    "infer: start, s": (AT_MOST, 4),
    "polish: images/s": (AT_LEAST, 8000),
    "polish: lost": (AT_MOST, 0.001),
}
_CORRECTNESS = tuple(GOALS)[:2]
SIZES = {
    FULL: {
        "setting": ARTICLE, "compared": 256, "images": 40_000, "aligned": 10_000, "ribosomes": 1024, "points": None,
        "learned": (20_000, 100_000), "network": {}, "polished": 8000, "particles": 200_000, "table_rows": 1000,
        "box": 128, "network_box": 128, "backbone": "resnet34", "seconds": 1.0, "limit": 60,
    },
    SMALLEST: {
        "setting": TINY, "compared": 12, "images": 6, "aligned": 4, "ribosomes": 3, "points": 200,
        "learned": (8, 16), "network": {"box": 32, "backbone": "resnet18"}, "polished": 6, "particles": 40,
        "table_rows": 10, "box": 32, "network_box": 16, "backbone": "resnet18", "seconds": 0.01, "limit": 300,
    },
}  # fmt: skip


def main() -> None:
    """Run the stages one after the other, print the table, write the figures."""
    parser = benchmark_parser(__doc__, "gpu_check.json")
    add_only(parser, STAGES)
    parser.add_argument("--limit", type=float, help="seconds for each stage")
    parser.add_argument("--stage", help=argparse.SUPPRESS)  # in the process of one stage
    add_hardware(parser)
    arguments = parse(parser, SIZES)
    if arguments.stage:
        _run_stage(arguments)
        return
    figures, unfinished = dict[str, float](), dict[str, str]()
    for name in arguments.only:
        print(f"{name} …", flush=True)
        found = _in_time(name, arguments)
        if isinstance(found, str):
            print(f"  {found}", flush=True)
            unfinished[name] = found
        else:
            figures |= found
    print(f"\n{'':<48}{'measured':>12}  goal")
    for name, value in figures.items():
        print(f"{name:<48}{value:>12.5g}  {_goal(name, value)}")
    for name, reason in unfinished.items():
        print(f"{name:<48}{'–':>12}  {reason.splitlines()[0]}")
    write_figures(arguments.output, {"figures": figures, "unfinished": unfinished})
    wrong = [name for name in _CORRECTNESS if name in figures and not _is_met(name, figures[name])]
    if unfinished or wrong:
        sys.exit(f"error: {', '.join([*unfinished, *wrong])}: see above")


def _in_time(name: str, arguments: argparse.Namespace) -> dict[str, float] | str:
    """The figures of a stage, or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "figures.json"
        words = [sys.executable, __file__, "--stage", name, "--size", arguments.size, "--output", str(told)]
        words += ["--device", arguments.device, "--threads", str(arguments.threads)]
        try:
            done = subprocess.run(words, timeout=arguments.limit, capture_output=True, text=True)
        except subprocess.TimeoutExpired:
            return f"took more than {arguments.limit:g} s"
        if done.returncode:
            return f"failed: {(done.stderr.strip() or done.stdout.strip())[-2000:]}"
        return dict(json.loads(told.read_text())["figures"])


def _run_stage(arguments: argparse.Namespace) -> None:
    from gpu_check_stages import STAGES as RUN  # imports the engine and the network

    with tempfile.TemporaryDirectory() as folder:
        write_figures(arguments.output, {"figures": RUN[arguments.stage](arguments, Path(folder))})


def _is_met(name: str, value: float) -> bool:
    kind, limit = GOALS[name]
    return value >= limit if kind == AT_LEAST else value <= limit


def _goal(name: str, value: float) -> str:
    if name not in GOALS:
        return ""
    kind, limit = GOALS[name]
    return f"{kind} {limit:g}: {'met' if _is_met(name, value) else 'not met'}"


if __name__ == "__main__":
    main()
