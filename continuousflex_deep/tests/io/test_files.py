"""Atomic writes: what a writer that was killed leaves goes, and what a living one writes stays."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from continuousflex_deep.io import files
from continuousflex_deep.io.files import atomic_path

WEEK_S = 7 * 24 * 3600


def killed_while_it_writes(target: Path) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def leave_half(target: Path) -> Path:
    """What a killed process leaves beside its target."""
    before = set(target.parent.iterdir())
    process = multiprocessing.get_context("fork").Process(target=killed_while_it_writes, args=(target,))
    process.start()
    process.join()
    [left] = set(target.parent.iterdir()) - before
    return left


def written(target: Path, text: str = "whole") -> list[str]:
    """Write a file; the names that then lie in its folder."""
    with atomic_path(target) as temporary:
        temporary.write_text(text)
    assert target.read_text() == text
    return sorted(path.name for path in target.parent.iterdir())


def test_what_a_killed_writer_left_goes(tmp_path: Path) -> None:
    other = leave_half(tmp_path / "other.txt")
    leave_half(tmp_path / "f.txt")
    assert written(tmp_path / "f.txt") == sorted([other.name, "f.txt"])


def test_what_a_living_process_writes_stays(tmp_path: Path) -> None:
    """Of two that write one file the later one to finish wins, and both write it wholly."""
    with atomic_path(tmp_path / "f.txt") as early:
        early.write_text("early")
        assert early.name in written(tmp_path / "f.txt", "late")
    assert (tmp_path / "f.txt").read_text() == "early"


@pytest.mark.parametrize(("age_s", "stays"), [(0, True), (0.9 * WEEK_S, True), (1.1 * WEEK_S, False), (-1e9, True)])
def test_files_of_another_host_stay_for_a_week(tmp_path: Path, monkeypatch, age_s: float, stays: bool) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(files, "host_identity", lambda: "another host")
        left = leave_half(tmp_path / "f.txt")
    at = left.stat().st_mtime - age_s
    os.utime(left, (at, at))
    assert (left.name in written(tmp_path / "f.txt")) == stays


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    name = "é" * 125 + ".txt"
    assert written(tmp_path / name) == [name]
