"""Rotations: Xmipp/RELION Euler angles, matrices, quaternions, distances, uniform samplings.

Convention (docs/conventions.md): R = Rz(psi) · Ry(tilt) · Rz(rot) with Rz(a) = [[cos a, sin a, 0], [−sin a, cos a, 0],
[0, 0, 1]] and Ry(b) = [[cos b, 0, −sin b], [0, 1, 0], [sin b, 0, cos b]]. An atom at model position X is projected to
the first two components of R·X. All angles are in degrees.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError


def euler_to_matrix(euler_deg: ArrayLike) -> Floats:
    """Rotation matrices (..., 3, 3) of Euler angles (..., 3) = rot, tilt, psi in degrees."""
    angles = np.radians(np.asarray(euler_deg, dtype=np.float64))
    if angles.shape[-1] != 3:
        raise InputError(
            f"Euler angles: got an array of shape {angles.shape}, expected (..., 3) = rot, tilt, psi in degrees"
        )
    c, s = np.cos(angles), np.sin(angles)
    (c_rot, c_tilt, c_psi), (s_rot, s_tilt, s_psi) = np.moveaxis(c, -1, 0), np.moveaxis(s, -1, 0)
    rows = [
        [c_psi * c_tilt * c_rot - s_psi * s_rot, c_psi * c_tilt * s_rot + s_psi * c_rot, -c_psi * s_tilt],
        [-s_psi * c_tilt * c_rot - c_psi * s_rot, -s_psi * c_tilt * s_rot + c_psi * c_rot, s_psi * s_tilt],
        [s_tilt * c_rot, s_tilt * s_rot, c_tilt],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def matrix_to_euler(matrix: ArrayLike) -> Floats:
    """Euler angles (..., 3) = rot, tilt, psi in degrees of rotations (..., 3, 3).

    tilt is in [0, 180], rot and psi are in (−180, 180]. If tilt is 0 or 180, only rot ± psi is defined; rot is then 0.
    """
    m = np.asarray(matrix, dtype=np.float64)
    sin_tilt = np.hypot(m[..., 2, 0], m[..., 2, 1])
    tilt = np.arctan2(sin_tilt, m[..., 2, 2])
    regular = sin_tilt > 1e-9
    rot = np.where(regular, np.arctan2(m[..., 2, 1], m[..., 2, 0]), 0.0)
    # R = Rz(rot + psi) at tilt 0 and R = Rz(psi)·Ry(180)·Rz(rot) at tilt 180: with rot = 0, psi follows from the first
    # two rows of R
    psi_pole = np.arctan2(-m[..., 1, 0] * np.sign(m[..., 2, 2]), m[..., 1, 1])
    psi = np.where(regular, np.arctan2(m[..., 1, 2], -m[..., 0, 2]), psi_pole)
    return np.degrees(np.stack([rot, tilt, psi], axis=-1))


def matrix_to_quaternion(matrix: ArrayLike) -> Floats:
    """Unit quaternions (..., 4) = w, x, y, z with w ≥ 0 of rotation matrices (..., 3, 3) acting on column vectors."""
    m = np.asarray(matrix, dtype=np.float64)
    xyzw = Rotation.from_matrix(m.reshape(-1, 3, 3)).as_quat()
    quaternion = np.concatenate([xyzw[:, 3:], xyzw[:, :3]], axis=1)
    quaternion = np.where(quaternion[:, :1] < 0, -quaternion, quaternion)
    return quaternion.reshape(*m.shape[:-2], 4)


def quaternion_to_matrix(quaternion: ArrayLike) -> Floats:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4) = w, x, y, z, which are normalised. InputError for zero."""
    q = np.asarray(quaternion, dtype=np.float64)
    if np.any(np.linalg.norm(q, axis=-1) < 1e-12):
        raise InputError("quaternion: got a vector of length zero, which is no rotation; expected w, x, y, z")
    flat = q.reshape(-1, 4)
    return (
        Rotation.from_quat(np.concatenate([flat[:, 1:], flat[:, :1]], axis=1)).as_matrix().reshape(*q.shape[:-1], 3, 3)
    )


def rotation_distance_deg(first: ArrayLike, second: ArrayLike) -> Floats:
    """Angle in degrees (...,) of the rotation between two orientations (..., 3, 3)."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    # 2·asin of the chord is precise at small angles, arccos of the trace is not
    chord = np.linalg.norm(a - b, axis=(-2, -1)) / np.sqrt(8.0)
    return np.degrees(2 * np.arcsin(np.clip(chord, 0.0, 1.0)))


def axes_distance_deg(first: ArrayLike, second: ArrayLike) -> Floats:
    """The article's angular distance (...,): mean angle in degrees between the three rotated coordinate axes.

    The axes are the rows of R (x, y, z under the inverse rotation), as in Xmipp's comparison of Euler angles.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    chord = np.linalg.norm(a - b, axis=-1) / 2
    return np.degrees(2 * np.arcsin(np.clip(chord, 0.0, 1.0))).mean(axis=-1)


def random_rotations(count: int, rng: np.random.Generator) -> Floats:
    """Rotations (count, 3, 3) uniform on SO(3): normalised Gaussian quaternions."""
    return quaternion_to_matrix(rng.normal(size=(count, 4)))


def fibonacci_directions(count: int) -> Floats:
    """Quasi-uniform unit vectors (count, 3) on the sphere (golden-angle spiral)."""
    i = np.arange(count) + 0.5
    z = 1 - 2 * i / count
    azimuth = np.pi * (1 + np.sqrt(5)) * i
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=1)


def so3_grid(step_deg: float) -> Floats:
    """Quasi-uniform rotations (n, 3, 3): Fibonacci view directions and in-plane angles, both about step_deg apart."""
    if not 1 <= step_deg <= 90:
        raise InputError(f"angular step: got {step_deg}°, expected between 1° and 90°")
    n_directions = int(np.ceil(4 * np.pi / np.radians(step_deg) ** 2))
    n_psi = int(np.ceil(360 / step_deg))
    view = fibonacci_directions(n_directions)
    rot, tilt = np.degrees(np.arctan2(view[:, 1], view[:, 0])), np.degrees(np.arccos(view[:, 2]))
    psi = 360.0 * np.arange(n_psi) / n_psi
    euler = np.stack([np.repeat(rot, n_psi), np.repeat(tilt, n_psi), np.tile(psi, n_directions)], axis=1)
    return euler_to_matrix(euler)
