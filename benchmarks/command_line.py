"""What the command lines of all benchmarks share: one name for each option, and sizes."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
FULL, SMALLEST = "full", "smallest"

Sizes = Mapping[str, Mapping[str, Any]]


def benchmark_parser(description: str | None, output: str) -> argparse.ArgumentParser:
    """A parser whose help is the benchmark's docstring, with --output for the figures in JSON."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    shown = f"JSON file of the figures (default {output})"
    parser.add_argument("--output", type=Path, default=Path(output), help=shown)
    return parser


def add_only(parser: argparse.ArgumentParser, names: Sequence[str], default: Sequence[str] | None = None) -> None:
    """--only: the parts of the benchmark to measure."""
    shown = "all" if default is None else " ".join(default)
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        choices=list(names),
        default=list(names if default is None else default),
        help=f"what to measure, of {', '.join(names)} (default {shown})",
    )


def add_hardware(parser: argparse.ArgumentParser, device: bool = True) -> None:
    """--threads and, where a GPU can take part, --device."""
    if device:
        parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 takes all cores (default 0)")


def add_data(parser: argparse.ArgumentParser) -> None:
    """--data: the folder of measured and published data, which the repository does not contain."""
    default = Path(os.environ.get("CFD_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    parser.add_argument(
        "--data",
        type=Path,
        default=default,
        help="folder of the data that the repository does not contain (default: CFD_SHARED_DATA, or ../shared/data "
        "beside the repository)",
    )


def parse(parser: argparse.ArgumentParser, sizes: Sizes) -> argparse.Namespace:
    """The arguments of the command line, with --size, the first of the sizes by default.

    A size gives values to options by their names, and to further attributes of the result. An option on the command
    line wins over its value in the size.
    """
    described, options = [], vars(parser.parse_args([]))
    for name, values in sizes.items():
        shown = [f"--{key.replace('_', '-')} {_shown(values[key])}" for key in values if key in options]
        described.append(f"{name} ({', '.join(shown)})" if shown else name)
    first = next(iter(sizes))
    parser.add_argument("--size", choices=list(sizes), default=first, help=f"{'; '.join(described)} (default {first})")
    parser.set_defaults(**sizes[parser.parse_known_args()[0].size])
    return parser.parse_args()


def require_folder(folder: Path) -> Path:
    """A folder of the data; without it the benchmark ends."""
    if not folder.is_dir():
        sys.exit(f"error: '{folder}' is no folder; name the folder of the data by --data, or set CFD_SHARED_DATA")
    return folder


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
