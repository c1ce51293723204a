"""What documents say of the program, and where it is wrong: command lines, options, links, files, labels and messages.

Documents keep to a form that can be read by a program: an indented block holds command lines and nothing else; other
text in a fixed width stands between ``` lines; *italics* are the labels of Scipion's forms and windows; a line that
begins with > quotes an error, with … where a value stands.
"""

import argparse
import ast
import io
import re
import shlex
import string
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path

from continuousflex_deep import cli
from continuousflex_deep.errors import DeepError
from continuousflex_deep.options import from_mapping
from continuousflex_deep.tests.helpers.benchmarks import run_benchmark

REPOSITORY = next(folder for folder in Path(__file__).resolve().parents if (folder / "setup.py").is_file())
PACKAGE = REPOSITORY / "continuousflex_deep"
ELLIPSIS = "…"
_PROGRAM = "continuousflex_deep"
_SEPARATORS = {";", "&", "&&", "||", "|", "do", "done"}
_NOT_OURS = {"for", "wait", "source", "cd"}
_SCIPIONS_LABELS = {"Analyze results"}


def documents() -> list[Path]:
    """The project's pages."""
    return [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").glob("*.md"))]


# ------------------------------------------------------------------------------------------------- command lines
def command_lines(text: str) -> list[str]:
    """The lines of a page's indented blocks; those that end in a backslash are joined with the next."""
    lines: list[str] = []
    in_block, after_empty, going_on = False, True, False
    for line in without_fences(text).split("\n"):
        if not line.strip():
            after_empty = True
            continue
        # an indented line begins a block after an empty one only; elsewhere it goes on with a list
        in_block = line.startswith("    ") and (in_block or after_empty)
        after_empty = False
        if in_block and going_on:
            lines[-1] += " " + line.strip().removesuffix("\\")
        elif in_block:
            lines.append(line.strip().removesuffix("\\"))
        going_on = in_block and line.endswith("\\")
    return lines


def without_fences(text: str) -> str:
    """A page without the blocks between ``` lines."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def programs_of(line: str) -> list[list[str]]:
    """The words of each program that a line starts, without comments and variables."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word in _SEPARATORS:
            found.append([])
        else:
            found[-1].append(word)
    return [words for words in found if words and "=" not in words[0] and words[0] not in _NOT_OURS]


def problem_of(words: list[str]) -> str | None:
    """What is wrong with a program's command line as a page shows it, or None."""
    line = " ".join(words)
    if words[0] in ("$CFD", "continuousflex-deep"):
        return problem_of_command(words[1:])
    if "-m" in words and (module := words[words.index("-m") + 1]) in (_PROGRAM, "pytest", "venv"):
        return problem_of_command(words[words.index("-m") + 2 :]) if module == _PROGRAM else None
    if words[0] == "python" and words[1].startswith("benchmarks/"):
        return problem_of_benchmark(words[1:])
    if words[0] == "make":
        return problem_of_make(words[1:])
    if words[0] == ".ci/run":
        return None if (REPOSITORY / ".ci" / "run").is_file() else f"{line}: no such file"
    if words[0] == "pip":
        extras = {extra for word in words for extra in re.findall(r"\[(.*)\]", word)}
        unknown = {name for extra in extras for name in extra.split(",")} - extras_of_the_installation()
        return f"{line}: no extras {sorted(unknown)}" if unknown else None
    if words[:2] == ["scipion3", "template"]:
        return problem_of_template(words[2:])
    if words[0] == "scipion3":
        return None if words[1] in ("installp", "installb") else f"{line}: unknown command of scipion3"
    return f"{line}: not a command that the tests know; put what is no command line between ``` lines"


def problem_of_command(words: list[str], may_lack_a_value: bool = False) -> str | None:
    """What is wrong with a command of ours and its options; where … stands, required ones may be missing."""
    given = [word for word in words if word != ELLIPSIS]
    line = " ".join(words)
    if given[:1] in (["COMMAND"], ["--help"], ["--version"]):
        return None
    if not given or given[0] not in cli.COMMANDS:
        return f"{line}: no such command"
    unknown = {word.partition("=")[0] for word in given if word.startswith("--")} - options_of(given[0])
    if unknown:
        return f"{line}: no options {sorted(unknown)}"
    if "--help" in given or (may_lack_a_value and given[-1].startswith("--")):
        return None
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            values = vars(_parser().parse_args(given))
    except SystemExit:
        return f"{line}: {said.getvalue().splitlines()[-1]}"
    values = {name: value for name, value in values.items() if value is not None and name not in ("command", "options")}
    try:
        from_mapping(cli.COMMANDS[given[0]], values)
    except DeepError as error:
        incomplete = ELLIPSIS in words or "--options" in given
        return None if incomplete and "is required" in str(error) else f"{line}: {error}"
    return None


@cache
def _parser() -> argparse.ArgumentParser:
    return cli.build_parser()


@cache
def options_of(command: str) -> set[str]:
    """The options that a command's help names, as --name."""
    said = io.StringIO()
    with redirect_stdout(said), suppress(SystemExit):
        _parser().parse_args([command, "--help"])
    usage = said.getvalue().partition("\n\n")[0]
    return {"--help", *re.findall(r"--[\w-]+", usage)}


@cache
def options_of_benchmark(name: str) -> set[str]:
    """The options that a benchmark's help names, as --name."""
    return set(re.findall(r"--[\w-]+", run_benchmark(name, "--help").partition("\noptions:")[2]))


def problem_of_benchmark(words: list[str]) -> str | None:
    """What is wrong with a benchmark's name and options."""
    script = REPOSITORY / words[0]
    if script.stem == "NAME":
        return None
    if not script.is_file():
        return f"{words[0]}: no such file"
    unknown = {word for word in words if word.startswith("--")} - options_of_benchmark(script.stem)
    return f"{' '.join(words)}: no options {sorted(unknown)}" if unknown else None


def problem_of_make(words: list[str]) -> str | None:
    """What is wrong with a target or variable of make."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for word in words:
        name, is_variable, _ = word.partition("=")
        if not re.search(rf"^{re.escape(name)}{r' *[?:]?=' if is_variable else ':'}", makefile, flags=re.MULTILINE):
            return f"make {' '.join(words)}: the Makefile has no {name}"
    return None


def problem_of_template(words: list[str]) -> str | None:
    """What is wrong with a template's name and variables."""
    name = words[0].partition(f"{_PROGRAM}-")[2]
    template = PACKAGE / "templates" / f"{name}.json.template"
    if not template.is_file():
        return f"{words[0]}: no such template"
    known = set(re.findall(r"~[^~|]*\|[^~|]*\|[^~|]*\|(\w+)~", template.read_text(encoding="utf-8"))) | {"project_name"}
    unknown = {word.partition("=")[0] for word in words[1:] if not word.startswith("--")} - known
    return f"{' '.join(words)}: no variables {sorted(unknown)}" if unknown else None


@cache
def extras_of_the_installation() -> set[str]:
    """The extras of setup.py."""
    extras = re.search(r"extras_require=\{(.*?)\}", (REPOSITORY / "setup.py").read_text(encoding="utf-8"), re.DOTALL)
    assert extras is not None, "setup.py names no extras"
    return set(re.findall(r'"([\w-]+)":', extras[1]))


def problems_of_command_lines(text: str) -> list[str]:
    """What is wrong with the command lines of a page: of its blocks, and those within sentences."""
    problems = [problem_of(words) for line in command_lines(text) for words in programs_of(line)]
    for code in inline_code(text):
        words = code.split()
        if len(words) > 1 and words[0] in cli.COMMANDS and any(word.startswith("--") for word in words):
            # a mention, which names no required options, and sometimes no value
            problems.append(problem_of_command([*shlex.split(code), ELLIPSIS], may_lack_a_value=True))
        elif words[:1] == ["python"] or words[:1] == ["make"]:
            problems.append(problem_of(words))
        elif re.fullmatch(r"--[a-z][\w-]*", words[0] if words else "") and not known_to_some_command(words[0]):
            problems.append(f"{code}: no command has this option")
    return [problem for problem in problems if problem is not None]


@cache
def known_to_some_command(option: str) -> bool:
    """Whether any command or benchmark has an option."""
    benchmarks = "".join(p.read_text(encoding="utf-8") for p in (REPOSITORY / "benchmarks").glob("*.py"))
    return f'"{option}"' in benchmarks or any(option in options_of(command) for command in cli.COMMANDS)


def inline_code(text: str) -> list[str]:
    """What a page's sentences and tables have between backticks."""
    return re.findall(r"`([^`]+)`", without_fences(text))


# ------------------------------------------------------------------------------------- links, files, labels, columns
def problems_of_links(text: str, page: Path) -> list[str]:
    """Links and pictures of a page that lead nowhere."""
    problems = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_fences(text)):
        path, _, anchor = target.partition("#")
        file = page if not path else page.parent / path
        if re.match(r"https?:", target):
            continue
        if not file.exists():
            problems.append(f"{target}: no such file")
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
            problems.append(f"{target}: no such heading")
    return problems


