"""The report command: results of other commands as one HTML file for any browser."""

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
    """Write the page. Raises InputError if there is nothing to show, or an input cannot be read."""
    require_sources(options)
    pack = Pack()
    content = report_content(options, pack)
    with atomic_path(options.output) as temporary:
        # names of files in records may not be UTF-8: their bytes are then written as numbers
        temporary.write_text(page_text(content, pack), encoding="utf-8", errors="backslashreplace")
    megabytes = Path(options.output).stat().st_size / 1e6
    print(f"{describe(content)}\nwritten: {options.output} ({megabytes:.1f} MB; open it in a browser)")


def require_sources(options: ReportOptions) -> None:
    """InputError if the options name nothing to show, or only one of two options that belong together."""
    _require_utf8(options)
    if Path(options.output).suffix.lower() not in _SUFFIXES:
        raise InputError(f"--output: got '{options.output}', expected the name of an HTML file, such as report.html")
    if Path(options.output).is_dir():
        raise InputError(f"--output: '{options.output}' is a folder; give the name of a file, which may be in it")
    if not any(getattr(options, name) for name in SOURCES):
        flags = ", ".join(f"--{name}" for name in SOURCES)
        raise InputError(f"the report would be empty: give at least one of {flags}")
    if bool(options.structure) != bool(options.modes):
        raise InputError("--structure and --modes belong together: the structure is shown moving along its modes")
    if options.group and not options.landscape:
        raise InputError("--group: groups are shown in their landscape; give it by --landscape")


def _require_utf8(options: ReportOptions) -> None:
    """InputError if a text of the page is not UTF-8, as HTML requires."""
    for name in ("title", "output", "structure", "modes", "group", *SOURCES):
        value = getattr(options, name)
        for text in [value] if isinstance(value, str) else value:
            whole = text if name == "title" else os.path.abspath(text)
            try:
                whole.encode()
            except UnicodeEncodeError as error:
                remedy = "give another" if name == "title" else "rename it, or give it by a link with another name"
                raise InputError(f"--{name}: {whole!a} is not UTF-8, as all text of a page is; {remedy}") from error
