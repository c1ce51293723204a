"""Labels of the network as tensors, and how they change when an image is mirrored, rotated and shifted."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_quaternion
from continuousflex_deep.particles import Particles

TARGETS: dict[str, tuple[str, ...]] = {
    "all": ("amplitudes", "angles", "shifts"),
    "amplitudes": ("amplitudes",),
    "angles": ("angles",),
    "shifts": ("shifts",),
}


@dataclass(frozen=True, eq=False)
class Labels:
    """Float32 tensors, None for what is not learned: amplitudes (n, M) in Å, unit quaternions (n, 4) w, x, y, z, shifts
    (n, 2) in Å; and the weight of each particle's label of a type, weights (n,) by the names in TARGETS, 1 where
    absent."""

    amplitudes: Tensor | None = None
    quaternion: Tensor | None = None
    shift_A: Tensor | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)

    def select(self, rows: Tensor) -> "Labels":
        """Some rows."""
        return self._each(lambda values: values[rows])

    def to(self, device: torch.device) -> "Labels":
        """The same on another device."""
        return self._each(lambda values: values.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Labels":
        amplitudes, quaternion, shift = (
            None if t is None else change(t) for t in (self.amplitudes, self.quaternion, self.shift_A)
        )
        return Labels(amplitudes, quaternion, shift, {name: change(w) for name, w in self.weights.items()})


def labels_of(particles: Particles, targets: str, weighted: bool = False) -> Labels:
    """The labels that `targets` (a key of TARGETS) needs, weighted by their error bars if requested.

    InputError if the particles lack labels or these are not finite.
    """
    names, out = TARGETS[targets], {}
    purpose = f"training (targets {targets})"
    if "amplitudes" in names:
        out["amplitudes"] = particles.require_amplitudes(purpose)
    if "angles" in names or "shifts" in names:
        euler, shift = particles.require_poses(purpose)
        if "angles" in names:
            out["quaternion"] = matrix_to_quaternion(euler_to_matrix(euler))
        if "shifts" in names:
            out["shift_A"] = shift
    tensors = {name: torch.as_tensor(values, dtype=torch.float32) for name, values in out.items()}
    for name, tensor in tensors.items():
        bad = ~torch.isfinite(tensor).all(dim=1).numpy()
        if bad.any():
            raise InputError(
                f"{purpose}: {name} of {int(bad.sum())} particles are not finite (NaN), for example ids "
                f"{particles.ids[bad][:5].tolist()}; remove these particles"
            )
    return Labels(**tensors, weights=_weights(particles, names) if weighted else {})


def _weights(particles: Particles, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Weights of labels with known error bars: 1 / (1 + (deviation / median deviation)²), normalised to mean 1. A label
    whose error bar is NaN or infinite has weight 0."""
    deviations = {
        "amplitudes": None if particles.amplitudes_sd is None else np.sqrt((particles.amplitudes_sd**2).mean(axis=1)),
        "angles": particles.angle_sd_deg,
        "shifts": particles.shift_sd_A,
    }
    found = {}
    for name in names:
        if (deviation := deviations[name]) is None or not (known := np.isfinite(deviation) & (deviation > 0)).any():
            continue
        usual = np.median(deviation[known])
        with np.errstate(invalid="ignore"):
            weight = np.nan_to_num(1 / (1 + (deviation / usual) ** 2))
        found[name] = torch.as_tensor(weight / weight.mean(), dtype=torch.float32)
    return found


def quaternion_product(first: Tensor, second: Tensor) -> Tensor:
    """Hamilton products (..., 4) of quaternions w, x, y, z: the rotation `second`, then `first`."""
    w1, v1, w2, v2 = first[..., :1], first[..., 1:], second[..., :1], second[..., 1:]
    w = w1 * w2 - (v1 * v2).sum(dim=-1, keepdim=True)
    return torch.cat([w, w1 * v2 + w2 * v1 + torch.linalg.cross(v1, v2)], dim=-1)


def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of unit quaternions (..., 4) w, x, y, z (the tensor twin of geometry's)."""
    w, x, y, z = quaternion.unbind(dim=-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], dim=-1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], dim=-1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], dim=-1),
    ]
    return torch.stack(rows, dim=-2)


def euler_to_quaternion(euler_rad: Tensor) -> Tensor:
    """Unit quaternions (..., 4) of rot, tilt, psi (..., 3) in radians: the rotation Rz(psi)·Ry(tilt)·Rz(rot)."""
    c, s = torch.cos(euler_rad / 2), torch.sin(euler_rad / 2)
    zero = torch.zeros_like(c[..., 0])
    rot, psi = (torch.stack([c[..., i], zero, zero, -s[..., i]], dim=-1) for i in (0, 2))
    tilt = torch.stack([c[..., 1], zero, -s[..., 1], zero], dim=-1)
    return quaternion_product(psi, quaternion_product(tilt, rot))


def quaternion_to_euler(quaternion: Tensor) -> Tensor:
    """rot, tilt, psi (..., 3) in radians of unit quaternions (..., 4), tilt from 0 to π."""
    r = quaternion_to_matrix(quaternion)
    rot = torch.atan2(r[..., 2, 1], r[..., 2, 0])
    tilt = torch.atan2(torch.hypot(r[..., 2, 0], r[..., 2, 1]), r[..., 2, 2])
    return torch.stack([rot, tilt, torch.atan2(r[..., 1, 2], -r[..., 0, 2])], dim=-1)
