"""Options of the commands that show how good results are: evaluate, report."""

from __future__ import annotations

from dataclasses import dataclass

from continuousflex_deep.options.images import SimulateOptions
from continuousflex_deep.options.schema import Paths, option, required, required_list
from continuousflex_deep.options.shared import Hardware, StructureAndModes, StructureAtoms


@dataclass(frozen=True)
class EvaluateOptions(StructureAndModes, Hardware):
    """Compare poses and amplitudes with the truth (the article's Tables 1 to 4), and maps of groups with centroids."""

    particles: Paths = required_list(
        "Particle file with results. Repeat it to compare several with the truth and with each other.", "input"
    )
    modes: str = option(
        "", "Folder of normal modes (vec.7, vec.8, …). Needed where particles have amplitudes.", role="input"
    )
    truth: str = option(
        "",
        "Particle file with the true poses and amplitudes. Without it, results are compared with each other alone.",
        role="input",
    )
    mode_list: str = option(
        "",
        "Modes along which results are compared, for example 7-9; by default those of the particles. Centroids of "
        "groups take all modes of the groups.",
        label="Modes to compare (optional)",
    )
    reconstruction: Paths = option(
        (),
        "Folder that the reconstruct command wrote, of one group or several; repeat it for more. Each map is compared "
        "with the structure in the mean conformation of the group's particles.",
        role="input",
    )
    b_factor_A2: float = option(
        SimulateOptions.b_factor_A2,
        "B-factor that blurs the atoms of these structures. It changes correlations within a mask, and hardly others.",
        "Å²",
        low=0.0,
        level="advanced",
        label="B-factor of structures (Å²)",
    )
    lost_deg: float = option(
        5.0,
        "Angle from its true orientation above which a particle counts as misaligned.",
        "°",
        low=0.0,
        label="Misaligned beyond (°)",
    )
    symmetry: str = option(
        "c1",
        "Point group of the structure (c1, c2, …, d2, …; main axis along z): equivalent orientations count as one. Set "
        "it for rigid symmetric particles.",
    )
    bound: bool = option(
        False,
        "Add the Cramér-Rao bound of the first file's particles, computed from the noise of their images.",
        label="Cramér-Rao bound",
    )
    output: str = option(
        "",
        "Folder for tables (text, Markdown, CSV), errors of every particle, curves, centroids and pictures; or a file "
        "NAME.json for the numbers alone. The tables are printed in any case.",
        role="output",
    )


@dataclass(frozen=True)
class ReportOptions(StructureAtoms):
    """Write results as one HTML page: landscape, selections, animated structure, maps, training curves, tables."""

    output: str = required("HTML file to write, such as report.html.", "output")
    title: str = option("", "Title of the page; by default named after what it shows first.")
    landscape: str = option("", "Folder that the landscape command wrote.", role="input")
    group: Paths = option(
        (),
        "Group to show in the landscape: particle file (.star, .xmd, .cs), or file of named groups (.json). Repeat it "
        "for several.",
        role="input",
    )
    structure: str = option(
        "",
        "Atomic structure or pseudoatoms (.pdb, .cif), to show in the conformations of particles, with the modes.",
        role="input",
    )
    modes: str = option("", "Folder of the structure's normal modes (vec.7, vec.8, …).", role="input")
    trajectory: Paths = option((), "Folder that the trajectory command wrote. Repeat it for several.", role="input")
    reconstruction: Paths = option(
        (),
        "Folder that the reconstruct or unbend command wrote, of one map or several. Repeat it for more.",
        role="input",
    )
    model: Paths = option(
        (), "Folder that the train command wrote, for its curves. Repeat it for several.", role="input"
    )
    evaluation: Paths = option((), "Output of the evaluate command. Repeat it for several.", role="input")
    max_points: int = option(
        50_000,
        "Number of particles, evenly distributed, that are drawn as points in larger landscapes.",
        low=100,
        high=1_000_000,
        level="advanced",
        label="Particles drawn as points",
    )
    max_megabytes: float = option(
        60.0,
        "Largest size, before compression, of the ids, coordinates and amplitudes of particles that are not drawn. "
        "Above it the page leaves out the amplitudes, and if need be all of them; selections then cover the drawn "
        "particles alone.",
        "MB",
        low=0.0,
        high=1000.0,
        level="advanced",
        label="Data of other particles (MB)",
    )
