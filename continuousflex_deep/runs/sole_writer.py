"""A folder of results is written by one process at a time: the files of two would be a mixture."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Protocol, TypeVar

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.runs.parts import FinishedElsewhereError, PartStore

_CLAIMS, _ALL = ".running", "output"


class WithOutput(Protocol):
    """Options of a command that writes a folder."""

    @property
    def output(self) -> str: ...


Options = TypeVar("Options", bound=WithOutput)


def sole_writer(run: Callable[[Options], None]) -> Callable[[Options], None]:
    """Decorator for `run` of a command whose output is a folder: see `writing_alone`."""

    @wraps(run)
    def alone(options: Options) -> None:
        with writing_alone(options.output):
            run(options)

    return alone


@contextmanager
def writing_alone(folder: str | Path) -> Iterator[None]:
    """Within the block, no other process writes into the folder. Leaves no folder in which nothing was written.

    Raises InputError while another process writes there.
    """
    place = require_writable_folder(folder)
    made = [path for path in (place, *place.parents) if not path.exists()]
    try:
        with ExitStack() as held:
            while not _claims_all(place, held):
                continue
            yield
    finally:
        for path in made:
            _remove_if_empty(path)


def _claims_all(folder: Path, held: ExitStack) -> bool:
    """Claim the folder until `held` is left; False if the one that wrote there ended and removed its claims just now.

    Raises InputError while another process has the claim.
    """
    store = PartStore(folder / _CLAIMS, "the one process that writes into a folder")
    with ExitStack() as entered:
        try:
            entered.enter_context(store.joined())
            if entered.enter_context(store.claimed([_ALL])) is None:
                others = ", ".join(store.holders()) or "another process"
                raise InputError(
                    f"'{folder}' is being written by {others}; wait until it ends (a minute if it was just killed on "
                    "another host), stop it, or give another --output"
                )
        except FinishedElsewhereError:
            return False
        held.push(entered.pop_all())
    return True


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # something was written
        return
