"""A view that is turned by a drag of the mouse."""

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Floats


def turned(rotation: NDArray[np.floating], right_deg: float, down_deg: float) -> Floats:
    """A view's rotation (3, 3), x to the right, y upwards and z to the eye, turned as if what is near were drawn to the
    right and down."""
    a, b = np.radians(right_deg), np.radians(down_deg)
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return np.asarray(about_x @ about_y @ rotation)
