"""The Cramér–Rao bound: the smallest errors that an unbiased estimate can have on given particles."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma.calibration import Calibration
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.io.error_table import AMPLITUDES, amplitude_kind
from continuousflex_deep.particles import Particles, require_same_motion
from continuousflex_deep.runs.batch import Batch


@dataclass(frozen=True, eq=False)
class Bound:
    """Expected absolute errors at the bound, averaged over particles, in the units of the evaluate command.

    amplitude_A: mean over modes, NaN without modes; amplitude_each_A (M,); angle_deg: mean over the rotated axes;
    shift_A: mean over x and y.
    """

    amplitude_A: float
    amplitude_each_A: tuple[float, ...]
    angle_deg: float
    shift_A: float
    mode_ids: tuple[int, ...]

    def as_errors(self) -> dict[str, float]:
        """The errors under the names of the evaluate command."""
        each = {amplitude_kind(m): v for m, v in zip(self.mode_ids, self.amplitude_each_A, strict=True)}
        shifts = dict.fromkeys(("shift_A", "shift_x_A", "shift_y_A"), self.shift_A)
        mean = {AMPLITUDES: self.amplitude_A} if each else {}
        return {**mean, **each, "angle_deg": self.angle_deg, **shifts}


def cramer_rao_bound(engine: EmbeddedEngine, truth: Particles, calibration: Calibration) -> Bound:
    """The bound for particles with true poses and amplitudes, given the noise and transfer of a calibration.

    The errors of an efficient estimator are Gaussian; their covariance is the inverse Fisher matrix, with the intensity
    scale among the parameters. A mean absolute error is √(2/π) standard deviations; the angular error is averaged over
    random draws. The matrix includes the engine's prior on amplitudes, which is negligible unless the images hardly
    determine the amplitudes. Raises InputError if the truth has no poses, other modes or another motion.
    """
    truth.require_poses("the Cramér-Rao bound")
    if truth.mode_ids != engine.mode_ids:
        raise InputError(
            f"the truth has amplitudes of modes {list(truth.mode_ids)}, the engine was made for {list(engine.mode_ids)}"
        )
    require_same_motion(truth, engine.motion, "the engine")
    batches = (Batch.read(truth, rows) for rows in engine.batches(truth))
    covariance = torch.cat([engine.covariance_at(batch, calibration) for batch in batches]).double()
    deviation = covariance.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
    absolute = (deviation * np.sqrt(2 / np.pi)).mean(dim=0)
    return Bound(
        amplitude_A=float(absolute[5:].mean()),
        amplitude_each_A=tuple(float(v) for v in absolute[5:]),
        angle_deg=float(torch.rad2deg(_mean_axes_angle(covariance[:, :3, :3]))),
        shift_A=float(absolute[3:5].mean()),
        mode_ids=engine.mode_ids,
    )


def _mean_axes_angle(covariance: Tensor, draws: int = 256) -> Tensor:
    """Mean angle between the coordinate axes before and after small random rotations with rotation vectors of
    covariance (k, 3, 3), in radians."""
    root = torch.linalg.cholesky(covariance + 1e-12 * torch.eye(3, dtype=covariance.dtype, device=covariance.device))
    generator = torch.Generator(device=covariance.device).manual_seed(0)
    normal = torch.randn(draws, 3, generator=generator, dtype=covariance.dtype, device=covariance.device)
    squared = torch.einsum("kij,nj->kni", root, normal) ** 2
    return (squared.sum(dim=-1, keepdim=True) - squared).clamp(min=0).sqrt().mean()
