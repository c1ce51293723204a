"""Options of the commands that reconstruct maps: reconstruct, unbend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from continuousflex_deep.options.schema import Paths, option, required
from continuousflex_deep.options.shared import Hardware, ParticleFile, StructureAndModes, xmipp_home_option


def _images_option() -> Any:
    return option(
        "",
        "Particle file with the same ids, whose images are used instead. Give the original file for full resolution.",
        role="input",
    )


def _mask_diameter_option() -> Any:
    return option(
        0.0,
        "Diameter of the soft spherical mask for the masked FSC; 0 takes 0.9 of the box. Set it to the diameter of the "
        "particle.",
        "Å",
        low=0.0,
    )


def _ctf_option() -> Any:
    return option(True, "Correct for the CTF. Switch it off for images without a CTF.", label="Correct for the CTF")


def _batch_option(engine: str = "") -> Any:
    text = "Images that are inserted together. Reduce it if memory is short."
    return option(64, text, low=1, role="resource", engine=engine)


@dataclass(frozen=True)
class ReconstructOptions(Hardware):
    """Reconstruct the map of each group from its poses, with half maps and FSC; with several groups also a movie."""

    particles: Paths = option(
        (),
        "Particle file of a group (.star of RELION, .xmd of Xmipp, .cs of cryoSPARC). Repeat it for several groups.",
        role="input",
    )
    output: str = required("Folder for maps and FSC curves.", "output")
    landscape: str = option(
        "",
        "Folder that the landscape command wrote. Give it instead of particle files to split it into groups.",
        role="input",
    )
    axis: str = option("pc1", "Axis along which the landscape is split: pc1, pc2, …, q7, and so on.")
    groups: int = option(5, "Number of consecutive groups along the axis of the landscape.", low=2, high=99)
    split: Literal["numbers", "widths"] = option(
        "numbers",
        "Groups of a landscape: with equal numbers of particles, or of equal widths along the axis.",
        label="Groups of equal",
    )
    keep_outliers: bool = option(
        False, "Also take particles of the landscape that are marked as outliers.", level="advanced"
    )
    images: str = _images_option()
    reference: str = option("", "Map to compare with (.mrc).", role="input")
    mask_diameter_A: float = _mask_diameter_option()
    symmetry: str = option("c1", "Point group: c1, c2, …, d2, and so on. Set it for rigid symmetric particles.")
    ctf: bool = _ctf_option()
    batch: int = _batch_option(engine="embedded")
    engine: Literal["embedded", "relion", "xmipp"] = option(
        "embedded",
        "Program that reconstructs: the embedded engine, or relion_reconstruct or xmipp_reconstruct_fourier where they "
        "are installed.",
        level="advanced",
    )
    local_filter: bool = option(
        False,
        "Also write the local resolution, and a map filtered by it, from the half maps within the mask.",
    )
    local_window_A: float = option(
        0.0,
        "Width of the window for the local resolution; 0 takes 7 times the map's resolution. Increase it for smoother "
        "estimates.",
        "Å",
        low=0.0,
        level="advanced",
    )
    relion_home: str = option(
        "", "Folder of RELION's bin; by default RELION_HOME, then PATH.", role="installation", engine="relion"
    )
    xmipp_home: str = xmipp_home_option()


@dataclass(frozen=True)
class UnbendOptions(StructureAndModes, ParticleFile, Hardware):
    """Reconstruct one map from particles of all conformations (deformation-corrected reconstruction)."""

    output: str = required("Folder for maps and FSC curves.", "output")
    mode_list: str = option(
        "",
        "Modes whose motion is corrected, for example 7-9; by default all that the particles have.",
        label="Modes (optional)",
    )
    images: str = _images_option()
    reference: str = option("", "Map of the structure's conformation to compare with (.mrc).", role="input")
    mask_diameter_A: float = _mask_diameter_option()
    ctf: bool = _ctf_option()
    batch: int = _batch_option()
