"""The variation between trainings, where no truth is known: two networks that learned from different halves of the
labelled particles, and their disagreement on the others.

If the errors of two trainings are independent, their difference has twice the variance of each. Its size over √2 is
therefore the part of the error that comes from training on half of the labels. The rest is common to both networks and
cancels: the noise of each image, errors of the labelling method, of the structure and of the simulated images. The
disagreement is thus a lower bound of the error. The networks' own error bars, which are scaled on validation particles,
include image noise, so that the errors they expect are reported beside it. If the disagreement approaches or exceeds
them, training is the limit: more labels or a longer training will help.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Booleans, Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.training_curves import VALIDATION_ERRORS
from continuousflex_deep.nn.doubt import DEVIATION_OF_MEAN, ROOT_MEAN_SQUARE_OF_MEAN_ANGLE
from continuousflex_deep.nn.predict import Model, load_models
from continuousflex_deep.nn.preparation import HALVES
from continuousflex_deep.nn.targets import Prediction
from continuousflex_deep.particles import Particles


@dataclass(frozen=True, eq=False)
class HalfSets:
    """The networks of each half, in the order of the model folders."""

    first: list[Model]
    second: list[Model]

    def unseen(self, ids: Integers) -> Booleans:
        """The particles (n,) that neither half was trained on, or used to select its best weights."""
        checkpoints = [model.checkpoint for model in (*self.first, *self.second)]
        seen = [part.numpy() for c in checkpoints for part in (c.training_ids, c.validation_ids)]
        return ~np.isin(ids, np.concatenate(seen))


def load_half_sets(folders: tuple[str, ...]) -> HalfSets:
    """The networks trained on halves, next to those in model folders. InputError if there are none."""
    found: list[list[Model]] = []
    for half in HALVES:
        models = []
        for folder in folders:
            path = Path(folder) / half
            if not path.is_dir():
                raise InputError(
                    f"--half-sets: '{folder}' has no networks trained on halves of the particles ('{half}'); train "
                    "with --half-sets, and give the folder of that training"
                )
            models += load_models(path)
        found.append(models)
    return HalfSets(*found)


def disagreement(first: Prediction, second: Prediction) -> dict[str, Floats]:
    """The difference of two networks for each particle (n,), over √2, by the names in VALIDATION_ERRORS."""
    return {name: values / 2**0.5 for name, values in first.differences(second).items()}


def errors_from_error_bars(particles: Particles) -> dict[str, float]:
    """The mean errors that particles' own error bars stand for, by the names in VALIDATION_ERRORS.

    Of Gaussian errors; a rotation by a small angle about a random axis turns the three axes by π/4 of it on average.
    """
    expected = {}
    if particles.amplitudes_sd is not None:
        expected["amplitude_error_A"] = float(particles.amplitudes_sd.mean()) / DEVIATION_OF_MEAN
    if particles.angle_sd_deg is not None:
        angle = float(particles.angle_sd_deg.mean()) / ROOT_MEAN_SQUARE_OF_MEAN_ANGLE
        expected["angle_error_deg"] = angle * np.pi / 4
    if particles.shift_sd_A is not None:
        expected["shift_error_A"] = float(particles.shift_sd_A.mean()) / DEVIATION_OF_MEAN
    return expected


def told(disagreements: dict[str, float], expected: dict[str, float]) -> str:
    """What the command prints about them."""
    lines = [f"two trainings on halves disagree by {_listed(disagreements)}, a lower bound of the errors"]
    if expected:
        lines.append(f"errors expected by the network's error bars, image noise included: {_listed(expected)}")
    return "\n".join(lines)


def _listed(errors: dict[str, float]) -> str:
    return ", ".join(f"{VALIDATION_ERRORS[name]} {value:.3g}" for name, value in errors.items())
