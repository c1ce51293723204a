"""Courses of trainings for the page."""

from pathlib import Path
from typing import Any

from continuousflex_deep.errors import InputError
from continuousflex_deep.report.csv_columns import read_columns

_TABLE = "curves.csv"


def training_content(folder: str) -> dict[str, Any]:
    """The curves of all networks in a model's folder, by what they are called. InputError where there are none."""
    path = Path(folder)
    files = sorted(path.rglob(_TABLE), key=lambda file: (len(file.parts), file))
    if not files:
        raise InputError(f"model: '{folder}' has no {_TABLE}; give a folder that the train command wrote")
    networks = {file.parent.relative_to(path).as_posix(): file for file in files}
    return {
        "name": path.name,
        "networks": [
            {"name": "" if name == "." else name, "curves": read_columns(file, "training curves")}
            for name, file in networks.items()
        ],
    }
