"""Finished parts of a run, kept in a folder until its output is written. A run that was killed continues from it."""

import glob
import json
import os
import secrets
import shutil
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import atomic_path, disk_full_explained
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.fingerprints import carried, determining, digest_of, states_of

Arrays = dict[str, np.ndarray]
_LABEL, _OLD, _PART = "run.json", ".old-", ".npz"


class Parts(Protocol):
    """Where finished pieces of work are kept."""

    def finished(self) -> set[str]:
        """Names of the finished pieces."""

    def load(self, name: str) -> Arrays | None:
        """A finished piece, or None."""

    def save(self, name: str, arrays: Arrays) -> None:
        """Save a finished piece."""


class SharedParts(Parts, Protocol):
    """Parts that processes on other hosts can save as well. It is pickled for them."""

    @property
    def folder(self) -> Path:
        """Where the parts are."""


class MemoryParts(dict[str, Arrays]):
    """Parts of a run of this process alone, kept in memory only."""

    def finished(self) -> set[str]:
        return set(self)

    def load(self, name: str) -> Arrays | None:
        return self.get(name)

    def save(self, name: str, arrays: Arrays) -> None:
        self[name] = arrays


class NamedParts:
    """Parts under names of their own in the store of a run: one of several pieces of work that have equal names."""

    def __init__(self, store: Parts, prefix: str) -> None:
        self._store, self._prefix = store, prefix

    def finished(self) -> set[str]:
        names = self._store.finished()
        return {name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix)}

    def load(self, name: str) -> Arrays | None:
        return self._store.load(self._prefix + name)

    def save(self, name: str, arrays: Arrays) -> None:
        self._store.save(self._prefix + name, arrays)

    @property
    def folder(self) -> Path:
        assert isinstance(self._store, PartStore | NamedParts), "parts in memory have no folder"
        return self._store.folder


