"""Files that are either the old one or the whole new one, never a half."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from continuousflex_deep.errors import FormatError, InputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well it replaces `path`, else it is removed."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}; choose a folder you may write to") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def require_writable_folder(path: str | Path) -> Path:
    """The folder for results, if it can be written to or made; else an InputError, before any work. Makes nothing."""
    folder = Path(path)
    nearest = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        why = "may not be written to" if nearest.is_dir() else "is a file"
        raise InputError(f"cannot write into '{folder}': '{nearest}' {why}; choose a folder you may write to")
    return folder


def require_file(path: str | Path, what: str) -> Path:
    """The path, if it is a readable, non-empty file; else an InputError that says what was meant to be there."""
    p = Path(path)
    if not p.is_file():
        kind = "it is a folder" if p.is_dir() else "there is no such file"
        raise InputError(f"{what}: cannot read '{p}': {kind}; check the path")
    if p.stat().st_size == 0:
        raise FormatError(f"{what}: '{p}' is empty; it was probably cut off while being written")
    return p
