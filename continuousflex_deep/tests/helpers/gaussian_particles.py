"""A particle of Gaussians, whose map and projections are known in closed form without any code of the project."""

import numpy as np

from continuousflex_deep.arrays import Floats

SIGMA_A = 4.0
# asymmetric, so that hand, axes and centre all show
ATOMS_A = np.array([[0.0, 0, 0], [18, 4, -6], [-10, 15, 3], [5, -16, 9], [-6, -8, -17], [12, 10, 14]])
HEIGHTS = np.array([1.0, 1.5, 0.8, 1.2, 2.0, 0.6])


def true_map(box_px: int, pixel_size_A: float) -> Floats:
    """Density (d, d, d), zyx, with its origin at pixel d//2."""
    axis = (np.arange(box_px) - box_px // 2) * pixel_size_A
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    out = np.zeros((box_px,) * 3)
    for (ax, ay, az), height in zip(ATOMS_A, HEIGHTS, strict=True):
        out += height * np.exp(-((x - ax) ** 2 + (y - ay) ** 2 + (z - az) ** 2) / (2 * SIGMA_A**2))
    return out


def true_images(
    rotations: Floats, shift_A: Floats, box_px: int, pixel_size_A: float
) -> Floats:
    """Projections (n, d, d) in voxel units: an atom X is seen at the first two components of R·X, minus the shift."""
    axis = (np.arange(box_px) - box_px // 2) * pixel_size_A
    line = HEIGHTS * SIGMA_A * np.sqrt(2 * np.pi) / pixel_size_A  # integral of each Gaussian along the view
    seen = np.einsum("nij,aj->nai", rotations, ATOMS_A)[..., :2] - shift_A[:, None, :]
    gx = np.exp(-((axis[None, None, :] - seen[..., :1]) ** 2) / (2 * SIGMA_A**2))
    gy = np.exp(-((axis[None, None, :] - seen[..., 1:]) ** 2) / (2 * SIGMA_A**2))
    return np.einsum("nay,nax,a->nyx", gy, gx, line)
