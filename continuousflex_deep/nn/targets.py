"""The network's output numbers: how labels become targets, and how outputs become predictions.

Columns stand in the order amplitudes (standardised by the training set's mean and deviation), rotation, shifts (divided
by one scale), then, if the network predicts uncertainties, those of `doubt`. The rotation is one of three
representations:

* euler: rot, tilt, psi over 180°, discontinuous at their ends (the article's Supplementary B compares with it).
* quaternion: w, x, y, z. As published with w ≥ 0 and an absolute error, which penalises a prediction near −q although
  it is the same rotation; with `sign_free` the error is the smaller of those to q and −q.
* matrix: the nine entries of R, projected to the nearest rotation (SVD). It has no sign ambiguity, and unlike four
  numbers it is continuous over all orientations (Levinson et al., NeurIPS 2020).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.arrays import Floats
from continuousflex_deep.geometry import axes_distance_deg, matrix_to_euler
from continuousflex_deep.nn import doubt
from continuousflex_deep.nn.copies import COPIES, Copy
from continuousflex_deep.nn.labels import (
    TARGETS,
    Labels,
    euler_to_quaternion,
    quaternion_to_euler,
    quaternion_to_matrix,
)
from continuousflex_deep.particles import STRAIGHT
from continuousflex_deep.rotations import nearest_rotation

# enough for matrices whose smallest singular value is a tenth of the largest
_ITERATIONS = 8
_ROTATION_SIZE = {"euler": 3, "quaternion": 4, "matrix": 9}


@dataclass(frozen=True, eq=False)
class Prediction:
    """Physical values, None for what is not predicted: amplitudes (n, M) Å, rotation (n, 3, 3), shift_A (n, 2); and
    their predicted deviations, None without: amplitudes_sd (n, M), angle_sd_deg (n,), shift_sd_A (n,), as in
    `Particles`."""

    amplitudes: Floats | None = None
    rotation: Floats | None = None
    shift_A: Floats | None = None
    amplitudes_sd: Floats | None = None
    angle_sd_deg: Floats | None = None
    shift_sd_A: Floats | None = None

    @property
    def euler_deg(self) -> Floats | None:
        """rot, tilt, psi (n, 3) in degrees."""
        return None if self.rotation is None else matrix_to_euler(self.rotation)

    def differences(self, other: "Prediction") -> dict[str, Floats]:
        """The article's measures of the difference of two predictions, for each particle (n,) and the types that both
        have: mean absolute difference of amplitudes and of shifts (Å), mean distance of rotated axes (°)."""
        found: dict[str, Floats] = {}
        if self.amplitudes is not None and other.amplitudes is not None:
            found["amplitude_error_A"] = np.abs(self.amplitudes - other.amplitudes).mean(axis=1)
        if self.rotation is not None and other.rotation is not None:
            found["angle_error_deg"] = axes_distance_deg(self.rotation, other.rotation)
        if self.shift_A is not None and other.shift_A is not None:
            found["shift_error_A"] = np.abs(self.shift_A - other.shift_A).mean(axis=1)
        return found


@dataclass(frozen=True)
class TargetCoder:
    """Labels to network outputs and back. amplitude_mean and _sd: one value a mode, in Å; shift_scale_A in Å; doubts:
    whether uncertainties follow the outputs."""

    targets: str
    mode_ids: tuple[int, ...]
    rotation: str
    sign_free: bool
    amplitude_mean: tuple[float, ...]
    amplitude_sd: tuple[float, ...]
    shift_scale_A: float
    doubts: bool = False
    motion: str = STRAIGHT  # that the amplitudes are of

    @property
    def sizes(self) -> dict[str, int]:
        """Number of output columns of each learned type, in their order."""
        known = {"amplitudes": len(self.mode_ids), "angles": _ROTATION_SIZE[self.rotation], "shifts": 2}
        return {name: known[name] for name in TARGETS[self.targets]}

    @property
    def outputs(self) -> int:
        """Number of output columns, without uncertainties."""
        return sum(self.sizes.values())

    @property
    def doubt_sizes(self) -> dict[str, int]:
        """Number of uncertainty columns of each learned type: one a mode, one for the angle, one for the shift."""
        known = {"amplitudes": len(self.mode_ids), "angles": 1, "shifts": 1}
        return {name: known[name] for name in TARGETS[self.targets]} if self.doubts else {}

    def encode(self, labels: Labels) -> dict[str, Tensor]:
        """Targets (n, size) of each learned type."""
        out: dict[str, Tensor] = {}
        if labels.amplitudes is not None:
            out["amplitudes"] = (labels.amplitudes - self._row(self.amplitude_mean, labels.amplitudes)) / self._row(
                self.amplitude_sd, labels.amplitudes
            )
        if labels.quaternion is not None:
            out["angles"] = self._encoded_rotation(labels.quaternion)
        if labels.shift_A is not None:
            out["shifts"] = labels.shift_A / self.shift_scale_A
        return out

    def _encoded_rotation(self, q: Tensor) -> Tensor:
        if self.rotation == "matrix":
            return quaternion_to_matrix(q).flatten(1)
        if self.rotation == "euler":
            return quaternion_to_euler(q) / torch.pi
        return torch.where(q[:, :1] < 0, -q, q)

    def split(self, outputs: Tensor) -> dict[str, Tensor]:
        """The columns (n, size) of each learned type."""
        sizes = self.sizes
        return dict(zip(sizes, outputs[:, : self.outputs].split(list(sizes.values()), dim=1), strict=True))

    def split_doubts(self, outputs: Tensor) -> dict[str, Tensor]:
        """The columns (n, size) of the uncertainty of each learned type; empty if the network predicts none."""
        sizes = self.doubt_sizes
        if not sizes:
            return {}
        return dict(zip(sizes, outputs[:, -sum(sizes.values()) :].split(list(sizes.values()), dim=1), strict=True))

    def rotations(self, columns: Tensor, roughly: bool = False) -> Tensor:
        """The rotations (n, 3, 3) of the angle columns; proper rotations for any output.

        roughly: less exact for matrices that are far from rotations, but without waiting for a GPU.
        """
        if self.rotation == "matrix":
            return orthogonalised(columns) if roughly else nearest_rotation(_finite(columns))
        if self.rotation == "euler":
            return quaternion_to_matrix(euler_to_quaternion(columns * torch.pi))
        length = columns.norm(dim=1, keepdim=True)  # a quaternion of (nearly) zero length is no rotation: identity
        identity = columns.new_tensor([1.0, 0.0, 0.0, 0.0])
        return quaternion_to_matrix(torch.where(length < 1e-6, identity, columns / length.clamp(min=1e-6)))

    def decode(self, outputs: Tensor, doubt_scale: dict[str, float] | None = None) -> Prediction:
        """Physical values of network outputs (n, columns); doubt_scale: factor on the uncertainties of each type, found
        in validation."""
        return self.decode_copies(outputs.unsqueeze(1), COPIES["off"], doubt_scale)

    def decode_copies(
        self, outputs: Tensor, copies: tuple[Copy, ...], doubt_scale: dict[str, float] | None = None
    ) -> Prediction:
        """Physical values averaged over copies of each image, from network outputs (n, copies, columns) for them.

        Numbers of a matrix are averaged before they are projected to the nearest rotation: the less certain the network
        is of a copy, the smaller are its numbers, and the less weight has it.
        """
        outputs = outputs.detach().double().cpu()
        mean, every = self.averaged(outputs, copies), outputs.unbind(dim=1)
        found: dict[str, Floats] = {}
        if "amplitudes" in mean:
            found["amplitudes"] = mean["amplitudes"].numpy() * self.amplitude_sd + self.amplitude_mean
        if "angles" in mean:
            found["rotation"] = nearest_rotation(_finite(mean["angles"].flatten(1))).numpy()
        if "shifts" in mean:
            found["shift_A"] = mean["shifts"].numpy() * self.shift_scale_A
        doubts = [self.split_doubts(one) for one in every]
        for name in self.doubt_sizes:
            expected = torch.stack([doubt.expected_errors(one[name]) for one in doubts]).mean(dim=0).numpy()
            expected = expected * (doubt_scale or {}).get(name, 1.0)
            if name == "amplitudes":
                found["amplitudes_sd"] = doubt.DEVIATION_OF_MEAN * expected * self.amplitude_sd
            elif name == "angles":
                found["angle_sd_deg"] = doubt.ROOT_MEAN_SQUARE_OF_MEAN_ANGLE * np.degrees(expected[:, 0])
            else:
                found["shift_sd_A"] = doubt.DEVIATION_OF_MEAN * expected[:, 0] * self.shift_scale_A
        return Prediction(**found)

    def averaged(self, outputs: Tensor, copies: tuple[Copy, ...]) -> dict[str, Tensor]:
        """The columns of each type, from outputs (n, copies, columns) for copies, transported back and averaged; angles
        as matrices (n, 3, 3)."""
        columns = [self._of_image(one, copy) for one, copy in zip(outputs.unbind(dim=1), copies, strict=True)]
        return {name: torch.stack([one[name] for one in columns]).mean(dim=0) for name in self.sizes}

    def _of_image(self, outputs: Tensor, copy: Copy) -> dict[str, Tensor]:
        """The columns of each type, from outputs (n, columns) for a copy, transported back to the image; angles as
        matrices (n, 3, 3), which are projected to rotations only if the columns are of another representation."""
        columns = self.split(outputs)
        if "angles" in columns:
            matrix = self.rotation == "matrix"
            angles = columns["angles"].unflatten(1, (3, 3)) if matrix else self.rotations(columns["angles"])
            columns["angles"] = copy.rotations_back(angles)
        if "shifts" in columns:
            columns["shifts"] = copy.shifts_back(columns["shifts"])
        return columns

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
    doubts: bool = False,
    motion: str = STRAIGHT,
) -> TargetCoder:
    """The coder with the statistics of training labels.

    A mode whose amplitudes do not vary gets the deviation 1 Å: its target is 0 and its prediction the constant. Shifts
    are divided by their deviation, including that of the shifts which augmentation adds (uniform ± added_shift_A), and
    by at least a tenth of a pixel.
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
        doubts=doubts,
        motion=motion,
    )


def orthogonalised(flat: Tensor) -> Tensor:
    """Orthogonal matrices (n, 3, 3) nearest to matrices (n, 9), by iterations of multiplications only (Newton and
    Schulz; Higham 2008, 8.3). They are rotations if the matrices are right-handed, as nearly all are."""
    x = _finite(flat)
    x = x * (3**0.5 / x.flatten(1).norm(dim=1).clamp(min=1e-12))[:, None, None]
    for _ in range(_ITERATIONS):
        x = 1.5 * x - 0.5 * x @ (x.transpose(1, 2) @ x)
    return x


def _finite(flat: Tensor) -> Tensor:
    """Matrices (n, 3, 3) of (n, 9) without what a diverging training leaves; its loss reports that."""
    return torch.nan_to_num(flat, nan=0.0, posinf=0.0, neginf=0.0).unflatten(1, (3, 3))
