"""Smaller batches where memory is not sufficient."""

from collections.abc import Callable
from typing import Protocol, Self, TypeVar

import torch

from continuousflex_deep.errors import OutOfMemoryError
from continuousflex_deep.messages import note

T = TypeVar("T")


class Sliced(Protocol):
    """What can be cut into smaller pieces, for example a batch of particles."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Self: ...


S = TypeVar("S", bound=Sliced)
# how other errors report the same as OutOfMemoryError and MemoryError
_TOLD = ("out of memory", "can't allocate memory", "STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error reports that memory of the GPU or of the host was not sufficient."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _TOLD)


class Halving:
    """Processes a batch; where memory is not sufficient, half of it at a time. The smaller size is kept from then on.
    `what`: for messages, for example "aligning"."""

    def __init__(self, what: str) -> None:
        self.what, self.most = what, 0

    def pieces(self, work: Callable[[S], T], batch: S) -> list[T]:
        """Results of `work` for consecutive pieces of a batch, which may be one piece.

        Raises OutOfMemoryError if memory is not sufficient for a single particle.
        """
        done: list[T] = []
        start = 0
        while start < len(batch):
            piece = batch[start : start + self.most] if self.most else batch[start:]
            result = self._attempt(work, piece)
            if result is not None:
                done.append(result)
                start += len(piece)
        return done

    def subset(self, work: Callable[[S], T], batch: S) -> T:
        """Result of `work` for the batch or, where memory is not sufficient, for every second particle, and so on."""
        while True:
            chosen = batch[:: -(-len(batch) // self.most)] if self.most else batch
            result = self._attempt(work, chosen)
            if result is not None:
                return result

    def _attempt(self, work: Callable[[S], T], batch: S) -> T | None:
        try:
            return work(batch)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            said = str(error).partition("\n")[0]
        # outside the handler, whose traceback still held the tensors
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(batch) == 1:
            raise OutOfMemoryError(
                f"memory is not sufficient for {self.what} even one particle at a time ({said}); use a device with "
                "more memory (--device cpu), images reduced by preprocess --box, or a lower-resolution reference"
            )
        self.most = len(batch) // 2
        note(
            f"memory is not sufficient for {self.what} {len(batch)} particles at a time; continuing with {self.most} "
            f"({said})"
        )
        return None
