"""The advice in the texts of errors and notes, read from the source: where a text names an option."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from continuousflex_deep.cli import COMMANDS
from continuousflex_deep.options import options_of
from continuousflex_deep.tests.helpers.imports import imports_of, inside, project_modules

FLAG = re.compile(r"--[a-zA-Z][\w-]*")
# help of options describes them and advises nothing; Scipion's side and the demonstration have no command lines
_ELSEWHERE = {"options", "protocols", "viewers", "convert", "demo", "scipion_env", "_plugin", "objects"}
_FEWEST_WORDS = 4
GAP = "…"


@dataclass(frozen=True)
class Advice:
    """A sentence of a module, which may name options; a gap stands for each value in it."""

    module: str
    text: str

    @property
    def flags(self) -> set[str]:
        return set(FLAG.findall(self.text))


def all_advice() -> list[Advice]:
    """Every text in the code of the commands and of what they use that names an option in a sentence."""
    sources = {module: source for module, source in _sources().items() if FLAG.search(source)}
    return [said for said in _said_by(sources) if said.flags]


@cache
def all_sentences() -> tuple[Advice, ...]:
    """The same with the texts that name no option, or a function adds it to them."""
    return tuple(_said_by(_sources()))


def _sources() -> dict[str, str]:
    return {
        module: path.read_text(encoding="utf-8")
        for module, path in project_modules().items()
        if module.split(".")[0] not in _ELSEWHERE or module == "options.validation"
    }


def _said_by(sources: dict[str, str]) -> Iterator[Advice]:
    return (Advice(module, text) for module, source in sources.items() for text in sentences(source))


@cache
def sentences(source: str) -> tuple[str, ...]:
    """The string literals of a source, apart from docstrings, that have some words; gaps in place of values."""
    inner: set[int] = set()
    literals: list[ast.expr] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in node.values}
            literals.append(node)
        elif isinstance(node, ast.Constant):
            literals.append(node)
        elif isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            inner.add(id(node.body[0].value))  # type: ignore[attr-defined]
    texts = (_text(node) for node in literals if id(node) not in inner)
    # the rest are words of command lines of other programs
    return tuple(t for t in texts if len(t.split()) >= _FEWEST_WORDS and not re.match(r"\s|-\w ", t))


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return GAP


@cache
def flags_of(command: str) -> frozenset[str]:
    """The options of a command, as they are given to it."""
    options = options_of(COMMANDS[command]).values()
    negated = {f"--no-{option.flag[2:]}" for option in options if option.hint is bool}
    return frozenset({option.flag for option in options} | negated)


@cache
def commands_with(module: str) -> frozenset[str]:
    """The commands that use a module, directly or through others."""
    return frozenset(command for command in COMMANDS if module in _used_by(f"commands.{command}"))


@cache
def _used_by(module: str) -> frozenset[str]:
    found, left = {module}, [module]
    while left:
        new = {name for text in imports_of(left.pop()) if (name := _module_in(text))} - found
        found |= new
        left.extend(new)
    return frozenset(found)


def _module_in(name: str) -> str | None:
    """The module, the longest beginning of an imported name that is one."""
    parts = (inside(name) or "").split(".")
    names = (".".join(parts[:k]) for k in range(len(parts), 0, -1))
    return next((name for name in names if name in project_modules()), None)
