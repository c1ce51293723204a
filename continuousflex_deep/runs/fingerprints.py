"""What the parts of a run depend on, and what else its output contains: by these, runs are told apart."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from continuousflex_deep._version import __version__
from continuousflex_deep.particles import Particles

State = tuple[str, int, int] | None
_PARTS = 2  # changed with what parts contain: those of earlier states of a version do not continue a run


def determining(settings: Mapping[str, object], particles: Particles, *arrays: np.ndarray) -> list[object]:
    """What the content of parts depends on, apart from the stacks themselves: settings, arrays, and all that is known
    of the particles."""
    p, ctf = particles, () if particles.ctf is None else tuple(vars(particles.ctf).values())
    known = (p.ids, p.indices, p.euler_deg, p.shift_A, p.amplitudes, p.angle_sd_deg, *ctf, *arrays)
    digests = [None if a is None else hashlib.sha256(a.tobytes()).hexdigest() for a in known]
    names, of_particle = np.unique(p.stacks.astype(str), return_inverse=True)
    images = [names.tolist(), hashlib.sha256(of_particle.tobytes()).hexdigest()]
    return [__version__, _PARTS, dict(settings), digests, p.mode_ids, p.pixel_size_A, p.box_px, p.phase_flipped, images]


def carried(particles: Particles) -> list[object]:
    """What an output contains of its particles although no part depends on it."""
    p = particles
    tables = [{k: digest_of(v.tolist()) for k, v in t.items()} for t in (p.extra, p.optics_extra)]
    known = (p.score, p.ambiguous, p.amplitudes_sd, p.free_amplitudes, p.free_amplitudes_sd, p.shift_sd_A, p.half)
    return [*tables, *(None if a is None else hashlib.sha256(a.tobytes()).hexdigest() for a in known)]


def states_of(files: Iterable[str]) -> list[State]:
    """Path, size and modification time of each file; None for a file that does not exist."""
    found: list[State] = []
    for file in files:
        try:
            status = os.stat(file)
            found.append((file, status.st_size, status.st_mtime_ns))
        except FileNotFoundError:
            found.append(None)
    return found


def digest_of(content: Any) -> str:
    """Identifies content that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