class PartStore:
    """A folder of finished parts of one run. A fingerprint of what determines their content distinguishes it from other
    runs. All work with it takes place within `opened`, by whoever writes there alone (runs/sole_writer.py), and by the
    processes that work for it.

    Raises InputError if the folder is removed meanwhile, and DiskFullError.
    """

    def __init__(
        self, folder: str | Path, determining: Any, carried: Any = None, files: Iterable[str | Path] = ()
    ) -> None:
        """determining: what the parts' content depends on; carried: what else the output contains; files: read
        during the run; the parts depend on them as well."""
        self.folder = Path(folder).absolute()
        self._files = sorted({str(Path(file).absolute()) for file in files})
        self._states = states_of(self._files)
        self.fingerprint = digest_of([determining, self._states])
        self.output_fingerprint = digest_of([self.fingerprint, carried])

    def __getstate__(self) -> dict[str, Any]:
        """For processes that save parts: without the states of the files, of which there may be many."""
        return vars(self) | {"_files": [], "_states": []}

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Within the block, the folder belongs to this run. A folder without parts is removed at its end.

        Raises InputError if the folder has parts of a run with other options or particles: they may be days of work.
        """
        self._remove_discarded()
        try:
            self._settle()
            yield
        finally:
            self._leave_no_empty_folder()

    # ------------------------------------------------------------------------------------------------- the pieces
    def finished(self) -> set[str]:
        with self._gone_explained():
            return {path.stem for path in map(Path, os.listdir(self.folder)) if _is_part(path)}

    def load(self, name: str) -> Arrays | None:
        """The arrays of a finished part, or None. A damaged part (for example cut off by a full disk) is removed."""
        path = self.folder / f"{name}{_PART}"
        try:
            with np.load(path) as arrays:
                return dict(arrays)
        except FileNotFoundError:
            return None
        except PermissionError:
            raise
        except (zipfile.BadZipFile, ValueError, EOFError, KeyError, OSError) as error:
            said = f"note: '{path}' is damaged ({error}) and removed; what it contained is computed again"
            print(said, file=sys.stderr)
            path.unlink(missing_ok=True)
            return None

    def save(self, name: str, arrays: Arrays) -> None:
        """Save a finished part, in one step, unless the folder is no longer that of this run."""
        self._require_ours()
        path = self.folder / f"{name}{_PART}"
        # what a killed process left of it goes with the folder: to look for it would list all parts
        with self._gone_explained(), atomic_path(path, make_folder=False, tidy=False) as temporary:
            np.savez(temporary, **arrays)

    # ------------------------------------------------------------------------------------------------- the folder
    def remove(self) -> None:
        """Remove all parts after the output is written. The folder disappears in one step."""
        aside = self.folder.with_name(f"{self.folder.name}{_OLD}{secrets.token_hex(4)}")
        try:
            self.folder.rename(aside)
        except FileNotFoundError:
            return
        shutil.rmtree(aside, ignore_errors=True)

    def remove_if_left(self) -> None:
        """Remove parts of this run that remained although its output is written: the run was killed just then."""
        self._remove_discarded()
        if self._label() == self._own_label():
            self.remove()

    def require_unchanged(self) -> None:
        """InputError if the files that are read have changed since the run began."""
        if states_of(self._files) != self._states:
            raise InputError(
                "an image stack was changed or removed during the run, so that the results are of mixed origin and are "
                f"not written; remove '{self.folder}' and run the same command again"
            )

    def _require_ours(self) -> None:
        """InputError unless the folder is that of this run: a process may work on after its run has ended."""
        if self._label() != self._own_label():
            raise self._gone()

    @contextmanager
    def _gone_explained(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if self.folder.exists():
                raise
            raise self._gone() from error

    def _gone(self) -> InputError:
        return InputError(
            f"'{self.folder}' is gone: the folder was removed or moved during the run; run the same command again"
        )

    def _settle(self) -> None:
        """Take the folder for this run. What an earlier run left there without parts is replaced."""
        with disk_full_explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        if self._label() == self._own_label():
            return
        if begun := sum(_is_work(path) for path in self.folder.iterdir()):
            raise InputError(
                f"'{self.folder}' holds {begun} finished or begun parts of a run with other options or particles, "
                "or of another version; give the options of that run to continue it, remove the folder, or give "
                "another --output"
            )
        with atomic_path(self.folder / _LABEL) as temporary:
            temporary.write_text(self._own_label())

    def _own_label(self) -> str:
        return json.dumps({"fingerprint": self.fingerprint})

    def _label(self) -> str | None:
        try:
            return (self.folder / _LABEL).read_text()
        except FileNotFoundError:
            return None

    def _remove_discarded(self) -> None:
        """Remove what a run left that was killed while it discarded its folder."""
        for old in self.folder.parent.glob(glob.escape(self.folder.name) + _OLD + "*"):
            shutil.rmtree(old, ignore_errors=True)

    def _leave_no_empty_folder(self) -> None:
        """Without parts there is nothing to continue from."""
        try:
            if self._label() == self._own_label() and not any(map(_is_work, self.folder.iterdir())):
                self.remove()
        except OSError:  # it is gone, or the disk is full; a later run removes it
            return


def _is_work(path: Path) -> bool:
    """Whether a path in the folder of a run is a finished part, or a folder of a part that was begun."""
    return _is_part(path) or path.is_dir()


def _is_part(path: Path) -> bool:
    return path.suffix == _PART and not path.name.startswith(".")  # as those do that are being written


def parts_folder(output: str | Path) -> Path:
    """The folder of an output's parts until the output is written."""
    return Path(output).with_suffix(".parts")


def store_for(
    output: str | Path, settings: Mapping[str, object], particles: Particles, *arrays: np.ndarray
) -> PartStore:
    """The parts of an output, kept in the folder OUTPUT.parts until the output is written.

    Their content depends on the settings, the arrays, the particles and their stacks. A stack is identified by its
    path, size and modification time, so that its images need not be read for this.
    """
    content = determining(settings, particles, *arrays)
    return PartStore(parts_folder(output), content, carried(particles), set(particles.stacks))
