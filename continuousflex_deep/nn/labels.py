"""What the network learns from, as tensors, and how it changes when an image is mirrored, turned and displaced."""

from dataclasses import dataclass

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
    (n, 2) in Å.
    """

    amplitudes: Tensor | None = None
    quaternion: Tensor | None = None
    shift_A: Tensor | None = None

    def select(self, rows: Tensor) -> "Labels":
        """Some rows."""
        return Labels(*(None if t is None else t[rows] for t in (self.amplitudes, self.quaternion, self.shift_A)))

    def to(self, device: torch.device) -> "Labels":
        """The same on another device."""
        return Labels(
            *(
                None if t is None else t.to(device, non_blocking=True)
                for t in (self.amplitudes, self.quaternion, self.shift_A)
            )
        )


def labels_of(particles: Particles, targets: str) -> Labels:
    """The labels that `targets` (a key of TARGETS) needs.

    InputError where the particles lack them or they are not finite.
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
    return Labels(**tensors)


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
