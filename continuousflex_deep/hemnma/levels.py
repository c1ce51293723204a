"""The levels of the alignment from coarse to fine: frequencies, atoms and number of hypotheses of each."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.profiler import record_function

from continuousflex_deep.hemnma.refine import Descent, Quadratic, Refiner, State, Whitened
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel

COARSE = Descent(steps=20, damping=0.1, tolerance=0.5, near=4.0)
MEDIUM = Descent(steps=30, damping=0.03, tolerance=0.1, near=2.0)
# nearly all need fewer than ten steps; where pose and conformation compensate each other along a curved valley, tens
FINE = Descent(steps=80, damping=0.01, tolerance=0.01, near=0.5)


@dataclass(frozen=True)
class Kept:
    """Of a particle's hypotheses, at most `count` continue, and none whose cost exceeds the best by more than
    `behind`."""

    count: int
    behind: float


@dataclass(frozen=True, eq=False)
class Level:
    """One level: a refiner (model and disc), its descent, and what is kept afterwards. The rotations symmetry (s, 3, 3)
    map the model onto itself."""

    refiner: Refiner
    descent: Descent
    kept: Kept
    symmetry: Tensor

    def run(self, images: Whitened, state: State) -> tuple[State, Quadratic, Tensor]:
        """Refine all hypotheses in this level's disc; `keep_best` describes what is returned."""
        within = images.prefix(len(self.refiner.disc))
        found = self.refiner.descend(within, state, self.descent, self.kept.behind)
        with record_function("hypotheses compared"):
            return keep_best(*found, self.kept, self.symmetry)


def keep_best(
    state: State, quadratic: Quadratic, kept: Kept, symmetry: Tensor | None = None
) -> tuple[State, Quadratic, Tensor]:
    """Sort each particle's hypotheses by cost, merge those that are the same, and drop those far behind.

    Returns the hypotheses that continue, particles in order, the best first; and the gap (particles,): the
    log-likelihood by which each particle's best hypothesis leads its next distinct one, infinite if all merged.
    """
    order = torch.argsort(quadratic.cost, stable=True)
    order = order[torch.argsort(state.particle[order], stable=True)]
    state, quadratic = state[order], quadratic[order]
    _, counts = torch.unique_consecutive(state.particle, return_counts=True)
    starts = torch.cumsum(counts, 0) - counts
    first = torch.repeat_interleave(starts, counts)
    place = torch.arange(len(order), device=order.device)
    fresh = torch.ones_like(place, dtype=torch.bool)
    for back in range(1, int(counts.max()) if len(counts) else 0):
        earlier = (place - back).clamp(min=0)
        same = same_hypothesis(state, state[earlier], quadratic[earlier], symmetry)
        fresh &= ~(same & (place - back >= first) & fresh[earlier])
    rank = torch.cumsum(fresh.long(), 0)
    rank = rank - rank[first]
    behind = quadratic.cost - quadratic.cost[first]
    second = torch.where(fresh & (rank == 1), behind / 2, torch.full_like(behind, float("inf")))
    gap = torch.full_like(behind[starts], float("inf")).scatter_reduce(0, _index(counts), second, "amin")
    going = torch.nonzero(fresh & (rank < kept.count) & (behind <= kept.behind)).flatten()
    return state[going], quadratic[going], gap


def same_hypothesis(state: State, better: State, quadratic: Quadratic, symmetry: Tensor | None = None) -> Tensor:
    """Whether (h,) hypotheses are the same as a better one: rotated by less than 3° or, by the better one's own
    quadratic model, no farther from it than its deviations allow. Equivalent poses of a symmetric model are the
    same."""
    rotation = state.rotation if symmetry is None else nearest_mates(state.rotation, better.rotation, symmetry)
    turn = rotation @ better.rotation.transpose(1, 2)
    cosine = (turn.diagonal(dim1=1, dim2=2).sum(dim=1) - 1) / 2
    axis = torch.stack(
        [turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]], dim=1
    )
    shift, amplitudes = state.displacement_A - better.displacement_A, state.amplitudes - better.amplitudes
    difference = torch.cat([axis / 2, shift, amplitudes], dim=1)
    distance = (difference[:, None] @ quadratic.matrix @ difference[:, :, None]).flatten()
    near = (cosine > np.cos(np.radians(30))) & (distance < 2 * difference.shape[1])
    # if poses are given, all hypotheses have the same one, and only the conformations differ
    given = (state.rotation == better.rotation).flatten(1).all(dim=1)
    return ((cosine > np.cos(np.radians(3))) & ~given) | near


def nearest_mates(rotation: Tensor, target: Tensor, symmetry: Tensor) -> Tensor:
    """Of the orientations R·S (h, s, 3, 3) of a model with symmetry S (s, 3, 3), the nearest (h, 3, 3) to a target."""
    mates = rotation[:, None] @ symmetry
    closeness = (mates * target[:, None]).sum(dim=(2, 3))
    return mates[torch.arange(len(mates), device=mates.device), closeness.argmax(dim=1)]


def _index(counts: Tensor) -> Tensor:
    """(sum,) 0 repeated counts[0] times, 1 repeated counts[1] times, …"""
    return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)


def residue_groups(residue_index: Tensor, n_atoms: int, most: int = 4000) -> Tensor:
    """Group numbers (A,) that make one point per residue, or per run of residues if there are more than `most`."""
    count = int(residue_index.max()) + 1
    return residue_index // max(1, -(-count // most))


def coarse_resolution_A(model: PointModel, step_deg: float) -> float:
    """The resolution for which a grid of this step is fine enough: half a step moves the rim by at most half a period;
    8 Å or lower."""
    return max(8.0, float(np.radians(step_deg)) * model.radius_A)


def disc_for(resolution_A: float, field_A: float, box_px: int, device: torch.device) -> FrequencyDisc:
    """The disc up to a resolution, at least 5 Fourier pixels and within the images' Nyquist frequency."""
    nyquist = (box_px - 1) // 2
    return FrequencyDisc(int(np.clip(round(field_A / resolution_A), min(5, nyquist), nyquist)), device)