def anchors(text: str) -> set[str]:
    """The headings of a page, as links name them."""
    titles = re.findall(r"^#+ (.*)$", without_fences(text), flags=re.MULTILINE)
    kept = string.ascii_letters + string.digits + "_- "
    return {"".join(c for c in title if c in kept or c.isalpha()).lower().replace(" ", "-") for title in titles}


def problems_of_files(text: str) -> list[str]:
    """Modules, tests, benchmarks and documents that a page names and that do not exist, and unknown columns."""
    problems = []
    for code in inline_code(text):
        if re.fullmatch(r"test_\w+\.py", code):
            found = any((PACKAGE / "tests").rglob(code))
        elif re.fullmatch(r"[\w/]+/[a-z_]\w*\.(py|md|html|js|conf)", code):
            found = any((base / code).is_file() for base in (REPOSITORY, PACKAGE))
        elif column := re.fullmatch(r"((?:rln|cfd)[A-Z][A-Za-z]*?)(\d+)?(Sd)?", code):
            found = re.search(rf"({column[1]}|{code})(?![A-Za-z])", sources_as_text()) is not None
        else:
            continue
        if not found:
            problems.append(f"`{code}`: there is none in the code")
    return problems


def problems_of_formats(text: str) -> list[str]:
    """File names that no text of the code has; numbers and words in capitals stand for any."""
    texts, problems = "\n".join(texts_of_the_package()), []
    for name in re.findall(r"`([\w.]+\.(?:star|json|npz|csv|png|txt|md|pt|pdb|mrcs?|xmd|gif|mp4|cxc|vmd))`", text):
        pieces = [piece for piece in re.split(r"\d+_open|\d+|[A-Z]{2,}|(?<=_)N", name) if piece.strip("._")]
        if not all(re.search(rf"(?<![a-z]){re.escape(piece)}(?![A-Za-z])", texts) for piece in pieces):
            problems.append(f"`{name}`: no file is called so")
    return problems


