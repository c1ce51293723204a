"""The groups that the reconstruct command is given: particle files, or a landscape split along an axis."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.landscape.landscape import read_landscape
from continuousflex_deep.landscape.selection import group_particles
from continuousflex_deep.landscape.split import split_landscape
from continuousflex_deep.options import ReconstructOptions
from continuousflex_deep.particles import Particles, with_images
from continuousflex_deep.sampling import same_pixel_size

_LEAST = 4  # particles of a group, two in each half


@dataclass(frozen=True, eq=False)
class Group:
    """Particles of similar conformation, their title, and further facts for the record."""

    title: str
    particles: Particles
    facts: dict[str, Any]


def groups_to_reconstruct(options: ReconstructOptions) -> list[Group]:
    """The groups that the options request, with poses, on the requested images, all of one box and pixel size.

    Raises InputError if neither or both of particles and landscape are given, and for groups of different images.
    """
    if bool(options.particles) == bool(options.landscape):
        given = "both" if options.particles else "neither"
        raise InputError(f"give particle files by --particles or a landscape by --landscape; got {given}")
    images = read_particles(options.images) if options.images else None
    groups = _of_landscape(options, images) if options.landscape else _of_files(options, images)
    first = groups[0].particles
    for group in groups:
        group.particles.require_poses("a reconstruction")
        p = group.particles
        if p.box_px != first.box_px or not same_pixel_size(p.pixel_size_A, first.pixel_size_A):
            raise InputError(
                f"the images of {group.title} have {p.box_px} px of {p.pixel_size_A:g} Å, those of {groups[0].title} "
                f"{first.box_px} px of {first.pixel_size_A:g} Å; give all groups the same images by --images"
            )
    return groups


def group_folder(number: int) -> str:
    """The folder of a group of several, counted from 1, in the command's output."""
    return f"group_{number}"


def _of_files(options: ReconstructOptions, images: Particles | None) -> list[Group]:
    groups = []
    for path in options.particles:
        particles = read_particles(path)
        particles.require_poses("a reconstruction")
        if images is not None:
            particles = with_images(particles, images)
        groups.append(Group(Path(path).stem, particles, {"file": path}))
    return groups


def _of_landscape(options: ReconstructOptions, images: Particles | None) -> list[Group]:
    landscape = read_landscape(options.landscape)
    parts = split_landscape(landscape, options.axis, options.groups, options.split, options.keep_outliers, least=_LEAST)
    return [
        Group(
            f"{options.axis} {part.low:.4g} to {part.high:.4g}",
            group_particles(landscape, part.rows, images),
            {"axis": options.axis, "low": part.low, "mean": part.mean, "high": part.high},
        )
        for part in parts
    ]
