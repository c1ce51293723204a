"""The map of adenylate kinase's trace, blurred, as a coarse reference."""

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.tests.helpers.maps import gaussians_map

VOXEL_A, BOX_PX, SIGMA_A = 4.0, 32, 6.0


def trace_map(centres_A: Floats) -> Floats:
    """Map (d, d, d) of equal Gaussians at xyz centres (n, 3) from voxel d//2."""
    return gaussians_map(centres_A, np.ones(len(centres_A)), SIGMA_A, BOX_PX, VOXEL_A)
