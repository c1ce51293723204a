"""Some particles of a set together with their images, read once for whoever works on them."""

from dataclasses import dataclass

import numpy as np

from continuousflex_deep.arrays import Images, Rows
from continuousflex_deep.io.stacks import read_images
from continuousflex_deep.particles import Particles


@dataclass(frozen=True, eq=False)
class Batch:
    """k particles of a set, the rows (k,) that they have there, and their images (k, d, d)."""

    rows: Rows
    particles: Particles
    images: Images

    @staticmethod
    def read(particles: Particles, rows: Rows | None = None) -> "Batch":
        """Some rows of a set, all by default. Raises InputError for images that cannot be used."""
        chosen = np.arange(len(particles)) if rows is None else np.asarray(rows)
        return Batch(chosen, particles.select(chosen), read_images(particles, chosen))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice | np.ndarray) -> "Batch":
        """Some of the particles, by a slice, by places within the batch, or by a mask (k,)."""
        places = np.arange(len(self))[part]
        return Batch(self.rows[places], self.particles.select(places), self.images[places])
