"""How far predictions can be trusted where no truth is known: two networks that learned from different halves of the
labelled particles, and how far they disagree on the others.

If both err independently and alike, their difference has twice the variance of one's error, so that its size over √2 is
the error expected of a network trained on half of the labels; one trained on all does somewhat better. What both share
is not seen: errors of the labels' method, of the structure, of the simulated images. So it is a lower bound on what a
systematic error may add.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import axes_distance_deg
from continuousflex_deep.nn.predict import Model, load_models
from continuousflex_deep.nn.targets import Prediction
from continuousflex_deep.nn.training import HALVES

Floats = NDArray[np.float64]
# of these, by name, is the disagreement told, with what they are called and their unit
MEASURES = {
    "amplitude_error_A": ("amplitude, mean |error|", "Å"),
    "angle_error_deg": ("angular distance", "°"),
    "shift_error_A": ("shift, mean |error|", "Å"),
}


@dataclass(frozen=True, eq=False)
class HalfSets:
    """The networks of each half, in the order of the model folders."""

    first: list[Model]
    second: list[Model]


def load_half_sets(folders: tuple[str, ...]) -> HalfSets:
    """The networks trained on halves beside those in model folders. InputError where there are none."""
    found: list[list[Model]] = []
    for half in HALVES:
        models = []
        for folder in folders:
            path = Path(folder) / half
            if not path.is_dir():
                raise InputError(
                    f"--half-sets: '{folder}' has no networks trained on halves of the particles ('{half}'); train "
                    "with --half-sets, and give the folder that was then written"
                )
            models += load_models(path)
        found.append(models)
    return HalfSets(*found)


def disagreement(first: Prediction, second: Prediction) -> dict[str, Floats]:
    """By how much two networks differ about each particle (n,), over √2, by names of MEASURES."""
    differences = {}
    if first.amplitudes is not None and second.amplitudes is not None:
        differences["amplitude_error_A"] = np.abs(first.amplitudes - second.amplitudes).mean(axis=1)
    if first.rotation is not None and second.rotation is not None:
        differences["angle_error_deg"] = axes_distance_deg(first.rotation, second.rotation)
    if first.shift_A is not None and second.shift_A is not None:
        differences["shift_error_A"] = np.abs(first.shift_A - second.shift_A).mean(axis=1)
    return {name: values / 2**0.5 for name, values in differences.items()}


def told(errors: dict[str, float]) -> str:
    """A line about mean disagreements."""
    each = (f"{MEASURES[name][0]} {value:.3g} {MEASURES[name][1]}" for name, value in errors.items())
    return f"networks trained on halves disagree as if each erred by: {', '.join(each)}"
