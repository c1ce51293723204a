"""What a descent through all levels finds for each particle, and the better of two such finds."""

from dataclasses import dataclass

import torch
from torch import Tensor

from continuousflex_deep.hemnma.levels import same_hypothesis
from continuousflex_deep.hemnma.refine import Quadratic, State, joined_fields
from continuousflex_deep.hemnma.schedule import Band, Schedule
from continuousflex_deep.imaging.spectra import Spectra


@dataclass(frozen=True, eq=False)
class Found:
    """The best hypothesis of each of k particles, in their order, the cost around it, and by how much log-likelihood it
    leads the next distinct one: gap (k,), infinite where all became one."""

    state: State
    quadratic: Quadratic
    gap: Tensor

    @staticmethod
    def joined(parts: list["Found"]) -> "Found":
        """Those of all parts, one part after another."""
        return Found(
            joined_fields(State, [p.state for p in parts]),
            joined_fields(Quadratic, [p.quadratic for p in parts]),
            torch.cat([p.gap for p in parts]),
        )

    def __getitem__(self, rows: Tensor) -> "Found":
        return Found(self.state[rows], self.quadratic[rows], self.gap[rows])

    @property
    def intensity(self) -> Tensor:
        """How strongly each particle shows (k,); negative where it fits with the wrong contrast only."""
        return self.quadratic.scale * self.quadratic.correlation.sign()

    def better(self, other: "Found", rows: Tensor, symmetry: Tensor | None = None) -> "Found":
        """With what another search found for some rows, where that fits better; where the two disagree, the gap is at
        most that between them."""
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
        # the finest level that had a choice decides; where its hypotheses became one there is no doubt
        choice = torch.bincount(state.particle, minlength=len(gap)) > 1
        state, quadratic, level_gap = level.run(images, state)
        gap = torch.where(choice, level_gap, gap)
    first = state.first_rows()
    return Found(state[first], quadratic[first], gap)
