"""kill -9 at any moment: run again as documented, a command gives the result of a run that was not killed."""

import os
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.file_names import RECORD_JSON
from continuousflex_deep.landscape.landscape import read_landscape
from continuousflex_deep.tests.helpers.fault_commands import (
    align,
    infer,
    landscape,
    preprocess,
    reconstruct,
    simulate,
    train,
)
from continuousflex_deep.tests.helpers.faults import (
    Command,
    Whole,
    content_of,
    killed_after,
    killed_at_step,
    require_no_half_files,
    run_whole,
)

KILLS = int(os.environ.get("CFD_FAULTS", "2"))  # of each command


@pytest.mark.parametrize("make", [align, train, infer, reconstruct, landscape])
@pytest.mark.usefixtures("narrow_networks")
def test_killed_and_run_again(make: Callable[[Path], Command], tmp_path: Path) -> None:
    """The first kill is at a random time, the next at a random step on names of files, and so on."""
    command = make(tmp_path)
    whole = run_whole(command, tmp_path / "count")
    rng = np.random.default_rng(len(make.__name__))
    for number in range(KILLS):
        victim = command.to(tmp_path / f"killed{number}" / command.output.name)
        moment = _kill_by_turns(victim, number, whole, rng)
        if victim.output.parent.is_dir():
            require_no_half_files(victim.output.parent)
        victim.run_again()
        found = content_of(victim.output.parent)
        assert found.keys() == whole.files.keys(), f"killed {moment}"
        different = [name for name, content in found.items() if content != whole.files[name]]
        assert not different, f"killed {moment}"


@pytest.mark.parametrize(
    ("make", "others"),
    [
        (landscape, ["--method", "pca"]), (reconstruct, ["--mask-diameter-A", "80"]), (preprocess, ["--invert"]),
        (simulate, ["--seed", "5"]),
    ],
)  # fmt: skip
def test_killed_over_an_earlier_result(
    make: Callable[[Path], Command], others: list[str], tmp_path: Path
) -> None:
    """Of the same particles, so that files of the two runs would fit together. Where there is a record, all files are
    of one run; after the run that follows, of the last."""
    command = make(tmp_path)
    command = command.to(tmp_path / "alone" / "out")
    earlier = Command([*command.words, *others], tmp_path / "earlier" / "out")
    run_whole(earlier, tmp_path / "count_earlier")
    before = content_of(earlier.output.parent)
    whole = run_whole(command, tmp_path / "count")
    rng = np.random.default_rng(len(make.__name__))
    for number in range(KILLS):
        victim = command.to(tmp_path / f"over{number}" / "out")
        copytree(earlier.output.parent, victim.output.parent)
        moment = _kill_by_turns(victim, number, whole, rng)
        require_no_half_files(victim.output.parent)
        if (victim.output / RECORD_JSON).exists():
            assert content_of(victim.output.parent, hidden=False) in (before, whole.files), f"killed {moment}"
        if make is landscape:
            _require_one_landscape(victim.output, [earlier.output, command.output])
        victim.run_again()
        assert content_of(victim.output.parent) == whole.files, f"killed {moment}"


def _require_one_landscape(folder: Path, possible: list[Path]) -> None:
    """What the folder holds is refused, or is one of the landscapes."""
    try:
        found = read_landscape(folder)
    except InputError:
        return
    same = [read_landscape(path) for path in possible]
    kinds = [(type(one.reduction), one.coordinates.tolist()) for one in same]
    assert (type(found.reduction), found.coordinates.tolist()) in kinds


def _kill_by_turns(victim: Command, number: int, whole: Whole, rng: np.random.Generator) -> str:
    """Kill a command, and say when."""
    if number % 2 == 0:
        seconds = float(rng.uniform(0, whole.seconds))
        killed_after(victim, seconds)
        return f"after {seconds:.3f} of {whole.seconds:.3f} s"
    step, after = int(rng.integers(1, whole.steps + 1)), bool(rng.integers(2))
    killed_at_step(victim, step, after)
    return f"{'after' if after else 'before'} step {step} of {whole.steps}"