def problems_of_labels(text: str) -> list[str]:
    """Italics that are no label of a form, a window or the protocols' tree."""
    plain = re.sub(r"`[^`]*`|\*\*[^*]+\*\*", "", without_fences(text))
    labels = {" ".join(label.split()) for label in re.findall(r"(?<![\w\\*])\*([^*\s][^*]*)\*(?![\w*])", plain)}
    return [f"*{label}*: no form or window has this label" for label in sorted(labels - labels_of_the_interface())]


@cache
def labels_of_the_interface() -> set[str]:
    """All texts in the code of forms and windows, and in the protocols' tree."""
    files = [*(PACKAGE / "protocols").rglob("*.py"), *(PACKAGE / "viewers").rglob("*.py")]
    texts = {text for file in files for text in texts_of(file)}
    tree = (PACKAGE / "protocols.conf").read_text(encoding="utf-8")
    texts |= set(re.findall(r'"text": "([^"]+)"', tree)) | set(re.findall(r"^(\w.*?) = \[", tree, flags=re.MULTILINE))
    return {text.removesuffix(" …").strip() for text in texts} | _SCIPIONS_LABELS


@cache
def sources_as_text() -> str:
    """The package's code without its tests."""
    return "\n".join(p.read_text(encoding="utf-8") for p in sources())


def sources() -> list[Path]:
    """The package's modules without its tests."""
    return [p for p in sorted(PACKAGE.rglob("*.py")) if "tests" not in p.relative_to(PACKAGE).parts]


def tree(text: str) -> list[str]:
    """The packages (with a slash) and modules that the trees of the architecture page describe, in order."""
    blocks = "\n".join(re.findall(r"^```text\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))
    return re.findall(r"^(\w+/|\w+\.py) +\S", blocks, flags=re.MULTILINE)


def problems_of_the_tree(text: str) -> list[str]:
    """Packages and modules that the trees of the architecture page lack, or have too many."""
    named = tree(text)
    there = {path.name for path in PACKAGE.glob("*.py")} | {f"{path.parent.name}/" for path in PACKAGE.glob("*/*.py")}
    there = there - {"tests/"} | {"templates/"}
    problems = [f"{name}: the tree names it, but it does not exist" for name in named if name not in there]
    problems += [f"{name}: the tree names it twice" for name in sorted(set(named)) if named.count(name) > 1]
    return problems + [f"{name}: the tree does not name it" for name in sorted(there - set(named))]


def problems_of_the_flow(text: str) -> list[str]:
    """Functions and classes that the architecture page places in a file where they are not defined."""
    placed = re.findall(r"^ *(\w[\w.]*) +\(([\w/]+\.py)\) ", text, flags=re.MULTILINE)
    problems = [] if placed else ["no flow: expected lines such as 'main (cli.py) what it does'"]
    for name, file in placed:
        defined = (PACKAGE / file).read_text(encoding="utf-8") if (PACKAGE / file).is_file() else ""
        if not all(re.search(rf"^ *(def|class) {part}\b", defined, flags=re.MULTILINE) for part in name.split(".")):
            problems.append(f"{name}: not defined in {file}")
    return problems


# ---------------------------------------------------------------------------------------------------------- messages
def texts_of(file: Path) -> Iterator[str]:
    """The texts of a module, with … where a value is put in."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else ELLIPSIS for part in node.values)


@cache
def texts_of_the_package() -> tuple[str, ...]:
    """All texts in the package's code."""
    return tuple(text for file in sources() for text in texts_of(file))


def quotations(text: str) -> list[str]:
    """The errors that a page quotes: its lines that begin with >."""
    return [line.removeprefix("> ").strip() for line in text.split("\n") if line.startswith("> ")]


def problems_of_quotations(text: str) -> list[str]:
    """Quoted errors that no text of the code begins, contains or ends with; … stands for any value."""
    problems = []
    for quoted in quotations(text):
        pieces = [piece.strip() for piece in quoted.split(ELLIPSIS) if piece.strip()]
        pattern = re.compile(".*".join(map(re.escape, pieces)), flags=re.DOTALL)
        if not any(pieces[0] in text and pattern.search(text) for text in texts_of_the_package()):
            problems.append(f"> {quoted}: no such text in the code")
    return problems
