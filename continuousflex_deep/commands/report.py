"""The report command: what other commands wrote, as one HTML file for any browser."""

import os
from pathlib import Path

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.options import ReportOptions
from continuousflex_deep.report.content import SOURCES, describe, report_content
from continuousflex_deep.report.packing import Pack
from continuousflex_deep.report.page import page_text

_SUFFIXES = (".html", ".htm")


def run(options: ReportOptions) -> None:
    """Write the page. Raises InputError where there is nothing to show, and as the reading of each input does."""
    require_sources(options)
    pack = Pack()
    content = report_content(options, pack)
    with atomic_path(options.output) as temporary:
        # names of files in records may be no UTF-8: their bytes are then written as numbers
        temporary.write_text(page_text(content, pack), encoding="utf-8", errors="backslashreplace")
    megabytes = Path(options.output).stat().st_size / 1e6
    print(f"{describe(content)}\nwritten: {options.output} ({megabytes:.1f} MB; open it in a browser)")


def require_sources(options: ReportOptions) -> None:
    """InputError where the options name nothing to show, or half of what belongs together."""
    _require_utf8(options)
    if Path(options.output).suffix.lower() not in _SUFFIXES:
        raise InputError(f"--output: got '{options.output}', expected the name of an HTML file, such as report.html")
    if Path(options.output).is_dir():
        raise InputError(f"--output: '{options.output}' is a folder; give the name of a file, which may be in it")
    if not any(getattr(options, name) for name in SOURCES):
        flags = ", ".join(f"--{name}" for name in SOURCES)
        raise InputError(f"a report of nothing: give at least one of {flags}")
    if bool(options.structure) != bool(options.modes):
        raise InputError("--structure and --modes belong together: the structure is shown as its modes move it")
    if options.group and not options.landscape:
        raise InputError("--group: groups are shown in their landscape; name it by --landscape")


def _require_utf8(options: ReportOptions) -> None:
    """InputError where a text that the page will show is not UTF-8, which is all that it can hold."""
    for name in ("title", "output", "structure", "modes", "group", *SOURCES):
        value = getattr(options, name)
        for text in [value] if isinstance(value, str) else value:
            whole = text if name == "title" else os.path.abspath(text)
            try:
                whole.encode()
            except UnicodeEncodeError as error:
                remedy = "give another" if name == "title" else "rename it, or give it by a link with another name"
                raise InputError(f"--{name}: {whole!a} is not UTF-8, as all text of a page is; {remedy}") from error
