"""The global search: every particle against projections on an SO(3) grid, over shifts and a few conformations.

The correlations with a conformation are one matrix product: (particles × shifts) × orientations, in a low-resolution
disc where a grid of 15° is fine enough. Rounding does not matter, because what it ranks is refined afterwards. The
score of a reference is the gain in log-likelihood with its best scale, (y·m)²/(m·m).
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.profiler import record_function

from continuousflex_deep.devices import fast_products
from continuousflex_deep.geometry import so3_grid
from continuousflex_deep.hemnma.refine import State, Whitened
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel, project

# correlations computed at a time: on a CPU they stay in the cache
_CORRELATIONS = {"cpu": 1 << 21, "cuda": 1 << 28}


class ReferenceLibrary:
    """Projections of a model in several conformations (C, M) over a grid of orientations; symmetry (s, 3, 3) leaves the
    asymmetric part of it."""

    def __init__(
        self,
        model: PointModel,
        disc: FrequencyDisc,
        field_A: float,
        step_deg: float,
        max_shift_A: float,
        conformations: Tensor,
        symmetry: Tensor | None = None,
    ) -> None:
        self.disc, self.field_A = disc, field_A
        device = model.weights.device
        rotation = torch.as_tensor(so3_grid(step_deg), dtype=torch.float32, device=device)
        self.rotation = rotation if symmetry is None else _without_mates(rotation, symmetry)
        self.amplitudes = conformations.to(device)
        self.shifts_A = _shift_grid(max_shift_A, field_A / disc.radius_px / 2.5).to(device)
        self.references = torch.cat([self._project(model, q) for q in self.amplitudes])
        self.power = self.references.abs() ** 2
        self._real = torch.view_as_real(self.references).flatten(1)

    def _project(self, model: PointModel, amplitudes: Tensor, chunk: int = 512) -> Tensor:
        parts = []
        for r in self.rotation.split(chunk):
            q = amplitudes.expand(len(r), -1)
            parts.append(project(model, self.disc, self.field_A, r, q.new_zeros(len(r), 2), q))
        return torch.cat(parts)

    def best(self, images: Whitened, count: int, apart_deg: float, known: Tensor | None = None) -> State:
        """The `count` best orientations of each particle, at least apart_deg from each other, with shift and
        conformation.

        known: amplitudes (k, M) that are given; each particle is then compared with the library's nearest conformation,
        and keeps its own.
        """
        most = _CORRELATIONS["cpu" if self.rotation.device.type == "cpu" else "cuda"]
        step = max(1, most // (len(self.rotation) * len(self.shifts_A)))
        with record_function("search"):
            parts = [
                self._best(images, slice(start, start + step), count, apart_deg, known)
                for start in range(0, len(images.data), step)
            ]
        return State(
            *(
                torch.cat([getattr(p, n) for p in parts])
                for n in ("rotation", "displacement_A", "amplitudes", "particle")
            )
        )

    def _best(self, images: Whitened, rows: slice, count: int, apart_deg: float, known: Tensor | None) -> State:
        moved, w = self._moved_back(images, rows), images.filter[rows]
        nearest = None if known is None else torch.cdist(known[rows], self.amplitudes).argmin(dim=1)
        gain, conformation = self._gains(moved, w, nearest)
        with record_function("distinct orientations"):
            chosen = self._spread(gain, count, apart_deg)
        row = torch.arange(len(w), device=w.device)[:, None].expand_as(chosen)
        conformation = conformation.gather(1, chosen)
        # the best shift is looked up only for the selected ones: finding a maximum is faster than finding its position
        references = self._real[conformation * len(self.rotation) + chosen]
        shift = (references @ moved.transpose(1, 2)).argmax(dim=2)
        return State(
            self.rotation[chosen.flatten()],
            self.shifts_A[shift.flatten()],
            self.amplitudes[conformation.flatten()] if known is None else known[rows][row.flatten()],
            (row + rows.start).flatten(),
        )

    def _moved_back(self, images: Whitened, rows: slice) -> Tensor:
        """Particles filtered as the references are, and shifted by minus each shift: (k, shifts, 2n)."""
        phase = 2 * torch.pi / self.field_A * (self.shifts_A @ torch.stack([self.disc.kx, self.disc.ky]))
        moved = (images.filter[rows] * images.data[rows])[:, None] * torch.polar(torch.ones_like(phase), phase)
        return torch.view_as_real(moved).flatten(2)

    def _gains(self, moved: Tensor, w: Tensor, nearest: Tensor | None) -> tuple[Tensor, Tensor]:
        """The best gain (k, orientations) over shifts and conformations, and the conformation that it belongs to;
        nearest (k,): only that conformation of each particle."""
        size = len(self.rotation)
        gain = w.new_full((len(w), size), -1.0)
        which = torch.zeros(gain.shape, dtype=torch.long, device=w.device)
        for i in range(len(self.amplitudes)):
            part = slice(i * size, (i + 1) * size)
            with fast_products(w.device):
                cross = (moved.flatten(0, 1) @ self._real[part].T).unflatten(0, moved.shape[:2])
                norm = (w * w) @ self.power[part].T
            new = cross.amax(dim=1).clamp(min=0) ** 2 / norm.clamp(min=1e-30)
            better = new > gain if nearest is None else (nearest == i)[:, None]
            gain, which = torch.where(better, new, gain), which.masked_fill(better, i)
        return gain, which

    def _spread(self, gain: Tensor, count: int, apart_deg: float) -> Tensor:
        """Greedy maxima (k, count) of gain (k, orientations), each at least apart_deg from those before it."""
        flat = self.rotation.flatten(1)
        limit = 1 + 2 * np.cos(np.radians(apart_deg))
        left, chosen = gain.clone(), []
        for _ in range(min(count, gain.shape[1])):
            top = left.argmax(dim=1)
            chosen.append(top)
            left[flat[top] @ flat.T > limit] = -1
        return torch.stack(chosen, dim=1)


def prior_conformations(amplitude_sd_A: Tensor, per_motion: int, seed: int = 0) -> Tensor:
    """Amplitudes (1 + C, M) to search with: the reference, then quasi-random ones from the prior's Gaussian of
    deviations amplitude_sd_A (M,), so many for each of its `motions`.

    A descent from the reference alone ends in local minima for particles that are deformed by several Å. A few tens of
    conformations (Sobol's sequence) give nearly every particle a start nearby.
    """
    if len(amplitude_sd_A) == 0:
        return torch.zeros(1, 0)
    uniform = torch.quasirandom.SobolEngine(len(amplitude_sd_A), scramble=True, seed=seed)
    drawn = uniform.draw(per_motion * motions(amplitude_sd_A)).clamp(0.01, 0.99)
    normal = torch.special.ndtri(drawn) * amplitude_sd_A.float()
    return torch.cat([torch.zeros(1, len(amplitude_sd_A)), normal])


def motions(amplitude_sd_A: Tensor) -> int:
    """The number of independent motions of a Gaussian of amplitudes with these deviations (M,): M if all are equal, 1
    if one is much larger than the others, (Σ σ²)² / Σ σ⁴ rounded up. 1 for a rigid structure."""
    if len(amplitude_sd_A) == 0:
        return 1
    variance = amplitude_sd_A.double() ** 2
    return math.ceil(float(variance.sum() ** 2 / (variance**2).sum()) - 0.05)


def _without_mates(rotation: Tensor, symmetry: Tensor) -> Tensor:
    """Of the orientations R (n, 3, 3), those with the smallest rotation among their equivalents R·S: one of each set,
    and those between two sets."""
    turned = torch.einsum("nij,sji->ns", rotation, symmetry)  # traces of R·S
    return rotation[turned.max(dim=1).values <= rotation.diagonal(dim1=1, dim2=2).sum(dim=1) + 1e-4]


def _shift_grid(max_shift_A: float, step_A: float) -> Tensor:
    """Displacements (n, 2) in Å on a square grid inside a disc."""
    reach = int(np.ceil(max_shift_A / step_A))
    axis = torch.arange(-reach, reach + 1) * step_A
    grid = torch.cartesian_prod(axis, axis).float()
    return grid[grid.norm(dim=1) <= max_shift_A + 1e-6]
