"""Options that several commands have, and values that options and methods share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from continuousflex_deep.options.schema import option, required

Fit = Literal["both", "pose", "conformation"]  # what an alignment finds
ATOMS_CUTOFF_A, ATOMS_BLOCK_SIZE = 8.0, 10  # of the elastic network of atoms
PSEUDOATOMS_CUTOFF_PERCENT, PSEUDOATOMS_BLOCK_SIZE = 95.0, 0  # and of pseudoatoms


def structure_option() -> Any:
    return required("Atomic structure or pseudoatoms that the modes were computed from (.pdb, .cif).", "input")


def modes_option() -> Any:
    return required("Folder of normal modes (vec.7, vec.8, …).", "input")


def landscape_option() -> Any:
    return required("Folder that the landscape command wrote.", "input")


def pixel_size_option(level: Literal["normal", "hidden"] = "hidden") -> Any:
    shown = "Pixel size of the images, if their file does not give it, or a wrong one: it comes before the file."
    return option(0.0, shown, "Å", low=0.0, level=level)


def voxel_size_option() -> Any:
    return option(0.0, "Voxel size of the map, if its header does not give it.", "Å", low=0.0, level="hidden")


def threads_option(more: str = "") -> Any:
    text = "CPU threads; 0 takes as many as OMP_NUM_THREADS says, or all cores that this process may use."
    return option(0, f"{text} {more}".rstrip(), low=0, role="resource", level="hidden")


def xmipp_home_option() -> Any:
    return option(
        "", "Folder of Xmipp's bin and lib; by default XMIPP_HOME, then PATH.", role="installation", engine="xmipp"
    )


def map_option() -> Any:
    return option("", "EM map (MRC or Spider) of the structure, which is deformed with it.", role="input")


def place_option() -> Any:
    return option(
        "auto",
        "Position of the structure in the map: the origin of its coordinates at voxel d//2 (middle), its weighted "
        "centre there (centre), or its origin at the origin in the map's header (header). Set it if auto is wrong: "
        "auto takes middle for pseudoatoms, and for atoms the position at which the map is densest, and reports it.",
        label="Position of the structure in the map",
    )


Place = Literal["auto", "middle", "centre", "header"]
Models = Literal["first", "all"]  # of a structure file
Motion = Literal["modes", "helical", "straight", "jointed"]  # along modes; "modes": as their folder says


def motion_option(engine: str = "") -> Any:
    return option(
        "modes",
        "Motion of the atoms along the modes: as the folder of the modes says (modes), in rigid blocks of residues "
        "that turn and stay together (jointed), in blocks that turn each by itself (helical), or straight, as in the "
        "article and in Xmipp. Choose straight to compare with these.",
        engine=engine,
        level="advanced",
        label="Motion of the atoms",
    )


@dataclass(frozen=True)
class ParticleFile:
    particles: str = required("Particle file (.star of RELION, .xmd of Xmipp, .cs of cryoSPARC).", "input")


@dataclass(frozen=True)
class Hardware:
    device: str = option(
        "auto",
        "Device to compute on: auto (a GPU if there is one), cpu, cuda or cuda:N.",
        role="resource",
        level="hidden",
    )
    threads: int = threads_option()


@dataclass(frozen=True)
class WorkerOptions(Hardware):
    """Who computes: this process, or workers that Dask starts or has started (docs/cluster.md)."""

    workers: int = option(
        0,
        "Worker processes on this computer, one for each GPU or for each group of so many cores as --threads says, or "
        "one; 0 works in this process alone.",
        low=0,
        role="resource",
        level="hidden",
    )
    scheduler: str = option(
        "",
        "Running Dask scheduler whose workers compute: its address, or the file that it wrote.",
        role="resource",
        level="hidden",
    )
    cluster: Literal["none", "slurm", "pbs", "sge", "lsf"] = option(
        "none",
        "Queue to which workers are submitted as jobs, as the configuration of dask-jobqueue describes them.",
        role="resource",
        level="hidden",
    )
    jobs: int = option(
        1,
        "Jobs of the queue that run at the same time.",
        low=1,
        role="resource",
        level="hidden",
        when={"cluster": ("slurm", "pbs", "sge", "lsf")},
    )


def select_option(level: Literal["advanced", "hidden"] = "hidden") -> Any:
    after = "" if level == "advanced" else " Without it, the atoms that the modes were computed from are read."
    return option(
        "",
        "Atoms to read, in gemmi's selection syntax: 'A,B' (chains), 'A/10-80' (residues), '//*//CA' (atoms), "
        "'(!SO4)', ';polymer', joined by and, or, not. Give it to leave atoms out, for example by 'not C and not "
        f"A/301'.{after}",
        level=level,
        label="Select atoms",
    )


def models_option(level: Literal["advanced", "hidden"] = "hidden") -> Any:
    return option(
        "first",
        "Models of the structure file to read: the first one, or all as one molecule. Choose all for a biological "
        "assembly whose copies are models.",
        level=level,
        label="Models to read",
    )


@dataclass(frozen=True)
class StructureAtoms:
    """Which atoms of a structure are read."""

    select: str = select_option()
    models: Models = models_option()


@dataclass(frozen=True)
class StructureAndModes(StructureAtoms):
    structure: str = required("Atomic structure or pseudoatoms (.pdb, .cif).", "input")
    modes: str = modes_option()
    mode_list: str = option(
        "7-9",
        "Modes to use, for example 7-9 or '7 8 11'. Modes 1-6 are rigid-body motions and not allowed.",
        label="Modes to use",
    )


@dataclass(frozen=True)
class XmippSettings:
    xmipp_method: Literal["wavelets", "projections"] = option(
        "wavelets",
        "Rigid-body alignment of Xmipp's HEMNMA: wavelets and splines, for boxes of a power of two, or projection "
        "matching, which is faster.",
        engine="xmipp",
        label="Rigid-body alignment",
    )
    xmipp_step_deg: float = option(
        10.0,
        "Angular step of Xmipp's orientation search. Reduce it for better starting poses; the search takes longer.",
        "°",
        1.0,
        30.0,
        engine="xmipp",
        label="Angular step (°)",
    )
    xmipp_trust_region: float = option(
        1.0,
        "Scale of the first trust-region radius of Xmipp's optimiser. Increase it, up to 2, where large motions are "
        "expected.",
        low=0.01,
        high=10.0,
        engine="xmipp",
        level="advanced",
        label="Trust-region scale",
    )
    xmipp_processes: int = option(
        1,
        "MPI processes of Xmipp's program; 1 runs the serial program.",
        low=1,
        role="resource",
        engine="xmipp",
        level="hidden",
    )
    xmipp_launcher: str = option(
        "mpirun -np {processes} {command}",
        "Command that starts Xmipp's program on several processes. Change it for the launcher of your cluster, such as "
        "srun.",
        role="resource",
        engine="xmipp",
        level="hidden",
    )
    xmipp_home: str = xmipp_home_option()
