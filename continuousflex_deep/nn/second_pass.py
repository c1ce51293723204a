"""A second pass: a network that sees each image rotated upright and centred, as the first network's prediction says.

In-plane rotation and shift of an image only move it. A network that sees all of them spends most of its training on
them. Once a first network predicts the pose roughly, the image is rotated by −psi and shifted to the centre, and a
second network, which starts from the first one's weights, learns the images that are left: psi and shift near zero, and
all views and conformations. Its predictions are transported back. Labels of training are moved with the images, so that
an error of the first network is what the second one learns to correct.
"""

import torch
from torch import Tensor, nn

from continuousflex_deep.nn.augment import ImageMotion, move_images, move_labels
from continuousflex_deep.nn.copies import COPIES, Copy, outputs_for_copies
from continuousflex_deep.nn.labels import Labels
from continuousflex_deep.nn.targets import TargetCoder


def upright_motion(coder: TargetCoder, columns: dict[str, Tensor], field_A: float) -> ImageMotion:
    """The motion of images that makes predicted psi and shift zero; columns: of targets, angles as matrices (n, 3, 3);
    field_A: side of the images in Å."""
    rotation = coder.rotations(columns["angles"].flatten(1), roughly=True)
    angle = -torch.atan2(rotation[:, 1, 2], -rotation[:, 0, 2])
    shift = _turned(columns["shifts"], angle) * (coder.shift_scale_A / field_A)
    return ImageMotion(torch.zeros_like(angle, dtype=torch.bool), angle, shift)


def moved_back(coder: TargetCoder, outputs: Tensor, motion: ImageMotion, field_A: float) -> Tensor:
    """Outputs (n, columns) for moved images to those for the images before."""
    columns = coder.split(outputs)
    c, s = torch.cos(motion.angle_rad), torch.sin(motion.angle_rad)
    x, y, z = columns["angles"].unflatten(1, (3, 3)).unbind(dim=1)
    rows = torch.stack([c[:, None] * x - s[:, None] * y, s[:, None] * x + c[:, None] * y, z], dim=1)
    shift = _turned(columns["shifts"] + motion.displacement * (field_A / coder.shift_scale_A), -motion.angle_rad)
    return torch.cat([columns["amplitudes"], rows.flatten(1), shift, outputs[:, coder.outputs :]], dim=1)


class TwoPasses(nn.Module):
    """Two networks that predict as one: the first, averaged over rotated copies, moves the images of the second."""

    def __init__(self, first: nn.Module, second: nn.Module, coder: TargetCoder, field_A: float) -> None:
        super().__init__()
        self.first, self.second, self.coder, self.field_A = first, second, coder, field_A

    def forward(self, images: Tensor) -> Tensor:
        motion = self.motion(images, COPIES["rotated"])
        outputs = self.second(move_images(images, motion).contiguous(memory_format=torch.channels_last))
        return moved_back(self.coder, outputs.float(), motion, self.field_A)

    @torch.no_grad()
    def upright(self, images: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
        """Images and labels moved by the first network's predictions, for the second one to learn. Of one copy each:
        predictions that are a little worse than the averaged ones cover what these can be."""
        motion = self.motion(images, COPIES["off"])
        return move_images(images, motion), move_labels(labels, motion, self.field_A)

    def motion(self, images: Tensor, copies: tuple[Copy, ...]) -> ImageMotion:
        """The motion that makes images upright by the first network's predictions averaged over copies."""
        outputs = outputs_for_copies(self.first, images, copies)
        with torch.autocast(images.device.type, enabled=False):
            return upright_motion(self.coder, self.coder.averaged(outputs.float(), copies), self.field_A)


def _turned(shifts: Tensor, angle: Tensor) -> Tensor:
    """Shifts (n, 2) of images that are rotated by angles (n,), as augment rotates them."""
    c, s = torch.cos(angle), torch.sin(angle)
    x, y = shifts.unbind(dim=1)
    return torch.stack([c * x + s * y, c * y - s * x], dim=1)
