"""Options that several commands have, and values that options and methods share."""

from dataclasses import dataclass
from typing import Literal

from continuousflex_deep.options.schema import option, required

Fit = Literal["both", "pose", "conformation"]  # what an alignment is to find
ReductionMethod = Literal[
    "pca", "kernel-pca", "lle", "hessian-lle", "ltsa", "modified-lle", "laplacian", "isomap", "tsne", "umap"
]  # fmt: skip
ATOMS_CUTOFF_A, ATOMS_BLOCK_SIZE = 8.0, 10  # of the elastic network of atoms
PSEUDOATOMS_CUTOFF_PERCENT, PSEUDOATOMS_BLOCK_SIZE = 95.0, 0  # and of pseudoatoms


@dataclass(frozen=True)
class ParticleFile:
    particles: str = required("particle file (.star of RELION, .xmd of Xmipp, .cs of cryoSPARC)")


@dataclass(frozen=True)
class Hardware:
    device: str = option("auto", "where to compute: auto (the GPU when there is one), cpu, cuda or cuda:N")
    threads: int = option(0, "CPU threads; 0 takes all cores that this process may use", low=0)


@dataclass(frozen=True)
class StructureAndModes:
    structure: str = required("atomic structure or pseudoatoms (.pdb, .cif)")
    modes: str = required("folder of normal modes (vec.7, vec.8, …)")
    mode_list: str = option("7-9", "modes to use, for example 7-9 or '7 8 11'; 1-6 are rigid-body and not allowed")


@dataclass(frozen=True)
class XmippSettings:
    xmipp_method: Literal["wavelets", "projections"] = option(
        "wavelets",
        "Xmipp's rigid-body alignment: wavelets and splines (boxes of a power of two), or projection matching (faster)",
    )
    xmipp_step_deg: float = option(10.0, "Xmipp's step of the orientation search", "°", 1.0, 30.0)
    xmipp_trust_region: float = option(
        1.0, "scale of Xmipp's first trust-region radius; up to 2 where large motions are expected", low=0.01, high=10.0
    )
    xmipp_processes: int = option(1, "MPI processes of Xmipp's program; 1 runs the serial one", low=1)
    xmipp_launcher: str = option(
        "mpirun -np {processes} {command}", "how Xmipp's program is started on several processes"
    )
    xmipp_home: str = option("", "folder of Xmipp's bin and lib; by default that of XMIPP_HOME, then PATH")
