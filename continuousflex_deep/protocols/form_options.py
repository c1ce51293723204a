"""Scipion forms derived from options dataclasses: the only home of defaults, help texts, units and bounds."""

import dataclasses
import functools
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

import pwem
from pyworkflow.protocol import params

from continuousflex_deep._plugin import Plugin
from continuousflex_deep.options import from_mapping
from continuousflex_deep.programs import ELNEMO, RELION, XMIPP, Package

# the folders into which Scipion installs packages of programs; of several versions the last one counts
_SCIPION_FOLDERS = {XMIPP.name: "xmipp", ELNEMO.name: "nma", RELION.name: "relion-*"}
NOT_INSTALLED = "not installed"
_UNIT_SUFFIXES = ("_A", "_px", "_deg", "_kV", "_mm", "_percent")


def add_options(form: Any, options_class: type, names: Iterable[str], expert: Iterable[str] = (), **overrides) -> None:
    """Add one form parameter per named option; those in ``expert`` show only to advanced users.

    ``overrides``: per option name, a dict of further arguments of the parameter (label, condition, paramClass ...).
    A pair of numbers becomes two parameters, NAME_min and NAME_max, on one line.
    """
    fields, hints = {f.name: f for f in dataclasses.fields(options_class)}, get_type_hints(options_class)
    advanced = set(expert)
    for name in names:
        given = dict(overrides.get(name, {}))
        if name in advanced:
            given["expertLevel"] = params.LEVEL_ADVANCED
        if get_origin(hints[name]) is tuple:
            _add_pair(form, fields[name], given)
        else:
            param_class = given.pop("paramClass", None) or _param_class(hints[name])
            form.addParam(name, param_class, **(_arguments(fields[name], hints[name]) | given))


def add_other_options(form: Any, options_class: type, filled: Iterable[str], **overrides) -> None:
    """Add, for advanced users, what the form does not offer yet; all but ``filled`` and options of a single choice."""
    hints, beside = get_type_hints(options_class), set(filled)
    names = [
        f.name
        for f in dataclasses.fields(options_class)
        if f.name not in beside
        and not (form.hasParam(f.name) or form.hasParam(f"{f.name}_min"))
        and not (get_origin(hints[f.name]) is Literal and len(get_args(hints[f.name])) == 1)
    ]
    add_options(form, options_class, names, expert=names, **overrides)


def read_options(protocol: Any, options_class: type, **values: Any) -> Any:
    """The options that a protocol's form holds, with ``values`` for what the form does not ask (files, for example).

    Raises InputError, as the command itself would, where a value is out of its bounds.
    """
    hints = get_type_hints(options_class)
    found: dict[str, Any] = {}
    for f in dataclasses.fields(options_class):
        if f.name in values:
            continue
        if protocol.getParam(f.name) is not None:
            found[f.name] = _value(getattr(protocol, f.name).get(), hints[f.name])
        elif protocol.getParam(f"{f.name}_min") is not None:
            found[f.name] = [getattr(protocol, f"{f.name}_{end}").get() for end in ("min", "max")]
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
        if not _importable(python, module)
    }
    return _without(options_class, name, left_out)


@functools.cache
def _importable(python: str, module: str) -> bool:
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
    field = next(f for f in dataclasses.fields(options_class) if f.name == name)
    arguments = _arguments(field, get_type_hints(options_class)[name])
    last = max(place for place, choice in enumerate(arguments["choices"]) if choice not in left_out)
    offered = [
        f"{choice} ({NOT_INSTALLED})" if choice in left_out else choice for choice in arguments["choices"][: last + 1]
    ]
    for choice, what in left_out.items():
        arguments["help"] += f" Not offered here: {choice}, which needs {what}."
    return {"choices": offered, "help": arguments["help"]}


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


def _param_class(hint: Any) -> type:
    if get_origin(hint) is Literal:
        return params.EnumParam
    kinds: Mapping[Any, type] = {
        bool: params.BooleanParam,
        int: params.IntParam,
        float: params.FloatParam,
        str: params.StringParam,
    }
    return kinds[hint]


def _arguments(f: "dataclasses.Field[Any]", hint: Any) -> dict[str, Any]:
    help_text = f.metadata["help"]
    arguments = {
        "label": option_label(f.name, f.metadata["unit"]),
        "help": help_text[:1].upper() + help_text[1:] + ".",
        "default": f.default,
        "validators": _validators(f),
    }
    if get_origin(hint) is Literal:
        choices = list(get_args(hint))
        arguments |= {"choices": choices, "default": choices.index(f.default)}
    return arguments


def _add_pair(form: Any, f: "dataclasses.Field[Any]", given: dict[str, Any]) -> None:
    arguments, defaults = _arguments(f, float), cast(tuple[float, float], f.default)
    line = form.addLine(arguments["label"], help=arguments["help"], **given)
    for end, default in zip(("min", "max"), defaults, strict=True):
        line.addParam(f"{f.name}_{end}", params.FloatParam, default=default, label=end, validators=_validators(f))


def _validators(f: "dataclasses.Field[Any]") -> list[Any]:
    low, high, unit = f.metadata["low"], f.metadata["high"], f.metadata["unit"]
    found: list[Any] = []
    if low is not None:
        found.append(params.GE(low, error=f"must be at least {low} {unit}".rstrip()))
    if high is not None:
        found.append(params.LE(high, error=f"must be at most {high} {unit}".rstrip()))
    return found


def _value(value: Any, hint: Any) -> Any:
    if get_origin(hint) is Literal:
        return get_args(hint)[value]
    if hint is str:
        return (value or "").strip()
    return value
