"""Finished pieces of a long run, kept on disk so that a killed run goes on where it was."""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.records import write_json

Arrays = dict[str, np.ndarray]


class PartStore:
    """A folder of finished parts of one run, told apart from other runs by a fingerprint of what determines their
    content.

    Parts left by a run with another fingerprint, or none, are removed, and said so: they belong to other options or
    particles.
    """

    def __init__(self, folder: str | Path, determining: Any) -> None:
        self.folder = Path(folder)
        self.fingerprint = hashlib.sha256(json.dumps(determining, sort_keys=True, default=str).encode()).hexdigest()
        self._label = self.folder / "run.json"
        # a folder without its label is one that a killed run had begun to remove
        if self.folder.is_dir() and not self._is_ours():
            print(
                f"note: removing parts of an earlier run with other options or particles in '{self.folder}'",
                file=sys.stderr,
            )
            shutil.rmtree(self.folder)

    def _is_ours(self) -> bool:
        return self._label.is_file() and json.loads(self._label.read_text()) == {"fingerprint": self.fingerprint}

    def load(self, name: str) -> Arrays | None:
        """The arrays of a finished part, or None."""
        path = self.folder / f"{name}.npz"
        if not path.is_file():
            return None
        with np.load(path) as arrays:
            return dict(arrays)

    def save(self, name: str, arrays: Arrays) -> None:
        """Keep a finished part. The folder appears with the first one."""
        if not self._label.is_file():
            write_json(self._label, {"fingerprint": self.fingerprint})
        with atomic_path(self.folder / f"{name}.npz") as temporary:
            np.savez(temporary, **arrays)

    def remove(self) -> None:
        """Forget all parts, once the whole is written."""
        shutil.rmtree(self.folder)
