"""First hypotheses from the given poses of particles: as they are, slightly rotated, or in several conformations.

A motion leaves the molecule's centre and, on the whole, its orientation in place: where a large domain turns, the rest
turns back. A pose that another program found for the molecule as a whole is that of its rigid core instead. In a given
pose, another conformation is therefore tried in both frames: as the motion moves it, and with its core in place.
"""

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.hemnma.refine import State
from continuousflex_deep.particles import Particles

FROM_KNOWN_POSES = "a start from known poses (--init local or --fit conformation)"


def given_state(particles: Particles, mode_ids: tuple[int, ...], device: torch.device) -> State:
    """One hypothesis a particle: its given pose, and its amplitudes as far as they are given for these modes.

    Raises InputError if there are no poses.
    """
    euler, shift = particles.require_poses(FROM_KNOWN_POSES)
    as_tensor = lambda a: torch.as_tensor(np.asarray(a), dtype=torch.float32, device=device)  # noqa: E731
    return State(
        as_tensor(euler_to_matrix(euler)),
        as_tensor(-shift),
        given_amplitudes(particles, mode_ids, device),
        torch.arange(len(particles), device=device),
    )


def given_amplitudes(particles: Particles, mode_ids: tuple[int, ...], device: torch.device) -> Tensor:
    """Amplitudes (n, M) along some modes, 0 along those for which the particles have none."""
    q = np.zeros((len(particles), len(mode_ids)))
    if particles.amplitudes is not None:
        for i, mode in enumerate(mode_ids):
            if mode in particles.mode_ids:
                q[:, i] = particles.amplitudes[:, particles.mode_ids.index(mode)]
    return torch.as_tensor(q, dtype=torch.float32, device=device)


def knows_amplitudes(particles: Particles, mode_ids: tuple[int, ...]) -> bool:
    """Whether the particles have amplitudes along any of these modes."""
    return particles.amplitudes is not None and bool(set(mode_ids) & set(particles.mode_ids))


def with_neighbours(state: State, step_deg: float) -> State:
    """The hypotheses, and each rotated by step_deg about the three axes in both directions, to recover from a poor
    start."""
    if step_deg == 0:
        return state
    turns = np.radians(step_deg) * np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
    step = torch.zeros(len(turns), 5 + state.amplitudes.shape[1], device=state.rotation.device)
    step[:, :3] = torch.as_tensor(turns, dtype=torch.float32)
    return _repeated(state, len(turns)).moved(step.repeat(len(state), 1))


def with_conformations(state: State, amplitudes: Tensor) -> State:
    """The hypotheses, and each in other conformations (C, M) as well; those of one particle are consecutive."""
    count = 1 + len(amplitudes)
    repeated = _repeated(state, count)
    others = torch.cat([state.amplitudes[:, None], amplitudes.expand(len(state), -1, -1)], dim=1)
    return State(repeated.rotation, repeated.displacement_A, others.flatten(0, 1), repeated.particle)


def in_both_frames(state: State, amplitudes: Tensor, turn: Tensor, shift_A: Tensor) -> State:
    """The hypotheses in other conformations (C, M) as they are, and in the same conformations, moved by the rotations
    (C, 3, 3) and shifts (C, 3) that superpose their cores; those of one particle are consecutive."""
    count = len(amplitudes)
    still = torch.eye(3, device=turn.device).expand(count, 3, 3)
    turn, shift_A = torch.cat([still, turn]), torch.cat([torch.zeros_like(shift_A), shift_A])
    repeated = _repeated(state, 2 * count)
    rotation = torch.einsum("hij,cjk->hcik", state.rotation, turn)
    moved_A = torch.einsum("hij,cj->hci", state.rotation[:, :2], shift_A)
    return State(
        rotation.flatten(0, 1),
        repeated.displacement_A + moved_A.flatten(0, 1),
        amplitudes.repeat(2 * len(state), 1),
        repeated.particle,
    )


def lowest(state: State, cost: Tensor, count: int) -> State:
    """Of each particle's hypotheses, the `count` of lowest cost (h,); all particles have equally many, consecutive."""
    _, each = torch.unique_consecutive(state.particle, return_counts=True)
    per_particle = int(each[0])
    best = cost.reshape(-1, per_particle).topk(min(count, per_particle), dim=1, largest=False).indices
    first = per_particle * torch.arange(len(best), device=best.device)
    return state[(first[:, None] + best).flatten()]


def joined(first: State, second: State) -> State:
    """The hypotheses of both; those of one particle are consecutive."""
    names = ("rotation", "displacement_A", "amplitudes", "particle")
    both = State(*(torch.cat([getattr(first, n), getattr(second, n)]) for n in names))
    return both[torch.argsort(both.particle, stable=True)]


def _repeated(state: State, count: int) -> State:
    return state[torch.arange(len(state), device=state.particle.device).repeat_interleave(count)]
