"""Links to image stacks, for programs that need them in their own folders or with another name."""

import os
from pathlib import Path

import numpy as np

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.image_names import CALLED_MAPS
from continuousflex_deep.particles import Particles


def link_stacks(particles: Particles, folder: str | Path) -> Particles:
    """The particles with links in ``folder`` in place of their stacks, as Scipion's imports do: nothing is copied.

    Links to MRC files get the suffix .mrcs, by which Scipion and its programs recognise stacks. InputError if a stack
    is missing.
    """
    target = Path(os.path.abspath(folder))
    target.mkdir(parents=True, exist_ok=True)
    links: dict[str, str] = {}
    taken: set[str] = set()
    for stack in sorted(set(particles.stacks)):
        file = Path(stack)
        if not file.is_file():
            raise InputError(
                f"image stack '{file}', named in the particle file, does not exist; check the paths in that file"
            )
        suffix = ".mrcs" if file.suffix.lower() in {".mrcs", *CALLED_MAPS} else file.suffix
        name, number = f"{file.stem}{suffix}", 1
        while name in taken:  # stacks of different folders may have the same name
            number += 1
            name = f"{file.stem}_{number}{suffix}"
        taken.add(name)
        (target / name).unlink(missing_ok=True)
        (target / name).symlink_to(file.resolve())
        links[stack] = str(target / name)
    return particles.replace(stacks=np.array([links[stack] for stack in particles.stacks], dtype=object))
