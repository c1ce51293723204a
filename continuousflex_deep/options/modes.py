"""Options of the commands about normal modes: nma, modes, pseudoatoms, deform."""

from dataclasses import dataclass
from typing import Literal

from continuousflex_deep.options.schema import option, required
from continuousflex_deep.options.shared import ATOMS_BLOCK_SIZE, ATOMS_CUTOFF_A, PSEUDOATOMS_CUTOFF_PERCENT


@dataclass(frozen=True)
class NmaOptions:
    """Normal modes of a structure by an elastic network, of atoms with rotating and translating blocks."""

    structure: str = required("atomic structure or pseudoatoms (.pdb, .cif)")
    output: str = required("folder for the modes")
    cutoff_A: float = option(
        0.0,
        f"atoms closer than this are joined by a spring; 0 takes {ATOMS_CUTOFF_A:g} Å for atoms, and for pseudoatoms "
        f"the cutoff of {PSEUDOATOMS_CUTOFF_PERCENT:g}% of their distances (see the percentage)",
        "Å",
        low=0.0,
        high=100.0,
    )
    cutoff_percent: float = option(
        0.0,
        "instead of a cutoff in Å: this percentile of the distances from each atom to its 3 nearest ones, as "
        "ContinuousFlex's relative cutoff, widened so that every atom has 6 springs; 0 for none",
        "%",
        low=0.0,
        high=100.0,
    )
    block_size: int = option(
        -1,
        f"residues (of pseudoatoms: neighbours) in a rigid block; 0 for no blocks, -1 takes {ATOMS_BLOCK_SIZE} for "
        "atoms and no blocks for pseudoatoms",
        low=-1,
    )
    n_modes: int = option(20, "number of modes, the six rigid-body ones included", low=7)
    collectivity_threshold: float = option(
        0.15, "modes below this collectivity are marked as not recommended", low=0.0, high=1.0
    )
    hydrogens: bool = option(False, "keep hydrogens")
    engine: Literal["embedded", "elnemo"] = option(
        "embedded", "what computes the modes: the embedded network, or elNemo's programs where they are installed"
    )
    elnemo_home: str = option("", "folder of elNemo's programs; by default that of NMA_HOME, then PATH")


@dataclass(frozen=True)
class ModesOptions:
    """Choose modes: by energy and collectivity, or by the motion towards another conformation; with animations."""

    structure: str = required("atomic structure or pseudoatoms that the modes were computed from (.pdb, .cif)")
    modes: str = required("folder of normal modes (vec.7, vec.8, …)")
    output: str = required("folder for the table, the picture and the animations")
    target: str = option("", "another conformation of the same molecule (.pdb, .cif), to see which modes lead there")
    mode_list: str = option("", "modes to choose, for example 7-9 or '7 8 11'; by default those that are suggested")
    explained_percent: float = option(
        90.0,
        "with a target, the fewest modes are suggested that hold this share of what all collective ones hold of its "
        "squared difference",
        "%",
        low=1.0,
        high=100.0,
    )
    max_energy: float = option(
        5.0,
        "without a target, modes are suggested whose energy for a motion of the same size is at most this many times "
        "that of the slowest collective one",
        low=1.0,
    )
    collectivity_threshold: float = option(
        NmaOptions.collectivity_threshold, "modes below this collectivity are not suggested", low=0.0, high=1.0
    )
    swing_rmsd_A: float = option(
        2.5, "how far atoms are from the structure at both ends of an animation, and in tables (RMSD)", "Å", low=0.01
    )


@dataclass(frozen=True)
class PseudoatomsOptions:
    """An EM map as pseudoatoms: equal Gaussians that can have normal modes as atoms do."""

    map: str = required("EM map (.mrc), its density positive")
    output: str = required("pseudoatoms (.pdb)")
    sigma_A: float = option(0.0, "standard deviation of the Gaussians; 0 takes 1.5 voxels", "Å", low=0.0)
    threshold: str = option(
        "auto",
        "voxels of at least this density are approximated; auto: Otsu's threshold of the map smoothed by the Gaussian, "
        "which is told",
    )
    mask: str = option("", "map (.mrc) that is above 0.5 where to approximate, instead of a threshold")
    target_error_percent: float = option(
        5.0,
        "pseudoatoms are added until the difference from the map, noise apart, is this much of it (root mean square); "
        "of Xmipp's engine, the mean difference in percent of the map's range, which for the same pseudoatoms is the "
        "smaller number (0.5 to 0.8 of the other)",
        "%",
        0.1,
        50,
    )
    max_pseudoatoms: int = option(20000, "no more than these, of the embedded engine", low=4)
    invert: bool = option(False, "the map's density is negative: invert it")
    voxel_size_A: float = option(0.0, "voxel size where the map's header does not say", "Å", low=0.0)
    engine: Literal["embedded", "xmipp"] = option(
        "embedded", "what places the pseudoatoms: the embedded engine, or Xmipp's program where Xmipp is installed"
    )
    xmipp_home: str = option("", "folder of Xmipp's bin and lib; by default that of XMIPP_HOME, then PATH")
    threads: int = option(0, "CPU threads of Xmipp's program; 0 takes all cores that this process may use", low=0)


@dataclass(frozen=True)
class DeformOptions:
    """A structure, and a map with it, moved along normal modes: to a conformation, between groups, or to and fro."""

    structure: str = required("atomic structure or pseudoatoms that the modes were computed from (.pdb, .cif)")
    modes: str = required("folder of normal modes (vec.7, vec.8, …)")
    output: str = required("folder for the frames")
    mode_list: str = option(
        "", "modes to move along, for example 7-9; by default those of the particles, and otherwise 7"
    )
    amplitudes: str = option(
        "",
        "the conformation to go to, one amplitude in Å for each mode, such as '100 -50 0'; several, separated by "
        "semicolons, are a path from the first to the last",
    )
    particles: tuple[str, ...] = option(
        (),
        "particles, such as a group, whose mean amplitudes are the conformation to go to; repeat for a path through "
        "the means of several groups",
    )
    swing_rmsd_A: float = option(
        ModesOptions.swing_rmsd_A,
        "without amplitudes or particles the structure swings along one mode, and this is how far atoms are from it at "
        "both ends (RMSD)",
        "Å",
        low=0.01,
    )
    n_frames: int = option(10, "number of frames", low=1, high=999)
    map: str = option("", "EM map (.mrc) to move along with the structure, which lies in it")
    place: Literal["auto", "middle", "centre", "header"] = option(
        "auto",
        "where the structure's coordinates are in the map: their origin at its voxel d//2 (middle), as of pseudoatoms; "
        "their weighted centre there (centre); or at the origin of its header (header); auto takes middle for "
        "pseudoatoms, and for atoms the one at which the map is densest, which is told",
    )
    voxel_size_A: float = option(0.0, "voxel size where the map's header does not say", "Å", low=0.0)
