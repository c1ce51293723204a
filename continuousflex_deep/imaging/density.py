"""Density maps of atomic structures, to which reconstructions are compared."""

import numpy as np
import torch

from continuousflex_deep.arrays import Singles
from continuousflex_deep.errors import InputError
from continuousflex_deep.imaging.scattering import density, scatterers
from continuousflex_deep.io.structures import Structure


def structure_to_map(
    structure: Structure,
    box_px: int,
    pixel_size_A: float,
    resolution_A: float = 0.0,
    center: bool = True,
    b_factor_A2: float = 0.0,
) -> Singles:
    """Map (d, d, d) in zyx order of a structure's electron scattering, of which simulated images are projections.

    The weighted centre of the atoms is at voxel d//2, as in the engine and the simulation, which centre every
    conformation (center=False: the origin of the coordinates is there). resolution_A: ideal low-pass filter; 0 keeps
    all frequencies up to Nyquist. b_factor_A2 blurs all atoms equally. Values are scattering amplitudes per volume in
    1/Å² (Peng et al. 1996; imaging/scattering).
    Raises InputError if the structure does not fit into the box.
    """
    coords = structure.coords_A - (structure.center_A if center else 0.0)
    require_fits(np.abs(coords).max(), box_px, pixel_size_A)
    volume = density(scatterers(structure, b_factor_A2), torch.as_tensor(coords), box_px, pixel_size_A)
    if resolution_A > 0:
        k = torch.fft.fftfreq(box_px, pixel_size_A)
        kx = torch.fft.rfftfreq(box_px, pixel_size_A)
        inside = k[:, None, None] ** 2 + k[None, :, None] ** 2 + kx**2 <= resolution_A**-2
        volume = torch.fft.irfftn(torch.fft.rfftn(volume) * inside, s=volume.shape)
    return volume.numpy()


def require_fits(extent_A: float, box_px: int, pixel_size_A: float) -> None:
    """InputError if atoms at a distance of extent_A from the centre do not fit into the box."""
    half_A = box_px * pixel_size_A / 2
    if extent_A > half_A:
        raise InputError(
            f"the structure extends {extent_A:.1f} Å from its centre, a box of {box_px} px of {pixel_size_A:g} Å only "
            f"{half_A:.1f} Å; use a larger box or larger pixels"
        )
