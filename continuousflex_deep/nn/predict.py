"""Predictions of trained networks, and the particles that receive them."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from continuousflex_deep.devices import images_at_once, mixed_precision
from continuousflex_deep.nn.checkpoint import Checkpoint, load_checkpoint, model_files
from continuousflex_deep.nn.copies import COPIES, outputs_for_copies
from continuousflex_deep.nn.data import ImageReader, ctf_of, in_batches
from continuousflex_deep.nn.labels import TARGETS
from continuousflex_deep.nn.targets import Prediction
from continuousflex_deep.particles import Ctf, Particles

# images that are predicted together, and the bytes that each takes for each of its pixels
_CPU_BATCH, _GPU_BATCH, _BYTES_PER_PX = 256, 1024, 100


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network and the file it was read from."""

    source: str
    checkpoint: Checkpoint

    @property
    def targets(self) -> tuple[str, ...]:
        """The types that it predicts: amplitudes, angles, shifts or several of them."""
        return TARGETS[self.checkpoint.coder.targets]

    def copies(self, wanted: str) -> str:
        """Of each image, over which predictions are averaged (a name in COPIES): those that are wanted, or those that
        it was validated with ("network")."""
        return self.checkpoint.copies if wanted == "network" else wanted

    def doubt_scale(self, copies: str) -> dict[str, float]:
        """The factor on the predicted uncertainties of each type, of predictions averaged over these copies; that of
        single images if it was not validated with these copies."""
        validated = copies == self.checkpoint.copies
        return (validated and self.checkpoint.copies_doubt_scale) or self.checkpoint.doubt_scale

    def digest(self) -> str:
        """Identifies a network: different digests predict differently."""
        c = self.checkpoint
        scales = [c.doubt_scale, c.copies_doubt_scale]
        described = [c.preprocess.to_dict(), c.coder.to_dict(), scales, c.recipe, c.backbone, c.head]
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
        for name, tensor in (*sorted(c.weights.items()), *sorted(c.first.items())):
            digest.update(name.encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()


def load_models(folder: str | Path) -> list[Model]:
    """The networks in a folder that the train command wrote."""
    return [Model(str(path), load_checkpoint(path)) for path in model_files(folder)]


@dataclass(frozen=True, eq=False)
class Predictor:
    """Networks on a device, ready to predict together."""

    models: list[Model]
    networks: list[nn.Module]
    device: torch.device
    batch: int
    readers: int
    wanted_copies: str = "network"

    @staticmethod
    def of(
        models: list[Model], device: torch.device, batch: int, readers: int, wanted_copies: str = "network"
    ) -> "Predictor":
        """The models' networks on a device; batch: images at a time, 0 for a number that suits it; readers: threads
        that read ahead; wanted_copies: see Model.copies."""
        if not batch:
            largest = max(m.checkpoint.preprocess.box_px for m in models)
            cpu = device.type == "cpu"
            batch = _CPU_BATCH if cpu else images_at_once(device, largest, _BYTES_PER_PX, _GPU_BATCH)
        networks = [m.checkpoint.network(device) for m in models]
        return Predictor(models, networks, device, batch, readers, wanted_copies)

    def predict(self, particles: Particles, rows: np.ndarray) -> "Predicted":
        """Predictions for those of some rows whose images can be used, in their order. Images are read once, ahead,
        batch by batch, for all networks."""
        found: list[list[Tensor]] = [[] for _ in self.models]
        good, bad, reasons = [rows[:0]], [rows[:0]], [np.zeros(0, dtype=object)]
        for read, images, wrong in ImageReader(particles, in_batches(rows, self.batch), self.readers, self.device):
            usable = wrong == ""
            good.append(read[usable])
            bad.append(read[~usable])
            reasons.append(wrong[~usable])
            if not usable.all():
                images = images[torch.from_numpy(usable).to(self.device)]
            if len(images):
                outputs = self._outputs(images, ctf_of(particles, read[usable]))
                for parts, numbers in zip(found, outputs, strict=True):
                    parts.append(numbers)
        rows, bad_rows, why = (np.concatenate(parts) for parts in (good, bad, reasons))
        return Predicted(self._decoded(found), rows, bad_rows, why.astype(str))

    def _decoded(self, found: list[list[Tensor]]) -> Prediction:
        """What all networks predict together, from each one's outputs for consecutive batches, which stay on the device
        until here: to decode those of one batch would wait for them."""
        merged: dict[str, Any] = {}
        for model, outputs in zip(self.models, found, strict=True):
            if outputs:
                copies = model.copies(self.wanted_copies)
                scale = model.doubt_scale(copies)
                decoded = model.checkpoint.coder.decode_copies(torch.cat(outputs), COPIES[copies], scale)
                merged |= {name: values for name, values in vars(decoded).items() if values is not None}
        return Prediction(**merged)

    @torch.inference_mode()
    def _outputs(self, images: Tensor, ctf: Ctf | None) -> list[Tensor]:
        """Each network's outputs (B, copies, outputs) for raw images (B, d, d)."""
        outputs = []
        for model, network in zip(self.models, self.networks, strict=True):
            seen = model.checkpoint.preprocess(images, ctf)
            with mixed_precision(self.device, model.checkpoint.recipe["mixed_precision"]):
                outputs.append(outputs_for_copies(network, seen, COPIES[model.copies(self.wanted_copies)]))
        return outputs


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions of k particles, their rows (k,); the rows of particles whose images cannot be used, and the
    reasons."""

    prediction: Prediction
    rows: np.ndarray
    bad_rows: np.ndarray
    bad_reasons: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=str))


def with_prediction(particles: Particles, prediction: Prediction, models: list[Model]) -> Particles:
    """The particles (ids, images, CTF, extra columns) with the predictions and their predicted deviations; other fields
    are not changed.

    Scores, and error bars of values that are replaced, are dropped, because they describe the old values.
    """
    changes: dict[str, Any] = {"score": None, "ambiguous": None}
    if prediction.amplitudes is not None:
        coder = next(m.checkpoint.coder for m in models if "amplitudes" in m.targets)
        changes |= {
            "amplitudes": prediction.amplitudes, "amplitudes_sd": prediction.amplitudes_sd,
            "mode_ids": coder.mode_ids, "motion": coder.motion,
        }  # fmt: skip
    if prediction.rotation is not None:
        changes |= {"euler_deg": prediction.euler_deg, "angle_sd_deg": prediction.angle_sd_deg}
    if prediction.shift_A is not None:
        changes |= {"shift_A": prediction.shift_A, "shift_sd_A": prediction.shift_sd_A}
    return particles.replace(**changes)
