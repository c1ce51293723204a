"""Records of runs, and names that tell files apart."""

import os
from pathlib import Path

import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.names import telling_names
from continuousflex_deep.io.records import read_json, read_record, write_record
from continuousflex_deep.options import GroupOptions


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    write_record(file, "group", GroupOptions(landscape="map", output="größer.star"), particles=3)
    record = read_record(file)
    assert (record["command"], record["particles"], record["options"]["output"]) == ("group", 3, "größer.star")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "expected a JSON object"),
        ('{"program": "other", "command": "group", "options": {}}', "is not a record of this program"),
        ('{"program": "continuousflex_deep", "command": 3, "options": {}}', "is not a record of this program"),
        ('{"program": "continuousflex_deep", "command": "group", "options": []}', "is not a record of this program"),
        ('{"program": "continuousflex_deep", "command": "group", "options": {"a": NaN}}', "NaN is not a finite number"),
        ('{"program": "continuousflex_deep", "command": "group", "options": {"a": 1e999}}', "1e999 is not a finite"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("\udcff", "cannot be read as JSON"),
    ],
)
def test_what_is_no_record_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "record.json"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(FormatError, match=rf"record\.json.*{message}"):
        read_record(file)


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read '.*none\.json': there is no such file"):
        read_record(tmp_path / "none.json")
    with pytest.raises(InputError, match="it is a folder"):
        read_json(tmp_path, "figures")


def test_names_tell_paths_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert telling_names(["a/model", "b/model", "maps"]) == ["a/model", "b/model", "maps"]
    assert telling_names(["x/a/model", "y/a/model", "c/model/"]) == ["x/a/model", "y/a/model", "c/model"]
    assert telling_names(["."]) == ["here"]
    assert telling_names([".", "..", "../here"]) == ["here", tmp_path.name, "here (2)"]
    assert telling_names(["/model", "/a/model"]) == ["/model", "a/model"]
    assert telling_names([]) == []
    assert telling_names([os.sep]) == ["/"]
