"""The engine's forward model: projections of point atoms, and their derivatives, straight in Fourier space.

A projection's transform is P(k) = Σ_a w_a exp(−2πi (kx x_a + ky y_a) / L) with k in Fourier pixels and L the field of
view in Å. The exponential is separable, so all k of a band come from one matrix product over the atoms, without
pixels, aliasing or interpolation, for even and odd boxes alike. A derivative multiplies by −2πi k/L outside the sum
and weights the atoms by their motion inside it. The shape of atoms, blur and scattering factors are left to the radial
transfer estimated from the data.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.errors import InputError
from continuousflex_deep.imaging.scattering import forward_scattering
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure


class FrequencyDisc:
    """The Fourier pixels with 0 < |k| ≤ radius, one of each Friedel pair, ordered by |k|: a smaller disc is a prefix.

    kx, ky, ring (n,): coordinates, and |k| rounded. The ring is the unit of radial averages.
    """

    def __init__(self, radius_px: int, device: torch.device | str = "cpu") -> None:
        if radius_px < 1:
            raise InputError(f"frequency disc: got a radius of {radius_px} Fourier pixels, expected at least 1")
        self.radius_px, self.device = radius_px, torch.device(device)
        k = radius_px
        ky, kx = torch.meshgrid(torch.arange(-k, k + 1), torch.arange(0, k + 1), indexing="ij")
        squared = kx**2 + ky**2
        keep = (squared <= k * k) & ((kx > 0) | (ky > 0))
        # ties of |k| are broken by position in a fixed large grid, so that the order does not depend on the radius
        order = torch.argsort(squared[keep] * (1 << 32) + (ky[keep] + (1 << 14)) * (1 << 16) + kx[keep])
        self._kx, self._ky = kx[keep][order], ky[keep][order]
        self.kx, self.ky = self._kx.float().to(device), self._ky.float().to(device)
        self.ring = torch.hypot(self.kx, self.ky).round().long()

    def __len__(self) -> int:
        return len(self._kx)

    @cached_property
    def quadrants(self) -> Tensor:
        """Where each coefficient lies in the (2, K+1, K+1) quadrants of positive and negative ky, flattened (n,)."""
        side = self.radius_px + 1
        return ((self._ky < 0).long() * side * side + self._ky.abs() * side + self._kx).to(self.device)

    def gather(self, images: Tensor) -> Tensor:
        """Centred transforms (k, n) complex of images (k, d, d) on this disc; the origin is pixel d//2."""
        d = images.shape[-1]
        if self.radius_px > (d - 1) // 2:
            raise InputError(f"frequency disc of radius {self.radius_px} does not fit images of {d} px")
        transform = torch.fft.rfft2(torch.fft.ifftshift(images, dim=(-2, -1)))
        return transform[:, (self._ky % d).to(images.device), self._kx.to(images.device)]

    def ring_mean(self, values: Tensor) -> Tensor:
        """Means over rings (radius+1,) of values (..., n), averaged over leading dimensions too; ring 0 is 0."""
        flat = values.reshape(-1, len(self)).mean(dim=0)
        total = torch.zeros(self.radius_px + 1, dtype=flat.dtype, device=flat.device).index_add_(0, self.ring, flat)
        return total / torch.bincount(self.ring, minlength=self.radius_px + 1).clamp(min=1)


@dataclass(frozen=True, eq=False)
class PointModel:
    """Atoms that move along modes: coords_A (A, 3) about the weighted centre, weights (A,), modes (M, A, 3).

    Modes have their net translation removed, so a deformed model stays on its weighted centre, as Xmipp's --centerPDB
    does.
    """

    coords_A: Tensor
    weights: Tensor
    modes: Tensor

    @staticmethod
    def from_structure(structure: Structure, modes: NormalModes, device: torch.device | str = "cpu") -> "PointModel":
        """The all-atom model. Weights are the atoms' forward electron scattering, normalised to sum 1; the centre is
        Xmipp's, weighted by atomic number."""
        mass = structure.weights / structure.weights.sum()
        density = forward_scattering(structure)
        x = structure.coords_A - structure.center_A
        v = modes.vectors - np.einsum("a,mad->md", mass, modes.vectors)[:, None]
        tensors = (torch.as_tensor(a, dtype=torch.float32, device=device) for a in (x, density / density.sum(), v))
        return PointModel(*tensors)

    def coarse_grained(self, group: Tensor) -> "PointModel":
        """One point per group (A,) of atoms (numbered from 0) at its weighted centre, moving as the centre does."""
        n = int(group.max()) + 1
        weights = self.weights.new_zeros(n).index_add_(0, group, self.weights)

        def centre(values: Tensor) -> Tensor:
            summed = values.new_zeros(n, 3).index_add_(0, group, values * self.weights[:, None])
            return summed / weights[:, None]

        modes = [centre(v) for v in self.modes]
        return PointModel(
            coords_A=centre(self.coords_A),
            weights=weights,
            modes=torch.stack(modes) if modes else self.modes.new_zeros(0, n, 3),
        )

    @property
    def radius_A(self) -> float:
        """Distance of the farthest atom from the centre."""
        return float(self.coords_A.norm(dim=1).max())

    def deformed(self, amplitudes: Tensor) -> Tensor:
        """Coordinates (B, A, 3) for amplitudes (B, M)."""
        return self.coords_A + torch.einsum("bm,mad->bad", amplitudes, self.modes)


