"""3D reconstruction by insertion of central slices into Fourier space, weighted by the CTF.

The transform of a particle's projection is the central slice of the map's transform that is perpendicular to the view
(Bracewell; DeRosier & Klug 1968). With the data I = CTF·F + noise, least squares gives, in each cell of Fourier space,
F = Σ CTF·I / (Σ CTF² + regularisation), where the sums run over all samples that fall near the cell with trilinear
weights (Scheres 2012, J Struct Biol 180:519, eqs. 7-9). Images are padded to twice their size, so that interpolation
errors stay small and far from the particle, and the trilinear kernel's own envelope, sinc², is divided out of the map.

torch-fourier-slice also inserts slices, but returns only the interpolation weights: CTF weighting would need a second
insertion of complex numbers per image, and every call allocates new volumes. Here one accumulator updates both sums in
place for any number of batches, so that memory does not depend on the number of particles. The tests compare with the
library.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.arrays import Floats, Singles
from continuousflex_deep.imaging.ctf import ctf_at
from continuousflex_deep.particles import Ctf

# samples inserted at once: on a CPU what stays in its cache, on a GPU what keeps it busy in a few hundred MB
_MOST_SAMPLES = {"cpu": 250_000, "cuda": 8_000_000}
_SLAB = 16  # planes of the grid handled at once
_LEAST_WEIGHT = 1e-3  # of the shell's mean weight, as in RELION: cells with few samples are not amplified


@dataclass(frozen=True)
class SliceGrid:
    """Samples of half a padded image transform, within its Nyquist radius: rows and columns of rfft2, and frequencies.

    row, column (p,) index the rfft2 array; frequency (p, 2) is x, y in padded Fourier pixels.
    """

    row: Tensor
    column: Tensor
    frequency: Tensor

    @classmethod
    def of(cls, padded_px: int, device: torch.device | str) -> "SliceGrid":
        """The grid for images padded to padded_px (even). Friedel mates on the line x = 0 are taken once."""
        ky = torch.fft.fftfreq(padded_px, 1 / padded_px, device=device)
        kx = torch.arange(padded_px // 2 + 1, dtype=torch.float32, device=device)
        inside = ky[:, None] ** 2 + kx[None, :] ** 2 < (padded_px // 2) ** 2
        inside &= (kx[None, :] > 0) | (ky[:, None] >= 0)
        row, column = torch.nonzero(inside, as_tuple=True)
        return cls(row, column, torch.stack([kx[column], ky[row]], dim=1))


class SliceAccumulator:
    """The two sums of a reconstruction, Σ CTF·I (complex) and Σ CTF² (real), over half the padded Fourier space.

    Their cells are those of a (D, D, D/2 + 1) grid in the layout of rfftn (z, y, x), flat, with D twice the image box.
    """

    def __init__(
        self,
        box_px: int,
        pixel_size_A: float,
        symmetry: Floats | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.box_px, self.pixel_size_A = box_px, pixel_size_A
        self.padded_px = 2 * box_px
        self.device = torch.device(device)
        self.grid = SliceGrid.of(self.padded_px, self.device)
        self.operations = torch.eye(3)[None] if symmetry is None else torch.as_tensor(symmetry, dtype=torch.float32)
        size = self.padded_px**2 * (self.padded_px // 2 + 1)
        self.data = torch.zeros(size, 2, device=self.device)  # real and imaginary part
        self.weight = torch.zeros(size, device=self.device)
        self.images = 0

    def add(
        self,
        images: Tensor,
        rotations: Floats,
        shift_A: Floats,
        ctf: Ctf | None,
        flipped: bool = False,
    ) -> None:
        """Insert images (n, d, d) with rotations R (n, 3, 3), which show an atom X at R·X, and centring shifts (n, 2).

        ctf: None to insert without weighting; flipped: the images are phase flipped, so that |CTF| applies.
        """
        step = max(1, _MOST_SAMPLES[self.device.type] // len(self.grid.row))
        for first in range(0, len(images), step):
            part = slice(first, first + step)
            some = None if ctf is None else ctf.select(np.arange(len(rotations))[part])
            samples, weight = self._weighted(images[part], shift_A[part], some, flipped)
            matrices = torch.as_tensor(np.asarray(rotations[part]), dtype=torch.float32)
            for operation in self.operations:
                self._insert(samples, weight, (matrices @ operation.T).to(self.device))
        self.images += len(images)

    def weighted_samples(
        self, images: Tensor, shift_A: Floats, ctf: Ctf | None, flipped: bool = False
    ) -> Tensor:
        """Samples CTF·I (n, p) on the grid of images (n, d, d), as `add` inserts them."""
        return self._weighted(images, shift_A, ctf, flipped)[0]

    def _weighted(
        self, images: Tensor, shift_A: Floats, ctf: Ctf | None, flipped: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Samples CTF·I and CTF² (n, p) of images; the latter None without weighting."""
        samples = self._samples(images, shift_A)
        if ctf is None:
            return samples, None
        transfer = self._transfer(ctf)
        transfer = transfer.abs() if flipped else transfer
        return samples * transfer, transfer**2

    def plus(self, other: "SliceAccumulator") -> "SliceAccumulator":
        """A new accumulator with the sums of this one and another of the same size."""
        self.data += other.data
        self.weight += other.weight
        self.images += other.images
        return self

    def _samples(self, images: Tensor, shift_A: Floats) -> Tensor:
        """Transforms (n, p) of the images, background removed, padded and moved to the centre."""
        d, padded = self.box_px, self.padded_px
        images = images.to(self.device) - background(images.to(self.device))[:, None, None]
        low = padded // 2 - d // 2
        images = torch.nn.functional.pad(images, (low, padded - d - low, low, padded - d - low))
        transform = torch.fft.rfft2(torch.fft.ifftshift(images, dim=(-2, -1)))
        samples = transform[:, self.grid.row, self.grid.column]
        shift_px = torch.as_tensor(np.asarray(shift_A) / self.pixel_size_A, dtype=torch.float32, device=self.device)
        angle = -2 * torch.pi / padded * (shift_px @ self.grid.frequency.T)
        return samples * torch.polar(torch.ones_like(angle), angle)

    def _transfer(self, ctf: Ctf) -> Tensor:
        """CTF (n, p) at the grid's frequencies; particles of one micrograph share theirs, so it is computed once."""
        columns = [getattr(ctf, name) for name in ctf.__dataclass_fields__]
        distinct, place = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        frequency = self.grid.frequency.double() / (self.padded_px * self.pixel_size_A)
        values = ctf_at(Ctf(*distinct.T), frequency[:, 0], frequency[:, 1])
        return values[torch.as_tensor(place.ravel(), device=self.device)]

    def _insert(self, samples: Tensor, weight: Tensor | None, rotations: Tensor) -> None:
        """Spread samples (n, p) with their weights over the eight cells around their place R⁻¹·(x, y, 0)."""
        mate, cells = self._cells(rotations)
        samples = torch.where(mate, samples.conj(), samples).reshape(-1)
        weight = torch.ones_like(samples.real) if weight is None else weight.reshape(-1)
        data = torch.view_as_complex(self.data)
        for index, part in cells:
            self.weight.index_add_(0, index, weight * part)
            data.index_add_(0, index, samples * part)

    def gathered(self, values: Tensor, rotations: Tensor) -> Tensor:
        """Values of the cells (flat, like `weight`), averaged (n, p) by the shares with which samples are inserted."""
        _, cells = self._cells(rotations)
        out = torch.zeros(len(rotations) * len(self.grid.row), device=self.device)
        for index, part in cells:
            out += values[index] * part
        return out.view(len(rotations), -1)

    def inverse_weight(self) -> Tensor:
        """1 / Σ CTF² of the cells (flat), damped as in `volume`."""
        floor = self._floor(_LEAST_WEIGHT * self._mean_weight())
        out = torch.empty(self._shape, device=self.device)
        for planes, _, weight, shell in self._slabs():
            out[planes] = 1 / torch.maximum(weight, floor[shell])
        return out.view(-1)

    def _floor(self, floor: Tensor) -> Tensor:
        """Least weights by shell, beyond Nyquist infinite."""
        never = torch.full((1,), torch.inf, device=self.device)
        return torch.cat([floor, never]).clamp(min=1e-30)

    def _cells(self, rotations: Tensor) -> tuple[Tensor, Iterator[tuple[Tensor, Tensor]]]:
        """Of samples at R⁻¹·(x, y, 0): whether their mates are taken (n, p), and the eight cells around each with its
        share in them, both flat."""
        position = torch.einsum("nij,ip->jnp", rotations[:, :2, :], self.grid.frequency.T)
        mate = position[0] < 0  # F(−k) is the conjugate of F(k): keep to the half with x ≥ 0
        return mate, self._around(torch.where(mate, -position, position).reshape(3, -1))

    def _around(self, position: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        d, half = self.padded_px, self.padded_px // 2 + 1
        lower = torch.floor(position)
        fraction_x, fraction_y, fraction_z = position - lower
        x, y, z = lower.to(torch.int32 if self.weight.numel() < 2**31 else torch.int64)
        # cells and shares on either side along y and z; negative frequencies stand behind the positive ones
        rows_z = [(((z + o) % d) * (d * half), abs(1 - o - fraction_z)) for o in (0, 1)]
        rows_y = [(((y + o) % d) * half + x, abs(1 - o - fraction_y)) for o in (0, 1)]
        for (place_z, share_z), (place_y, share_y) in product(rows_z, rows_y):
            index, share = place_z + place_y, share_z * share_y
            upper = share * fraction_x
            for part in (share - upper, upper):
                yield index, part
                index = index + 1  # the neighbour along x

    def volume(self, signal_to_noise: Floats | None = None) -> Singles:
        """The map (d, d, d), zyx with the centre at pixel d//2; its sums along z are the images of a view along z.

        signal_to_noise: by shell (d//2 + 1,) of the unpadded map, the power of signal over that of noise in the plain
        least-squares map; it makes the division a Wiener filter. Without it, only cells that were sampled less than
        a thousandth as much as others of their shell are damped.
        """
        mean = self._mean_weight()
        if signal_to_noise is None:
            floor, added = _LEAST_WEIGHT * mean, torch.zeros_like(mean)
        else:
            ratio = torch.as_tensor(signal_to_noise, dtype=torch.float32, device=self.device).clamp(min=1e-3)
            floor, added = torch.zeros_like(mean), mean / ratio
        never = torch.full((1,), torch.inf, device=self.device)  # divides what is beyond Nyquist
        floor, added = self._floor(floor), torch.cat([added, never])
        transform = torch.zeros(self._shape, dtype=torch.complex64, device=self.device)
        for planes, data, weight, shell in self._slabs():
            transform[planes] = data / torch.maximum(weight, floor[shell]).add_(added[shell])
        full = torch.fft.irfftn(transform, s=(self.padded_px,) * 3)
        offset = torch.arange(self.box_px, device=self.device) - self.box_px // 2
        cropped = full
        for axis in range(3):  # the transform's origin is the particle's centre
            cropped = cropped.index_select(axis, offset % self.padded_px)
        envelope = torch.sinc(offset / self.padded_px) ** 2
        cropped = cropped / (envelope[:, None, None] * envelope[None, :, None] * envelope[None, None, :])
        return np.asarray(cropped.cpu().numpy(), dtype=np.float32)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.padded_px, self.padded_px, self.padded_px // 2 + 1

    def _mean_weight(self) -> Tensor:
        """Mean Σ CTF² (d//2 + 1,) in shells of the unpadded map."""
        n_shells = self.box_px // 2 + 1
        sums = torch.zeros(2, n_shells + 1, dtype=torch.float64, device=self.device)
        for _, _, weight, shell in self._slabs():
            sums[0] += torch.bincount(shell.ravel(), weights=weight.ravel(), minlength=n_shells + 1)
            sums[1] += torch.bincount(shell.ravel(), minlength=n_shells + 1)
        return (sums[0] / sums[1].clamp(min=1))[:n_shells].float()

    def _slabs(self) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
        """Parts of the grid along z: where, Σ CTF·I, Σ CTF², and shell numbers, d//2 + 1 for cells beyond Nyquist.

        Samples near the plane x = 0 went to one of the plane's two halves, which are mates of each other: both get the
        sum. Parts keep the memory small.
        """
        d = self.padded_px
        data = torch.view_as_complex(self.data).view(self._shape)
        weight = self.weight.view(self._shape)
        data_0, weight_0 = _with_mates(data[..., 0]), _with_mates(weight[..., 0])
        k = torch.fft.fftfreq(d, 1 / d, device=self.device)
        kx = torch.arange(d // 2 + 1, device=self.device)
        for first in range(0, d, _SLAB):
            planes = slice(first, min(first + _SLAB, d))
            radius = torch.sqrt((k[planes, None, None] ** 2 + k[None, :, None] ** 2) + kx**2)
            shell = (radius / 2).round_().clamp_(max=self.box_px // 2)
            shell = shell.masked_fill_(radius >= d // 2, self.box_px // 2 + 1).int()
            part_data, part_weight = data[planes].clone(), weight[planes].clone()
            part_data[..., 0], part_weight[..., 0] = data_0[planes], weight_0[planes]
            yield planes, part_data, part_weight, shell


def _with_mates(plane: Tensor) -> Tensor:
    """Values (D, D) at k on a plane of rfftn's grid plus the conjugates of those at −k."""
    return plane + torch.roll(torch.flip(plane, (0, 1)), (1, 1), (0, 1)).conj()


def background(images: Tensor) -> Tensor:
    """Mean (n,) of each image (n, d, d) outside the centred disc of radius 0.45 boxes, where there is no particle."""
    d = images.shape[-1]
    axis = torch.arange(d, device=images.device) - d // 2
    outside = torch.hypot(axis[:, None].float(), axis[None, :].float()) > 0.45 * d
    return images[:, outside].mean(dim=1)
