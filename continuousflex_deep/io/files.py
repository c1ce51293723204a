"""Atomic writes: a file is either the old one or the whole new one. Checks of paths before work begins."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from continuousflex_deep.errors import DiskFullError, FormatError, InputError
from continuousflex_deep.io.identity import host_identity, start_of_process

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_ABANDONED_S = 7 * 24 * 3600.0


@contextmanager
def atomic_path(path: str | Path, make_folder: bool = True, tidy: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` when the block succeeds and is removed when it fails.

    tidy: temporary files of the same path whose process was killed are removed, for which the folder is listed. Raises
    DiskFullError when the disk is full, and FileNotFoundError without make_folder where there is no folder.
    """
    target = Path(path)
    with disk_full_explained(target):
        temporary = _beside(target, make_folder)
        try:
            if tidy:
                _remove_left(target, temporary)
            yield temporary
            _as_umask_says(temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def _beside(target: Path, make_folder: bool) -> Path:
    """A new empty file in the target's folder, whose name says for which file and by which process it is written."""
    process = os.getpid()
    writer = f"{_short_digest(host_identity())}-{process}-{start_of_process(process) or 0}-"
    try:
        if make_folder:
            target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_mark_of(target) + writer, suffix=target.suffix, dir=target.parent)
    except OSError as error:
        if error.errno in _NO_SPACE or (isinstance(error, FileNotFoundError) and not make_folder):
            raise
        raise InputError(f"cannot write {target}: {error.strerror}; select a folder that you can write to") from error
    os.close(handle)
    return Path(name)


def _remove_left(target: Path, ours: Path) -> None:
    """Remove temporary files of a target whose writers are dead: on this host by the process; on another host (or
    before a reboot) those that nobody has written to for a week, by the clock of the file system."""
    mark, here = _mark_of(target), _short_digest(host_identity())
    for name in os.listdir(target.parent):
        if not name.startswith(mark) or name == ours.name:
            continue
        left = target.parent / name
        host, process, started = name[len(mark) :].split("-")[:3]
        with suppress(FileNotFoundError):  # it was finished just now
            if host == here:
                dead = start_of_process(int(process)) != started
            else:
                dead = ours.stat().st_mtime - left.stat().st_mtime > _ABANDONED_S
            if dead:
                left.unlink()


def _mark_of(target: Path) -> str:
    """The beginning of the names of a target's temporary files; of one length, however long the target's name is."""
    return f".writing-{_short_digest(target.name)}-"


def _short_digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:12]


@contextmanager
def disk_full_explained(path: str | Path) -> Iterator[None]:
    """Turn "no space left", while `path` is written, into a DiskFullError with the place and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        mount = next((p for p in Path(path).absolute().parents if os.path.ismount(p)), Path("/"))
        raise DiskFullError(
            f"'{path}' cannot be written: {os.strerror(error.errno or 0)} on the file system mounted at '{mount}'; "
            "finished work is kept: free some space and run the same command again"
        ) from error


def _as_umask_says(path: str | Path) -> None:
    """Give a file the usual permissions; a temporary file is readable by its owner only."""
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(path, 0o666 & ~umask)


def require_writable_folder(path: str | Path) -> Path:
    """The folder for results, if it is writable or can be created; else an InputError, before work. Creates nothing."""
    folder = Path(path)
    nearest = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        why = "is not writable" if nearest.is_dir() else "is a file"
        raise InputError(f"cannot write into '{folder}': '{nearest}' {why}; select a folder that you can write to")
    return folder


def is_file(path: str | Path) -> bool:
    """Whether there is such a file; False for names that no file can have, such as ones that are too long."""
    return os.path.isfile(path)


def require_file(path: str | Path, what: str) -> Path:
    """The path, if it is a file with content; else an InputError or FormatError that names what was expected there."""
    p = Path(path)
    if not is_file(p):
        kind = "it is a folder" if os.path.isdir(p) else "there is no such file"
        raise InputError(f"{what}: cannot read '{p}': {kind}; check the path")
    if p.stat().st_size == 0:
        raise FormatError(f"{what}: '{p}' is empty; it was probably cut off while being written")
    return p
