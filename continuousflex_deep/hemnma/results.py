"""Results of an engine, batch by batch, and the particles that they make together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from continuousflex_deep.geometry import matrix_to_euler
from continuousflex_deep.hemnma.descent import Found
from continuousflex_deep.options import Fit
from continuousflex_deep.particles import Particles
from continuousflex_deep.rotations import nearest_rotation

# a particle is ambiguous if its two best hypotheses differ by less than this in log-likelihood (natural units)
_AMBIGUOUS_BELOW = 5.0
# or if its contrast is this many deviations below that of others: a sign of a wrong pose or conformation
_WEAK_ABOVE = 3.5
# arrays that are not results, because their values were given
_FIXED_BY: dict[Fit, tuple[str, ...]] = {
    "both": (),
    "pose": ("amplitudes", "amplitudes_sd", "free_amplitudes", "free_amplitudes_sd"),
    "conformation": ("euler_deg", "shift_A", "angle_sd_deg", "shift_sd_A"),
}


@dataclass(frozen=True, eq=False)
class BatchResult:
    """Results of k particles as arrays: euler_deg (k, 3), shift_A (k, 2), amplitudes (k, M), score, gap, weakness (k,)
    and, if the engine gives them, error bars: amplitudes_sd (k, M), angle_sd_deg, shift_sd_A (k,); where amplitudes are
    drawn to those of other particles, what the images alone say: free_amplitudes, free_amplitudes_sd (k, M)."""

    euler_deg: np.ndarray
    shift_A: np.ndarray
    amplitudes: np.ndarray
    score: np.ndarray
    gap: np.ndarray
    weakness: np.ndarray
    amplitudes_sd: np.ndarray | None = None
    angle_sd_deg: np.ndarray | None = None
    shift_sd_A: np.ndarray | None = None
    free_amplitudes: np.ndarray | None = None
    free_amplitudes_sd: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """The known arrays by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @staticmethod
    def of(found: Found, weakness: Tensor) -> "BatchResult":
        """From the best hypothesis of every particle, and weakness (k,): the deviations by which its contrast is below
        that of others."""
        state, quadratic, gap = found.state, found.quadratic, found.gap
        variance = quadratic.covariance().diagonal(dim1=1, dim2=2).clamp(min=0)
        return BatchResult(
            # float32 products of many small steps drift
            euler_deg=matrix_to_euler(nearest_rotation(state.rotation.double()).cpu().numpy()),
            shift_A=-state.displacement_A.cpu().numpy().astype(np.float64),
            amplitudes=state.amplitudes.cpu().numpy().astype(np.float64),
            amplitudes_sd=variance[:, 5:].sqrt().cpu().numpy().astype(np.float64),
            angle_sd_deg=np.degrees(variance[:, :3].sum(dim=1).sqrt().cpu().numpy().astype(np.float64)),
            shift_sd_A=(variance[:, 3:5].mean(dim=1)).sqrt().cpu().numpy().astype(np.float64),
            score=quadratic.correlation.cpu().numpy().astype(np.float64),
            gap=gap.cpu().numpy().astype(np.float64),
            weakness=weakness.cpu().numpy().astype(np.float64),
        )


def concatenated(parts: list[BatchResult]) -> BatchResult:
    """The results of consecutive batches as one batch."""
    known = [p.arrays() for p in parts]
    return BatchResult(**{name: np.concatenate([arrays[name] for arrays in known]) for name in known[0]})


def merged_results(
    particles: Particles, mode_ids: tuple[int, ...], motion: str, parts: list[BatchResult], fit: Fit = "both"
) -> Particles:
    """The particles with the results of consecutive batches that cover them all, along these modes, of this motion.
    What the fit does not determine is not changed."""
    merged: dict[str, Any] = dict(vars(concatenated(parts)))
    gap, weakness = merged.pop("gap"), merged.pop("weakness")
    for name in _FIXED_BY[fit]:
        del merged[name]
    if fit != "pose":
        merged |= {"mode_ids": mode_ids, "motion": motion}
    return particles.replace(ambiguous=(gap < _AMBIGUOUS_BELOW) | (weakness > _WEAK_ABOVE), **merged)
