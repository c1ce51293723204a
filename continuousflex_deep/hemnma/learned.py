"""What engines learn from a set of particles before they align its batches."""

from typing import Protocol, TypeVar

from continuousflex_deep.runs.parts import Arrays


class Learned(Protocol):
    """A calibration. It is saved as arrays with the parts of a run, so that all workers use the same one."""

    @property
    def phase_flipped(self) -> bool:
        """Whether the images are phase flipped, as found from the images."""

    def arrays(self) -> Arrays:
        """As arrays for a file."""


L = TypeVar("L", bound=Learned)
