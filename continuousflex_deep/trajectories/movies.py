"""A movie of a trajectory, made without a display: the molecule, where it is in the landscape, and the energy there."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import DeepError
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.io.trajectories import Trajectory
from continuousflex_deep.progress import progress_bar

_SIZE, _DPI = (10.0, 5.6), 80  # inches and dots per inch: an even number of pixels, which MP4 needs
_COLOURS, _PATH, _HERE = "viridis", "tab:red", "black"
_FEW = 2000  # particles that are drawn one by one
_GAP = 2.5  # times the usual distance of neighbours in a chain, beyond which the trace is broken


@dataclass(frozen=True, eq=False)
class LandscapePlane:
    """What the movie shows of a landscape: particles (n, k), outliers left out, and the coordinates' labels (k,)."""

    particles: Floats
    labels: list[str]


def draw_frames(
    trajectory: Trajectory, structure: Structure, frames_A: list[Floats], plane: LandscapePlane
) -> list[Image.Image]:
    """One picture a point of the trajectory: the trace coloured by its displacement from the first frame (N, 3)."""
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    show_molecule = _molecule(left.subplots(), structure, frames_A)
    if plane.particles.shape[1] > 1:
        upper, lower = right.subplots(2, 1, height_ratios=(1.9, 1))
        show_place = _plane(upper, trajectory, plane)
    else:
        lower, show_place = right.subplots(), None
    show_energy = _energy(lower, trajectory)
    pictures = []
    with progress_bar("draw", len(trajectory), unit="frame") as bar:
        for number in range(len(trajectory)):
            for show in (show_molecule, show_place, show_energy):
                if show is not None:
                    show(number)
            canvas.draw()
            if number == 0:
                figure.set_layout_engine("none")  # panels stay where they are
            pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
            bar.update(1)
    return pictures


def to_and_fro(pictures: list[Image.Image]) -> list[Image.Image]:
    """The pictures from first to last and back, so that a movie of them that repeats does not jump."""
    return pictures + pictures[-2:0:-1]


def write_gif(path: Path, pictures: list[Image.Image], per_second: int) -> None:
    """An endless GIF of the pictures, all in the colours of the middle one, which keeps them from flickering."""
    palette = pictures[len(pictures) // 2].quantize(256, dither=Image.Dither.NONE)
    few = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    with atomic_path(path) as temporary:
        few[0].save(temporary, save_all=True, append_images=few[1:], duration=round(1000 / per_second), loop=0)


def write_mp4(path: Path, pictures: list[Image.Image], per_second: int) -> bool:
    """An MP4 of the pictures by the program ffmpeg; False, and nothing is written, where it is not installed."""
    program = shutil.which("ffmpeg")
    if program is None:
        return False
    width, height = pictures[0].size
    with atomic_path(path) as temporary:
        command = [
            program, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
            "-r", str(per_second), "-i", "-", "-an", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(temporary),
        ]  # fmt: skip
        done = subprocess.run(command, input=b"".join(p.tobytes() for p in pictures), capture_output=True, check=False)
        if done.returncode:
            raise DeepError(
                f"ffmpeg could not write '{path}': {done.stderr.decode(errors='replace').strip()[-300:]}; make the GIF "
                "alone by --movie gif"
            )
    return True


def _molecule(ax: Any, structure: Structure, frames_A: list[Floats]) -> Any:
    """Draw the molecule where it starts, in grey; what is returned puts a frame over it."""
    atoms = structure.representative_atoms if not structure.is_pseudoatomic else np.arange(len(structure))
    traces = np.array([frame[atoms] for frame in frames_A])
    moved_A = np.linalg.norm(traces - traces[0], axis=2)
    seen = (traces - traces[0].mean(axis=0)) @ _view(traces).T  # (P, R, 3): right, up, towards the eye
    low, high = seen.min(axis=(0, 1)), seen.max(axis=(0, 1))
    margin = 0.04 * (high - low)[:2].max()
    ax.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin), aspect="equal")
    ax.set_axis_off()
    top_A = max(float(np.quantile(moved_A, 0.995)), 1e-3)
    parts = np.arange(len(atoms)) if structure.is_pseudoatomic else _bonds(structure, atoms)
    depth_range = max(high[2] - low[2], 1e-9)

    def near(depth: Floats) -> Floats:
        return (depth - low[2]) / depth_range

    if structure.is_pseudoatomic:
        ax.scatter(*seen[0, :, :2].T, s=10, color="0.85", linewidths=0)
        drawn = ax.scatter([0], [0], c=[0.0], linewidths=0, cmap=_COLOURS, vmin=0, vmax=top_A)
    else:
        start = np.stack([seen[0, parts, :2], seen[0, parts + 1, :2]], axis=1)
        ax.add_collection(LineCollection(start, colors="0.85", linewidths=1.6, capstyle="round"))
        drawn = ax.add_collection(LineCollection([], cmap=_COLOURS, clim=(0, top_A), capstyle="round"))
    ax.figure.colorbar(
        drawn, ax=ax, orientation="horizontal", shrink=0.6, pad=0.02, label="displacement from the first frame (Å)"
    )

    def show(number: int) -> None:
        points, values = seen[number], moved_A[number]
        if structure.is_pseudoatomic:
            order = np.argsort(points[:, 2])
            drawn.set_offsets(points[order, :2])
            drawn.set_sizes(8 + 22 * near(points[order, 2]))
            drawn.set_array(values[order])
            return
        depth = (points[parts, 2] + points[parts + 1, 2]) / 2
        order = parts[np.argsort(depth)]
        drawn.set_segments(np.stack([points[order, :2], points[order + 1, :2]], axis=1))
        drawn.set_linewidths(1.2 + 2.6 * near(np.sort(depth)))
        drawn.set_array((values[order] + values[order + 1]) / 2)

    return show


