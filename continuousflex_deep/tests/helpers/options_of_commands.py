"""The options classes of all commands, and values for their options."""

from typing import Any

from continuousflex_deep.cli import COMMANDS
from continuousflex_deep.options import Option, options_of

CLASSES = tuple(COMMANDS.values())


def complete(cls: type) -> dict[str, Any]:
    """Values for every option that must be given."""
    required = [option for option in options_of(cls).values() if option.traits.required]
    return {option.name: ["x"] if option.is_list else "x" for option in required}


def another_value(option: Option) -> Any:
    """A value of an option within its bounds that is not its default."""
    if option.choices:
        return next(choice for choice in option.choices if choice != option.default)
    if option.is_list:
        return ("another",)
    if option.is_range:
        return tuple(end + 1.0 for end in option.default)
    if option.hint is bool:
        return not option.default
    if option.hint is str:
        return "another"
    high = option.traits.high
    return option.hint(option.default + 1 if high is None else high)
