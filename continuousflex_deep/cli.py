"""The command line: every command and its options."""

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from continuousflex_deep import options as opt
from continuousflex_deep._version import __version__
from continuousflex_deep.errors import DeepError
from continuousflex_deep.launch import limit_spinning

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
    limit_spinning()  # before a command imports torch
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
            "--options",
            metavar="FILE.json",
            help="Read options from a JSON file. Options on the command line take precedence.",
        )
        advanced, options = sub.add_argument_group("advanced options"), opt.options_of(options_class)
        for option in options.values():
            group = advanced if option.traits.level == "advanced" else sub
            _add_argument(group.add_argument, option, _help(option, options))
    return parser


def _add_argument(add: Callable[..., Any], option: opt.Option, text: str) -> None:
    if option.choices and not option.may_be_a_path:
        add(option.flag, choices=option.choices, default=None, help=text)
    elif option.may_be_a_path:
        add(option.flag, default=None, metavar="{" + ",".join((*option.choices, "PATH")) + "}", help=text)
    elif option.is_list:
        add(option.flag, action="append", default=None, metavar="VALUE", help=text)
    elif option.is_range:
        add(option.flag, nargs=2, type=float, default=None, metavar=("MIN", "MAX"), help=text)
    elif option.hint is bool:
        add(option.flag, action=argparse.BooleanOptionalAction, default=None, help=text)
    else:
        add(option.flag, type=option.hint, default=None, metavar=option.hint.__name__.upper(), help=text)


def _help(option: opt.Option, options: Mapping[str, opt.Option]) -> str:
    """What an option does, its default with its unit, and the values of other options with which alone it counts."""
    default = f"default {_shown(option.default)} {option.traits.unit}".rstrip()
    facts = ["required" if option.traits.required else default]
    for name, values in option.traits.counts_with.items():
        if name in options:  # compare runs both engines, and so has no option --engine
            facts.append(_with(options[name], values))
    return f"{option.traits.help} ({'; '.join(facts)})".replace("%", "%%")


def _with(other: opt.Option, values: tuple[Any, ...]) -> str:
    """That another option must have one of the values, in the fewer words."""
    if other.hint is bool:
        return f"with {other.flag}"
    beside = [choice for choice in other.choices if choice not in values]
    few, word = (beside, "not with") if len(beside) < len(values) else (values, "with")
    return f"{word} {other.flag} {' or '.join(few)}"


def _shown(value: Any) -> str:
    if value == "" or value == ():
        return "none"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
