"""The file in which a window keeps its groups, which other windows may change meanwhile."""

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from continuousflex_deep.io.groups import NamedGroup, read_groups, write_groups

Key = tuple[str, bytes]  # a group's name and what its particles hash to


@dataclass(frozen=True)
class Changes:
    """What others did to the file since it was last read or written here: groups that are new in it, the keys of those
    that are gone, and new colours. A group that was renamed, or got other particles, is gone and new."""

    added: list[NamedGroup]
    removed: set[Key]
    recoloured: dict[Key, str]


class GroupsFile:
    """Reads and writes groups, and knows whether the file is still as it was left; ``thread`` is one that writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.thread: threading.Thread | None = None
        self.was_refused = False  # whether what was to be written last is not in the file
        self._stamp: tuple[int, int] | None = None
        self._colours: dict[Key, str] = {}  # of the groups in the file as it was left

    def read(self) -> list[NamedGroup]:
        """Raises InputError or FormatError where it cannot be read."""
        stamp = self._present_stamp()
        groups = read_groups(self.path)
        self._left(groups, stamp)
        return groups

    def write(self, groups: Sequence[NamedGroup]) -> bool:
        """Whether it could be written: not where others changed the file meanwhile, whose changes have to be seen to
        first. Raises an OSError or an InputError where it cannot be written at all."""
        with _locked(self.path.parent):
            self.was_refused = self.was_changed()
            if self.was_refused:
                return False
            write_groups(self.path, groups)
            self._left(groups, self._present_stamp())
        return True

    def changes(self) -> Changes:
        """What others changed meanwhile; from now on it counts as known. Raises as read does."""
        before = self._colours
        groups = {key_of(group): group for group in self.read()}
        return Changes(
            [group for key, group in groups.items() if key not in before],
            set(before) - set(groups),
            {key: g.colour for key, g in groups.items() if before.get(key, g.colour) != g.colour},
        )

    def _left(self, groups: Sequence[NamedGroup], stamp: tuple[int, int] | None) -> None:
        self._stamp, self._colours = stamp, {key_of(group): group.colour for group in groups}

    def was_changed(self) -> bool:
        """Whether there is a file other than the one that was read or written here last."""
        present = self._present_stamp()
        return present is not None and present != self._stamp

    @property
    def is_busy(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def wait(self) -> None:
        """Until what is being written is there."""
        if self.thread is not None:
            self.thread.join()

    def put_aside(self) -> Path:
        """Give the file another name, which it returns."""
        new = free_path(self.path.with_name(f"{self.path.stem}_put_aside{self.path.suffix}"))
        self.path.rename(new)
        return new

    def _present_stamp(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone among windows that write in a folder; on file systems without locks, as good as alone."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def key_of(group: NamedGroup) -> Key:
    """Equal for groups of one name and the same particles; colours do not matter."""
    return group.name, hashlib.blake2b(group.ids.tobytes()).digest()


def free_path(path: Path) -> Path:
    """The path with the first number that no file has yet."""
    number = 1
    while (new := path.with_name(f"{path.stem}_{number}{path.suffix}")).exists():
        number += 1
    return new
