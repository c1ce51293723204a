"""Rotations of tensors against numpy's decomposition."""

import numpy as np
import pytest
import torch

from continuousflex_deep.geometry import quaternion_to_matrix
from continuousflex_deep.rotations import nearest_rotation


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e-15, 1e-3, 1.0, 1e3, 1e15])
def test_nearest_rotation_is_that_of_the_decomposition(dtype, size):
    """Of any matrix, of either hand and nearly flat ones too: against numpy's, in double precision."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(3000, 3, 3))
    matrix[:500, 0] = matrix[:500, 1] + 0.02 * rng.normal(size=(500, 3))
    matrix[500:1000] = quaternion_to_matrix(rng.normal(size=(500, 4))) + 0.1 * matrix[500:1000]
    u, values, vh = np.linalg.svd(matrix)
    sign = np.linalg.det(u @ vh)
    expected = np.concatenate([u[:, :, :2], u[:, :, 2:] * sign[:, None, None]], axis=2) @ vh
    clear = values[:, 1] + sign * values[:, 2] > 0.05  # elsewhere several rotations are about as near
    assert clear.mean() > 0.9
    found = nearest_rotation(torch.as_tensor(size * matrix, dtype=dtype)).double().numpy()
    assert np.abs(found - expected)[clear].max() < (1e-4 if dtype == torch.float32 else 1e-9)
    assert np.linalg.det(found) == pytest.approx(1.0, abs=1e-4)
