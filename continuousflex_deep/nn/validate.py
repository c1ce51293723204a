"""Errors of a network on particles that it is not trained on."""

import torch
from torch import Tensor, nn

from continuousflex_deep.arrays import Integers
from continuousflex_deep.devices import mixed_precision
from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.nn.data import ctf_of, image_batches, in_batches
from continuousflex_deep.nn.distributed import Team
from continuousflex_deep.nn.loss import Loss, doubt_ratios
from continuousflex_deep.nn.preparation import Training
from continuousflex_deep.nn.targets import Prediction
from continuousflex_deep.particles import Particles

_SMALLEST_BATCH = 64


def validate(training: Training, network: nn.Module, team: Team) -> dict[str, float]:
    """Loss, errors in physical units, and their ratio to the predicted uncertainties, on the validation particles
    without augmentation, with the network as in inference."""
    rows = training.validation_rows
    mine = rows[team.share(len(rows))]
    outputs = team.gathered(predicted_outputs(training, network, mine))
    labels = training.labels.select(torch.from_numpy(rows))
    ratios = {f"{name}_doubt": ratio for name, ratio in doubt_ratios(training.coder, outputs, labels).items()}
    return {
        "validation_loss": float(Loss(training.coder, training.recipe.loss)(outputs, labels)),
        **prediction_errors(training.coder.decode(outputs), training.particles.select(rows)),
        **ratios,
    }


@torch.no_grad()
def predicted_outputs(training: Training, network: nn.Module, rows: Integers) -> Tensor:
    """The network's outputs (k, outputs) for some rows, on its device, in float32."""
    network.eval()
    device, outputs = training.device, []
    batch = max(training.recipe.batch, _SMALLEST_BATCH)
    for read, raw in image_batches(training.particles, in_batches(rows, batch), training.options.readers, device):
        images = training.preprocess(raw, ctf_of(training.particles, read))
        with mixed_precision(device, training.recipe.mixed_precision):
            outputs.append(network(images.contiguous(memory_format=torch.channels_last)).float())
    columns = training.coder.outputs + sum(training.coder.doubt_sizes.values())
    return torch.cat(outputs) if outputs else torch.zeros(0, columns, device=device)


def prediction_errors(prediction: Prediction, truth: Particles) -> dict[str, float]:
    """Mean differences from the labels, as Prediction.differences measures them."""
    rotation = None if truth.euler_deg is None else euler_to_matrix(truth.euler_deg)
    true = Prediction(truth.amplitudes, rotation, truth.shift_A)
    return {name: float(values.mean()) for name, values in prediction.differences(true).items()}
