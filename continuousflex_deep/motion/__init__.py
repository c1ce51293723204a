"""How amplitudes along normal modes move the atoms of a structure, and the derivative. No other package knows this.

Everything that moves atoms calls a `Motion`: projector, simulation, evaluation, selection of modes, trajectories,
deformation-corrected reconstruction, viewers and report. There are three kinds: on straight lines; helical, on which
blocks of residues stay rigid; and jointed, which is helical and keeps neighbouring blocks together. The arrays are
numpy's or, in the projector, torch's; each formula is written once for both, and Scipion's windows need no torch.
"""

from continuousflex_deep.motion.along import amplitude_of_rmsd, motion_along
from continuousflex_deep.motion.base import Motion
from continuousflex_deep.motion.helical import HelicalMotion
from continuousflex_deep.motion.straight import StraightMotion

__all__ = ["HelicalMotion", "Motion", "StraightMotion", "amplitude_of_rmsd", "motion_along"]
