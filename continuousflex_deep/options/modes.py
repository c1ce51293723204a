"""Options of the commands about normal modes: nma, modes, pseudoatoms, deform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from continuousflex_deep.options.schema import Paths, option, required
from continuousflex_deep.options.shared import (
    ATOMS_BLOCK_SIZE,
    ATOMS_CUTOFF_A,
    PSEUDOATOMS_CUTOFF_PERCENT,
    Models,
    Motion,
    Place,
    StructureAtoms,
    map_option,
    models_option,
    modes_option,
    motion_option,
    place_option,
    select_option,
    structure_option,
    threads_option,
    voxel_size_option,
    xmipp_home_option,
)


@dataclass(frozen=True)
class NmaOptions:
    """Compute the normal modes of a structure by an elastic network of rigid blocks."""

    structure: str = required("Atomic structure or pseudoatoms (.pdb, .cif).", "input")
    output: str = required("Folder for the modes.", "output")
    select: str = select_option("advanced")
    models: Models = models_option("advanced")
    cutoff_A: float = option(
        0.0,
        "Distance below which a spring connects two atoms; 0 takes "
        f"{ATOMS_CUTOFF_A:g} Å for atoms, and a relative cutoff of {PSEUDOATOMS_CUTOFF_PERCENT:g}% for pseudoatoms. "
        "Increase it if the first modes move only loose ends.",
        "Å",
        low=0.0,
        high=100.0,
        level="advanced",
    )
    cutoff_percent: float = option(
        0.0,
        "Relative cutoff, as in ContinuousFlex: this percentile of the distances from each atom to its 3 nearest "
        "neighbours, widened until every atom has 6 springs; 0 takes the cutoff in Å. Use it if atoms are farther "
        "apart than usual, as pseudoatoms are.",
        "%",
        low=0.0,
        high=100.0,
        level="advanced",
        label="Relative cutoff (%)",
    )
    block_size: int = option(
        -1,
        "Residues (of pseudoatoms: neighbours) in a rigid block; 0 takes no blocks, -1 takes "
        f"{ATOMS_BLOCK_SIZE} for atoms and no blocks for pseudoatoms. Increase it for large structures, to save time "
        "and memory.",
        low=-1,
        level="advanced",
    )
    n_modes: int = option(
        20,
        "Number of modes, including the six rigid-body modes. Increase it if these modes do not express the expected "
        "motion.",
        low=7,
        label="Number of modes",
    )
    motion: Literal["auto", "helical", "straight", "jointed"] = option(
        "auto",
        "Motion of the atoms along the modes, which is kept with them: in rigid blocks of residues that turn and stay "
        "together (jointed), in blocks that turn each by itself (helical), or straight, as in the article and in "
        "Xmipp, which always moves atoms straight. auto takes jointed where the network has rigid blocks.",
        level="advanced",
        label="Motion of the atoms",
    )
    collectivity_threshold: float = option(
        0.15,
        "Collectivity below which a mode is marked as not recommended, because it moves few atoms. Reduce it for local "
        "motions.",
        low=0.0,
        high=1.0,
        level="advanced",
    )
    hydrogens: bool = option(
        False, "Keep hydrogens, which are left out by default.", level="advanced", label="Keep hydrogens"
    )
    engine: Literal["embedded", "elnemo"] = option(
        "embedded",
        "Program that computes the modes: the embedded engine, or elNemo where it is installed. Choose elNemo to "
        "compare with ContinuousFlex.",
        level="advanced",
    )
    elnemo_home: str = option(
        "", "Folder of elNemo's programs; by default NMA_HOME, then PATH.", role="installation", engine="elnemo"
    )


@dataclass(frozen=True)
class ModesOptions(StructureAtoms):
    """Select normal modes, by energy and collectivity or by the motion to another conformation, and animate them."""

    structure: str = structure_option()
    modes: str = modes_option()
    output: str = required("Folder for the table, the picture and the animations.", "output")
    target: str = option(
        "",
        "Another conformation of the same molecule (.pdb, .cif). Give it to select the modes that lead towards it.",
        role="input",
    )
    mode_list: str = option(
        "",
        "Modes to select, for example 7-9 or '7 8 11'; by default those that the command suggests.",
        label="Modes to select",
    )
    motion: Motion = motion_option()
    explained_percent: float = option(
        90.0,
        "With a target: share of the squared displacement explained by all collective modes that the suggested modes "
        "must explain; the fewest such modes are suggested. Increase it for more modes.",
        "%",
        low=1.0,
        high=100.0,
        label="Motion to explain (%)",
    )
    max_energy: float = option(
        5.0,
        "Without a target: highest energy of a suggested mode, as a multiple of the energy of the slowest collective "
        "mode for a motion of the same size. Increase it for more modes.",
        low=1.0,
        label="Maximum energy",
    )
    collectivity_threshold: float = option(
        NmaOptions.collectivity_threshold,
        "Collectivity below which a mode is not suggested, because it moves few atoms. Reduce it for local motions.",
        low=0.0,
        high=1.0,
        level="advanced",
    )
    swing_rmsd_A: float = option(
        2.5,
        "RMSD of the atoms from the structure at both ends of an animation, and in tables. Increase it to see small "
        "motions.",
        "Å",
        low=0.01,
        level="advanced",
        label="RMSD at both ends of an animation (Å)",
    )


@dataclass(frozen=True)
class PseudoatomsOptions:
    """Convert an EM map into pseudoatoms: equal Gaussians, whose normal modes are computed like those of atoms."""

    map: str = required("EM map (MRC or Spider) with positive density.", "input")
    output: str = required("File for the pseudoatoms (.pdb, .cif).", "output")
    sigma_A: float = option(
        0.0,
        "Standard deviation of the Gaussians; 0 takes 1.5 voxels. Increase it for fewer pseudoatoms with less detail.",
        "Å",
        low=0.0,
        label="Sigma of the Gaussians (Å)",
    )
    threshold: str = option(
        "auto",
        "Lowest density that is approximated; auto takes Otsu's threshold of the map smoothed by the Gaussian, and "
        "reports it. Set it if auto includes solvent or cuts off parts of the particle.",
    )
    mask: str = option(
        "", "Map that is above 0.5 in the region to approximate. Give it instead of a threshold.", role="input"
    )
    target_error_percent: float = option(
        5.0,
        "Root-mean-square difference from the map, without its noise, at which no more pseudoatoms are added. Reduce "
        "it for more pseudoatoms. Xmipp's engine takes the mean difference in percent of the map's range instead, "
        "which is 0.5 to 0.8 times as large for the same pseudoatoms.",
        "%",
        0.1,
        50,
    )
    max_pseudoatoms: int = option(
        20000,
        "Maximum number of pseudoatoms. Increase it if the target error is not reached.",
        low=4,
        engine="embedded",
        level="advanced",
        label="Maximum number of pseudoatoms",
    )
    invert: bool = option(
        False, "Invert the map. Set it if the density is negative.", level="advanced", label="Invert the map"
    )
    voxel_size_A: float = voxel_size_option()
    engine: Literal["embedded", "xmipp"] = option(
        "embedded",
        "Program that places the pseudoatoms: the embedded engine, or Xmipp's where it is installed. Choose Xmipp's to "
        "compare with ContinuousFlex.",
        level="advanced",
    )
    xmipp_home: str = xmipp_home_option()
    threads: int = threads_option("Only Xmipp's engine uses more than one.")


@dataclass(frozen=True)
class DeformOptions(StructureAtoms):
    """Deform a structure, and a map with it, along modes: to a conformation, through groups, or back and forth."""

    structure: str = structure_option()
    modes: str = modes_option()
    output: str = required("Folder for the frames.", "output")
    mode_list: str = option(
        "",
        "Modes to move along, for example 7-9; by default those of the particles, and mode 7 without particles.",
        label="Modes to move along",
    )
    motion: Motion = motion_option()
    amplitudes: str = option(
        "",
        "Conformation to move to: one amplitude in Å for each mode, such as '100 -50 0'. Give several, separated by "
        "semicolons, for a path from the first to the last.",
        label="Amplitudes (Å, optional)",
    )
    particles: Paths = option(
        (),
        "Particles, such as a group, whose mean amplitudes are the conformation to move to. Repeat it for a path "
        "through the means of several groups.",
        role="input",
    )
    swing_rmsd_A: float = option(
        ModesOptions.swing_rmsd_A,
        "RMSD of the atoms from the structure at both ends of a swing along one mode, which is made without amplitudes "
        "and particles. Increase it to see small motions.",
        "Å",
        low=0.01,
        label="RMSD at both ends of a swing (Å)",
    )
    n_frames: int = option(10, "Number of frames. Increase it for smoother movies.", low=1, high=999, label="Frames")
    map: str = map_option()
    place: Place = place_option()
    voxel_size_A: float = voxel_size_option()
