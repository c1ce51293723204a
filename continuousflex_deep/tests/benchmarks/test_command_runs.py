"""Commands of benchmarks: each once in a folder, in order, and with an end that says why."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from continuousflex_deep.tests.helpers.benchmarks import BENCHMARKS


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """The command lines that were started; commands do nothing, and `fail` fails."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import command_runs  # type: ignore[import-not-found]

    words: list[list[str]] = []

    def main(given: list[str]) -> int:
        words.append(given)
        print(f"this is {given[0]}")
        if given[0] == "interrupted" and len(words) == 1:
            raise KeyboardInterrupt
        return int(given[0] == "fail")

    monkeypatch.setattr(command_runs.cli, "main", main)
    yield words
    sys.modules.pop("command_runs")


@pytest.fixture
def commands(started: list[list[str]], tmp_path: Path) -> Callable[..., Any]:
    """Commands with so many jobs in the same folder."""
    from command_runs import Commands

    return lambda jobs=1: Commands(tmp_path / "folder", jobs)


def test_a_finished_command_is_not_run_again(commands: Any, started: list[list[str]], tmp_path: Path) -> None:
    options = {"output": tmp_path / "folder" / "a" / "b.star", "polish": True}
    seconds = commands().once("infer", options | {"device": "cpu"}, "--model", "m")
    assert started == [["infer", "--output", str(options["output"]), "--polish", "--device", "cpu", "--model", "m"]]
    assert commands().once("infer", options | {"device": "cuda"}, "--model", "m") == seconds  # another machine
    assert len(started) == 1
    commands().once("infer", options | {"output": tmp_path / "folder" / "c.star"}, "--model", "m")
    commands().once("align", options)
    assert len(started) == 3


def test_output_of_other_options_is_not_taken(commands: Any, tmp_path: Path) -> None:
    options = {"output": tmp_path / "folder" / "model", "epochs": 3}
    commands().once("train", options)
    with pytest.raises(SystemExit, match="has 'model' of other options; give another --folder"):
        commands().once("train", options | {"epochs": 4})


def test_a_moved_folder_is_the_same(commands: Any, started: list[list[str]], tmp_path: Path) -> None:
    from command_runs import Commands

    commands().once("train", {"output": tmp_path / "folder" / "model", "particles": tmp_path / "folder" / "p.star"})
    moved = (tmp_path / "folder").rename(tmp_path / "moved")
    Commands(moved, 1).once("train", {"output": moved / "model", "particles": moved / "p.star"})
    assert len(started) == 1


def test_an_interrupted_command_is_run_again_and_has_no_time(
    commands: Any, started: list[list[str]], tmp_path: Path
) -> None:
    options = {"output": tmp_path / "folder" / "model"}
    with pytest.raises(KeyboardInterrupt):
        commands().once("interrupted", options)
    assert commands().once("interrupted", options) is None
    assert commands().once("interrupted", options) is None
    assert len(started) == 2


def test_an_error_has_the_end_of_the_log(commands: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"fail --output .*\nthis is fail"):
        commands().run("fail", {"output": tmp_path})


@pytest.mark.parametrize("jobs", [1, 3])
def test_results_of_tasks_are_in_order(commands: Any, jobs: int) -> None:
    runner = commands(jobs)
    tasks = {name: (lambda name=name: name.upper()) for name in "abcdefg"}
    assert list(runner.side_by_side(tasks)) == [(name, name.upper()) for name in "abcdefg"]
    runner.close()
