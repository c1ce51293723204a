"""What the engine's benchmarks share: one run of the engine on particles whose truth is known, and its figures."""

import time
from dataclasses import dataclass

import numpy as np

from continuousflex_deep.assessment.evaluation import Evaluation, evaluate
from continuousflex_deep.hemnma.alignment import align, calibration_for
from continuousflex_deep.hemnma.bound import cramer_rao_bound
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles

KINDS = ("amplitude", "angle_deg", "shift_A")


@dataclass(frozen=True, eq=False)
class Run:
    """One alignment of n particles: what was found, its errors, the bound on them, CPU seconds an image (calibration
    included)."""

    aligned: Particles
    errors: Evaluation
    bound: dict[str, float]
    cpu_s: float

    def figures(self) -> dict[str, float | None]:
        """Losses, errors of the found in units of the bound, spreads of error over reported deviation, flags."""
        lost, flagged = self.errors.lost, np.asarray(self.aligned.ambiguous)
        spread = self.errors.spread
        return {
            "lost": float(lost.mean()),
            **{f"{k}": float(self.errors.errors[k][~lost].mean() / self.bound[k]) for k in KINDS},
            "spread_q": float(np.mean([spread[f"amplitude_{m}"] for m in self.aligned.mode_ids])),
            "spread_angle": spread["angle_rms"],
            "spread_shift": spread["shift"],
            "flagged_lost": float(flagged[lost].mean()) if lost.any() else None,
            "flagged_found": float(flagged[~lost].mean()),
            "cpu_s": self.cpu_s,
        }


def run_engine(
    structure: Structure, modes: NormalModes, particles: Particles, truth: Particles, lost_deg: float = 5.0
) -> Run:
    """Align from nothing and compare with the truth; the bound is that at the truth, with noise and transfer learned
    there."""
    started = time.process_time()
    aligned = align(EmbeddedEngine(structure, modes, AlignOptions()), particles)
    cpu_s = (time.process_time() - started) / len(particles)
    local = EmbeddedEngine(structure, modes, AlignOptions(init="local"))
    bound = cramer_rao_bound(local, truth, calibration_for(local, truth)).as_errors()
    return Run(aligned, evaluate(aligned, truth, structure, modes, lost_deg), bound, cpu_s)


def print_header(first: str, names: list[str]) -> None:
    """A line of column names."""
    print(f"{first:<22}" + "".join(f"{n:>14}" for n in names))


def print_row(first: str, figures: dict[str, float | None]) -> None:
    """A line of figures; a dash where there is none."""
    cells = ("–" if v is None else format(v, ".3g") for v in figures.values())
    print(f"{first:<22}" + "".join(f"{c:>14}" for c in cells), flush=True)
