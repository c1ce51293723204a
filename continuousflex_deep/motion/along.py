"""The motion of a structure along normal modes, of the kind that the modes ask for."""

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.io.modes import NormalModes, require_same_atoms
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.messages import note_once
from continuousflex_deep.motion.base import Motion
from continuousflex_deep.motion.blocks import block_numbers
from continuousflex_deep.motion.helical import helical_motion
from continuousflex_deep.motion.straight import StraightMotion
from continuousflex_deep.particles import JOINTED, STRAIGHT

BLOCK_SIZE = 10  # residues, or pseudoatoms, of modes whose blocks are not known
_RIGID = 1e-5  # of a mode's norm; files give nine digits


def motion_along(structure: Structure, modes: NormalModes) -> Motion[Floats]:
    """The motion of a structure along modes, of the kind that the modes say. Raises InputError for modes of another
    number of atoms, and for jointed motion of too many blocks.

    The net translation is removed: the weighted centre does not move, as with Xmipp's --centerPDB.
    """
    require_same_atoms(modes, len(structure))
    weights = structure.weights / structure.weights.sum()
    if modes.motion == STRAIGHT:
        drift = np.einsum("n,mni->mi", weights, modes.vectors)
        return StraightMotion(structure.coords_A, np.asarray(modes.vectors - drift[:, None]))
    block = block_numbers(structure, modes.block_size or BLOCK_SIZE)
    motion, apart = helical_motion(structure.coords_A, weights, modes.vectors, block, modes.motion == JOINTED)
    if len(apart) and apart.max() > _RIGID:
        most = int(apart.argmax())
        note_once(
            f"mode {modes.mode_ids[most]} bends the rigid blocks of {modes.block_size or BLOCK_SIZE}, by "
            f"{100 * apart[most]:.2g}% of its length; this part of the motion turns with each block"
        )
        return motion
    return motion.of_rigid_blocks()


def amplitude_of_rmsd(rmsd_A: float, n_atoms: int) -> float:
    """The amplitude q in Å of a motion of this RMSD along one mode, whose norm over all atoms is 1
    (docs/conventions.md)."""
    return float(rmsd_A * np.sqrt(n_atoms))
