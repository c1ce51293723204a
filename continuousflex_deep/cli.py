"""The command line: every command and its options."""

import argparse
import dataclasses
import importlib
import sys
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from continuousflex_deep import options as opt
from continuousflex_deep._version import __version__
from continuousflex_deep.errors import DeepError

# command -> its options; what it does is `run` of the module of that name in `commands`, imported only when it runs
COMMANDS: dict[str, type] = {
    "nma": opt.NmaOptions,
    "modes": opt.ModesOptions,
    "pseudoatoms": opt.PseudoatomsOptions,
    "deform": opt.DeformOptions,
    "simulate": opt.SimulateOptions,
    "preprocess": opt.PreprocessOptions,
    "align": opt.AlignOptions,
    "train": opt.TrainOptions,
    "infer": opt.InferOptions,
    "landscape": opt.LandscapeOptions,
    "clusters": opt.ClustersOptions,
    "group": opt.GroupOptions,
    "trajectory": opt.TrajectoryOptions,
    "reconstruct": opt.ReconstructOptions,
    "unbend": opt.UnbendOptions,
    "convert": opt.ConvertOptions,
    "evaluate": opt.EvaluateOptions,
    "compare": opt.CompareOptions,
    "report": opt.ReportOptions,
    "doctor": opt.DoctorOptions,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when all it promised is written, 2 for errors of input, 130 when interrupted."""
    parser = build_parser()
    given = vars(parser.parse_args(arguments))
    command, options_file = given.pop("command"), given.pop("options")
    options_class = COMMANDS[command]
    try:
        values = opt.read_options_file(options_file) if options_file else {}
        options: Any = opt.from_mapping(options_class, values | {k: v for k, v in given.items() if v is not None})
        importlib.import_module(f"continuousflex_deep.commands.{command}").run(options)
    except (DeepError, OSError) as error:  # of the system: no permission, disk full, a folder where a file should be
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished parts are kept", file=sys.stderr)
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands, derived from their options."""
    parser = argparse.ArgumentParser(
        prog="python -m continuousflex_deep", description="HEMNMA and DeepHEMNMA for cryo-EM particles."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, options_class in COMMANDS.items():
        text = (options_class.__doc__ or "").strip()
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument(
            "--options", metavar="FILE.json", help="read options from a JSON file; those on the command line win"
        )
        for f in dataclasses.fields(options_class):
            _add_argument(sub, f, get_type_hints(options_class)[f.name])
    return parser


def _add_argument(parser: argparse.ArgumentParser, f: "dataclasses.Field[Any]", hint: Any) -> None:
    flag, meta = "--" + f.name.replace("_", "-"), f.metadata
    must = f.default == opt.REQUIRED or meta.get("required", False)
    shown = "required" if must else f"default {_shown(f.default)}"
    unit = f" [{meta['unit']}]" if meta["unit"] else ""
    text = f"{meta['help']}{unit} ({shown})".replace("%", "%%")
    origin, args = get_origin(hint), get_args(hint)
    if hint is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
    elif origin is Literal:
        parser.add_argument(flag, choices=args, default=None, help=text)
    elif origin is tuple and args[-1] is Ellipsis:
        parser.add_argument(flag, action="append", type=args[0], default=None, metavar="VALUE", help=text)
    elif origin is tuple:
        parser.add_argument(flag, nargs=len(args), type=args[0], default=None, metavar=("MIN", "MAX"), help=text)
    else:
        parser.add_argument(flag, type=hint, default=None, metavar=hint.__name__.upper(), help=text)


def _shown(value: Any) -> str:
    if value == "" or value == ():
        return "none"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
