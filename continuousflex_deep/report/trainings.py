"""Courses of trainings for the page."""

from pathlib import Path
from typing import Any

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.training_curves import TABLE, VALIDATION_ERRORS, curve_files
from continuousflex_deep.report.csv_columns import read_columns

_RECORD = "train.json"
_NEEDED = ("epoch", "train_loss", "validation_loss")


def is_unfinished(folder: str) -> bool:
    """Whether a training has written curves, but not yet the record of its end."""
    path = Path(folder)
    return path.is_dir() and not (path / _RECORD).is_file() and bool(curve_files(path))


def training_content(folder: str, name: str) -> dict[str, Any]:
    """The curves of all networks in a model's folder, by what they are called. InputError where there are none."""
    path = Path(folder)
    files = curve_files(path)
    if not files:
        raise InputError(f"model: '{folder}' has no {TABLE}; give a folder that the train command wrote")
    networks = {file.parent.relative_to(path).as_posix(): file for file in files}
    return {
        "name": name,
        "error_labels": VALIDATION_ERRORS,
        "networks": [
            {"name": "" if network == "." else network, "curves": _curves(file)} for network, file in networks.items()
        ],
    }


def _curves(file: Path) -> dict[str, list[float | None]]:
    curves = read_columns(file, "training curves")
    if missing := [column for column in _NEEDED if column not in curves]:
        raise FormatError(
            f"training curves: '{file}' has the columns {list(curves)}, but not {missing}; give a folder that the "
            "train command wrote"
        )
    return curves
