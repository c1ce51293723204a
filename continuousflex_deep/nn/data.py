"""Images for the network: read from disk by particle when they are needed, and one preprocess for every use of them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from continuousflex_deep.errors import InputError
from continuousflex_deep.imaging.fourier import resize
from continuousflex_deep.io.stacks import read_images
from continuousflex_deep.nn.model import SMALLEST_BOX_PX
from continuousflex_deep.particles import Particles

_PIXEL_TOLERANCE = 0.01


@dataclass(frozen=True)
class Preprocess:
    """From images as they are in the stack to the network's input; the same in training, validation and inference.

    box_px, pixel_size_A, phase_flipped: what the stacks must be; network_box_px: the images are reduced to it over the
    same field of view. Each image is then brought to mean 0 and deviation 1, so no statistics of the set are needed.
    """

    box_px: int
    pixel_size_A: float
    phase_flipped: bool
    network_box_px: int

    @staticmethod
    def for_particles(particles: Particles, network_box_px: int) -> "Preprocess":
        """The preprocess for these particles; network_box_px 0 keeps their box."""
        box = network_box_px or particles.box_px
        if box > particles.box_px:
            raise InputError(
                f"option --box: got {box} px, but the images have {particles.box_px} px; the network's box can only "
                "be smaller"
            )
        if box < SMALLEST_BOX_PX:
            raise InputError(
                f"the network needs images of at least {SMALLEST_BOX_PX} px, got {box} px; use a larger box"
            )
        return Preprocess(particles.box_px, particles.pixel_size_A, particles.phase_flipped, box)

    @property
    def field_A(self) -> float:
        """Side of the images in Å."""
        return self.box_px * self.pixel_size_A

    @property
    def network_pixel_size_A(self) -> float:
        """Pixel size of the network's input in Å."""
        return self.field_A / self.network_box_px

    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, d, d) as read to the network's input (B, 1, n, n)."""
        small = resize(images.float(), self.network_box_px)
        mean, deviation = small.mean(dim=(1, 2), keepdim=True), small.std(dim=(1, 2), keepdim=True)
        # an image can lose all its contrast with the high frequencies; it then becomes zeros rather than NaN
        return ((small - mean) / deviation.clamp(min=1e-12)).unsqueeze(1)

    def require_same_images(self, particles: Particles, model: str) -> None:
        """InputError, saying what to do, unless the particles' images are like those the network was trained on."""
        if particles.box_px != self.box_px:
            raise InputError(
                f"network '{model}' was trained on images of {self.box_px} px ({self.pixel_size_A:g} Å/px), these "
                f"are {particles.box_px} px "
                f"({particles.pixel_size_A:g} Å/px); bring them to the same size (preprocess --box {self.box_px}) or "
                "train a network for them"
            )
        if abs(particles.pixel_size_A / self.pixel_size_A - 1) > _PIXEL_TOLERANCE:
            raise InputError(
                f"network '{model}' was trained at {self.pixel_size_A:g} Å/px, these images have "
                f"{particles.pixel_size_A:g} Å/px; "
                "rescale them to that pixel size or train a network for them"
            )
        if particles.phase_flipped != self.phase_flipped:
            words = {True: "phase flipped", False: "not phase flipped"}
            remedy = (
                "preprocess these with --phase-flip"
                if self.phase_flipped
                else "use the images as they were before phase flipping"
            )
            raise InputError(
                f"network '{model}' was trained on images that are {words[self.phase_flipped]}, these are "
                f"{words[particles.phase_flipped]}; "
                f"{remedy}, or train a network for them"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)


class ParticleImages(Dataset[tuple[Tensor, Tensor]]):
    """Images by batches of row numbers: item i is (rows (B,), images (B, d, d) float32 as they are in the stacks)."""

    def __init__(self, particles: Particles, batches: Sequence[NDArray[np.int64]]) -> None:
        self.particles, self.batches = particles, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        rows = self.batches[item]
        return torch.from_numpy(rows), torch.from_numpy(read_images(self.particles, rows))


def image_batches(
    particles: Particles, rows: NDArray[np.int64], batch: int, workers: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (rows (B,) on the CPU, images (B, d, d) on the device) in the given order, never more than a few batches at
    a time.
    """
    dataset = ParticleImages(particles, [rows[i : i + batch] for i in range(0, len(rows), batch)])
    loader = DataLoader(dataset, batch_size=None, num_workers=workers, pin_memory=device.type == "cuda")
    for read, images in loader:
        yield read, images.to(device, non_blocking=True)


def split_particles(
    ids: NDArray[np.int64], validation_percent: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of the training and of the validation particles, both sorted by id.

    The choice depends on the ids and the seed, not on the order of rows.
    """
    order = np.argsort(ids)
    count = max(1, round(len(ids) * validation_percent / 100))
    chosen = np.zeros(len(ids), dtype=bool)
    chosen[np.random.default_rng(seed).permutation(len(ids))[:count]] = True
    return order[~chosen], order[chosen]
