"""Projected electron scattering of atoms, exact in Fourier space.

An element's scattering factor is a sum of five Gaussians, f(k) = Σ aᵢ exp(−bᵢ k²/4) with k in 1/Å and f in Å (Peng,
Ren, Dudarev & Whelan, Acta Cryst A 1996, 52:257; gemmi's table). The transform of a projection is therefore F(k) =
Σ_atoms f(|k|) exp(−2πi k·x), evaluated at the discrete frequencies of the image for atoms at any position, without
interpolation or aliasing; the image is the projection band-limited at its Nyquist frequency.
"""

from dataclasses import dataclass

import gemmi
import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.structures import Structure


@dataclass(frozen=True, eq=False)
class Scatterer:
    """The atoms of one element: rows (n,) in the structure, weights (n,), and the element's five a (Å) and b (Å²)."""

    rows: Tensor
    weights: Tensor
    a: tuple[float, ...]
    b: tuple[float, ...]

    def factor(self, frequency_squared: Tensor) -> Tensor:
        """f(k) in Å at squared frequencies (...) in 1/Å²."""
        terms = (a * torch.exp(-b / 4 * frequency_squared) for a, b in zip(self.a, self.b, strict=True))
        return torch.stack(list(terms)).sum(dim=0)


def scatterers(structure: Structure, b_factor_A2: float = 0.0) -> list[Scatterer]:
    """A structure's atoms by element. A pseudoatom scatters like carbon, multiplied by its weight.

    b_factor_A2 blurs all atoms equally: f(k) exp(−B k²/4). Raises InputError for an element that is not in the table.
    """
    found = []
    for number in np.unique(structure.atomic_number):
        element = gemmi.Element(int(number))
        table = element.c4322
        rows = np.flatnonzero(structure.atomic_number == number)
        if table is None or not any(table.a):
            raise InputError(
                f"no electron scattering factors for element {element.name} (Z = {number}) of "
                f"{structure.describe(rows)}; leave these atoms out by --select 'not [{element.name}]', also of nma"
            )
        found.append(
            Scatterer(
                rows=torch.as_tensor(rows),
                weights=torch.as_tensor(structure.weights[rows] / number),
                a=tuple(table.a),
                b=tuple(b + b_factor_A2 for b in table.b),
            )
        )
    return found


def forward_scattering(structure: Structure) -> np.ndarray:
    """Forward scattering f(0) = Σ aᵢ in Å of each atom (N,), times its weight per electron (1 for real atoms)."""
    amounts = np.empty(len(structure))
    for s in scatterers(structure):
        amounts[s.rows.numpy()] = s.weights.numpy() * sum(s.a)
    return amounts


def project(atoms: list[Scatterer], xy_A: Tensor, box_px: int, pixel_size_A: float) -> Tensor:
    """Projection (d, d), float32, of atoms at image positions xy_A (N, 2) in Å from the centre pixel d//2.

    Values are projected scattering amplitude per area, in 1/Å; the sum over pixels times the pixel's area is Σ f(0).
    """
    return torch.fft.fftshift(
        torch.fft.irfft2(projection_transform(atoms, xy_A, box_px, pixel_size_A), s=(box_px, box_px))
    )


def projection_transform(atoms: list[Scatterer], xy_A: Tensor, box_px: int, pixel_size_A: float) -> Tensor:
    """Transforms (…, d, d//2+1), complex64, of projections of atoms at (…, N, 2), with their origin at pixel (0, 0), in
    the layout of rfft2; on the device of the positions."""
    kx = torch.fft.rfftfreq(box_px, pixel_size_A, dtype=torch.float64, device=xy_A.device)
    ky = torch.fft.fftfreq(box_px, pixel_size_A, dtype=torch.float64, device=xy_A.device)
    k2 = ky[:, None] ** 2 + kx[None, :] ** 2
    total = torch.zeros(*xy_A.shape[:-2], len(ky), len(kx), dtype=torch.complex64, device=xy_A.device)
    for element in atoms:
        position = xy_A[..., element.rows.to(xy_A.device), :].double()
        wave_x = waves(kx, position[..., 0])
        wave_y = waves(ky, position[..., 1]) * element.weights.to(xy_A.device)[:, None]
        sums = wave_y.to(torch.complex64).transpose(-1, -2) @ wave_x.to(torch.complex64)
        total += sums * element.factor(k2).float()
    return _without_nyquist(total, box_px) / pixel_size_A**2


def density(atoms: list[Scatterer], coords_A: Tensor, box_px: int, pixel_size_A: float) -> Tensor:
    """Map (d, d, d) in zyx order, float32, of atoms at coords_A (N, 3) in Å from the centre voxel d//2, in 1/Å²."""
    kx = torch.fft.rfftfreq(box_px, pixel_size_A, dtype=torch.float64)
    k = torch.fft.fftfreq(box_px, pixel_size_A, dtype=torch.float64)
    k2 = k[:, None] ** 2 + kx[None, :] ** 2
    total = torch.zeros(box_px, box_px, len(kx), dtype=torch.complex64)
    for element in atoms:
        position = coords_A[element.rows].double()
        wave_x = waves(kx, position[:, 0]).to(torch.complex64)
        wave_y = waves(k, position[:, 1]).to(torch.complex64)
        wave_z = (waves(k, position[:, 2]) * element.weights[:, None]).to(torch.complex64)
        for plane in range(box_px):
            sums = (wave_y * wave_z[:, plane : plane + 1]).T @ wave_x
            total[plane] += sums * element.factor(k2 + k[plane] ** 2).float()
    total = _without_nyquist(total, box_px) / pixel_size_A**3
    if box_px % 2 == 0:
        total[box_px // 2] = 0
    return torch.fft.fftshift(torch.fft.irfftn(total, s=(box_px,) * 3))


def waves(frequency: Tensor, position_A: Tensor) -> Tensor:
    """exp(−2πi k x), (…, n, frequencies), complex128, for positions (…, n) in Å and frequencies in 1/Å."""
    turns = position_A[..., None] * frequency
    return torch.polar(torch.ones_like(turns), -2 * torch.pi * turns)


def _without_nyquist(transform: Tensor, box_px: int) -> Tensor:
    """Without the Nyquist lines of an even box: they have no Friedel mates, so atoms off the centre have no value."""
    if box_px % 2 == 0:
        transform[..., box_px // 2, :] = 0
        transform[..., :, box_px // 2] = 0
    return transform
