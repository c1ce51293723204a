"""The result of a descent through all levels for each particle, and the better of two such results."""

from dataclasses import dataclass

import torch
from torch import Tensor

from continuousflex_deep.hemnma.levels import same_hypothesis
from continuousflex_deep.hemnma.refine import Quadratic, State, joined_fields
from continuousflex_deep.hemnma.schedule import Band, Schedule
from continuousflex_deep.imaging.spectra import Spectra


@dataclass(frozen=True, eq=False)
class Found:
    """The best hypothesis of each of k particles, in their order, the cost around it, and gap (k,): the log-likelihood
    by which it leads the next distinct hypothesis, infinite if all hypotheses merged."""

    state: State
    quadratic: Quadratic
    gap: Tensor

    @staticmethod
    def joined(parts: list["Found"]) -> "Found":
        """The results of all parts, one part after another."""
        return Found(
            joined_fields(State, [p.state for p in parts]),
            joined_fields(Quadratic, [p.quadratic for p in parts]),
            torch.cat([p.gap for p in parts]),
        )

    def __getitem__(self, rows: Tensor) -> "Found":
        return Found(self.state[rows], self.quadratic[rows], self.gap[rows])

    @property
    def intensity(self) -> Tensor:
        """Contrast of each particle (k,); negative if it fits only with the wrong contrast sign."""
        return self.quadratic.scale * self.quadratic.correlation.sign()

    def better(self, other: "Found", rows: Tensor, symmetry: Tensor | None = None) -> "Found":
        """This result with that of another search for some rows, where the other one fits better. Where the two
        disagree, the gap is at most the difference between them."""
        mine, mine_here = self.state[rows], self.quadratic[rows]
        lead = (mine_here.cost - other.quadratic.cost) / 2
        wins = lead > 0
        same = torch.where(
            wins,
            same_hypothesis(mine, other.state, other.quadratic, symmetry),
            same_hypothesis(other.state, mine, mine_here, symmetry),
        )
        between = torch.where(same, torch.full_like(lead, float("inf")), lead.abs())
        gap = torch.minimum(between, torch.where(wins, other.gap, self.gap[rows]))
        taken = rows[wins]
        return Found(
            self.state.put(taken, other.state[wins]),
            self.quadratic.put(taken, other.quadratic[wins]),
            self.gap.index_copy(0, rows, gap),
        )


def descended(band: Band, state: State, levels: Schedule, spectra: Spectra) -> Found:
    """Take all hypotheses through the levels, from coarse to fine."""
    images = band.whitened(spectra)
    gap = torch.full((len(band.data),), float("inf"), device=band.data.device)
    for level in (levels.coarse, levels.medium, levels.fine):
        # the finest level that still had several hypotheses decides; if they merged, the particle is not ambiguous
        choice = torch.bincount(state.particle, minlength=len(gap)) > 1
        state, quadratic, level_gap = level.run(images, state)
        gap = torch.where(choice, level_gap, gap)
    first = state.first_rows()
    return Found(state[first], quadratic[first], gap)
