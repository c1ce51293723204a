"""The file in which a window keeps its groups, which other windows may change meanwhile."""

import threading
from collections.abc import Sequence
from pathlib import Path

from continuousflex_deep.io.groups import NamedGroup, read_groups, write_groups


class GroupsFile:
    """Reads and writes groups, and knows whether the file is still as it was left; ``thread`` is one that writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.thread: threading.Thread | None = None
        self._stamp: tuple[int, int] | None = None

    def read(self) -> list[NamedGroup]:
        """Raises InputError or FormatError where it cannot be read."""
        stamp = self._present_stamp()
        groups = read_groups(self.path)
        self._stamp = stamp
        return groups

    def write(self, groups: Sequence[NamedGroup]) -> None:
        """Raises an OSError or an InputError where it cannot be written."""
        write_groups(self.path, groups)
        self._stamp = self._present_stamp()

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


def free_path(path: Path) -> Path:
    """The path with the first number that no file has yet."""
    number = 1
    while (new := path.with_name(f"{path.stem}_{number}{path.suffix}")).exists():
        number += 1
    return new
