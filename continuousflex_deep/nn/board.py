"""The progress of a training for TensorBoard, if it is installed."""

from pathlib import Path
from typing import Any

FOLDER = "tensorboard"


class Board:
    """Writes the figures of each epoch into FOLDER of a model's folder; does nothing without TensorBoard."""

    def __init__(self, folder: Path) -> None:
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] != "tensorboard":
                raise
        else:
            # an epoch that is repeated after a kill replaces what was written before
            self._writer = SummaryWriter(str(folder / FOLDER))

    def show(self, row: dict[str, float]) -> None:
        """Write one epoch's figures under its number."""
        if self._writer is None:
            return
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(row["epoch"]))
        self._writer.flush()
