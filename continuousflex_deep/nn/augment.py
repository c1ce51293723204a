"""Copies of images that are mirrored, rotated and shifted, with the labels of the copies.

A particle at position p = (R·X)xy − shift of an image is moved to p' = A·M·p + d, where

* M mirrors x. A projection along z does not see the sign of z, so diag(−1, 1)·(R·X)xy = (Ry(180°)·R·X)xy: the mirrored
  image of a projection is, exactly, the projection of the same structure (same hand, same conformation) from the other
  side. The label becomes R' = Ry(180°)·R with the shift mirrored; amplitudes stay.
* A = [[cos a, sin a], [−sin a, cos a]] rotates the image plane: R' = Rz(a)·R, that is psi + a, and the shift rotates
  with it.
* d shifts: shift' = shift − d.

Interpolation would smooth the copies' noise, by which the network could recognise copies. A rotation is therefore an
exact permutation of pixels by a multiple of 90° (and the mirror); the rest, at most 45°, is three shears by Fourier
phases (Paeth 1986; Unser, Thévenaz & Yaroslavsky 1995), which keep the spectrum. Images are periodic: what leaves on
one side enters on the other, which affects only the corners.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from continuousflex_deep.nn.labels import Labels, quaternion_product


@dataclass(frozen=True, eq=False)
class ImageMotion:
    """Motion of B images: mirrored (B,) bool, angle_rad (B,), displacement (B, 2) x, y as a fraction of the box."""

    mirrored: Tensor
    angle_rad: Tensor
    displacement: Tensor

    def to(self, device: torch.device) -> "ImageMotion":
        """The same on another device."""
        return ImageMotion(self.mirrored.to(device), self.angle_rad.to(device), self.displacement.to(device))

    def __getitem__(self, some: slice) -> "ImageMotion":
        return ImageMotion(self.mirrored[some], self.angle_rad[some], self.displacement[some])


def draw_motion(count: int, shift_percent: float, generator: torch.Generator, mirror: bool = True) -> ImageMotion:
    """Random motions: mirrored or not, any angle, displacements uniform between ± shift_percent of the box.

    A mirrored image shows the particle from the opposite side. This doubles the number of views to learn: it helps if
    particles are seen from all sides, and costs accuracy if they are not.
    """
    return ImageMotion(
        mirrored=(torch.rand(count, generator=generator) < 0.5) & mirror,
        angle_rad=(torch.rand(count, generator=generator) * 2 - 1) * torch.pi,
        displacement=(torch.rand(count, 2, generator=generator) * 2 - 1) * (shift_percent / 100),
    )


def move_images(images: Tensor, motion: ImageMotion) -> Tensor:
    """Images (B, 1, d, d) moved about pixel d//2."""
    quarter = torch.round(motion.angle_rad / (torch.pi / 2))
    rest = motion.angle_rad - quarter * (torch.pi / 2)
    turned = permute_pixels(images.squeeze(1), motion.mirrored, quarter.long() % 4)
    d = images.shape[-1]
    dx, dy = (motion.displacement * d).unbind(dim=1)
    along, across = torch.tan(rest / 2), -torch.sin(rest)
    turned = _shear_x(turned, along, torch.zeros_like(along))
    turned = _shear_x(turned.transpose(1, 2), across, dy).transpose(1, 2)
    return _shear_x(turned, along, dx - along * dy).unsqueeze(1)


def move_labels(labels: Labels, motion: ImageMotion, field_A: float) -> Labels:
    """The labels of the moved images; field_A is the side of the image in Å."""
    quaternion, shift_A = labels.quaternion, labels.shift_A
    half = motion.angle_rad / 2
    zero = torch.zeros_like(half)
    if quaternion is not None:
        flip = quaternion_product(quaternion.new_tensor([0.0, 0.0, 1.0, 0.0]).expand_as(quaternion), quaternion)
        quaternion = torch.where(motion.mirrored[:, None], flip, quaternion)
        quaternion = quaternion_product(torch.stack([torch.cos(half), zero, zero, -torch.sin(half)], dim=1), quaternion)
    if shift_A is not None:
        x, y = torch.where(motion.mirrored, -shift_A[:, 0], shift_A[:, 0]), shift_A[:, 1]
        c, s = torch.cos(motion.angle_rad), torch.sin(motion.angle_rad)
        shift_A = torch.stack([c * x + s * y, c * y - s * x], dim=1) - motion.displacement * field_A
    return Labels(labels.amplitudes, quaternion, shift_A, labels.weights)


def permute_pixels(images: Tensor, mirrored: Tensor, quarters: Tensor) -> Tensor:
    """Images (B, d, d) mirrored in x, then rotated by quarters (B,) of 90°, about pixel d//2: out(p) = in((A·M)ᵀ p)."""
    d = images.shape[-1]
    grid = torch.arange(d, device=images.device) - d // 2
    c = torch.tensor([1, 0, -1, 0], device=images.device)[quarters]
    s = torch.tensor([0, 1, 0, -1], device=images.device)[quarters]
    sign = 1 - 2 * mirrored.long()
    y, x = grid[None, :, None], grid[None, None, :]
    from_x = sign[:, None, None] * (c[:, None, None] * x - s[:, None, None] * y)
    from_y = s[:, None, None] * x + c[:, None, None] * y
    index = ((from_y + d // 2) % d) * d + (from_x + d // 2) % d
    return images.flatten(1).gather(1, index.flatten(1)).view_as(images)


def _shear_x(images: Tensor, slope: Tensor, offset_px: Tensor) -> Tensor:
    """Images (B, d, d) whose row at height y from the centre is shifted along x by slope·y + offset pixels."""
    d = images.shape[-1]
    y = torch.arange(d, device=images.device, dtype=images.dtype) - d // 2
    k = torch.fft.rfftfreq(d, device=images.device, dtype=images.dtype)
    move = slope[:, None] * y + offset_px[:, None]
    phase = (-2 * torch.pi) * move[:, :, None] * k
    return torch.fft.irfft(torch.fft.rfft(images) * torch.polar(torch.ones_like(phase), phase), n=d)
