"""Scipion's forms, derived from the options of the commands and their traits."""

import functools
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pwem
from pyworkflow.protocol import params

from continuousflex_deep._plugin import Plugin
from continuousflex_deep.options import Option, Traits, from_mapping, options_of
from continuousflex_deep.programs import ELNEMO, RELION, XMIPP, Package

# the folders into which Scipion installs packages of programs; of several versions the last one counts
_SCIPION_FOLDERS = {XMIPP.name: "xmipp", ELNEMO.name: "nma", RELION.name: "relion-*"}
NOT_INSTALLED = "not installed"
_UNIT_SUFFIXES = ("_A", "_px", "_deg", "_kV", "_mm", "_percent")


def add_options(form: Any, options_class: type, names: Iterable[str], **overrides: dict[str, Any]) -> None:
    """Add one form parameter for each named option, as its traits say: label, level, help, bounds, and the condition on
    other options of the form.

    overrides: by option name, further arguments of the parameter, for what depends on the form's own parameters or on
    what is installed. A pair of numbers becomes two parameters, NAME_min and NAME_max, on one line.
    """
    options = options_of(options_class)
    for name in names:
        arguments = _arguments(options[name]) | _shown_when(options, options[name]) | overrides.get(name, {})
        if options[name].is_range:
            _add_range(form, options[name], arguments)
        else:
            form.addParam(name, _param_class(options[name]), **arguments)


def add_advanced_options(form: Any, options_class: type, **overrides: dict[str, Any]) -> None:
    """Add the options for advanced users that the form does not have yet. Those that others count with come first,
    since a condition knows only parameters that are there."""
    options = [
        option
        for option in options_of(options_class).values()
        if option.traits.level == "advanced" and not form.hasParam(option.name)
    ]
    needed = {name for option in options for name in option.traits.counts_with}
    names = [option.name for option in options]
    add_options(form, options_class, sorted(names, key=lambda name: name not in needed), **overrides)


def read_options(protocol: Any, options_class: type, **values: Any) -> Any:
    """The options that a protocol's form holds, with ``values`` for what the form does not ask (files, for example).

    What the form holds for another engine than the chosen one, where it does not show it, does not count. Raises
    InputError, as the command itself would, where a value is out of its bounds.
    """
    options = options_of(options_class)
    engine = _form_value(protocol, options["engine"]) if "engine" in options else ""
    found: dict[str, Any] = {}
    for option in options.values():
        if option.name in values or not option.is_followed_by(engine):
            continue
        if protocol.getParam(option.name) is not None:
            found[option.name] = _form_value(protocol, option)
        elif protocol.getParam(f"{option.name}_min") is not None:
            found[option.name] = [getattr(protocol, f"{option.name}_{end}").get() for end in ("min", "max")]
    return from_mapping(options_class, found | values)


def installed_choices(
    options_class: type, name: str, needed: Mapping[str, tuple[Package, Sequence[str]]]
) -> dict[str, Any]:
    """Arguments of the parameter of an option with choices, without the last ones whose programs are not installed.

    needed: by choice, a package and which of its programs are needed. The help says what is left out, and why. A form
    holds a choice's place, so one that others follow stays, called "not installed".
    """
    left_out = {
        choice: f"{package.name}; {package.remedy}"
        for choice, (package, programs) in needed.items()
        if not all(package.find(program, package_home(package)) for program in programs)
    }
    return _without(options_class, name, left_out)


def importable_choices(options_class: type, name: str, needed: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The same for choices that need a module of the Python that runs the commands.

    needed: by choice, the module and the package that brings it.
    """
    python = Plugin.getPython()
    left_out = {
        choice: f"{package}; install it with {python} -m pip install {package}"
        for choice, (module, package) in needed.items()
        if not is_importable(python, module)
    }
    return _without(options_class, name, left_out)


@functools.cache
def is_importable(python: str, module: str) -> bool:
    """Whether an interpreter finds a module; asked once, as forms are made often."""
    if python == sys.executable:
        return importlib.util.find_spec(module) is not None
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    try:
        return subprocess.run([python, "-c", code], env=Plugin.getEnviron(), timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _without(options_class: type, name: str, left_out: Mapping[str, str]) -> dict[str, Any]:
    """Choices and help without those left out, which need what the mapping says."""
    option = options_of(options_class)[name]
    last = max(place for place, choice in enumerate(option.choices) if choice not in left_out)
    offered = [f"{choice} ({NOT_INSTALLED})" if choice in left_out else choice for choice in option.choices[: last + 1]]
    needs = [f" Not offered here: {choice}, which needs {what}." for choice, what in left_out.items()]
    return {"choices": offered, "help": option.traits.help + "".join(needs)}


def package_home(package: Package) -> str:
    """The folder into which Scipion installs a package; empty where its variable is set, or there is none."""
    folders = sorted(f for f in Path(pwem.Config.EM_ROOT).glob(_SCIPION_FOLDERS[package.name]) if f.is_dir())
    return str(folders[-1].absolute()) if not os.environ.get(package.variable) and folders else ""


def option_label(name: str, unit: str) -> str:
    """What the form calls an option: 'cutoff_A' with unit Å is 'Cutoff (Å)'."""
    for suffix in _UNIT_SUFFIXES:
        name = name.removesuffix(suffix)
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:] + (f" ({unit})" if unit else "")


def _param_class(option: Option) -> type:
    if option.choices:
        return params.EnumParam
    if option.traits.role == "input":
        return params.FileParam
    kinds: Mapping[Any, type] = {
        bool: params.BooleanParam,
        int: params.IntParam,
        float: params.FloatParam,
        str: params.StringParam,
    }
    return kinds[option.hint]


def _arguments(option: Option) -> dict[str, Any]:
    traits = option.traits
    arguments = {
        "label": traits.label or option_label(option.name, traits.unit),
        "help": traits.help,
        "default": option.default,
        "validators": _validators(traits),
    }
    if traits.level == "advanced":
        arguments["expertLevel"] = params.LEVEL_ADVANCED
    if option.choices:
        arguments |= {"choices": list(option.choices), "default": option.choices.index(option.default)}
    return arguments


def _shown_when(options: Mapping[str, Option], option: Option) -> dict[str, str]:
    """The form's condition that other options have the values with which an option counts. A form holds of a choice
    its place."""
    conditions = []
    for name, values in option.traits.counts_with.items():
        choices = options[name].choices
        conditions.append(f"{name} in {[choices.index(value) if choices else value for value in values]}")
    return {"condition": " and ".join(conditions)} if conditions else {}


def _add_range(form: Any, option: Option, arguments: dict[str, Any]) -> None:
    """Two numbers on a line, which has the label, the help and the condition."""
    validators, ends = arguments.pop("validators"), cast(tuple[float, float], arguments.pop("default"))
    line = form.addLine(arguments.pop("label"), **arguments)
    for end, default in zip(("min", "max"), ends, strict=True):
        line.addParam(f"{option.name}_{end}", params.FloatParam, default=default, label=end, validators=validators)


def _validators(traits: Traits) -> list[Any]:
    found: list[Any] = []
    if traits.low is not None:
        found.append(params.GE(traits.low, error=f"must be at least {traits.low} {traits.unit}".rstrip()))
    if traits.high is not None:
        found.append(params.LE(traits.high, error=f"must be at most {traits.high} {traits.unit}".rstrip()))
    return found


def _form_value(protocol: Any, option: Option) -> Any:
    value = getattr(protocol, option.name).get()
    if option.choices:
        return option.choices[value]
    return (value or "").strip() if option.hint is str else value
