"""Files of named groups: what is written comes back, and what is none is an error."""

import json
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.groups import COLOURS, NamedGroup, file_names, read_groups, write_groups


def test_round_trip(tmp_path: Path) -> None:
    groups = [
        NamedGroup("open", COLOURS[0], np.array([2**62, 3, 8])),
        NamedGroup("zu \"α\" / β", COLOURS[1], np.array([], dtype=np.int64)),
    ]  # fmt: skip
    write_groups(tmp_path / "groups.json", groups)
    found = read_groups(tmp_path / "groups.json")
    assert [(g.name, g.colour, g.ids.tolist()) for g in found] == [
        ("open", COLOURS[0], [3, 8, 2**62]),
        ('zu "α" / β', COLOURS[1], []),
    ]
    assert file_names(found) == ["1_open", "2_zu"]
    assert file_names([NamedGroup("x" * 300, COLOURS[0], np.arange(1))]) == ["1_" + "x" * 60]


def test_what_is_no_group() -> None:
    ids = np.arange(3)
    for name, colour, numbers, told in (
        (" ", "#123456", ids, "name"),
        ("a\nb", "#123456", ids, "name"),
        ("a", "red", ids, "such as #4477aa"),
        ("a", "#123456", np.array([1, 1]), "more than once"),
    ):
        with pytest.raises(InputError, match=told):
            NamedGroup(name, colour, numbers)


def test_names_are_different(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two groups have the name 'a'"):
        write_groups(tmp_path / "g.json", [NamedGroup("a", "#123456", np.arange(n)) for n in (2, 3)])
    assert not (tmp_path / "g.json").exists()


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[]",
        '{"groups": []}',
        json.dumps({"format": "continuousflex_deep groups 2", "groups": []}),
        json.dumps({"format": "continuousflex_deep groups 1", "groups": [{"name": "a", "colour": "#123456"}]}),
        json.dumps(
            {"format": "continuousflex_deep groups 1", "groups": [{"name": "a", "colour": "#123456", "ids": [1.5]}]}
        ),
        json.dumps(
            {"format": "continuousflex_deep groups 1", "groups": [{"name": "a", "colour": "#123456", "ids": [2**70]}]}
        ),
    ],
)
def test_other_files_are_errors(tmp_path: Path, content: str) -> None:
    (tmp_path / "g.json").write_text(content)
    with pytest.raises(FormatError, match="not a file of groups"):
        read_groups(tmp_path / "g.json")
    with pytest.raises(InputError, match="groups"):
        read_groups(tmp_path / "none.json")
