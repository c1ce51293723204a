"""Predictions of trained networks, and the particles that carry them."""

import hashlib
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from continuousflex_deep.nn.checkpoint import Checkpoint
from continuousflex_deep.nn.data import image_batches
from continuousflex_deep.nn.labels import TARGETS
from continuousflex_deep.nn.model import PoseNetwork
from continuousflex_deep.nn.targets import Prediction
from continuousflex_deep.particles import Particles


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network and where it came from."""

    source: str
    checkpoint: Checkpoint

    @property
    def targets(self) -> tuple[str, ...]:
        """What it predicts: amplitudes, angles, shifts or several of them."""
        return TARGETS[self.checkpoint.coder.targets]

    def digest(self) -> str:
        """Tells networks of other weights apart."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.checkpoint.weights.items()):
            digest.update(name.encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()


@torch.inference_mode()
def predict(
    models: list[Model],
    networks: list[PoseNetwork],
    particles: Particles,
    rows: np.ndarray,
    device: torch.device,
    batch: int,
    workers: int = 0,
) -> Prediction:
    """Predictions of some rows, in their order, by the models' networks. Images are read once, a batch at a time, for
    all of them."""
    parts: list[list[Prediction]] = [[] for _ in models]
    for _, raw in image_batches(particles, rows, batch, workers, device):
        for model, network, found in zip(models, networks, parts, strict=True):
            images = model.checkpoint.preprocess(raw).contiguous(memory_format=torch.channels_last)
            found.append(model.checkpoint.coder.decode(network(images)))
    merged: dict[str, Any] = {}
    for found in parts:
        for name in (f.name for f in fields(Prediction)):
            if getattr(found[0], name) is not None:
                merged[name] = np.concatenate([getattr(p, name) for p in found])
    return Prediction(**merged)


def with_prediction(particles: Particles, prediction: Prediction, models: list[Model]) -> Particles:
    """The particles (ids, images, CTF, extra columns) with what was predicted; the rest stays as it was.

    Error bars and scores of values that are replaced are dropped, for they described the old ones.
    """
    changes: dict[str, Any] = {"score": None, "ambiguous": None}
    if prediction.amplitudes is not None:
        modes = next(m.checkpoint.coder.mode_ids for m in models if "amplitudes" in m.targets)
        changes |= {"amplitudes": prediction.amplitudes, "mode_ids": modes, "amplitudes_sd": None}
    if prediction.rotation is not None:
        changes |= {"euler_deg": prediction.euler_deg, "angle_sd_deg": None}
    if prediction.shift_A is not None:
        changes |= {"shift_A": prediction.shift_A, "shift_sd_A": None}
    return particles.replace(**changes)
