"""Images for the network: read from disk by particle when they are needed, with one preprocess for every use."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.imaging.ctf import ctf_at
from continuousflex_deep.imaging.fourier import resize
from continuousflex_deep.imaging.projector import FrequencyDisc
from continuousflex_deep.imaging.spectra import noise_outside_particle
from continuousflex_deep.io.stacks import read_images_with_reasons, require_usable_images
from continuousflex_deep.nn.model import SMALLEST_BOX_PX
from continuousflex_deep.particles import Ctf, Particles
from continuousflex_deep.sampling import same_pixel_size


@dataclass(frozen=True)
class Preprocess:
    """From images in the stack to the network's input; the same in training, validation and inference.

    box_px, pixel_size_A, phase_flipped: the required stacks; network_box_px: the images are reduced to this box over
    the same field of view. noise: root mean power of the noise by ring of Fourier pixels, up to the new box's last
    whole ring; if given, phases are flipped (unless they already are), noise is whitened, and what is beyond these
    rings is removed. with_ctf: whether the CTF of the images was known; without it phases are not changed. Each image
    is finally normalised to mean 0 and deviation 1, so that no other statistics of the set are needed.
    """

    box_px: int
    pixel_size_A: float
    phase_flipped: bool
    network_box_px: int
    noise: tuple[float, ...] = ()
    with_ctf: bool = False

    @staticmethod
    def for_particles(particles: Particles, network_box_px: int) -> "Preprocess":
        """The preprocess for these particles, without whitening; network_box_px 0 keeps their box."""
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
        known = particles.ctf is not None
        return Preprocess(particles.box_px, particles.pixel_size_A, particles.phase_flipped, box, with_ctf=known)

    def with_noise_of(self, images: Tensor) -> "Preprocess":
        """The same, whitening noise like that in the corners of these images (n, d, d), where the particle hardly
        reaches."""
        standard, disc = _standardised(images.float()), self.disc(images.device)
        noise = noise_outside_particle(standard, disc, radius_px=self.box_px / 2)
        noise[:2] = noise[2]  # subtracting the mean has weakened the lowest frequencies
        return replace(self, noise=tuple(noise.tolist()))

    @property
    def field_A(self) -> float:
        """Side of the images in Å."""
        return self.box_px * self.pixel_size_A

    @property
    def network_pixel_size_A(self) -> float:
        """Pixel size of the network's input in Å."""
        return self.field_A / self.network_box_px

    def disc(self, device: torch.device) -> FrequencyDisc:
        """The whole rings of the network's box."""
        return _disc((self.network_box_px - 1) // 2, device)

    def __call__(self, images: Tensor, ctf: Ctf | None = None) -> Tensor:
        """Images (B, d, d) as read to the network's input (B, 1, n, n); ctf: of these particles, without which phases
        are not changed."""
        if not self.noise:
            return _standardised(resize(images.float(), self.network_box_px)).unsqueeze(1)
        centred = images.float() - images.float().mean(dim=(1, 2), keepdim=True)
        coefficients = self.disc(images.device).gather(centred)
        if ctf is not None and self.with_ctf and not self.phase_flipped:
            coefficients = coefficients * self.optics(ctf, images.device).sign()
        return self.of_coefficients(coefficients)

    def of_coefficients(self, coefficients: Tensor) -> Tensor:
        """The network's input from Fourier coefficients (B, n) on `disc`; phases are flipped if noise is given."""
        disc = self.disc(coefficients.device)
        if self.noise:
            coefficients = coefficients / _on_disc(self.noise, disc)
        return _standardised(disc.scatter(coefficients, self.network_box_px)).unsqueeze(1)

    def optics(self, ctf: Ctf, device: torch.device) -> Tensor:
        """The CTF (B, n) of particles on `disc`."""
        disc = self.disc(device)
        return ctf_at(ctf, disc.kx / self.field_A, disc.ky / self.field_A)

    def require_same_images(self, particles: Particles, model: str) -> None:
        """InputError, with advice, unless the particles' images are like those the network was trained on."""
        if particles.box_px != self.box_px:
            raise InputError(
                f"network '{model}' was trained on images of {self.box_px} px ({self.pixel_size_A:g} Å/px), these "
                f"are {particles.box_px} px "
                f"({particles.pixel_size_A:g} Å/px); bring them to the same size (preprocess --box {self.box_px}) or "
                "train a network for them"
            )
        if not same_pixel_size(particles.pixel_size_A, self.pixel_size_A):
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

        if self.noise and self.with_ctf and not self.phase_flipped:
            particles.require_ctf(f"network '{model}', which flips phases itself,")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Preprocess":
        """The preprocess that to_dict described."""
        return Preprocess(**{**values, "noise": tuple(values["noise"])})


class ImageReader:
    """Reads batches of images ahead, in threads: reading mostly waits for the disk.

    Iteration yields, in the order of the batches, (rows (B,), images (B, d, d) float32 on the device, reasons (B,) why
    an image cannot be used, '' if it can). At most readers + 1 batches are held.
    """

    def __init__(
        self, particles: Particles, batches: Sequence[Integers], readers: int, device: torch.device
    ) -> None:
        self.particles, self.batches, self.readers, self.device = particles, batches, readers, device

    def __iter__(self) -> Iterator[tuple[Integers, Tensor, NDArray[np.object_]]]:
        if self.readers == 0:
            yield from (self._moved(self._read(rows)) for rows in self.batches)
            return
        pool = ThreadPoolExecutor(self.readers, thread_name_prefix="images")
        try:
            todo = iter(self.batches)
            reading = deque(pool.submit(self._read, rows) for rows in islice(todo, self.readers + 1))
            while reading:
                done = reading.popleft().result()
                reading.extend(pool.submit(self._read, rows) for rows in islice(todo, 1))
                yield self._moved(done)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, rows: Integers) -> tuple[Integers, Tensor, NDArray[np.object_]]:
        images, reasons = read_images_with_reasons(self.particles, rows)
        tensor = torch.from_numpy(images)
        return rows, tensor.pin_memory() if self.device.type == "cuda" else tensor, reasons

    def _moved(
        self, read: tuple[Integers, Tensor, NDArray[np.object_]]
    ) -> tuple[Integers, Tensor, NDArray[np.object_]]:
        rows, images, reasons = read
        return rows, images.to(self.device, non_blocking=True), reasons


