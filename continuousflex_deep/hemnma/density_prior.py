"""A prior on amplitudes that is a mixture of Gaussians: where particles of a set are known to lie.

A way that bends, or several states, are no Gaussian: with one, whose axes must span all of them, an image has to tell
apart conformations that no particle has. Of a mixture the Gaussian counts that explains the amplitudes best, the
max-mixture of Olson & Agarwal (Int J Robot Res 2013, 32:826), so that the cost stays a sum of squares, and continuous.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from continuousflex_deep.io.amplitude_density import AmplitudeDensity


@dataclass(frozen=True, eq=False)
class DensityPrior:
    """means (K, M), precisions (K, M, M), and log-heights (K,) beside the largest."""

    means: Tensor
    precisions: Tensor
    log_heights: Tensor

    @staticmethod
    def of(density: AmplitudeDensity, device: torch.device) -> "DensityPrior":
        """The prior of a density."""
        tensor = lambda values: torch.as_tensor(values, dtype=torch.float64)  # noqa: E731
        precisions, heights = torch.linalg.inv(tensor(density.covariance)), tensor(density.log_heights)
        parts = tensor(density.mean_A), precisions, heights - heights.max()
        return DensityPrior(*(part.float().to(device) for part in parts))

    def cost(self, amplitudes: Tensor) -> Tensor:
        """The cost (h,) of amplitudes (h, M): twice the negative log-density, up to a constant."""
        return self._of_each(amplitudes)[0].amin(dim=1)

    def terms(self, amplitudes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The cost (h,), what it adds to the gradient (h, M) and to the matrix (h, M, M) of half of it; the gradient
        leads downhill."""
        costs, pulls = self._of_each(amplitudes)
        cost, which = costs.min(dim=1)
        pull = pulls.gather(1, which[:, None, None].expand(-1, 1, pulls.shape[2]))[:, 0]
        return cost, -pull, self.precisions[which]

    def of_best(self, amplitudes: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (h, M) and precision (h, M, M) of the Gaussian that counts for each."""
        which = self._of_each(amplitudes)[0].argmin(dim=1)
        return self.means[which], self.precisions[which]

    def _of_each(self, amplitudes: Tensor) -> tuple[Tensor, Tensor]:
        """Of each Gaussian, its cost (h, K) and pull (h, K, M)."""
        away = amplitudes[:, None] - self.means
        pulls = (self.precisions @ away[..., None])[..., 0]
        return (away * pulls).sum(dim=2) - 2 * self.log_heights, pulls
