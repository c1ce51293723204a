"""Options of the commands that align with HEMNMA: align, compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from continuousflex_deep.options.schema import option, required
from continuousflex_deep.options.shared import (
    Fit,
    Hardware,
    Motion,
    ParticleFile,
    StructureAndModes,
    WorkerOptions,
    XmippSettings,
    motion_option,
    pixel_size_option,
)

AUTO = "auto"  # instead of a list of modes: learned from the particles


@dataclass(frozen=True)
class AlignOptions(XmippSettings, StructureAndModes, ParticleFile, WorkerOptions):
    """Find the pose and the normal-mode amplitudes of every particle by HEMNMA."""

    output: str = required("Particle file with poses and amplitudes (.star or .xmd).", "output")
    engine: Literal["embedded", "xmipp"] = option(
        "embedded",
        "Engine of the alignment: the embedded one, or Xmipp's HEMNMA where it is installed. Choose Xmipp's to compare "
        "with the published method; it takes minutes a particle and gives no error bars.",
    )
    modes: str = option("", "Folder of normal modes (vec.7, vec.8, …). Leave it out to find poses only.", role="input")
    mode_list: str = option(
        "7-9",
        "Modes to use, for example 7-9 or '7 8 11', or auto: the motions that the particles show are learned from some "
        "of them among all modes of the folder, 30 or more, and become the modes. Modes 1-6 are rigid-body motions "
        "and not allowed.",
        label="Modes to use",
    )
    learning_particles: int = option(
        512,
        "Particles from which modes are learned (--mode-list auto). Increase it for very noisy images.",
        low=20,
        engine="embedded",
        level="advanced",
        label="Particles to learn modes from",
    )
    motion: Motion = motion_option("embedded")
    init: Literal["global", "local"] = option(
        "global",
        "Start of the alignment: a search of all orientations (global), or the poses in the particle file (local). "
        "Choose local to refine poses that are nearly right.",
        engine="embedded",
        label="Start from",
        when={"fit": ("both", "pose")},
    )
    fit: Fit = option(
        "both",
        "Parameters to find: pose and amplitudes (both), the pose alone, or the conformation alone. A pose alone is "
        "found in the conformation of the particle file, or of the structure if the file has no amplitudes; a "
        "conformation alone at the pose of the particle file.",
        engine="embedded",
        label="Parameters to find",
    )
    pixel_size_A: float = pixel_size_option()
    search_above_deg: float = option(
        0.0,
        "With a local start: search all orientations of particles whose angle has an error bar above this in the "
        "particle file, and of particles that have low contrast when aligned; 0 searches none. Set it if some of "
        "the given poses may be wrong.",
        "°",
        0,
        180,
        engine="embedded",
        level="advanced",
        label="Search if uncertain by more than (°)",
    )
    local_step_deg: float = option(
        12.0,
        "With a local start: also try poses rotated by this angle about each axis, both ways; 0 tries the given pose "
        "alone. Increase it if the given poses are rough.",
        "°",
        0,
        60,
        engine="embedded",
        level="advanced",
    )
    given_pose_sd_A: float = option(
        0.0,
        "With a local start: hold particles to their given poses, which place the atoms of the part of the molecule "
        "that is at rest with this RMS error; 0 leaves poses free. Set it where poses are better known than the images "
        "alone tell, as for large motions in very noisy images.",
        "Å",
        0,
        engine="embedded",
        level="advanced",
        label="Error of the given poses (Å)",
    )
    n_hypotheses: int = option(
        32,
        "Orientations of each particle that are refined after the search. Increase it if particles are misaligned; "
        "it costs time.",
        low=1,
        engine="embedded",
        level="advanced",
        label="Hypotheses per particle",
    )
    motion_prior_A: float = option(
        3.7,
        "Expected motion of the atoms along a mode: their RMSD at one standard deviation of its amplitude. Increase it "
        "where larger motions are expected. Modes that were learned from particles bring their own.",
        "Å",
        0.01,
        engine="embedded",
        level="advanced",
    )
    angular_step_deg: float = option(
        15.0,
        "Angular step of the orientation search. Reduce it if particles are misaligned; the alignment takes longer.",
        "°",
        low=4.0,
        high=30.0,
        engine="embedded",
        level="advanced",
    )
    finest_resolution_A: float = option(
        0.0,
        "Finest resolution that the alignment uses; 0 uses all resolutions at which the images carry information. Set "
        "it to compare a reconstruction with the reference beyond this resolution without bias.",
        "Å",
        low=0.0,
        level="advanced",
    )
    symmetry: str = option(
        "c1",
        "Point group of the structure (c1, c2, …, d2, …; main axis along z): equivalent poses count as one. Set it for "
        "symmetric structures if only poses are to be found.",
        engine="embedded",
        level="advanced",
    )
    max_shift_percent: float = option(
        10.0,
        "Largest shift that is searched, in percent of the box. Increase it if particles are badly centred.",
        "%",
        low=0.0,
        high=40.0,
        engine="embedded",
        label="Largest shift (% of the box)",
    )
    calibration_particles: int = option(
        256,
        "Particles from which noise, transfer function and contrast sign are estimated. Increase it for very noisy "
        "images.",
        low=1,
        level="advanced",
        label="Particles for calibration",
    )
    batch: int = option(
        0,
        "Particles that are aligned together; 0 takes 64 on a CPU, up to 4,096 on a GPU as its memory allows, and 16 "
        "for each process of Xmipp's engine. Reduce it if memory is short.",
        low=0,
        level="advanced",
    )


@dataclass(frozen=True)
class CompareOptions(XmippSettings, StructureAndModes, ParticleFile, Hardware):
    """Align the same particles with both engines, and print their times and differences."""

    output: str = required("Folder for the two particle files and the table.", "output")
    truth: str = option(
        "",
        "Particle file with the true poses and amplitudes. Give it to compare both engines with the truth, too.",
        role="input",
    )
    count: int = option(
        0,
        "Number of particles to align, evenly distributed over the file; 0 takes all. Xmipp's engine takes minutes a "
        "particle.",
        low=0,
    )
    pixel_size_A: float = pixel_size_option()
    lost_deg: float = option(
        5.0, "Angle between the two orientations above which a particle counts as misaligned.", "°", low=0.0
    )
