"""Options made from names and values, and the JSON files that hold them."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import require_file
from continuousflex_deep.io.texts import parse_json, read_text
from continuousflex_deep.options.schema import REQUIRED, Option, foreign_options, options_of

T = TypeVar("T")


def from_mapping(cls: type[T], values: dict[str, Any]) -> T:
    """Options from names and values. InputError for unknown names, wrong types, values out of bounds, missing ones, and
    options of another engine than the one that is to run."""
    known = options_of(cls)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"unknown options {unknown}; {cls.__name__} has {sorted(known)}")
    result = cls(**{name: _converted(known[name].flag, value, known[name].hint) for name, value in values.items()})
    for option in known.values():
        _require_in_bounds(option, getattr(result, option.name))
    require_own_options(result)
    return result


def require_own_options(options: Any) -> None:
    """InputError where options belong to another engine than the one that is to run, which would ignore them."""
    engine = getattr(options, "engine", None)
    foreign = foreign_options(options, engine) if engine else []
    if foreign:
        flags, owners = ", ".join(o.flag for o in foreign), " or ".join(sorted({o.traits.engine for o in foreign}))
        these = "this" if len(foreign) == 1 else "these"
        raise InputError(f"--engine {engine} does not support {flags}; leave {these} out, or give --engine {owners}")


def read_options_file(path: str | Path) -> dict[str, Any]:
    """The names and values of a JSON options file."""
    file = require_file(path, "options file")
    try:
        values = parse_json(read_text(file, "options file"))
    except ValueError as error:
        raise FormatError(f"'{file}' is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise FormatError(f"'{file}': expected one JSON object with option names and values")
    return values


def write_options_file(path: str | Path, options: Any) -> None:
    """Write options as JSON that read_options_file and from_mapping take back."""
    Path(path).write_text(json.dumps(dataclasses.asdict(options), indent=2) + "\n")


def value_from_text(name: str, text: str, hint: Any) -> Any:
    """The value of an option's type that a text stands for. InputError where it stands for none."""
    switch = {"true": True, "false": False}
    return _converted("--" + name, switch.get(text.lower(), text) if hint is bool else text, hint)


def _require_in_bounds(option: Option, value: Any) -> None:
    """InputError unless a value was given where one must be, and lies within the option's bounds."""
    traits = option.traits
    if value == REQUIRED or (traits.required and value == ()):
        raise InputError(f"option {option.flag} is required: {traits.help}")
    low, high = traits.low, traits.high
    if (low is not None and value < low) or (high is not None and value > high):
        between = f"{'−∞' if low is None else low} to {'∞' if high is None else high} {traits.unit}".strip()
        raise InputError(f"option {option.flag}: got {value}, expected {between}")


def _converted(flag: str, value: Any, hint: Any) -> Any:
    try:
        return _convert(value, hint)
    except (TypeError, ValueError) as error:
        raise InputError(f"option {flag}: got {value!r}, expected {_described(hint)}") from error


def _convert(value: Any, hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in args:
            raise ValueError
        return value
    if origin is Union:  # a choice, or a path
        if value not in get_args(args[0]) and not (isinstance(value, str) and Path(value).exists()):
            raise ValueError
        return value
    if origin is tuple:
        if isinstance(value, str) or (args[-1] is not Ellipsis and len(value) != len(args)):
            raise ValueError
        return tuple(_convert(v, args[0]) for v in value)
    if hint is bool:
        if not isinstance(value, bool):
            raise ValueError
        return value
    if hint is int and (isinstance(value, bool) or float(value) != int(value)):
        raise ValueError
    if hint is str and not isinstance(value, str):
        raise ValueError
    if hint is float and (isinstance(value, bool) or not math.isfinite(float(value))):
        raise ValueError
    return hint(value)


def _described(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin is Union:
        return f"{_described(args[0])}, or a file or folder, which does not exist"
    if origin is tuple:
        return "a list" if args[-1] is Ellipsis else f"{len(args)} values"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[hint]
