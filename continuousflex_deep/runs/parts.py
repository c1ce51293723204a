"""Finished parts of a long run, kept in a folder that any number of workers fill together. A run that was killed
continues from it."""

import glob
import hashlib
import json
import os
import secrets
import shutil
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from continuousflex_deep._version import __version__
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import atomic_path, create_exclusively, disk_full_explained
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.claims import Worker, file_system_time, is_recent, living_workers, pieces_claimed

Arrays = dict[str, np.ndarray]
_LABEL, _EVICTED, _OLD, _PART = "run.json", "evicted", ".old-", ".npz"


class Parts(Protocol):
    """Where pieces of work are claimed, and saved when done."""

    def finished(self) -> set[str]:
        """Names of the finished pieces."""

    def load(self, name: str) -> Arrays | None:
        """A finished piece, or None."""

    def save(self, name: str, arrays: Arrays) -> None:
        """Save a finished piece."""

    def claimed(self, names: list[str]) -> AbstractContextManager[str | None]:
        """Within the context: the first of some pieces that no other worker has claimed, claimed for this one; None if
        there is none."""

    def holders(self) -> list[str]:
        """Descriptions of the workers that hold other pieces."""


class MemoryParts(dict[str, Arrays]):
    """Parts of a run of this process alone, kept in memory only."""

    def finished(self) -> set[str]:
        return set(self)

    def load(self, name: str) -> Arrays | None:
        return self.get(name)

    def save(self, name: str, arrays: Arrays) -> None:
        self[name] = arrays

    @contextmanager
    def claimed(self, names: list[str]) -> Iterator[str | None]:
        yield names[0]

    def holders(self) -> list[str]:
        return []


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

    @contextmanager
    def claimed(self, names: list[str]) -> Iterator[str | None]:
        with self._store.claimed([self._prefix + name for name in names]) as name:
            yield None if name is None else name.removeprefix(self._prefix)

    def holders(self) -> list[str]:
        return self._store.holders()


class FinishedElsewhereError(Exception):
    """The folder of parts is gone: another worker wrote the output and removed it, or someone deleted it."""


