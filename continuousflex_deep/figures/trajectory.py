"""The pictures of a trajectory's movie: the molecule, its position in the landscape, and the energy there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from continuousflex_deep.arrays import Floats
from continuousflex_deep.figures.literal import literal
from continuousflex_deep.figures.saving import rendered
from continuousflex_deep.figures.trace import Trace, chain_bonds
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.io.trajectories import Trajectory
from continuousflex_deep.progress import progress_bar

_SIZE, _DPI = (10.0, 5.6), 80  # inches and dots per inch: an even number of pixels, which MP4 needs
_PATH, _HERE, _START = "tab:red", "black", "0.85"
_FEW = 2000  # particles up to which they are drawn as points; more are drawn as a density

# updates a panel for the frame with this number
ShowFrame = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class LandscapePlane:
    """What the movie shows of a landscape: particles (n, k) without outliers, and the labels (k,) of coordinates."""

    particles: Floats
    labels: list[str]


def trajectory_pictures(
    trajectory: Trajectory, structure: Structure, frames_A: list[Floats], plane: LandscapePlane
) -> list[Image.Image]:
    """One picture per frame (N, 3): the trace coloured by its displacement from the first frame."""
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    panels = [_draw_molecule(left.subplots(), structure, frames_A)]
    if plane.particles.shape[1] > 1:
        upper, lower = right.subplots(2, 1, height_ratios=(1.9, 1))
        panels.append(_draw_plane(upper, trajectory, plane))
    else:
        lower = right.subplots()
    panels.append(_draw_energy(lower, trajectory))
    pictures = []
    with progress_bar("draw", len(trajectory), unit="frame") as bar:
        for number in range(len(trajectory)):
            for show in panels:
                show(number)
            pictures.append(rendered(figure).convert("RGB"))
            if number == 0:
                figure.set_layout_engine("none")  # panels stay where they are
            bar.update(1)
    return pictures


def _draw_molecule(ax: Any, structure: Structure, frames_A: list[Floats]) -> ShowFrame:
    """Draw the molecule's first frame in grey. The function that is returned draws another frame over it."""
    atoms = np.arange(len(structure)) if structure.is_pseudoatomic else structure.representative_atoms
    traces_A = np.array([frame[atoms] for frame in frames_A])
    moved_A = np.linalg.norm(traces_A - traces_A[0], axis=2)
    seen_A = (traces_A - traces_A[0].mean(axis=0)) @ _best_view(traces_A).T  # (P, R, 3): right, up, towards the eye
    low, high = seen_A.min(axis=(0, 1)), seen_A.max(axis=(0, 1))
    margin = 0.04 * (high - low)[:2].max()
    ax.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin), aspect="equal")
    ax.set_axis_off()
    bonds = chain_bonds(structure, atoms)
    if len(bonds):
        ax.add_collection(LineCollection(seen_A[0, bonds, :2], colors=_START, linewidths=1.6, capstyle="round"))
    else:
        ax.scatter(*seen_A[0, :, :2].T, s=10, color=_START, linewidths=0)
    trace = Trace(ax, bonds, depth_A=(float(low[2]), float(high[2])))
    trace.drawn.set_clim(0, max(float(np.quantile(moved_A, 0.995)), 1e-3))
    ax.figure.colorbar(
        trace.drawn, ax=ax, orientation="horizontal", shrink=0.6, pad=0.02,
        label="displacement from the first frame [Å]",
    )  # fmt: skip
    return lambda number: trace.draw(seen_A[number], moved_A[number])


def _best_view(traces_A: Floats) -> Floats:
    """Axes (3, 3) of the best view of the molecule (P, R, 3): across, up, and towards the eye.

    The eye looks along the direction of least extent and motion, both with the same weight.
    """
    start = traces_A[0] - traces_A[0].mean(axis=0)
    motion = (traces_A - traces_A[0]).reshape(-1, 3)
    spread = sum(part.T @ part / max(np.square(part).sum(), 1e-12) for part in (start, motion))
    axes = np.linalg.eigh(spread)[1].T[::-1]
    axes = axes * np.sign(axes[np.arange(3), np.abs(axes).argmax(axis=1)])[:, None]
    return np.stack([axes[0], axes[1], np.cross(axes[0], axes[1])])


def _draw_plane(ax: Any, trajectory: Trajectory, plane: LandscapePlane) -> ShowFrame:
    """Draw the particles and the path. The function that is returned marks a point of the path."""
    i = trajectory.dimensions[0]
    j = trajectory.dimensions[1] if len(trajectory.dimensions) > 1 else int(i == 0)
    i, j = min(i, j), max(i, j)
    x, y = plane.particles[:, i], plane.particles[:, j]
    if len(x) > _FEW:
        shown = ax.hexbin(x, y, gridsize=45, bins="log", cmap="Blues", mincnt=1, linewidths=0.2)
        ax.figure.colorbar(shown, ax=ax, label="particles")
    else:
        ax.scatter(x, y, s=5, color="tab:blue", alpha=0.35, linewidths=0)
    ax.plot(*trajectory.points[:, [i, j]].T, "-", color=_PATH, linewidth=1.5)
    ax.set(xlabel=literal(plane.labels[i]), ylabel=literal(plane.labels[j]))
    (mark,) = ax.plot([], [], "o", color=_PATH, markeredgecolor=_HERE, markersize=9)
    return lambda number: mark.set_data(trajectory.points[[number], i], trajectory.points[[number], j])


def _draw_energy(ax: Any, trajectory: Trajectory) -> ShowFrame:
    """Draw the energy along the path with its standard deviation. The function that is returned marks a point."""
    frame = np.arange(1, len(trajectory) + 1)
    energy, sd = trajectory.energy_kT, trajectory.energy_sd_kT
    ax.fill_between(frame, energy - sd, energy + sd, color=_PATH, alpha=0.2, linewidth=0)
    ax.plot(frame, energy, "-", color=_PATH, linewidth=1.5)
    ax.set(xlabel="frame", ylabel="−ln p [kT]", xlim=(1, len(trajectory)))
    ax.set_ylim(min(0.0, float(energy.min())) - 0.1, 1.1 * max(float(energy.max()), 0.5) + 0.1)
    (mark,) = ax.plot([], [], "o", color=_PATH, markeredgecolor=_HERE, markersize=9, clip_on=False)
    return lambda number: mark.set_data(frame[[number]], energy[[number]])
