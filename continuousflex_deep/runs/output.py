"""The one output of a run: whether it exists, whether it may be written, and its record."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.records import require_record, write_record
from continuousflex_deep.messages import note
from continuousflex_deep.runs.left_out import left_out_path
from continuousflex_deep.runs.parts import PartStore


@contextmanager
def making(output: Path, store: PartStore) -> Iterator[bool]:
    """Whether the output is to be made within the block, from parts in the store: not if the same run has written it
    already. Once it is written, its record by `write_record_of` as the last of its files, the parts are removed."""
    if is_written(output, store.output_fingerprint):
        note(f"'{output}' exists already, made by the same options from the same files; remove it to compute it anew")
        store.remove_if_left()
        yield False
        return
    with store.opened():
        yield True
        for path in (output, output.with_suffix(".json")):
            _onto_disk(path)  # after a power failure the output must be there if the parts are gone
        store.remove()


def require_free_names(output: Path, *inputs: str) -> None:
    """InputError if the output, the list of particles left out, or the record would overwrite an input or a file that
    is not a record."""
    written = (output, output.with_suffix(".json"), left_out_path(output))
    for given in inputs:
        for path in written:
            if given and path.exists() and Path(given).exists() and path.samefile(given):
                raise InputError(f"'{path}' is the input and would be overwritten; give another name for the output")
    require_record(output.with_suffix(".json"))


def _onto_disk(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def write_record_of(output: Path, store: PartStore, command: str, options: Any, **facts: Any) -> None:
    """Write the record of an output, the last of its files. From then on the output counts as written."""
    written = {"fingerprint": store.output_fingerprint, "output_sha256": _digest(output)}
    write_record(output.with_suffix(".json"), command, options, **facts, **written)


def is_written(output: Path, fingerprint: str) -> bool:
    """Whether the output exists as a run with this fingerprint wrote it."""
    try:
        record = json.loads(output.with_suffix(".json").read_text())
        return record.get("fingerprint") == fingerprint and record.get("output_sha256") == _digest(output)
    except (OSError, ValueError, AttributeError):  # there is none, or the file is from another program
        return False


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
