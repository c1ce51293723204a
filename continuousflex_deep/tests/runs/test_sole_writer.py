"""One process at a time writes into a folder of results."""

import os
import signal
from multiprocessing import get_context
from pathlib import Path

import pytest

from continuousflex_deep.errors import InputError
from continuousflex_deep.runs.sole_writer import writing_alone


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with writing_alone(out):
        message = rf"being written by process {os.getpid()} on .*another --output"
        with pytest.raises(InputError, match=message), writing_alone(out):
            pass
        with writing_alone(tmp_path / "other"):
            pass
        (out / "result").write_text("")
    with writing_alone(out):
        pass
    assert [path.name for path in out.iterdir()] == ["result"]


def killed_while_it_writes(folder: Path) -> None:
    with writing_alone(folder):
        os.kill(os.getpid(), signal.SIGKILL)


def test_the_folder_of_one_that_was_killed_is_free_at_once(tmp_path: Path) -> None:
    process = get_context("fork").Process(target=killed_while_it_writes, args=(tmp_path / "out",))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with writing_alone(tmp_path / "out"):
        (tmp_path / "out" / "result").write_text("")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result"]


def test_no_folder_is_left_where_nothing_was_written(tmp_path: Path) -> None:
    def fail() -> None:
        with writing_alone(tmp_path / "a" / "b"):
            raise InputError("nothing to write")

    with pytest.raises(InputError, match="nothing to write"):
        fail()
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    with writing_alone(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir(), "a folder that was there before stays"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; select a folder"), writing_alone(tmp_path / "file" / "out"):
        pass