def _bonds(structure: Structure, atoms: Integers) -> Integers:
    """Places (B,) in the trace from which it leads on to the next one: same chain, and not too far."""
    coords, chains = structure.coords_A[atoms], structure.chain_ids[atoms]
    same = chains[1:] == chains[:-1]
    apart_A = np.linalg.norm(np.diff(coords, axis=0), axis=1)
    usual_A = float(np.median(apart_A[same])) if same.any() else 0.0
    return np.flatnonzero(same & (apart_A < _GAP * usual_A))


def _view(traces_A: Floats) -> Floats:
    """Axes (3, 3) of the picture: across, up and towards the eye, the way in which the molecule (P, R, 3) is seen best.

    Extent and motion count alike: the eye looks along the direction in which both together are least.
    """
    start = traces_A[0] - traces_A[0].mean(axis=0)
    motion = (traces_A - traces_A[0]).reshape(-1, 3)
    spread = sum(part.T @ part / max(np.square(part).sum(), 1e-12) for part in (start, motion))
    axes = np.linalg.eigh(spread)[1].T[::-1]
    axes = axes * np.sign(axes[np.arange(3), np.abs(axes).argmax(axis=1)])[:, None]
    return np.stack([axes[0], axes[1], np.cross(axes[0], axes[1])])


def _plane(ax: Any, trajectory: Trajectory, plane: LandscapePlane) -> Any:
    """Draw the particles and the path; what is returned marks a point of it."""
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
    ax.set(xlabel=plane.labels[i], ylabel=plane.labels[j])
    (mark,) = ax.plot([], [], "o", color=_PATH, markeredgecolor=_HERE, markersize=9)
    return lambda number: mark.set_data(trajectory.points[[number], i], trajectory.points[[number], j])


def _energy(ax: Any, trajectory: Trajectory) -> Any:
    """Draw the energy along the path with its deviation; what is returned marks a point of it."""
    frame = np.arange(1, len(trajectory) + 1)
    energy, sd = trajectory.energy_kT, trajectory.energy_sd_kT
    ax.fill_between(frame, energy - sd, energy + sd, color=_PATH, alpha=0.2, linewidth=0)
    ax.plot(frame, energy, "-", color=_PATH, linewidth=1.5)
    ax.set(xlabel="frame", ylabel="−ln p (kT)", xlim=(1, len(trajectory)))
    ax.set_ylim(min(0.0, float(energy.min())) - 0.1, 1.1 * max(float(energy.max()), 0.5) + 0.1)
    (mark,) = ax.plot([], [], "o", color=_PATH, markeredgecolor=_HERE, markersize=9, clip_on=False)
    return lambda number: mark.set_data(frame[[number]], energy[[number]])
