"""What every HEMNMA engine offers: the same inputs, the same outputs, the same errors."""

from abc import ABC, abstractmethod

from continuousflex_deep.particles import Particles


class Engine(ABC):
    """Finds pose and normal-mode amplitudes of particles; made from a structure, its modes and the options of
    `align`."""

    @abstractmethod
    def align(self, particles: Particles) -> Particles:
        """The particles with euler_deg, shift_A, amplitudes and scores (and error bars where the engine knows them),
        by id. Those whose image cannot be used (constant, not finite, unreadable) are left out, and named on stderr.

        Raises InputError for particles that cannot be aligned: stacks missing, no poses for a local start, no usable
        image at all.
        """
