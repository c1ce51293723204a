"""The network's output numbers: how labels become targets, outputs become predictions, and what a wrong output costs.

Columns stand in the order amplitudes (standardised by the training set's mean and deviation), rotation, shifts (divided
by one scale). The rotation is one of two representations:

* quaternion: w, x, y, z. As published with w ≥ 0 and an absolute error, which punishes a prediction near −q although it
  is the same rotation; with `sign_free` the error is the smaller of those to q and −q.
* matrix: the nine entries of R, made a rotation by the nearest one (SVD). It has no sign, and unlike four numbers it
  can follow all orientations without a jump (Levinson et al., NeurIPS 2020).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from continuousflex_deep.geometry import matrix_to_euler, quaternion_to_matrix
from continuousflex_deep.nn import labels as label_tools
from continuousflex_deep.nn.labels import TARGETS, Labels

Floats = NDArray[np.float64]
_ROTATION_SIZE = {"quaternion": 4, "matrix": 9}


@dataclass(frozen=True, eq=False)
class Prediction:
    """Physical values, None for what is not predicted: amplitudes (n, M) Å, rotation (n, 3, 3), shift_A (n, 2)."""

    amplitudes: Floats | None = None
    rotation: Floats | None = None
    shift_A: Floats | None = None

    @property
    def euler_deg(self) -> Floats | None:
        """rot, tilt, psi (n, 3) in degrees."""
        return None if self.rotation is None else matrix_to_euler(self.rotation)


@dataclass(frozen=True)
class TargetCoder:
    """Labels to network outputs and back. amplitude_mean and _sd: one value a mode, in Å; shift_scale_A in Å."""

    targets: str
    mode_ids: tuple[int, ...]
    rotation: str
    sign_free: bool
    amplitude_mean: tuple[float, ...]
    amplitude_sd: tuple[float, ...]
    shift_scale_A: float

    @property
    def sizes(self) -> dict[str, int]:
        """Number of output columns of each learned type, in their order."""
        known = {"amplitudes": len(self.mode_ids), "angles": _ROTATION_SIZE[self.rotation], "shifts": 2}
        return {name: known[name] for name in TARGETS[self.targets]}

    @property
    def outputs(self) -> int:
        """Number of output columns."""
        return sum(self.sizes.values())

    def encode(self, labels: Labels) -> dict[str, Tensor]:
        """Targets (n, size) of each learned type."""
        out: dict[str, Tensor] = {}
        if labels.amplitudes is not None:
            out["amplitudes"] = (labels.amplitudes - self._row(self.amplitude_mean, labels.amplitudes)) / self._row(
                self.amplitude_sd, labels.amplitudes
            )
        if labels.quaternion is not None:
            q = labels.quaternion
            matrix = self.rotation == "matrix"
            out["angles"] = (
                label_tools.quaternion_to_matrix(q).flatten(1) if matrix else torch.where(q[:, :1] < 0, -q, q)
            )
        if labels.shift_A is not None:
            out["shifts"] = labels.shift_A / self.shift_scale_A
        return out

    def split(self, outputs: Tensor) -> dict[str, Tensor]:
        """The columns (n, size) of each learned type."""
        return dict(zip(self.sizes, outputs.split(list(self.sizes.values()), dim=1), strict=True))

    def loss(self, outputs: Tensor, labels: Labels) -> Tensor:
        """Mean error of each type, summed over the types.

        Mean absolute error over the columns; for rotation matrices half the chordal distance |R − R'| (Frobenius),
        √2·sin(angle/2) between rotations, which falls smoothly with the angle whatever its axis.
        """
        total = outputs.new_zeros(())
        wanted, got = self.encode(labels), self.split(outputs.float())
        for name, target in wanted.items():
            if name == "angles" and self.rotation == "matrix":
                errors = (((got[name] - target).square().sum(dim=1) + 1e-4).sqrt() - 1e-2) / 2  # smooth at zero
            else:
                errors = (got[name] - target).abs().mean(dim=1)
            if name == "angles" and self.rotation == "quaternion" and self.sign_free:
                errors = torch.minimum(errors, (got[name] + target).abs().mean(dim=1))
            total = total + errors.mean()
        return total

    def decode(self, outputs: Tensor) -> Prediction:
        """Physical values of network outputs (n, outputs); rotations are proper whatever the network says."""
        columns = {name: part.detach().double().cpu().numpy() for name, part in self.split(outputs).items()}
        found: dict[str, Floats] = {}
        if "amplitudes" in columns:
            found["amplitudes"] = columns["amplitudes"] * np.array(self.amplitude_sd) + np.array(self.amplitude_mean)
        if "angles" in columns:
            decode = _nearest_rotation if self.rotation == "matrix" else _rotation_of_quaternion
            found["rotation"] = decode(columns["angles"])
        if "shifts" in columns:
            found["shift_A"] = columns["shifts"] * self.shift_scale_A
        return Prediction(**found)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "TargetCoder":
        """The coder that to_dict described."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list | tuple) else v for k, v in values.items()}
        return TargetCoder(**plain)

    @staticmethod
    def _row(values: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device)


def fit_coder(
    labels: Labels,
    targets: str,
    mode_ids: tuple[int, ...],
    rotation: str,
    sign_free: bool,
    pixel_size_A: float,
    added_shift_A: float = 0.0,
) -> TargetCoder:
    """The coder with the statistics of training labels.

    A mode whose amplitudes do not vary gets the deviation 1 Å: its target is 0 and its prediction the constant. Shifts
    are divided by their deviation, that of the displacements which augmentation adds (uniform ± added_shift_A)
    included, and by no less than a tenth of a pixel.
    """
    mean, sd = np.zeros(0), np.ones(0)
    if labels.amplitudes is not None:
        amplitudes = labels.amplitudes.double().numpy()
        mean, sd = amplitudes.mean(axis=0), amplitudes.std(axis=0)
        sd = np.where(sd > 1e-6 * np.maximum(np.abs(mean), 1.0), sd, 1.0)
    scale = 1.0
    if labels.shift_A is not None:
        variance = float(labels.shift_A.double().pow(2).mean()) + added_shift_A**2 / 3
        scale = max(np.sqrt(variance), 0.1 * pixel_size_A)
    return TargetCoder(
        targets=targets,
        mode_ids=tuple(mode_ids) if labels.amplitudes is not None else (),
        rotation=rotation,
        sign_free=sign_free,
        amplitude_mean=tuple(mean.tolist()),
        amplitude_sd=tuple(sd.tolist()),
        shift_scale_A=float(scale),
    )


def _nearest_rotation(flat: Floats) -> Floats:
    """The rotations (n, 3, 3) nearest to matrices (n, 9) in the Frobenius norm (Umeyama 1991)."""
    u, _, vt = np.linalg.svd(flat.reshape(-1, 3, 3))
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return u @ vt


def _rotation_of_quaternion(quaternion: Floats) -> Floats:
    """Rotations (n, 3, 3) of quaternions (n, 4) of any length; one of (nearly) no length, which names none, is taken as
    identity.
    """
    none = np.linalg.norm(quaternion, axis=1) < 1e-6
    return quaternion_to_matrix(np.where(none[:, None], [1.0, 0.0, 0.0, 0.0], quaternion))
