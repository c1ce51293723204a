"""The engine's forward model: projections of point atoms and their derivatives, computed in Fourier space.

A projection's transform is P(k) = Σ_a w_a exp(−2πi (kx x_a + ky y_a) / L) with k in Fourier pixels and L the field of
view in Å. The exponential is separable, so all k of a band are one matrix product over the atoms, without pixels,
aliasing or interpolation, for even and odd boxes. A derivative has the factor −2πi k/L outside the sum and the atoms'
motion inside it. Atomic shape, blur and scattering factors are part of the radial transfer estimated from the data.
"""

from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from continuousflex_deep.devices import fast_products, has_bfloat16, has_fast_products
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import so3_grid
from continuousflex_deep.imaging.scattering import forward_scattering
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion import Motion, motion_along

# size of the largest intermediate array, which fits into the cache of a CPU
_TILE = {"cpu": 1 << 20, "cuda": 1 << 28}
# least correlation at low resolution between a symmetric model and the rotated model; fitted pseudoatoms have 0.99
_SYMMETRIC_ABOVE = 0.9


class FrequencyDisc:
    """The Fourier pixels with 0 < |k| ≤ radius, one of each Friedel pair, ordered by |k|: a smaller disc is a prefix.

    kx, ky, ring (n,): coordinates, and |k| rounded, the number of the ring for radial averages.
    """

    def __init__(self, radius_px: int, device: torch.device | str = "cpu") -> None:
        if radius_px < 1:
            raise InputError(f"frequency disc: got a radius of {radius_px} Fourier pixels, expected at least 1")
        self.radius_px, self.device = radius_px, torch.device(device)
        k = radius_px
        ky, kx = torch.meshgrid(torch.arange(-k, k + 1), torch.arange(0, k + 1), indexing="ij")
        squared = kx**2 + ky**2
        keep = (squared <= k * k) & ((kx > 0) | (ky > 0))
        # pixels of equal |k| are ordered by position in a fixed large grid, so that the order is that of any radius
        order = torch.argsort(squared[keep] * (1 << 32) + (ky[keep] + (1 << 14)) * (1 << 16) + kx[keep])
        self._kx, self._ky = kx[keep][order], ky[keep][order]
        self.kx, self.ky = self._kx.float().to(device), self._ky.float().to(device)
        self.ring = torch.hypot(self.kx, self.ky).round().long()
        self._on_axis = torch.nonzero(self._kx == 0).flatten().to(device)
        self._corners: dict[tuple[int, torch.device, torch.dtype], Tensor] = {}

    def __len__(self) -> int:
        return len(self._kx)

    def combined(self, products: Tensor) -> Tensor:
        """Σ exp(−i(kx x + ky y)) (B, W, n) complex from the products (B, 2·(K+1), W, 2·(K+1)) of waves in x and y:
        cosines and sines for k = 0 … K side by side."""
        batch, side, count, _ = products.shape
        x, y, signs = self._products_used
        weighting = side * torch.arange(count, device=products.device)
        first, second = (
            products.flatten(1).index_select(1, c.flatten()).reshape(batch, count, -1)
            for c in (side * count * x + y)[:, None] + weighting[:, None]
        )
        real = torch.addcmul(first * signs[0], second, signs[1])
        return torch.view_as_complex(real.unflatten(2, (-1, 2)))

    @cached_property
    def _products_used(self) -> tuple[Tensor, Tensor, Tensor]:
        """Indices of waves in x and y (2, 2n) and signs (2, 2n) of the two products whose sum is the real or imaginary
        part of each coefficient: cos·cos − sin·sin and −cos·sin − sin·cos, where sin(ky y) = ±sin(|ky| y).
        """
        x, y, sign = 2 * self._kx, 2 * self._ky.abs(), torch.where(self._ky < 0, -1.0, 1.0)
        one = torch.ones_like(sign)
        pairs = (
            [(x, x), (x + 1, x + 1)],
            [(y, y + 1), (y + 1, y)],
            [(one, -sign), (-sign, -one)],
        )
        x, y, sign = (torch.stack([torch.stack(p, dim=1).flatten() for p in pair]).to(self.device) for pair in pairs)
        return x, y, sign

    def gather(self, images: Tensor) -> Tensor:
        """Centred transforms (k, n) complex of images (k, d, d) on this disc; the origin is pixel d//2."""
        d = images.shape[-1]
        if self.radius_px > (d - 1) // 2:
            raise InputError(f"frequency disc of radius {self.radius_px} does not fit images of {d} px")
        # only the columns of the disc are transformed along the second axis
        columns = torch.fft.fft(torch.fft.rfft(images)[..., : self.radius_px + 1], dim=-2)
        chosen = columns[:, (self._ky % d).to(images.device), self._kx.to(images.device)]
        return chosen * self._from_corner(d, chosen)

    def _from_corner(self, box_px: int, like: Tensor) -> Tensor:
        """Factors (n,) from transforms about pixel (0, 0) to transforms about pixel d//2, on the device and of the type
        of `like`."""
        key = (box_px, like.device, like.dtype)
        if key not in self._corners:
            turns = ((self._kx + self._ky) * (box_px // 2) % box_px).double() / box_px
            self._corners[key] = torch.polar(torch.ones_like(turns), 2 * torch.pi * turns).to(like.device, like.dtype)
        return self._corners[key]

    def scatter(self, coefficients: Tensor, box_px: int) -> Tensor:
        """Images (k, d, d) with these centred transforms (k, n) on this disc and 0 outside: the inverse of gather on
        the disc."""
        if self.radius_px > (box_px - 1) // 2:
            raise InputError(f"frequency disc of radius {self.radius_px} does not fit images of {box_px} px")
        rows, columns = (self._ky % box_px).to(self.device), self._kx.to(self.device)
        mates = (-self._ky % box_px).to(self.device)
        out = coefficients.new_zeros(len(coefficients), box_px, box_px // 2 + 1)
        cornered = coefficients * self._from_corner(box_px, coefficients).conj()
        on_axis = self._on_axis  # both coefficients of a Friedel pair are stored there
        out[:, mates[on_axis], 0] = cornered[:, on_axis].conj()
        out[:, rows, columns] = cornered
        return torch.fft.irfft2(out, s=(box_px, box_px))

    @cached_property
    def ring_count(self) -> Tensor:
        """Number of coefficients in each ring (radius+1,); 1 for ring 0, which has none."""
        return torch.bincount(self.ring, minlength=self.radius_px + 1).clamp(min=1)

    def ring_mean(self, values: Tensor) -> Tensor:
        """Means over rings (radius+1,) of values (..., n), averaged over leading dimensions too; ring 0 is 0."""
        flat = values.reshape(-1, len(self)).mean(dim=0)
        total = torch.zeros(self.radius_px + 1, dtype=flat.dtype, device=flat.device).index_add_(0, self.ring, flat)
        return total / self.ring_count


@dataclass(frozen=True, eq=False)
class PointModel:
    """Points (atoms, for example) with weights (A,), and their motion along modes about the weighted centre."""

    weights: Tensor
    motion: Motion[Tensor]

    @staticmethod
    def from_structure(structure: Structure, modes: NormalModes, device: torch.device | str = "cpu") -> "PointModel":
        """The all-atom model. Weights are the atoms' forward electron scattering, with a sum of 1; the centre is
        weighted by atomic number, as in Xmipp."""
        tensor = partial(torch.as_tensor, dtype=torch.float32, device=device)
        density = forward_scattering(structure)
        return PointModel(tensor(density / density.sum()), motion_along(structure.centred(), modes).converted(tensor))

    def coarse_grained(self, group: Tensor) -> "PointModel":
        """One point per group (A,) of atoms (numbered from 0), at the group's weighted centre, with its motion."""
        n = int(group.max()) + 1
        weights = self.weights.new_zeros(n).index_add_(0, group, self.weights)

        def mean(values: Tensor) -> Tensor:
            summed = values.new_zeros(*values.shape[:-2], n, values.shape[-1])
            return summed.index_add_(-2, group, values * self.weights[:, None]) / weights[:, None]

        return PointModel(weights, self.motion.averaged(mean))

    @property
    def radius_A(self) -> float:
        """Distance of the farthest atom from the centre."""
        return float(self.motion.rest_A.norm(dim=1).max())


def require_symmetric(model: PointModel, symmetry: Tensor, name: str) -> None:
    """InputError unless a model is symmetric under the rotations S (s, 3, 3) of the point group `name`."""
    lowest = symmetry_correlation(model, symmetry)
    if lowest < _SYMMETRIC_ABOVE:
        raise InputError(
            f"the structure is not symmetric under the rotations of {name} about its centre (correlation "
            f"{lowest:.2f}); the main axis must be along z, and for d groups a two-fold axis along x"
        )


def symmetry_correlation(model: PointModel, symmetry: Tensor, rings: int = 6) -> float:
    """Lowest correlation, over rotations S (s, 3, 3), of a model's projections at R and at R·S, averaged over views R,
    at a low resolution of `rings` periods across the field."""
    field_A = 2.5 * model.radius_A
    views = torch.as_tensor(so3_grid(60.0), dtype=torch.float32, device=symmetry.device)
    disc = FrequencyDisc(rings, symmetry.device)
    flat, rest = views.new_zeros(len(views), 2), views.new_zeros(len(views), model.motion.n_modes)
    seen = [project(model, disc, field_A, views @ s, flat, rest) for s in symmetry]
    power = [(p.abs() ** 2).sum(dim=1).sqrt() for p in seen]
    first = seen[0]  # the group's first element is the identity
    return min(
        float(((p * first.conj()).real.sum(dim=1) / (n * power[0])).mean()) for p, n in zip(seen, power, strict=True)
    )


def project(
    model: PointModel, disc: FrequencyDisc, field_A: float, rotation: Tensor, shift_A: Tensor, amplitudes: Tensor
) -> Tensor:
    """Transforms (B, n) complex of the model deformed by (B, M), rotated by (B, 3, 3) and displaced by (B, 2) Å.

    The displacement is the particle's position: minus the shift of conventions.md, which moves it back.
    """
    seen = model.motion.seen(rotation[:, :2], amplitudes)
    waves = _waves(seen + shift_A[:, None], disc, field_A)
    return _sums(model.weights.expand(len(seen), 1, -1).transpose(1, 2), waves, disc)[:, 0]


def project_with_jacobian(
    model: PointModel,
    disc: FrequencyDisc,
    field_A: float,
    rotation: Tensor,
    shift_A: Tensor,
    amplitudes: Tensor,
    along_modes: bool = True,
) -> tuple[Tensor, Tensor]:
    """`project`, and its derivatives (B, 5 + M, n) complex with respect to rotation vector (rad, applied from the
    left), displacement (Å) and amplitudes; without along_modes those (B, 5, n) of the pose only."""
    seen = model.motion.seen(rotation, amplitudes)
    motions = [torch.ones_like(seen[..., :1]), seen]
    if along_modes:
        motions.append(model.motion.seen_derivative(rotation[:, :2], amplitudes))
    weightings = torch.cat(motions, dim=2) * model.weights[:, None]
    sums = _sums(weightings, _waves(seen[..., :2] + shift_A[:, None], disc, field_A), disc)
    one, sx, sy, sz = sums[:, :4].unbind(dim=1)
    ux, uy = sums[:, 4::2], sums[:, 5::2]
    kx, ky = disc.kx, disc.ky
    pose = torch.stack([-ky * sz, kx * sz, ky * sx - kx * sy, kx * one, ky * one], dim=1)
    return one, torch.cat([pose, kx * ux + ky * uy], dim=1) * (-2j * torch.pi / field_A)


def _waves(position_A: Tensor, disc: FrequencyDisc, field_A: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine (B, A, 2·(K+1)) of 2π k x / L for k = 0 … K, side by side, for x and for y.

    Only k = 1 is evaluated; the others are its powers, whose number doubles in each step: several times faster.
    """
    phase = (2 * torch.pi / field_A) * position_A.movedim(-1, 0)
    first = torch.polar(torch.ones_like(phase), phase)
    waves = first.new_empty(*phase.shape, disc.radius_px + 1)
    waves[..., 0], waves[..., 1] = 1, first
    have = 1
    while have < disc.radius_px:
        fresh = min(have, disc.radius_px - have)
        torch.mul(waves[..., 1 : fresh + 1], waves[..., have, None], out=waves[..., have + 1 : have + 1 + fresh])
        have += fresh
    x, y = torch.view_as_real(waves).flatten(-2)
    return x, y


def _sums(weightings: Tensor, waves: tuple[Tensor, Tensor], disc: FrequencyDisc) -> Tensor:
    """Σ over atoms of weighting · exp(−i(kx x + ky y)) on the disc: (B, W, n) complex for weightings (B, A, W).

    All sums except the first one are derivatives; they are computed in reduced precision if that is faster: an error of
    half a percent in a derivative, independent for each coefficient, is negligible beside the noise of images.
    """
    device = weightings.device
    rounded = device.type == "cpu" and has_bfloat16(device) and weightings.dtype == torch.float32
    if weightings.shape[2] == 1 or not (rounded or has_fast_products(device)):
        return disc.combined(products_of_waves(weightings, waves))
    first = disc.combined(products_of_waves(weightings[..., :1], waves))
    others = weightings[..., 1:]
    if rounded:
        return torch.cat([first, disc.combined(products_of_waves(others, waves, rounded=True))], dim=1)
    with fast_products(device):
        products = products_of_waves(others, waves)
    return torch.cat([first, disc.combined(products)], dim=1)


def products_of_waves(weightings: Tensor, waves: tuple[Tensor, Tensor], rounded: bool = False) -> Tensor:
    """Σ over atoms (B, 2·(K+1), W, 2·(K+1)) of waves in x times weighting times waves in y; rounded: with factors in
    bfloat16."""
    wave_x, wave_y = waves
    batch, atoms, count = weightings.shape
    side = wave_x.shape[-1]
    out = wave_x.new_empty(batch, side, count * side)
    step = min(atoms, max(1, _TILE["cpu" if out.device.type == "cpu" else "cuda"] // (batch * count * side)))
    # one buffer for all tiles: to allocate a product costs as much as the sum over atoms
    weighted = wave_y.new_empty(batch, step, count, side)
    for start in range(0, atoms, step):
        part, here = slice(start, start + step), weighted[:, : atoms - start]
        torch.mul(weightings[:, part, :, None], wave_y[:, part, None], out=here)
        x, y = wave_x[:, part].transpose(1, 2), here.flatten(2)
        if rounded:
            sums = torch.bmm(x.bfloat16(), y.bfloat16())
            out = sums.float() if start == 0 else out.add_(sums)
        else:
            out.baddbmm_(x, y, beta=float(start > 0))
    return out.reshape(batch, side, count, side)
