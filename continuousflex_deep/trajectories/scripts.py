"""Scripts that show the frames of a trajectory in ChimeraX and in VMD."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from continuousflex_deep.io.file_names import FRAMES_PDB
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.frames import MOST_ATOMS
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.nma.placed_maps import PlacedMap

MAPS = "frame_*.mrc"
_REDRAWS = 60  # of ChimeraX per second
_BACKBONES = ({"N", "CA", "C", "O"}, {"P", "O5'", "C3'"})  # atoms that a cartoon needs


@dataclass(frozen=True)
class ShownMap:
    """How maps are shown with the frames: contour level, and the position (xyz, Å) of the first voxel, as shown and in
    the header."""

    level: float
    first_voxel_A: tuple[float, float, float]
    header_A: tuple[float, float, float]


def shown_map(structure: Structure, placed: PlacedMap) -> ShownMap:
    """The contour level halfway between the border of the map and the density at the atoms, and the map's position."""
    middle = np.array(placed.volume.shape)[::-1] // 2
    grid = placed.coords_A / placed.voxel_A + middle
    inside = np.median(ndimage.map_coordinates(placed.volume, grid[:, ::-1].T, order=1, mode="nearest"))
    border = np.median(placed.volume[0])
    first = (structure.coords_A - placed.coords_A).mean(axis=0) - middle * placed.voxel_A
    return ShownMap(float(border + inside) / 2, tuple(first.tolist()), tuple(placed.origin_A.tolist()))


def write_scripts(folder: Path, structure: Structure, n_frames: int, per_second: int, shown: ShownMap | None) -> None:
    """Write trajectory.cxc for ChimeraX and trajectory.vmd for VMD. They open the frames and maps in their folder."""
    look = _look(structure)
    for name, text in (
        ("trajectory.cxc", chimerax_script(look, n_frames, per_second, shown)),
        ("trajectory.vmd", vmd_script(look, shown)),
    ):
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _look(structure: Structure) -> str:
    """How atoms are drawn: "cartoon", "trace" (one atom per residue), or "balls" for pseudoatoms."""
    if structure.is_pseudoatomic:
        return "balls"
    names = set(structure.atom_names.tolist())
    whole = len(structure) <= MOST_ATOMS and any(backbone <= names for backbone in _BACKBONES)
    return "cartoon" if whole else "trace"


def chimerax_script(look: str, n_frames: int, per_second: int, shown: ShownMap | None) -> str:
    """ChimeraX commands: the frames play there and back as coordinate sets of one model, and the maps with them.

    ChimeraX resolves file names in a script relative to the folder of the script.
    """
    pause = max(1, round(_REDRAWS / per_second))
    lines = [
        "# ChimeraX: open trajectory.cxc; 'coordset stop #1' stops the motion",
        f"open {FRAMES_PDB} coordsets true",
        *(("hide #1 atoms", "show #1 cartoons") if look == "cartoon" else ("show #1 atoms", "style #1 sphere")),
        "color #1 tan" if look == "balls" else "rainbow #1",
    ]
    if shown is not None:
        place = ",".join(f"{x:.3f}" for x in shown.first_voxel_A)
        lines += [f"open {MAPS} vseries true", f"volume #2 level {shown.level:.5g} origin {place} color #a0a0a080"]
    lines += ["view", f"coordset #1 1,{n_frames} pauseFrames {pause} loop 1000 bounce true"]
    if shown is not None:
        lines.append(f"vseries play #2 loop true direction oscillate pauseFrames {pause}")
    return "\n".join(lines) + "\n"


def vmd_script(look: str, shown: ShownMap | None) -> str:
    """Tcl for VMD: the frames play there and back, and the isosurface shows the map of the current frame."""
    style = {"cartoon": "NewCartoon", "trace": "Trace 0.8", "balls": "VDW 0.8"}[look]
    lines = [
        "# VMD: vmd -e trajectory.vmd",
        "set here [file dirname [info script]]",
        f"set cfd_frames [mol new [file join $here {FRAMES_PDB}] type pdb waitfor all]",
        "mol delrep 0 $cfd_frames",
        f"mol representation {style}",
        "mol color ColorID 5" if look == "balls" else "mol color Index",
        "mol addrep $cfd_frames",
    ]
    if shown is not None:
        to_map = " ".join(f"{b - a:.3f}" for a, b in zip(shown.first_voxel_A, shown.header_A, strict=True))
        lines += [
            "# move the frames to the position of the maps according to their headers",
            "set cfd_atoms [atomselect $cfd_frames all]",
            "for {set i 0} {$i < [molinfo $cfd_frames get numframes]} {incr i} {",
            "    $cfd_atoms frame $i",
            f"    $cfd_atoms moveby {{{to_map}}}",
            "}",
            f"set cfd_files [lsort [glob [file join $here {MAPS}]]]",
            "set cfd_maps [mol new [lindex $cfd_files 0] type ccp4 waitfor all]",
            "foreach file [lrange $cfd_files 1 end] {",
            "    mol addfile $file type ccp4 waitfor all $cfd_maps",
            "}",
            "mol modmaterial 0 $cfd_maps Transparent",
            "proc cfd_show_map {args} {",
            "    global cfd_frames cfd_maps",
            f"    mol modstyle 0 $cfd_maps Isosurface {shown.level:.5g} [molinfo $cfd_frames get frame] 0 0 1 1",
            "}",
            "trace add variable vmd_frame($cfd_frames) write cfd_show_map",
            "cfd_show_map",
            "mol top $cfd_frames",
        ]
    lines += ["display resetview", "animate style Rock", "animate forward"]
    return "\n".join(lines) + "\n"