class PartStore:
    """A folder of finished parts of one run. A fingerprint of what determines their content distinguishes it from other
    runs. All work with it takes place within `joined`.

    Raises FinishedElsewhereError if the folder is removed meanwhile, and DiskFullError.
    """

    def __init__(
        self, folder: str | Path, determining: Any, carried: Any = None, files: Iterable[str | Path] = ()
    ) -> None:
        """determining: what the parts' content depends on; carried: what else the output contains; files: read
        during the run; the parts depend on them as well."""
        self.folder = Path(folder)
        self._files = sorted({str(Path(file).absolute()) for file in files})
        self._states = _states(self._files)
        self.fingerprint = _digest_of([determining, self._states])
        self.output_fingerprint = _digest_of([self.fingerprint, carried])
        self._worker: Worker | None = None

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Within the block, this process is one of the workers of this run. A folder without parts is removed at its
        end.

        Raises InputError if the folder has parts of a run with other options or particles: they may be days of work.
        """
        self._remove_discarded()
        try:
            self._worker = self._at_work()
            yield
        finally:
            if self._worker is not None:
                self._worker.stop()
            self._worker = None
            self._leave_no_empty_folder()

    def _at_work(self) -> Worker:
        while True:
            self._settle()
            worker = Worker(self.folder)
            try:
                worker.start()
            except FileNotFoundError:  # another worker has just removed the folder, after success or failure
                continue
            return worker

    # ------------------------------------------------------------------------------------------------- the pieces
    def finished(self) -> set[str]:
        return {name.removesuffix(_PART) for name in self._listing() if name.endswith(_PART)}

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
        """Save a finished part."""
        self._listing()
        with self._gone_explained(), atomic_path(self.folder / f"{name}{_PART}", make_folder=False) as temporary:
            np.savez(temporary, **arrays)

    # ------------------------------------------------------------------------------------------------- the claims
    @contextmanager
    def claimed(self, names: list[str]) -> Iterator[str | None]:
        worker = self._worker
        assert worker is not None, "claims are made while joined"
        name, claim = self._claim(worker, names)
        try:
            yield name
        finally:
            if claim:
                worker.release(claim)

    def _claim(self, worker: Worker, names: list[str]) -> tuple[str | None, Path | None]:
        """Claim one of some pieces: first those without a claim, then those whose worker has died."""
        listing = self._listing()
        taken = pieces_claimed(listing)
        for name in sorted(names, key=lambda n: n in taken):
            with self._gone_explained():
                claim = worker.claim(name, listing if name in taken else ())
            if claim and (self.folder / f"{name}{_PART}").exists():  # finished since the folder was listed
                worker.release(claim)
            elif claim:
                return name, claim
        return None, None

    def holders(self) -> list[str]:
        worker = self._worker
        if worker is None:
            return []
        return sorted({worker.holder(*latest) for latest in pieces_claimed(self._listing()).items()} - {""})

    # ------------------------------------------------------------------------------------------------- the folder
    def remove(self) -> None:
        """Remove all parts after the output is written. The folder disappears in one step."""
        self._listing()
        self._discard()

    def remove_if_left(self) -> None:
        """Remove parts of this run that remained although its output is written: the run was killed just then."""
        self._remove_discarded()
        if self._label() == self._own_label() and not living_workers(self.folder):
            self._discard()

    def require_unchanged(self) -> None:
        """InputError if the files that are read have changed since the run began."""
        if _states(self._files) != self._states:
            raise InputError(
                "an image stack was changed or removed during the run, so that the results are of mixed origin and are "
                f"not written; remove '{self.folder}' and run the same command again"
            )

    def _listing(self) -> list[str]:
        """Names in the folder, which must be the one that was joined, not that of a later run with the same name."""
        with self._gone_explained():
            names = os.listdir(self.folder)
            if self._worker is not None and self._worker.path.name not in names:
                raise FileNotFoundError(self._worker.path)
        return names

    @contextmanager
    def _gone_explained(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if self._worker is not None and self._worker.path.exists():
                raise
            raise FinishedElsewhereError(f"'{self.folder}' is gone") from error

    def _settle(self) -> None:
        """Take the folder for this run."""
        ours = self._own_label()
        while True:
            with disk_full_explained(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            try:
                if self._label() == ours:
                    return
                # parts without a label are from a folder that someone began to delete
                unlabelled = self._label() is None and any(self.folder.glob("*" + _PART))
                if self._label() is None and not unlabelled:
                    create_exclusively(self.folder / _LABEL, ours)
                else:
                    self._evict(ours)
            except FileNotFoundError:  # another worker evicts at the same time
                continue

    def _own_label(self) -> str:
        return json.dumps({"fingerprint": self.fingerprint})

    def _label(self) -> str | None:
        try:
            return (self.folder / _LABEL).read_text()
        except FileNotFoundError:
            return None

    def _evict(self, ours: str) -> None:
        """Remove what another run left, unless that run is still active or has parts. One of several workers does
        it."""
        at_work = living_workers(self.folder)
        if self._label() == ours:  # by another worker, since we looked
            return
        if at_work:
            raise InputError(
                f"'{self.folder}' belongs to an active run with other options or particles: {', '.join(at_work)}; "
                "wait until it ends (a minute if it was just killed on another host), stop it, or give another --output"
            )
        if begun := sum(_is_work(path) for path in self.folder.iterdir()):
            raise InputError(
                f"'{self.folder}' holds {begun} finished or begun parts of a run with other options or particles, "
                "or of another version; give the options of that run to continue it, remove the folder, or give "
                "another --output"
            )
        if not create_exclusively(self.folder / _EVICTED, ""):
            if is_recent(self.folder / _EVICTED, file_system_time(self.folder), seconds=10):
                time.sleep(0.1)
                return
        elif self._label() == ours:  # by another worker, since we looked
            (self.folder / _EVICTED).unlink(missing_ok=True)
            return
        self._discard()

    def _discard(self) -> None:
        aside = self.folder.with_name(f"{self.folder.name}{_OLD}{secrets.token_hex(4)}")
        try:
            self.folder.rename(aside)
        except FileNotFoundError:
            return
        shutil.rmtree(aside, ignore_errors=True)

    def _remove_discarded(self) -> None:
        """Remove what a run left that was killed while it discarded its folder."""
        for old in self.folder.parent.glob(glob.escape(self.folder.name) + _OLD + "*"):
            shutil.rmtree(old, ignore_errors=True)

    def _leave_no_empty_folder(self) -> None:
        """Without parts and other workers that live there is nothing to continue from."""
        try:
            if not any(map(_is_work, self.folder.iterdir())) and not living_workers(self.folder):
                self._discard()
        except OSError:  # it is gone, or the disk is full; a later run removes it
            return


def _is_work(path: Path) -> bool:
    """Whether a path in the folder of a run is a finished part, or a folder of a part that was begun."""
    return path.suffix == _PART or path.is_dir()


def _digest_of(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


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


def determining(settings: Mapping[str, object], particles: Particles, *arrays: np.ndarray) -> list[object]:
    """What the content of parts depends on, apart from the stacks themselves: settings, arrays, and all that is known
    of the particles."""
    p, ctf = particles, () if particles.ctf is None else tuple(vars(particles.ctf).values())
    known = (p.ids, p.indices, p.euler_deg, p.shift_A, p.amplitudes, p.angle_sd_deg, *ctf, *arrays)
    digests = [None if a is None else hashlib.sha256(a.tobytes()).hexdigest() for a in known]
    names, of_particle = np.unique(p.stacks.astype(str), return_inverse=True)
    images = [names.tolist(), hashlib.sha256(of_particle.tobytes()).hexdigest()]
    return [__version__, dict(settings), digests, p.mode_ids, p.pixel_size_A, p.box_px, p.phase_flipped, images]


def _states(files: Iterable[str]) -> list[tuple[str, int, int] | None]:
    """Path, size and modification time of each file; None for a file that does not exist."""
    found: list[tuple[str, int, int] | None] = []
    for file in files:
        try:
            status = os.stat(file)
            found.append((file, status.st_size, status.st_mtime_ns))
        except FileNotFoundError:
            found.append(None)
    return found


def carried(particles: Particles) -> list[object]:
    """What an output contains of its particles although no part depends on it."""
    p = particles
    tables = [{k: _digest_of(v.tolist()) for k, v in t.items()} for t in (p.extra, p.optics_extra)]
    known = (p.score, p.ambiguous, p.amplitudes_sd, p.shift_sd_A, p.half)
    return [*tables, *(None if a is None else hashlib.sha256(a.tobytes()).hexdigest() for a in known)]
