"""Provenance of results: version, command, options and time, as JSON beside every output."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from continuousflex_deep._version import __version__
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.file_names import RECORD_JSON
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.texts import parse_json, read_text

PROGRAM = "continuousflex_deep"


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON atomically. Raises ValueError for NaN and infinity, which JSON cannot represent."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False, default=str) + "\n")


def read_json(path: str | Path, what: str) -> dict[str, Any]:
    """The JSON object in a file. InputError if there is no file, FormatError for other content and for NaN and
    infinity, which write_json never writes."""
    try:
        content = parse_json(read_text(path, what))
    except ValueError as error:
        raise FormatError(f"{what}: '{path}' cannot be read as JSON ({error}); run its command again") from error
    if not isinstance(content, dict):
        raise FormatError(f"{what}: '{path}' contains {content!r:.40}, expected a JSON object; run its command again")
    return content


def read_record(path: str | Path) -> dict[str, Any]:
    """The record that write_record wrote. InputError if there is no file, FormatError for other content."""
    record = read_json(path, "record")
    whole = (
        record.get("program") == PROGRAM
        and isinstance(record.get("command"), str)
        and isinstance(record.get("options"), dict)
    )
    if not whole:
        raise FormatError(
            f"'{path}' is not a record of this program: expected the program '{PROGRAM}', a command and its options; "
            "give the output of one of its commands"
        )
    return record


def begin_results(folder: str | Path, *others: str) -> None:
    """To be called before the first file of a run is written into a folder: removes the record of an earlier run, and
    others of its files by which readers know complete results. So files of two runs are never taken for those of one.
    """
    for name in (RECORD_JSON, *others):
        (Path(folder) / name).unlink(missing_ok=True)


def write_record(path: str | Path, command: str, options: Any, **facts: Any) -> None:
    """Write the record of one run of `command`: its options (a dataclass, seed included) and further facts."""
    content = {
        "program": PROGRAM,
        "version": __version__,
        "command": command,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": dataclasses.asdict(options),
        **facts,
    }
    write_json(path, content)


def require_record(path: str | Path) -> None:
    """InputError if the file exists and is not a record, for example an options file, which a record would
    overwrite."""
    if not Path(path).exists():
        return
    try:
        ours = json.loads(Path(path).read_text(encoding="utf-8")).get("program") == PROGRAM
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise InputError(f"'{path}' would be overwritten by the record of the run; give another name for the output")
