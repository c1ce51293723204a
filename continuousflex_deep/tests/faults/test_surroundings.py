"""What fails around a run: a full or read-only disk, an input that vanishes, a second run."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.tests.helpers.fault_commands import (
    align,
    infer,
    landscape,
    preprocess,
    reconstruct,
    simulate,
    train,
)
from continuousflex_deep.tests.helpers.faults import Command, content_of, require_no_half_files
from continuousflex_deep.tests.helpers.processes import ended_well

Make = Callable[[Path], Command]
Prepared = Callable[[Make], tuple[Command, dict[str, Any]]]
ALL = [align, train, infer, reconstruct, landscape, preprocess, simulate]
FOLDERS = [train, reconstruct, landscape, preprocess, simulate]


@pytest.fixture(scope="module")
def prepared(narrow_networks: None, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Each command with its inputs, and what it writes undisturbed."""

    @cache
    def prepare(make: Make) -> tuple[Command, dict[str, Any]]:
        command = make(tmp_path_factory.mktemp(make.__name__))
        ended_well(command.start())
        return command, content_of(command.output.parent)

    return prepare


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of its own in a folder; the test is skipped where that cannot be made."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root; run the tests as root in a container that may mount")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*")] if folder.exists() else []


@pytest.mark.parametrize("make", [make for make in ALL if make is not infer])  # which writes as align does
def test_full_disk_and_run_again(make: Make, prepared: Prepared, tmp_path: Path) -> None:
    """Full at once, and after the first files; with space, the same command writes what it writes elsewhere."""
    (command, whole), disk = prepared(make), tmp_path / "disk"
    on_disk = command.to(disk / command.output.name)
    with small_disk(disk, "4k"):
        for size in ("4k", "24k"):
            remount(disk, f"size={size}")
            process = on_disk.start(*on_disk.again)
            assert process.wait() == 2, process.said()
            assert f"No space left on device on the file system mounted at '{disk}'" in process.said()
            assert "run the same command again" in process.said()
            require_no_half_files(disk)
            assert not [name for name in names_in(disk) if name.startswith(".")]
        remount(disk, "size=200m")
        on_disk.run_again()
        assert content_of(disk) == whole


@pytest.mark.parametrize("make", ALL)
def test_an_output_that_cannot_be_written_is_found_before_work(
    make: Make, prepared: Prepared, tmp_path: Path
) -> None:
    (command, _), disk = prepared(make), tmp_path / "disk"
    (tmp_path / "file").write_text("")
    places = [tmp_path / "file", Path("/proc/1")]
    with small_disk(disk, "1m"):
        remount(disk, "ro")
        for place in [disk, *places]:
            process = command.to(place / "further" / command.output.name).start()
            assert process.wait() == 2, process.said()
            assert "cannot write" in process.said()
            assert "select a folder that you can write to" in process.said()


@contextmanager
def unplugged_after(reads: int, stack: Path) -> Iterator[None]:
    """In processes forked within the block, a stack vanishes after some of its images were read."""
    read, made = os.pread, 0

    def reading(*arguments: Any) -> bytes:
        nonlocal made
        made += 1
        if made == reads:
            with suppress(FileNotFoundError):
                stack.rename(stack.with_suffix(".away"))
        return read(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pread", reading)
        yield


@pytest.mark.parametrize("make", [align, infer, train])
def test_images_that_vanish_during_the_run(make: Make, prepared: Prepared, tmp_path: Path) -> None:
    """The run ends with an error and without an output; when they are there again, it gives the same result."""
    command, whole = prepared(make)
    stack = Path(read_particles(command.words[2]).stacks[0])
    again = command.to(tmp_path / "vanished" / command.output.name)
    with unplugged_after(25 if make is infer else 3, stack):
        process = again.start()
    status = process.wait()
    if stack.exists() or status == 0:
        pytest.fail(f"status {status}: {process.said()}")
    assert status == 2, process.said()
    assert str(stack) in process.said() or "an image stack was changed or removed" in process.said()
    stack.with_suffix(".away").rename(stack)
    again.run_again()
    assert content_of(again.output.parent) == whole


@pytest.mark.parametrize("make", FOLDERS)
def test_two_runs_into_one_folder_do_not_mix(make: Make, prepared: Prepared, tmp_path: Path) -> None:
    """The second is refused while the first writes; what is there then is of one of them."""
    command, whole = prepared(make)
    other = Command(other_words(command), tmp_path / "other" / command.output.name)
    ended_well(other.start())
    both = tmp_path / "both" / command.output.name
    processes = [command.to(both).start(), other.to(both).start()]
    statuses = [process.wait() for process in processes]
    assert 0 in statuses, [process.said() for process in processes]
    for status, process in zip(statuses, processes, strict=True):
        refused = "is being written by process" in process.said() or "contains a training" in process.said()
        assert (status == 0) != refused, process.said()
    alone = [whole, content_of(other.output.parent)]
    assert alone[0] != alone[1]
    assert content_of(both.parent) in alone


def other_words(command: Command) -> list[str]:
    """The same command with other results, of the same length."""
    changed = {
        "train": ["--seed", "5"], "reconstruct": ["--mask-diameter-A", "80"], "landscape": ["--n-neighbors", "9"],
        "preprocess": ["--invert"], "simulate": ["--seed", "5"],
    }  # fmt: skip
    return [*command.words, *changed[command.words[0]]]
