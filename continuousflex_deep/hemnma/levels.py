"""From coarse to fine: which frequencies, which atoms and how many hypotheses each level of the alignment works
with."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.hemnma.refine import Descent, Quadratic, Refiner, State, Whitened
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel

COARSE = Descent(steps=20, damping=0.1, tolerance=0.5)
MEDIUM = Descent(steps=12, damping=0.03, tolerance=0.1)
FINE = Descent(steps=12, damping=0.01, tolerance=0.01)


@dataclass(frozen=True)
class Kept:
    """Of a particle's hypotheses go on at most `count`, and none whose cost is more than `behind` above the best."""

    count: int
    behind: float


@dataclass(frozen=True, eq=False)
class Level:
    """One stage: a refiner (model and disc), how it descends, and what is kept afterwards."""

    refiner: Refiner
    descent: Descent
    kept: Kept

    def run(self, images: Whitened, state: State) -> tuple[State, Quadratic]:
        """Refine all hypotheses in this level's disc; the best come first within a particle, particles in order."""
        return keep_best(*self.refiner.descend(images.prefix(len(self.refiner.disc)), state, self.descent), self.kept)


def keep_best(state: State, quadratic: Quadratic, kept: Kept, same_deg: float = 3.0) -> tuple[State, Quadratic]:
    """Sort each particle's hypotheses by cost, drop repetitions (within same_deg of a better one) and those far
    behind."""
    order = torch.argsort(quadratic.cost, stable=True)
    order = order[torch.argsort(state.particle[order], stable=True)]
    particle, cost = state.particle[order], quadratic.cost[order]
    _, counts = torch.unique_consecutive(particle, return_counts=True)
    first = torch.repeat_interleave(torch.cumsum(counts, 0) - counts, counts)
    limit = 1 + 2 * np.cos(np.radians(same_deg))
    flat = state.rotation[order].flatten(1)
    place = torch.arange(len(order), device=cost.device)
    fresh = torch.ones_like(place, dtype=torch.bool)
    for back in range(1, int(counts.max()) if len(counts) else 0):
        earlier = (place - back).clamp(min=0)
        repeats = ((flat * flat[earlier]).sum(dim=1) > limit) & (place - back >= first) & fresh[earlier]
        fresh &= ~repeats
    rank = torch.cumsum(fresh.long(), 0)
    rank = rank - rank[first]
    going = fresh & (rank < kept.count) & (cost - cost[first] <= kept.behind)
    return state[order[going]], quadratic[order[going]]


def residue_groups(residue_index: Tensor, n_atoms: int, most: int = 4000) -> Tensor:
    """Group numbers (A,) that make one point per residue, or per run of residues where there are more than `most`."""
    count = int(residue_index.max()) + 1
    return residue_index // max(1, -(-count // most))


def coarse_resolution_A(model: PointModel, step_deg: float) -> float:
    """The resolution at which a grid of this step is fine enough: half a step moves the rim by half a period at most;
    8 Å or worse."""
    return max(8.0, float(np.radians(step_deg)) * model.radius_A)


def disc_for(resolution_A: float, field_A: float, box_px: int, device: torch.device) -> FrequencyDisc:
    """The disc up to a resolution, at least 5 Fourier pixels and within the images' Nyquist frequency."""
    nyquist = (box_px - 1) // 2
    return FrequencyDisc(int(np.clip(round(field_A / resolution_A), min(5, nyquist), nyquist)), device)
