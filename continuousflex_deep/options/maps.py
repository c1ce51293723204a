"""Options of the commands that reconstruct maps: reconstruct, unbend."""

from dataclasses import dataclass
from typing import Literal

from continuousflex_deep.options.schema import option, required
from continuousflex_deep.options.shared import Hardware, ParticleFile, StructureAndModes


@dataclass(frozen=True)
class ReconstructOptions(Hardware):
    """3D reconstruction of groups from their poses, with half maps and FSC; of several groups also a movie."""

    particles: tuple[str, ...] = option(
        (), "particle file of a group (.star of RELION, .xmd of Xmipp, .cs of cryoSPARC); repeat for several groups"
    )
    output: str = required("folder for maps and FSC curves")
    landscape: str = option("", "instead of particle files: folder that the landscape command wrote, split into groups")
    axis: str = option("pc1", "of a landscape: axis along which it is split: pc1, pc2, …, q7, …")
    groups: int = option(5, "of a landscape: number of consecutive groups along the axis", low=2, high=99)
    split: Literal["numbers", "widths"] = option(
        "numbers", "of a landscape: groups of equal numbers of particles, or of equal widths along the axis"
    )
    keep_outliers: bool = option(False, "of a landscape: also take particles marked as outliers")
    images: str = option("", "particle file with the same ids whose images (say, at original size) are used instead")
    reference: str = option("", "map to compare with (.mrc)")
    mask_diameter_A: float = option(
        0.0, "diameter of the soft spherical mask for the masked FSC; 0 takes 0.9 of the box", "Å", low=0.0
    )
    symmetry: str = option("c1", "point group: c1, c2, …, d2, …")
    ctf: bool = option(True, "weight by the CTF")
    batch: int = option(64, "images at a time, of the embedded engine", low=1)
    engine: Literal["embedded", "relion", "xmipp"] = option(
        "embedded",
        "what reconstructs: the embedded engine, or relion_reconstruct or xmipp_reconstruct_fourier where they are "
        "installed",
    )
    local_filter: bool = option(
        False, "also write the local resolution, and a map filtered by it, from the half maps within the mask"
    )
    local_window_A: float = option(
        0.0, "width of the window for the local resolution; 0 takes 7 times the map's resolution", "Å", low=0.0
    )
    relion_home: str = option("", "folder of RELION's bin; by default that of RELION_HOME, then PATH")
    xmipp_home: str = option("", "folder of Xmipp's bin and lib; by default that of XMIPP_HOME, then PATH")


@dataclass(frozen=True)
class UnbendOptions(StructureAndModes, ParticleFile, Hardware):
    """One map of the structure's conformation from particles of all conformations, their motion undone."""

    output: str = required("folder for maps and FSC curves")
    mode_list: str = option("", "modes whose motion is undone, for example 7-9; by default all that the particles have")
    images: str = option("", "particle file with the same ids whose images (say, at original size) are used instead")
    reference: str = option("", "map of the structure's conformation to compare with (.mrc)")
    mask_diameter_A: float = option(
        0.0, "diameter of the soft spherical mask for the masked FSC; 0 takes 0.9 of the box", "Å", low=0.0
    )
    ctf: bool = option(True, "weight by the CTF")
    batch: int = option(64, "images at a time", low=1)
