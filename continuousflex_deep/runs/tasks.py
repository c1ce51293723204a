"""What a worker process does: makes the part of a piece, and saves it.

The work of a stage, with all that it knows of the particles, is a file in the folder of parts, which each worker reads
once. A task names the file and some rows. It also has the digest of the file, so that a worker executes nothing but
what its client has written.
"""

import hashlib
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.messages import heard_by
from continuousflex_deep.runs.attempts import attempt
from continuousflex_deep.runs.parts import SharedParts
from continuousflex_deep.runs.stage import Work

# a worker with several threads would have several batches in the memory of one GPU
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class SentWork:
    """A work and its store in a file, which is identified by its digest."""

    path: str
    sha256: str

    @staticmethod
    def of(work: Work, store: SharedParts) -> "SentWork":
        """Write the file into the folder of parts. It disappears with the folder."""
        content = pickle.dumps((work, store), protocol=pickle.HIGHEST_PROTOCOL)
        digest = hashlib.sha256(content).hexdigest()
        path = store.folder / f".work-{digest[:16]}"
        with atomic_path(path, make_folder=False, tidy=False) as temporary:
            temporary.write_bytes(content)
        return SentWork(str(path), digest)

    def read(self) -> tuple[Work, SharedParts]:
        """Read it. InputError where it is not what the client wrote."""
        try:
            content = Path(self.path).read_bytes()
        except OSError as error:
            raise InputError(
                f"a worker cannot read '{self.path}' ({error.strerror}); workers must see the folder of the output "
                "under the same name as the command that they work for"
            ) from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise InputError(f"'{self.path}' is not what was written there; run the same command again")
        work, store = pickle.loads(content)
        return work, store


@lru_cache(maxsize=1)  # one engine on a GPU at a time
def _received(sent: SentWork) -> tuple[Work, SharedParts]:
    return sent.read()


def make_part(sent: SentWork, name: str, start: int, stop: int, hear: Callable[[str], None]) -> None:
    """Make the part of rows from start to stop, and save it; `hear` takes notes for the user.

    Raises what the work raises, and GivenUpError where other processes died at it.
    """
    folder = Path(sent.path).parent
    with _ONE_AT_A_TIME, heard_by(hear), attempt(folder, f"{sent.sha256[:16]}-{name}"):
        work, store = _received(sent)
        store.save(name, work(np.arange(start, stop)))
