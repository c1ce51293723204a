"""Saving of a training's results: the best weights in memory after every epoch, checkpoints on disk at intervals."""

import time
from collections.abc import Callable
from pathlib import Path

from torch import nn

from continuousflex_deep.figures.training import save_training
from continuousflex_deep.io.training_curves import History, curves_of, write_curves
from continuousflex_deep.nn.board import Board
from continuousflex_deep.nn.checkpoint import BEST, LAST, Checkpoint, Weights, save_checkpoint

PICTURE = "curves.png"
# makes a checkpoint with a history; the flag says whether training can resume from it
Describe = Callable[[History, bool], Checkpoint]


class Keeper:
    """Writes best.pt, last.pt and the curves into `folder`; of several workers only the leading one writes.

    Checkpoints have hundreds of megabytes, so that they are written only when `seconds` have passed since the last
    time. A killed training loses at most that time. curves.csv is written after every epoch.
    """

    def __init__(self, folder: Path, seconds: float, leads: bool = True) -> None:
        self.folder, self.seconds, self.leads = folder, seconds, leads
        self._best: Checkpoint | None = None
        self._written = time.monotonic()
        self._board = Board(folder) if leads else None

    def after_epoch(self, describe: Describe, history: History, final: bool) -> None:
        """Record a finished epoch."""
        if not self.leads:
            return
        if history[-1]["validation_loss"] <= min(row["validation_loss"] for row in history):
            self._best = describe(history, False)
        write_curves(self.folder, history)
        if self._board:
            self._board.show(history[-1])
        if final or time.monotonic() - self._written >= self.seconds:
            self.write_best()
            save_training(self.folder / PICTURE, curves_of(history))
            # the last of the files: a training that is resumed after its final epoch writes none of them again
            save_checkpoint(self.folder / LAST, describe(history, True))
            self._written = time.monotonic()

    def write_best(self) -> None:
        """Write the best weights, if they are not on disk yet."""
        if self._best is not None:
            save_checkpoint(self.folder / BEST, self._best)
        self._best = None


def copied(network: nn.Module) -> Weights:
    """A copy of the weights on the CPU, which further training does not change."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in network.state_dict().items()}
