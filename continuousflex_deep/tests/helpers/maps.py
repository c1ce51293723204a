"""Maps of Gaussians, known in closed form, and what they have in common with others."""

import numpy as np

from continuousflex_deep.io.structures import Structure


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def gaussians_map(centres_A: np.ndarray, weights: np.ndarray, sigma_A: float, box: int, voxel_A: float) -> np.ndarray:
    """Map (d, d, d) zyx of Gaussians at xyz centres from voxel d//2."""
    axis = (np.arange(box) - box // 2) * voxel_A
    gx, gy, gz = (np.exp(-((axis - centres_A[:, i, None]) ** 2) / (2 * sigma_A**2)) for i in range(3))
    return np.einsum("n,nz,ny,nx->zyx", weights, gz, gy, gx).astype(np.float32)


def blob(box: int = 40) -> np.ndarray:
    """A smooth map without symmetry."""
    rng = np.random.default_rng(5)
    centres = np.cumsum(rng.normal(size=(40, 3)) * 2.2, axis=0)
    return gaussians_map(centres - centres.mean(axis=0), rng.uniform(0.5, 1, 40), 3.5, box, 2.0)


def overlap_with_map(volume: np.ndarray, structure: Structure, sigma_A: float, voxel_A: float) -> float:
    made = gaussians_map(structure.coords_A, structure.weights, sigma_A, len(volume), voxel_A)
    return float((made * volume).sum() / np.linalg.norm(made) / np.linalg.norm(volume))
