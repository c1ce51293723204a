"""Options of the commands that show how good results are: evaluate, report."""

from dataclasses import dataclass

from continuousflex_deep.options.images import SimulateOptions
from continuousflex_deep.options.schema import option, required, required_list
from continuousflex_deep.options.shared import Hardware, StructureAndModes


@dataclass(frozen=True)
class EvaluateOptions(StructureAndModes, Hardware):
    """Compare poses and amplitudes with the truth, as the paper's Tables 1 to 4, and groups' maps with centroids."""

    particles: tuple[str, ...] = required_list(
        "particle file with results; repeat to compare several with the truth and with each other"
    )
    modes: str = option("", "folder of normal modes (vec.7, vec.8, …); needed where particles have amplitudes")
    truth: str = option("", "particle file with the true poses and amplitudes; without it, results are compared alone")
    mode_list: str = option(
        "",
        "modes along which results are compared, for example 7-9; by default those of the particles. Centroids of "
        "groups are along all modes of the groups",
    )
    reconstruction: tuple[str, ...] = option(
        (),
        "folder that the reconstruct command wrote, of one group or several; repeat for more. Each map is compared "
        "with that of the structure in the mean conformation of the group's particles",
    )
    b_factor_A2: float = option(
        SimulateOptions.b_factor_A2,
        "B-factor that blurs the atoms of these structures; it matters to correlations in a mask, hardly to others",
        "Å²",
        low=0.0,
    )
    lost_deg: float = option(
        5.0,
        "a particle farther than this from its true orientation counts as lost",
        "°",
        low=0.0,
    )
    symmetry: str = option(
        "c1",
        "point group of a rigid structure (c1, c2, …, d2, …; main axis along z): orientations that look the same are "
        "one",
    )
    bound: bool = option(
        False, "add the Cramér-Rao bound of the first file's particles, from the noise of their images"
    )
    output: str = option(
        "",
        "folder for tables (text, Markdown, CSV), errors of every particle, curves, centroids and pictures; or a file "
        "NAME.json for the figures alone; the tables are printed in any case",
    )


@dataclass(frozen=True)
class ReportOptions:
    """Results as one HTML file for any browser: landscape with selections, moving structure, maps, curves, tables."""

    output: str = required("HTML file to write, such as report.html")
    title: str = option("", "what the page is called; by default after what it shows first")
    landscape: str = option("", "folder that the landscape command wrote")
    group: tuple[str, ...] = option(
        (), "group to show in the landscape: particle file (.star, .xmd, .cs), or file of named groups (.json); repeat"
    )
    structure: str = option(
        "", "atomic structure or pseudoatoms (.pdb, .cif) to show in the conformations of particles, with --modes"
    )
    modes: str = option("", "folder of the structure's normal modes (vec.7, vec.8, …)")
    trajectory: tuple[str, ...] = option((), "folder that the trajectory command wrote; repeat for several")
    reconstruction: tuple[str, ...] = option(
        (), "folder that the reconstruct or unbend command wrote, of one map or several; repeat for more"
    )
    model: tuple[str, ...] = option((), "folder that the train command wrote, for its curves; repeat for several")
    evaluation: tuple[str, ...] = option((), "what evaluate --output wrote; repeat for several")
    max_points: int = option(
        50_000, "of larger landscapes this many particles, evenly spread, are drawn as points", low=100, high=1_000_000
    )
    max_megabytes: float = option(
        60.0,
        "of particles that are not drawn, ids, coordinates and amplitudes are kept in the page, for selections and the "
        "density, while they are no more than this before compression",
        "MB",
        low=0.0,
        high=1000.0,
    )
