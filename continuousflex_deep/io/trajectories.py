"""Trajectories through a landscape, and their file, which the command, the viewer and the report read."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.files import require_file
from continuousflex_deep.io.records import write_json

Floats = NDArray[np.float64]
_FORMAT = "continuousflex_deep trajectory 1"


@dataclass(frozen=True, eq=False)
class Trajectory:
    """P points at equal steps: in the landscape (P, k), and as amplitudes (P, M) in Å along the modes mode_ids.

    kind and made: how it came about. dimensions: the coordinates, counted from 0, whose density gave energy_kT (P,),
    −ln p above the lowest, its deviation energy_sd_kT (P,), and particles_near (P,), those within two bandwidths.
    """

    points: Floats
    amplitudes_A: Floats
    mode_ids: tuple[int, ...]
    kind: str
    dimensions: tuple[int, ...]
    energy_kT: Floats
    energy_sd_kT: Floats
    particles_near: NDArray[np.int64]
    made: dict[str, Any]

    def __len__(self) -> int:
        return len(self.points)


def write_trajectory(path: str | Path, trajectory: Trajectory) -> None:
    """Write a trajectory as JSON that read_trajectory takes back, every number as it was."""
    content = {f.name: getattr(trajectory, f.name) for f in dataclasses.fields(trajectory)}
    plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in content.items()}
    write_json(path, {"format": _FORMAT, **plain})


def read_trajectory(path: str | Path) -> Trajectory:
    """The trajectory that write_trajectory wrote. Raises FormatError for anything else."""
    file = require_file(path, "trajectory")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            raise ValueError("another format")
        arrays = {
            name: np.array(content.pop(name), dtype=np.float64)
            for name in ("points", "amplitudes_A", "energy_kT", "energy_sd_kT")
        }
        trajectory = Trajectory(
            **arrays,
            mode_ids=tuple(int(m) for m in content.pop("mode_ids")),
            dimensions=tuple(int(i) for i in content.pop("dimensions")),
            particles_near=np.array(content.pop("particles_near"), dtype=np.int64),
            kind=str(content.pop("kind")),
            made=dict(content.pop("made")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"'{file}' is not a trajectory that the trajectory command wrote ({error!r})") from error
    n, k = trajectory.points.shape if trajectory.points.ndim == 2 else (0, 0)
    fits = (
        n >= 2
        and trajectory.amplitudes_A.shape == (n, len(trajectory.mode_ids))
        and all(len(a) == n for a in (trajectory.energy_kT, trajectory.energy_sd_kT, trajectory.particles_near))
        and trajectory.dimensions != ()
        and all(0 <= i < k for i in trajectory.dimensions)
        and all(np.isfinite(a).all() for a in arrays.values())
    )
    if not fits:
        raise FormatError(f"'{file}': the trajectory's arrays do not fit together; make it anew")
    return trajectory
