"""Options of the commands that align with HEMNMA: align, compare."""

from dataclasses import dataclass
from typing import Literal

from continuousflex_deep.options.schema import option, required
from continuousflex_deep.options.shared import Fit, Hardware, ParticleFile, StructureAndModes, XmippSettings


@dataclass(frozen=True)
class AlignOptions(XmippSettings, StructureAndModes, ParticleFile, Hardware):
    """HEMNMA: pose and normal-mode amplitudes of every particle."""

    output: str = required("particle file with poses and amplitudes (.star or .xmd)")
    engine: Literal["embedded", "xmipp"] = option(
        "embedded", "which engine aligns: the embedded one, or Xmipp's HEMNMA where Xmipp is installed"
    )
    modes: str = option("", "folder of normal modes (vec.7, vec.8, …); needed unless only poses are to be found")
    init: Literal["global", "local"] = option(
        "global", "search all orientations, or start from those in the particle file"
    )
    fit: Fit = option(
        "both",
        "what to find: pose and amplitudes; the pose alone, in the conformation that the particle file gives (without "
        "amplitudes there: that of the structure); or the conformation alone, at the poses of the particle file",
    )
    pixel_size_A: float = option(0.0, "pixel size of the images where their file does not say", "Å", low=0.0)
    search_above_deg: float = option(
        0.0,
        "with a local start, search all orientations where the particle file's deviation of the angle is above this, "
        "and where a particle shows weakly afterwards; 0: nowhere",
        "°",
        0,
        180,
    )
    local_step_deg: float = option(
        12.0,
        "a local start also tries poses turned by this about each axis, both ways; 0 takes the given pose alone",
        "°",
        0,
        60,
    )
    n_hypotheses: int = option(32, "orientations per particle that are refined after the search", low=1)
    motion_prior_A: float = option(
        3.7,
        "how far atoms are expected to move along a mode (RMSD of one standard deviation of its amplitude)",
        "Å",
        0.01,
    )
    angular_step_deg: float = option(15.0, "step of the orientation search", "°", low=4.0, high=30.0)
    finest_resolution_A: float = option(
        0.0,
        "use no detail finer than this, so that a reconstruction may be compared with the reference "
        "beyond it without bias; 0: as fine as the images carry information",
        "Å",
        low=0.0,
    )
    symmetry: str = option(
        "c1", "point group of the structure (c1, c2, …, d2, …; main axis along z): poses that look the same are one"
    )
    max_shift_percent: float = option(
        10.0, "largest shift that is searched, in percent of the box", "%", low=0.0, high=40.0
    )
    calibration_particles: int = option(
        256, "particles from which noise, transfer and contrast sign are estimated", low=1
    )
    batch: int = option(
        0,
        "particles at a time; 0 takes 64 on a CPU and 512 on a GPU, and of Xmipp's engine 16 for each of its processes",
        low=0,
    )


@dataclass(frozen=True)
class CompareOptions(XmippSettings, StructureAndModes, ParticleFile, Hardware):
    """Align the same particles with both engines, and print their times and differences."""

    output: str = required("folder for the two particle files and the table")
    truth: str = option("", "particle file with the true poses and amplitudes, to compare both with it, too")
    count: int = option(0, "particles to align, evenly spread over the file; 0 takes all", low=0)
    pixel_size_A: float = option(0.0, "pixel size of the images where their file does not say", "Å", low=0.0)
    lost_deg: float = option(
        5.0, "a particle farther than this from the other orientation counts as lost", "°", low=0.0
    )
