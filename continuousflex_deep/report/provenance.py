"""How the results came about: the records of the commands that wrote them."""

from pathlib import Path
from typing import Any

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.file_names import RECORD_JSON
from continuousflex_deep.io.records import read_record


def record_of(place: str, commands: tuple[str, ...], name: str = RECORD_JSON) -> dict[str, Any]:
    """The place and the record of one of these commands in that folder, or of a JSON file that is itself the record.

    Raises InputError where there is none, FormatError for that of another command.
    """
    path, written_by = Path(place), " or ".join(commands)
    if path.is_dir() and not (path / name).is_file():
        raise InputError(f"'{place}' has no {name}; give what the command {written_by} wrote")
    if not path.exists():
        raise InputError(f"there is no '{place}'; give what the command {written_by} wrote")
    file = path / name if path.is_dir() else path
    record = read_record(file)
    if record["command"] not in commands:
        raise FormatError(f"'{file}' was written by the command {record['command']}, expected {written_by}")
    return {"place": str(place), "record": record}


def record_beside(file: str) -> dict[str, Any] | None:
    """The record that a command left beside a particle file; None where there is none, as of files from elsewhere."""
    try:
        return {"place": file, "record": read_record(Path(file).with_suffix(".json"))}
    except (InputError, FormatError):
        return None


def provenance(place: str, record: dict[str, Any]) -> dict[str, Any]:
    """What the page's table says: command, version, time, seed and all options, as texts."""
    options = {name: _told(value) for name, value in record["options"].items()}
    told = {name: str(record.get(name, "–")) for name in ("command", "version", "finished")}
    return told | {"place": place, "options": options}


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_told, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
