"""The search from nothing: every particle against projections on an SO(3) grid, over shifts and a few conformations.

All correlations of a batch are one matrix product: references × (particles × shifts), in a low-resolution disc where a
12° grid is fine enough. The score of a reference is the log-likelihood it gains with its best scale, (y·m)²/(m·m).
"""

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.geometry import so3_grid
from continuousflex_deep.hemnma.refine import State, Whitened
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel, project


class ReferenceLibrary:
    """Projections of a model in several conformations (C, M) over a grid of orientations."""

    def __init__(
        self,
        model: PointModel,
        disc: FrequencyDisc,
        field_A: float,
        step_deg: float,
        max_shift_A: float,
        conformations: Tensor,
    ) -> None:
        self.disc, self.field_A = disc, field_A
        device = model.weights.device
        self.rotation = torch.as_tensor(so3_grid(step_deg), dtype=torch.float32, device=device)
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

        known: amplitudes (k, M) that are not to be found; each particle is then compared with the library's nearest
        conformation, and goes on with its own.
        """
        step = max(1, (1 << 26) // (len(self.references) * len(self.shifts_A)))
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
        y, w = images.data[rows], images.filter[rows]
        k = len(y)
        phase = 2 * torch.pi / self.field_A * (self.shifts_A @ torch.stack([self.disc.kx, self.disc.ky]))
        moved = (w * y)[:, None, :] * torch.polar(torch.ones_like(phase), phase)
        cross = self._real @ torch.view_as_real(moved).flatten(2).flatten(0, 1).T
        best, shift = cross.reshape(len(self.references), k, -1).max(dim=2)
        norm = (self.power @ (w * w).T).clamp(min=1e-30)
        gain = (best.clamp(min=0) ** 2 / norm).reshape(len(self.amplitudes), -1, k)
        if known is None:
            gain, conformation = gain.max(dim=0)
        else:
            nearest = torch.cdist(known[rows], self.amplitudes).argmin(dim=1)
            gain = gain[nearest, :, torch.arange(k, device=y.device)].T
            conformation = nearest.expand_as(gain)
        chosen = self._spread(gain.T.contiguous(), count, apart_deg)
        row = torch.arange(k, device=y.device)[:, None].expand_as(chosen)
        conformation = conformation.T[row, chosen]
        shift = shift.reshape(len(self.amplitudes), -1, k)[conformation, chosen, row]
        flat = chosen.flatten()
        return State(
            self.rotation[flat],
            self.shifts_A[shift.flatten()],
            self.amplitudes[conformation.flatten()] if known is None else known[rows][row.flatten()],
            (row + rows.start).flatten(),
        )

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


def prior_conformations(modes: int, amplitude_sd_A: float, count: int, seed: int = 0) -> Tensor:
    """Amplitudes (1 + count, modes) to search with: the reference, then quasi-random ones of the prior's Gaussian.

    Descending from the reference alone ends in local minima where particles are deformed by several Å; a few tens of
    conformations, shared out evenly (Sobol's sequence), put nearly every particle near a start.
    """
    if modes == 0:
        return torch.zeros(1, 0)
    uniform = torch.quasirandom.SobolEngine(modes, scramble=True, seed=seed).draw(count)
    normal = torch.special.ndtri(uniform.clamp(0.01, 0.99)) * amplitude_sd_A
    return torch.cat([torch.zeros(1, modes), normal])


def _shift_grid(max_shift_A: float, step_A: float) -> Tensor:
    """Displacements (n, 2) in Å on a square grid inside a disc."""
    reach = int(np.ceil(max_shift_A / step_A))
    axis = torch.arange(-reach, reach + 1) * step_A
    grid = torch.cartesian_prod(axis, axis).float()
    return grid[grid.norm(dim=1) <= max_shift_A + 1e-6]
