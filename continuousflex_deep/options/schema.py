"""What is known of an option beyond its name, type and default, and what follows from it.

Traits are the only place that says which engine an option belongs to, whether it changes a result, and how Scipion's
forms show it. This package also runs on Scipion's side, so it keeps to the standard library and to Python 3.8.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Tuple, Union, get_args, get_origin, get_type_hints  # noqa: UP035

REQUIRED = "\0required"  # the default of a value that must be given
Paths = Tuple[str, ...]  # noqa: UP006  for an option that may be given several times
Range = Tuple[float, float]  # noqa: UP006  lower and upper end
# setting: a value that a result depends on
# input: a file, whose content a result depends on but whose name it does not
# output: where a result goes
# resource: how the work is done, with the same result
# installation: where the programs of an engine are
Role = Literal["setting", "input", "output", "resource", "installation"]
Level = Literal["normal", "advanced", "hidden"]
_LEVEL_OF_ROLE: Mapping[str, Level] = {
    "setting": "normal",
    "input": "hidden",
    "output": "hidden",
    "resource": "advanced",
    "installation": "hidden",
}


@dataclasses.dataclass(frozen=True)
class Traits:
    """What the declaration of an option says of it.

    help: sentences; the first says what the option does, the next when to change it.
    low, high: inclusive bounds, in `unit`.
    engine: the only engine that follows the option; empty where all do.
    level: who sees the option in a form; hidden ones are filled in by the protocol.
    label: its name in a form, where the option's own name would not do.
    when: the values of other options with which alone it counts; a form shows it only then.
    """

    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    required: bool = False
    role: Role = "setting"
    engine: str = ""
    level: Level = "normal"
    label: str = ""
    when: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)

    @property
    def counts_with(self) -> dict[str, tuple[Any, ...]]:
        """The values of other options with which alone the option counts: its engine, and those of `when`."""
        return {"engine": (self.engine,), **self.when} if self.engine else dict(self.when)


def option(
    default: Any,
    help: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    *,
    role: Role = "setting",
    engine: str = "",
    level: Level | None = None,
    label: str = "",
    when: Mapping[str, tuple[Any, ...]] | None = None,
) -> Any:
    """A field of an options class, with its traits. By default forms show settings to everyone, resources to advanced
    users, and no files."""
    shown = level or _LEVEL_OF_ROLE[role]
    return _field(default, Traits(help, unit, low, high, False, role, engine, shown, label, when or {}))


def required(help: str, role: Role) -> Any:
    """A field that must be given."""
    return _field(REQUIRED, Traits(help, required=True, role=role, level=_LEVEL_OF_ROLE[role]))


def required_list(help: str, role: Role) -> Any:
    """A field of at least one value that must be given."""
    return _field((), Traits(help, required=True, role=role, level=_LEVEL_OF_ROLE[role]))


def _field(default: Any, traits: Traits) -> Any:
    return dataclasses.field(default=default, metadata={"traits": traits})


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a command."""

    name: str
    hint: Any
    default: Any
    traits: Traits

    @property
    def flag(self) -> str:
        """The option on the command line: --cutoff-A for cutoff_A."""
        return "--" + self.name.replace("_", "-")

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values to choose from; none where any value of the type will do."""
        hint = get_args(self.hint)[0] if self.may_be_a_path else self.hint
        return get_args(hint) if get_origin(hint) is Literal else ()

    @property
    def may_be_a_path(self) -> bool:
        """Whether a file or folder may be given instead of a choice."""
        return get_origin(self.hint) is Union

    @property
    def is_list(self) -> bool:
        return get_origin(self.hint) is tuple and get_args(self.hint)[-1] is Ellipsis

    @property
    def is_range(self) -> bool:
        return get_origin(self.hint) is tuple and not self.is_list

    @property
    def changes_result(self) -> bool:
        """Whether a result depends on the option: on its value or, of an input, on the content of the file."""
        return self.traits.role in ("setting", "input")

    def is_followed_by(self, engine: str) -> bool:
        return self.traits.engine in ("", engine)


def options_of(cls: type) -> dict[str, Option]:
    """The options of a class by name, in the order of their declaration."""
    hints = get_type_hints(cls)
    return {f.name: Option(f.name, hints[f.name], f.default, f.metadata["traits"]) for f in dataclasses.fields(cls)}


def result_options(options: Any) -> dict[str, Any]:
    """The settings that determine a result, by name. Inputs are not among them, since their contents count: whoever
    fingerprints a result adds these."""
    return {o.name: getattr(options, o.name) for o in options_of(type(options)).values() if o.traits.role == "setting"}


def foreign_options(options: Any, engine: str) -> list[Option]:
    """The options that belong to other engines than this one, and yet are not at their defaults. Where programs are
    installed is a fact of the machine, so that it may be given with any engine."""
    return [
        o
        for o in options_of(type(options)).values()
        if not o.is_followed_by(engine) and o.traits.role != "installation" and getattr(options, o.name) != o.default
    ]
