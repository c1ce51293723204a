"""Copies of images, rotated by multiples of 90° and mirrored, whose predictions are averaged.

Such a copy has the pixels of its image in another order; nothing is interpolated. A network has learned only roughly
that its prediction has to rotate with the image. Its errors therefore differ between the copies, and the mean of their
predictions, each transported back to the image, has a smaller error than each of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from continuousflex_deep.nn.augment import permute_pixels

_COS, _SIN = (1, 0, -1, 0), (0, 1, 0, -1)


@dataclass(frozen=True)
class Copy:
    """How a copy differs from its image: first mirrored in x or not, then rotated by quarters of 90°, as augment moves
    images."""

    mirrored: bool = False
    quarters: int = 0

    def of(self, images: Tensor) -> Tensor:
        """The copies (B, 1, d, d) of images (B, 1, d, d), about pixel d//2."""
        if self == Copy():
            return images
        whole = torch.ones(len(images), dtype=torch.long, device=images.device)
        mirrored = whole.bool() & self.mirrored
        return permute_pixels(images.squeeze(1), mirrored, whole * self.quarters).unsqueeze(1)

    def rotations_back(self, matrices: Tensor) -> Tensor:
        """Matrices (n, 3, 3) that describe the copies to those of their images: (Rz(a)·Ry(180°)^mirrored)ᵀ·R'."""
        c, s = _COS[self.quarters], _SIN[self.quarters]
        back = matrices.new_tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        if self.mirrored:
            back = matrices.new_tensor([-1.0, 1.0, -1.0])[:, None] * back
        return back @ matrices

    def shifts_back(self, shifts: Tensor) -> Tensor:
        """Shifts (n, 2) of the copies to those of their images, in any unit."""
        c, s = _COS[self.quarters], _SIN[self.quarters]
        x, y = shifts.unbind(dim=1)
        back = torch.stack([c * x - s * y, s * x + c * y], dim=1)
        return back * back.new_tensor([-1.0, 1.0]) if self.mirrored else back


_ROTATED = tuple(Copy(False, quarters) for quarters in range(4))
# by the names of the options
COPIES: dict[str, tuple[Copy, ...]] = {
    "off": (Copy(),),
    "rotated": _ROTATED,
    "mirrored": (*_ROTATED, *(Copy(True, quarters) for quarters in range(4))),
}


def outputs_for_copies(network: torch.nn.Module, images: Tensor, copies: tuple[Copy, ...]) -> Tensor:
    """The network's outputs (B, copies, outputs) for the copies of images (B, 1, d, d)."""

    def each() -> Iterator[Tensor]:
        for copy in copies:
            yield network(copy.of(images).contiguous(memory_format=torch.channels_last))

    return torch.stack(list(each()), dim=1)
