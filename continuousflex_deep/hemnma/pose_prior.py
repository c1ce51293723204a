"""A Gaussian prior on given poses: of the part of the molecule that is at rest, whatever the rest of it does.

Programs that align to one map give the pose of what does not move. A given pose therefore places half of the atoms,
those that the present conformation leaves nearest to where it has them (the least trimmed squares of Rousseeuw 1984).
The cost is κ times the mean square of these atoms' distances, where κ makes it 5 on average, one for each number of a
pose (the depth is not known and free), for rigid molecules whose given poses misplace the atoms by an RMS distance σ.
It is nearly that of a Gaussian of these numbers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from continuousflex_deep.motion import Motion

_ENOUGH_POINTS = 128  # of a larger molecule, evenly along the chain
_NUMBERS = 5  # of a pose
# mean square distance of the nearest half of a rotated and shifted ball's atoms, as a part of that of all
_OF_NEAREST = 0.45


@dataclass(frozen=True, eq=False)
class GivenPoses:
    """Given poses of k particles: rotation (k, 3, 3), displacement_A (k, 2)."""

    rotation: Tensor
    displacement_A: Tensor

    def __getitem__(self, rows: Tensor | slice) -> "GivenPoses":
        return GivenPoses(self.rotation[rows], self.displacement_A[rows])


@dataclass(frozen=True, eq=False)
class PosePrior:
    """The prior for molecules that move so; motion: of some of their points, in units of Å; precision: κ in 1/Å²."""

    motion: Motion[Tensor]
    precision: float

    @staticmethod
    def of(motion: Motion[Tensor], sd_A: float) -> "PosePrior":
        """For given poses that misplace the atoms of the part at rest by an RMS distance of sd_A."""
        every = -(-len(motion.rest_A) // _ENOUGH_POINTS)
        return PosePrior(motion.select(slice(None, None, every)), _NUMBERS / (_OF_NEAREST * sd_A**2))

    def cost(self, rotation: Tensor, displacement_A: Tensor, amplitudes: Tensor, given: GivenPoses) -> Tensor:
        """The cost (h,) of hypotheses (h, 3, 3), (h, 2), (h, M) whose particles have these given poses (h)."""
        away_A, _ = self._away(self.motion.seen(rotation, amplitudes), displacement_A, given)
        return self.precision * away_A.square().sum(dim=2).mean(dim=1)

    def terms(
        self, rotation: Tensor, displacement_A: Tensor, amplitudes: Tensor, given: GivenPoses
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The cost (h,), what it adds to the gradient (h, 5 + M) and to the Gauss–Newton matrix (h, 5 + M, 5 + M) of
        half of it; the gradient leads downhill. Parameters are those of State.moved."""
        seen_A = self.motion.seen(rotation, amplitudes)
        away_A, rows = self._away(seen_A, displacement_A, given)
        count, points = rows.shape
        of_core = lambda values: values.gather(1, rows[:, :, None].expand(-1, -1, values.shape[2]))  # noqa: E731
        x, y, z = of_core(seen_A).unbind(dim=2)
        none, one = torch.zeros_like(x), torch.ones_like(x)
        # ∂(x, y, z) along rotations about x, y, z, and along both displacements
        pose = torch.stack(
            [
                torch.stack([none, z, -y, one, none], dim=2),
                torch.stack([-z, none, x, none, one], dim=2),
                torch.stack([y, -x, none, none, none], dim=2),
            ],
            dim=3,
        )
        along = of_core(self.motion.seen_derivative(rotation, amplitudes))
        jacobian = torch.cat([pose, along.unflatten(2, (-1, 3))], dim=2)  # (h, core, 5 + M, 3)
        jacobian[..., 2] -= jacobian[..., 2].mean(dim=1, keepdim=True)
        jacobian = jacobian.transpose(1, 2).reshape(count, -1, 3 * points)
        away = away_A.reshape(count, 3 * points, 1)
        weight = self.precision / points
        gradient, matrix = (jacobian @ away)[..., 0], jacobian @ jacobian.transpose(1, 2)
        return weight * away.square().sum(dim=(1, 2)), -weight * gradient, weight * matrix

    def _away(self, seen_A: Tensor, displacement_A: Tensor, given: GivenPoses) -> tuple[Tensor, Tensor]:
        """How far (h, core, 3) the points of the part at rest are from where given poses place them, and which points
        (h, core) these are, for points (h, N, 3) of rotated hypotheses. The depth is that of the nearest in the
        plane."""
        apart_A = seen_A - self.motion.rest_A @ given.rotation.transpose(1, 2)
        plane_A = apart_A[..., :2] + (displacement_A - given.displacement_A)[:, None]
        half = max(3, len(self.motion.rest_A) // 2)
        nearest = _least(plane_A.square().sum(dim=2), half)
        depth_A = apart_A[..., 2] - apart_A[..., 2].gather(1, nearest).mean(dim=1, keepdim=True)
        whole_A = torch.cat([plane_A, depth_A[..., None]], dim=2)
        rows = _least(whole_A.square().sum(dim=2), half)
        away_A = whole_A.gather(1, rows[:, :, None].expand(-1, -1, 3))
        away_A[..., 2] -= away_A[..., 2].mean(dim=1, keepdim=True)
        return away_A, rows


def _least(squared: Tensor, count: int) -> Tensor:
    """Rows (h, count) of the smallest of values (h, N), in ascending order, so that sums are the same on every
    device."""
    return squared.topk(min(count, squared.shape[1]), dim=1, largest=False, sorted=False).indices.sort(dim=1).values
