"""Scipion without its launcher."""

import os
import shlex
from pathlib import Path

import pytest

from continuousflex_deep.errors import InputError
from continuousflex_deep.scipion_env import last_progress, open_command, prepare_scipion_environment

pytestmark = pytest.mark.scipion


def test_home_is_configured_and_reports_to_nobody(scipion_home: Path) -> None:
    config = (scipion_home / "config" / "scipion.conf").read_text()
    assert "SCIPION_NOTIFY = False" in config
    assert (scipion_home / "config" / "hosts.conf").is_file()
    assert os.environ["SCIPION_HOME"] == str(scipion_home)


def test_preparing_twice_changes_nothing(scipion_home: Path) -> None:
    before = (scipion_home / "config" / "scipion.conf").stat().st_mtime_ns
    assert prepare_scipion_environment(scipion_home) == scipion_home
    assert (scipion_home / "config" / "scipion.conf").stat().st_mtime_ns == before


def test_another_home_after_the_first_is_an_error(scipion_home: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyworkflow")
    with pytest.raises(InputError, match="already loaded with SCIPION_HOME"):
        prepare_scipion_environment(tmp_path / "other")
    assert os.environ["SCIPION_HOME"] == str(scipion_home)


def test_command_that_opens_a_project(scipion_home: Path) -> None:
    words = shlex.split(open_command(scipion_home, "my project"))
    assert words[-4:] == ["-m", "scipion", "project", "my project"]
    assert f"SCIPION_HOME={scipion_home}" in words
    assert "SCIPION_NOTIFY=False" in words


def test_last_progress_is_read_from_a_log(tmp_path: Path) -> None:
    log = tmp_path / "run.stderr"
    assert last_progress(log) == ""
    log.write_text(
        "note: begins\n\raligning:  10%|█  | 1/10\raligning:  50%|█████ | 5/10 [00:01<00:01]\nsaid at the end\n"
    )
    assert last_progress(log) == "aligning:  50%|█████ | 5/10 [00:01<00:01]"
    log.write_text("begins\n" + "x" * 5000)
    assert last_progress(log) == ""
