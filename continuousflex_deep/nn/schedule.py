"""The order of training: epochs of simulated images first, then passes over the labelled ones."""

from dataclasses import dataclass
from math import ceil

# simulated images between two validations
SIMULATED_EPOCH = 10_000


@dataclass(frozen=True)
class Epoch:
    """One epoch: its number from 1; of simulated images, or pass `labelled` (counted from 0) over labelled ones; steps,
    images a step, and steps finished before it."""

    number: int
    simulated: bool
    labelled: int
    steps: int
    batch: int
    done_before: int


@dataclass(frozen=True)
class Timetable:
    """simulated: number of simulated images, used first; images: labelled ones; epochs: passes over them; batch: images
    a step."""

    simulated: int
    images: int
    epochs: int
    batch: int

    @property
    def simulated_epochs(self) -> int:
        """Epochs of simulated images."""
        return ceil(self.simulated / SIMULATED_EPOCH)

    @property
    def total_epochs(self) -> int:
        """Epochs of both kinds."""
        return self.simulated_epochs + self.epochs

    @property
    def total_steps(self) -> int:
        """Steps of all epochs."""
        return self.simulated_epochs * self._simulated_steps + self.epochs * self._labelled_steps

    @property
    def total_images(self) -> int:
        """Images of all epochs."""
        return self.simulated_epochs * self._simulated_steps * self.batch + self.epochs * self.images

    def images_until(self, epochs: int) -> int:
        """Images of the first epochs up to a number."""
        simulated = min(epochs, self.simulated_epochs)
        return simulated * self._simulated_steps * self.batch + (epochs - simulated) * self.images

    def epoch(self, number: int) -> Epoch:
        """The epoch of a number from 1 to total_epochs."""
        before, first = number - 1, self.simulated_epochs
        if before < first:
            steps = self._simulated_steps
            return Epoch(number, True, 0, steps, self.batch, before * steps)
        labelled, steps = before - first, self._labelled_steps
        return Epoch(number, False, labelled, steps, self.batch, first * self._simulated_steps + labelled * steps)

    @property
    def _simulated_steps(self) -> int:
        return ceil(self.simulated / max(1, self.simulated_epochs) / self.batch)

    @property
    def _labelled_steps(self) -> int:
        """Batches that share all images evenly, none smaller than requested: batch normalisation needs several
        images."""
        return max(1, self.images // self.batch)
