"""The file in which a window keeps its groups, which other windows may change meanwhile."""

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from continuousflex_deep.io.groups import NamedGroup, read_groups, write_groups

Key = tuple[str, bytes]  # a group's name and what its particles hash to


@dataclass(frozen=True)
class Changes:
    """What others did to the file since it was last read or written here: groups that are new in it, and the keys of
    those that are gone. A group that was renamed, or got other particles, is gone and new."""

    added: list[NamedGroup]
    removed: set[Key]
    stamp: tuple[int, int] | None
    keys: set[Key]


class GroupsFile:
    """Reads and writes groups, and knows whether the file is still as it was left; ``thread`` is one that writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.thread: threading.Thread | None = None
        self._stamp: tuple[int, int] | None = None
        self._keys: set[Key] = set()

    def read(self) -> list[NamedGroup]:
        """Raises InputError or FormatError where it cannot be read."""
        stamp = self._present_stamp()
        groups = read_groups(self.path)
        self._stamp, self._keys = stamp, {key_of(group) for group in groups}
        return groups

    def write(self, groups: Sequence[NamedGroup]) -> None:
        """Raises an OSError or an InputError where it cannot be written."""
        write_groups(self.path, groups)
        self._stamp, self._keys = self._present_stamp(), {key_of(group) for group in groups}

    def changes(self) -> Changes:
        """What others changed meanwhile, to be accepted once it is done here, too. Raises as read does."""
        stamp = self._present_stamp()
        groups = {key_of(group): group for group in read_groups(self.path)}
        added = [group for key, group in groups.items() if key not in self._keys]
        return Changes(added, self._keys - set(groups), stamp, set(groups))

    def accept(self, changes: Changes) -> None:
        """What is kept here has these changes."""
        self._stamp, self._keys = changes.stamp, changes.keys

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


def key_of(group: NamedGroup) -> Key:
    """Equal for groups of one name and the same particles; colours do not matter."""
    return group.name, hashlib.blake2b(group.ids.tobytes()).digest()


def free_path(path: Path) -> Path:
    """The path with the first number that no file has yet."""
    number = 1
    while (new := path.with_name(f"{path.stem}_{number}{path.suffix}")).exists():
        number += 1
    return new
