"""What made an output: version, command, options and time, kept as JSON beside every result."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from continuousflex_deep._version import __version__
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import atomic_path

_PROGRAM = "continuousflex_deep"


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON atomically, with numbers that JSON has no word for (NaN, infinity) refused."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False, default=str) + "\n")


def write_record(path: str | Path, command: str, options: Any, **facts: Any) -> None:
    """Write the record of one run of `command` with its frozen options dataclass (seed included) and further facts."""
    content = {
        "program": _PROGRAM,
        "version": __version__,
        "command": command,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": dataclasses.asdict(options),
        **facts,
    }
    write_json(path, content)


def require_record(path: str | Path) -> None:
    """InputError where there is a file that is no record of ours, such as a file of options, which a record would
    overwrite."""
    if not Path(path).exists():
        return
    try:
        ours = json.loads(Path(path).read_text()).get("program") == _PROGRAM
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise InputError(f"'{path}' would be overwritten by the run's record; give another name for the output")
