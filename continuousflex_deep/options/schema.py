"""Fields of options, their validation, and the JSON files that hold them."""

import dataclasses
import json
import math
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import require_file

T = TypeVar("T")
REQUIRED = "\0required"  # the default of a path that must be given


def option(default: Any, text: str, unit: str = "", low: float | None = None, high: float | None = None) -> Any:
    """A field with its help text, unit and (inclusive) bounds."""
    return field(default=default, metadata={"help": text, "unit": unit, "low": low, "high": high})


def required(text: str) -> Any:
    """A field that must be given."""
    return field(default=REQUIRED, metadata={"help": text, "unit": "", "low": None, "high": None})


def required_list(text: str) -> Any:
    """A list of at least one value that must be given."""
    return field(default=(), metadata={"help": text, "unit": "", "low": None, "high": None, "required": True})


def from_mapping(cls: type[T], values: dict[str, Any]) -> T:
    """Options from names and values. Unknown names, wrong kinds, values out of bounds and missing ones: InputError."""
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise InputError(f"unknown options {unknown}; {cls.__name__} has {sorted(fields)}")
    hints = get_type_hints(cls)
    checked = {name: _converted(name, value, hints[name]) for name, value in values.items()}
    result = cls(**checked)
    for name, f in fields.items():
        value = getattr(result, name)
        if value == REQUIRED or (f.metadata.get("required") and not value):
            raise InputError(f"option --{name.replace('_', '-')} is required: {f.metadata['help']}")
        low, high = f.metadata["low"], f.metadata["high"]
        if (low is not None and value < low) or (high is not None and value > high):
            between = f"{'−∞' if low is None else low} to {'∞' if high is None else high} {f.metadata['unit']}".strip()
            raise InputError(f"option --{name.replace('_', '-')}: got {value}, expected {between}")
    return result


def read_options_file(path: str | Path) -> dict[str, Any]:
    """The names and values of a JSON options file."""
    file = require_file(path, "options file")
    try:
        values = json.loads(file.read_text())
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
    return _converted(name, switch.get(text.lower(), text) if hint is bool else text, hint)


def _converted(name: str, value: Any, hint: Any) -> Any:
    try:
        return _convert(value, hint)
    except (TypeError, ValueError) as error:
        flag = name.replace("_", "-")
        raise InputError(f"option --{flag}: got {value!r}, expected {_described(hint)}") from error


def _convert(value: Any, hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in args:
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
    if origin is tuple:
        return "a list" if args[-1] is Ellipsis else f"{len(args)} values"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[hint]
