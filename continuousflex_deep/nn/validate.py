"""Errors of a network on particles that it is not trained on."""

import numpy as np
import torch
from torch import Tensor, nn

from continuousflex_deep.arrays import Integers
from continuousflex_deep.devices import mixed_precision
from continuousflex_deep.geometry import euler_to_matrix, rotation_distance_deg
from continuousflex_deep.nn.copies import COPIES, outputs_for_copies
from continuousflex_deep.nn.data import ctf_of, image_batches, in_batches
from continuousflex_deep.nn.distributed import Team
from continuousflex_deep.nn.doubt import DEVIATION_OF_MEAN, ROOT_MEAN_SQUARE_OF_MEAN_ANGLE
from continuousflex_deep.nn.loss import Loss
from continuousflex_deep.nn.preparation import Training
from continuousflex_deep.nn.targets import Prediction, TargetCoder
from continuousflex_deep.particles import Particles

_SMALLEST_BATCH = 64


def validate(training: Training, network: nn.Module, team: Team) -> dict[str, float]:
    """Loss, errors in physical units, and their ratio to the predicted uncertainties, on the validation particles
    without augmentation."""
    rows, coder = training.validation_rows, training.coder
    mine = rows[team.share(len(rows))]
    outputs = team.gathered(predicted_outputs(training, network, mine)[:, 0])
    labels = training.labels.select(torch.from_numpy(rows))
    predicted, true = coder.decode(outputs), _of(training.particles.select(rows))
    return {
        "validation_loss": float(Loss(coder, training.recipe.loss)(outputs, labels)),
        **prediction_errors(predicted, true),
        **{f"{name}_doubt": ratio for name, ratio in doubt_ratios(coder, predicted, true).items()},
    }


def validate_copies(training: Training, network: nn.Module) -> tuple[dict[str, float], dict[str, float]]:
    """Errors in physical units of predictions averaged over the recipe's copies of the validation images, and their
    ratios to the predicted uncertainties."""
    copies = training.recipe.copies
    outputs = predicted_outputs(training, network, training.validation_rows, copies)
    predicted = training.coder.decode_copies(outputs, COPIES[copies])
    true = _of(training.particles.select(training.validation_rows))
    return prediction_errors(predicted, true), doubt_ratios(training.coder, predicted, true)


@torch.no_grad()
def predicted_outputs(training: Training, network: nn.Module, rows: Integers, copies: str = "off") -> Tensor:
    """The network's outputs (k, copies, outputs) for some rows, on its device, in float32."""
    network.eval()
    device, outputs, each = training.device, [], COPIES[copies]
    batch = max(training.recipe.batch, _SMALLEST_BATCH)
    for read, raw in image_batches(training.particles, in_batches(rows, batch), training.options.readers, device):
        images = training.preprocess(raw, ctf_of(training.particles, read))
        with mixed_precision(device, training.recipe.mixed_precision):
            outputs.append(outputs_for_copies(network, images, each).float())
    columns = training.coder.outputs + sum(training.coder.doubt_sizes.values())
    return torch.cat(outputs) if outputs else torch.zeros(0, len(each), columns, device=device)


def prediction_errors(prediction: Prediction, true: Prediction) -> dict[str, float]:
    """Mean differences from the labels, as Prediction.differences measures them."""
    return {name: float(values.mean()) for name, values in prediction.differences(true).items()}


def doubt_ratios(coder: TargetCoder, predicted: Prediction, true: Prediction) -> dict[str, float]:
    """The ratio of errors to predicted uncertainties for each type: 1 if the uncertainties are right. Amplitudes of
    all modes count the same: their errors and uncertainties are divided by the modes' deviations."""
    found = {}
    if predicted.amplitudes_sd is not None:
        error, width = np.abs(predicted.amplitudes - true.amplitudes), np.asarray(coder.amplitude_sd)  # type: ignore[operator]
        expected = predicted.amplitudes_sd / DEVIATION_OF_MEAN
        found["amplitudes"] = float((error / width).mean() / (expected / width).mean())
    if predicted.angle_sd_deg is not None:
        error = rotation_distance_deg(predicted.rotation, true.rotation)  # type: ignore[arg-type]
        found["angles"] = float(error.mean() / (predicted.angle_sd_deg / ROOT_MEAN_SQUARE_OF_MEAN_ANGLE).mean())
    if predicted.shift_sd_A is not None:
        error = np.abs(predicted.shift_A - true.shift_A)  # type: ignore[operator]
        found["shifts"] = float(error.mean() / (predicted.shift_sd_A / DEVIATION_OF_MEAN).mean())
    return found


def _of(particles: Particles) -> Prediction:
    """What would be predicted without error."""
    rotation = None if particles.euler_deg is None else euler_to_matrix(particles.euler_deg)
    return Prediction(particles.amplitudes, rotation, particles.shift_A)
