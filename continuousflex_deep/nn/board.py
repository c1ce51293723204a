"""The course of a training for TensorBoard, where that is installed."""

from pathlib import Path
from typing import Any

FOLDER = "tensorboard"


class Board:
    """Writes what is measured of each epoch into FOLDER of a model's folder; does nothing without TensorBoard."""

    def __init__(self, folder: Path) -> None:
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] != "tensorboard":
                raise
        else:
            # an epoch that is done again after a kill replaces what was written of it
            self._writer = SummaryWriter(str(folder / FOLDER))

    def show(self, row: dict[str, float]) -> None:
        """One epoch's figures, over its number."""
        if self._writer is None:
            return
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(row["epoch"]))
        self._writer.flush()