def image_batches(
    particles: Particles, batches: Sequence[Integers], readers: int, device: torch.device
) -> Iterator[tuple[Integers, Tensor]]:
    """Yield (rows (B,), images (B, d, d) on the device) of batches of rows, read ahead. InputError if an image cannot
    be used."""
    for rows, images, reasons in ImageReader(particles, batches, readers, device):
        require_usable_images(particles.ids[rows], reasons)
        yield rows, images


def in_batches(rows: Integers, size: int) -> list[Integers]:
    """Rows in their order, `size` at a time."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def ctf_of(particles: Particles, rows: Integers) -> Ctf | None:
    """The CTF of some rows, if it is known."""
    return None if particles.ctf is None else particles.ctf.select(rows)


def split_particles(
    ids: Integers, validation_percent: float, seed: int, seen: ArrayLike = ()
) -> tuple[Integers, Integers]:
    """Row numbers of the training and of the validation particles, both sorted by id.

    Each particle draws a random number from its id and the seed, and the lowest ones validate. The choice therefore
    does not depend on the order of rows and hardly on the other particles. Particles that a network has `seen` before
    do not validate it. InputError if it has seen all.
    """
    order = np.argsort(ids)
    lots = np.where(np.isin(ids[order], np.asarray(seen)), np.inf, _lots(ids[order], seed, 0))
    count = min(max(1, round(len(ids) * validation_percent / 100)), int(np.isfinite(lots).sum()))
    if count == 0:
        raise InputError(
            f"the starting network was trained on all {len(ids)} particles, and none is left to validate it; "
            "add particles that it has not seen, or train without --start-from"
        )
    chosen = np.zeros(len(ids), dtype=bool)
    chosen[np.argsort(lots, kind="stable")[:count]] = True
    return order[~chosen], order[chosen]


def split_halves(
    ids: Integers, seed: int, seen: tuple[ArrayLike, ArrayLike] = ((), ())
) -> tuple[Integers, Integers]:
    """Row numbers of two halves of the particles, each sorted by id, by random numbers as in split_particles. Particles
    that the starting networks of the halves have `seen` stay in their half."""
    order = np.argsort(ids)
    kept = [np.isin(ids[order], np.asarray(of_half)) for of_half in seen]
    lots = np.where(kept[0], -1.0, np.where(kept[1], 2.0, _lots(ids[order], seed, 1)))
    count = int(np.clip(len(ids) // 2, kept[0].sum(), len(ids) - (kept[1] & ~kept[0]).sum()))
    first = np.zeros(len(ids), dtype=bool)
    first[np.argsort(lots, kind="stable")[:count]] = True
    return order[first], order[~first]


def _lots(ids: Integers, seed: int, purpose: int) -> Floats:
    """A number in [0, 1) for each id, determined by the id, the seed and the purpose (splitmix64, Steele et al.
    2014)."""
    with np.errstate(over="ignore"):
        x = ids.astype(np.uint64) + np.uint64(seed * 4 + purpose + 1) * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)) / 2.0**53


def _standardised(images: Tensor) -> Tensor:
    """Images (B, d, d) of mean 0 and deviation 1."""
    mean, deviation = images.mean(dim=(1, 2), keepdim=True), images.std(dim=(1, 2), keepdim=True)
    # an image can lose all its contrast with its high frequencies; it then becomes zero instead of NaN
    return (images - mean) / deviation.clamp(min=1e-12)


@lru_cache(maxsize=8)
def _on_disc(rings: tuple[float, ...], disc: FrequencyDisc) -> Tensor:
    """Values (n,) on a disc of values by ring."""
    return torch.tensor(rings, device=disc.device)[disc.ring]


@lru_cache(maxsize=8)
def _disc(radius_px: int, device: torch.device) -> FrequencyDisc:
    return FrequencyDisc(radius_px, device)
