"""Three helices side by side and the map of them in any conformation."""

import numpy as np

from continuousflex_deep.io.structures import Structure
from continuousflex_deep.tests.helpers.maps import gaussians_map
from continuousflex_deep.tests.helpers.structures import helix

VOXEL_A, BOX = 2.0, 40


def molecule() -> Structure:
    """Helices side by side, centred."""
    structure = helix(30, chains=3)
    return structure.replace_coords(structure.coords_A - structure.center_A)


def map_of(coords_A: np.ndarray, box: int = BOX, solvent: float = 0.0) -> np.ndarray:
    return gaussians_map(coords_A, np.ones(len(coords_A)), 3.0, box, VOXEL_A) + np.float32(solvent)
