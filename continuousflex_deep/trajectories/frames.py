"""Coordinates of a structure that swings along normal modes or moves along a path of amplitudes."""

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.motion import Motion

SWING_FRAMES = 20


def swing_phases(n_frames: int = SWING_FRAMES) -> Floats:
    """sin(2πk / n_frames) for the frames k (n_frames,) of one period of a swing."""
    return np.asarray(np.sin(2 * np.pi * np.arange(n_frames) / n_frames))


def swing_frames(motion: Motion[Floats], amplitudes_A: Floats, n_frames: int = SWING_FRAMES) -> list[Floats]:
    """One period of a swing as n_frames coordinate sets (N, 3) in Å.

    Frame k has the amplitudes amplitudes_A (M,) · sin(2πk / n_frames). The first frame is the structure itself, and the
    last one precedes it, so that the swing can repeat.
    """
    return [motion.coordinates(phase * amplitudes_A) for phase in swing_phases(n_frames)]


def equal_steps(points: Floats, n: int) -> Floats:
    """n places (n, D) at equal steps along straight lines through points (P, D), from the first to the last point. A
    path without length has only its first point (1, D)."""
    points = np.asarray(points, dtype=np.float64)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    if along[-1] == 0:
        return points[:1]
    steps = np.linspace(0, along[-1], n)
    return np.stack([np.interp(steps, along, column) for column in points.T], axis=1)


def path_frames(motion: Motion[Floats], points_A: Floats, n_frames: int) -> tuple[Floats, list[Floats]]:
    """Amplitudes (n_frames, M) at equal steps along a path of points_A (P, M) from the first to the last one, and their
    coordinate sets (N, 3). A single point is one frame."""
    amplitudes = equal_steps(points_A, n_frames)
    return amplitudes, [motion.coordinates(q) for q in amplitudes]


def rmsd_from_rest_A(frames_A: list[Floats], rest_A: Floats) -> Floats:
    """RMSD (F,) in Å of F frames (N, 3) from the structure at rest (N, 3), as they lie."""
    return np.array([np.sqrt(np.square(frame - rest_A).sum(axis=1).mean()) for frame in frames_A])