def project(
    model: PointModel, disc: FrequencyDisc, field_A: float, rotation: Tensor, shift_A: Tensor, amplitudes: Tensor
) -> Tensor:
    """Transforms (B, n) complex of the model rotated by (B, 3, 3), deformed by (B, M) and displaced by (B, 2) Å.

    The displacement is where the particle is: minus the shift of conventions.md, which moves it back.
    """
    seen = torch.einsum("bij,baj->bai", rotation[:, :2], model.deformed(amplitudes))
    wave_x, wave_y = _waves(seen + shift_A[:, None], disc, field_A)
    return _products(wave_y * model.weights, wave_x, disc)


def project_with_jacobian(
    model: PointModel,
    disc: FrequencyDisc,
    field_A: float,
    rotation: Tensor,
    shift_A: Tensor,
    amplitudes: Tensor,
    along_modes: bool = True,
) -> tuple[Tensor, Tensor]:
    """`project`, and its derivatives (B, 5 + M, n) complex by rotation vector (rad, applied from the left),
    displacement (Å), amplitudes; without along_modes those (B, 5, n) of the pose alone."""
    seen = torch.einsum("bij,baj->bai", rotation, model.deformed(amplitudes))
    moved = torch.einsum("bij,maj->bmai", rotation[:, :2], model.modes if along_modes else model.modes[:0])
    wave_x, wave_y = _waves(seen[..., :2] + shift_A[:, None], disc, field_A)
    x, y, z = seen.unbind(dim=-1)
    motions = torch.cat([torch.stack([torch.ones_like(x), x, y, z], dim=1), moved[..., 0], moved[..., 1]], dim=1)
    batch, count = motions.shape[:2]
    weighted = (motions * model.weights)[:, :, None, :] * wave_y[:, None]
    sums = _products(weighted.reshape(batch, -1, wave_y.shape[-1]), wave_x, disc, count)
    one, sx, sy, sz = sums[:, :4].unbind(dim=1)
    ux, uy = sums[:, 4:].chunk(2, dim=1)
    kx, ky = disc.kx, disc.ky
    inner = torch.cat(
        [torch.stack([-ky * sz, kx * sz, ky * sx - kx * sy, kx * one, ky * one], dim=1), kx * ux + ky * uy], dim=1
    )
    return one, inner * (-2j * torch.pi / field_A)


def _waves(position_A: Tensor, disc: FrequencyDisc, field_A: float) -> tuple[Tensor, Tensor]:
    """Cosines then sines (B, 2·(K+1), A) of 2π k x / L for k = 0 … K, for x and for y.

    Only k = 1 is evaluated; the others are its powers, doubled at each turn, which is several times faster.
    """
    phase = (2 * torch.pi / field_A) * position_A.movedim(-1, 0)
    axes, batch, atoms = phase.shape
    waves = phase.new_empty(axes, batch, 2, disc.radius_px + 1, atoms)
    cosine, sine = waves[:, :, 0], waves[:, :, 1]
    cosine[:, :, 0], sine[:, :, 0] = 1, 0
    cosine[:, :, 1], sine[:, :, 1] = torch.cos(phase), torch.sin(phase)
    have = 1
    while have < disc.radius_px:
        fresh = min(have, disc.radius_px - have)
        low, top, new = slice(1, fresh + 1), slice(have, have + 1), slice(have + 1, have + 1 + fresh)
        cosine[:, :, new] = cosine[:, :, low] * cosine[:, :, top] - sine[:, :, low] * sine[:, :, top]
        sine[:, :, new] = cosine[:, :, low] * sine[:, :, top] + sine[:, :, low] * cosine[:, :, top]
        have += fresh
    x, y = waves.flatten(2, 3)
    return x, y


def _products(weighted_y: Tensor, wave_x: Tensor, disc: FrequencyDisc, count: int | None = None) -> Tensor:
    """Σ over atoms of exp(−i(ky y + kx x)) on the disc: (B, n), or (B, count, n) for `count` weightings of the y
    waves."""
    side = disc.radius_px + 1
    p = torch.bmm(weighted_y, wave_x.transpose(1, 2)).reshape(len(wave_x), -1, 2, side, 2, side)
    cc, cs, sc, ss = p[:, :, 0, :, 0], p[:, :, 0, :, 1], p[:, :, 1, :, 0], p[:, :, 1, :, 1]
    real = torch.stack([cc - ss, cc + ss], dim=2).flatten(2)[..., disc.quadrants]
    imaginary = torch.stack([-sc - cs, sc - cs], dim=2).flatten(2)[..., disc.quadrants]
    out = torch.complex(real, imaginary)
    return out[:, 0] if count is None else out
