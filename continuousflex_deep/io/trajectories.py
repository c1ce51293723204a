"""Trajectories through a landscape, and their files, which the command, the viewer and the report share."""

import csv
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import atomic_path, require_file
from continuousflex_deep.io.landscape_table import LandscapeTable
from continuousflex_deep.io.records import write_json
from continuousflex_deep.io.texts import parse_json, read_text
from continuousflex_deep.particles import MOTIONS, STRAIGHT, evenly_spread

_FORMAT = "continuousflex_deep trajectory 1"
SAMPLE = "particles"  # the entry of Trajectory.made by which its landscape is recognised
_SAMPLE, _SAMPLED = 16, ("ids", "coordinates", "amplitudes")
_SAME = 1e-3  # of the landscape's width: possible effect of rounding and of another number of threads


@dataclass(frozen=True, eq=False)
class Trajectory:
    """P points at equal steps: in the landscape (P, k), and as amplitudes (P, M) in Å along the modes mode_ids.

    kind and made: how it was computed. dimensions: the coordinates, from 0, whose density p determines energy_kT (P,),
    −ln p relative to the minimum, its standard deviation energy_sd_kT (P,), and particles_near (P,), the number of
    particles within two bandwidths. motion: that the amplitudes are of.
    """

    points: Floats
    amplitudes_A: Floats
    mode_ids: tuple[int, ...]
    kind: str
    dimensions: tuple[int, ...]
    energy_kT: Floats
    energy_sd_kT: Floats
    particles_near: Integers
    made: dict[str, Any]
    motion: str = STRAIGHT

    def __len__(self) -> int:
        return len(self.points)


def write_trajectory(path: str | Path, trajectory: Trajectory) -> None:
    """Write a trajectory as JSON, from which read_trajectory restores exactly the same numbers."""
    content = {f.name: getattr(trajectory, f.name) for f in dataclasses.fields(trajectory)}
    plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in content.items()}
    write_json(path, {"format": _FORMAT, **plain})


def read_trajectory(path: str | Path) -> Trajectory:
    """The trajectory that write_trajectory wrote. Raises FormatError for other content."""
    file = require_file(path, "trajectory")
    try:
        content = parse_json(read_text(file, "trajectory"))
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
            motion=content.pop("motion", STRAIGHT),
        )
        if trajectory.motion not in MOTIONS:
            raise ValueError(f"its motion is {trajectory.motion!r}")
        sample = [np.array(trajectory.made.get(SAMPLE, {}).get(name, []), dtype=np.float64) for name in _SAMPLED]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise FormatError(f"'{file}' is not a file of the trajectory command ({error!r})") from error
    n, k = trajectory.points.shape if trajectory.points.ndim == 2 else (0, 0)
    fits = (
        n >= 2
        and trajectory.amplitudes_A.shape == (n, len(trajectory.mode_ids))
        and all(a.shape == (n,) for a in (trajectory.energy_kT, trajectory.energy_sd_kT, trajectory.particles_near))
        and trajectory.dimensions != ()
        and all(0 <= i < k for i in trajectory.dimensions)
        and len({values.shape[:1] for values in sample}) == 1
        and sample[0].ndim == 1
        and all(np.isfinite(a).all() for a in arrays.values())
    )
    if not fits:
        raise FormatError(f"'{file}': the arrays of the trajectory do not match; compute it again")
    return trajectory


def write_trajectory_table(
    path: str | Path, trajectory: Trajectory, coordinate_names: list[str], rmsd_A: Floats
) -> None:
    """CSV with a row for each point: coordinates (k,) by their names, amplitudes, energy with its deviation, number of
    particles near, and RMSD (P,) in Å from the structure at rest."""
    head = [
        "frame", *coordinate_names, *(f"amplitude{mode}_A" for mode in trajectory.mode_ids), "energy_kT",
        "energy_sd_kT", "particles_near", "rmsd_A",
    ]  # fmt: skip
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for i, rmsd in enumerate(rmsd_A):
            numbers = (
                *trajectory.points[i], *trajectory.amplitudes_A[i], trajectory.energy_kT[i], trajectory.energy_sd_kT[i]
            )  # fmt: skip
            writer.writerow([i + 1, *(f"{x:.6g}" for x in numbers), trajectory.particles_near[i], f"{rmsd:.3f}"])


def barrier_text(made: dict[str, Any]) -> str:
    """The barriers of a minimum-energy path in both directions, from Trajectory.made."""
    forwards, backwards = ("barrier_kT", "barrier_sd_kT"), ("barrier_back_kT", "barrier_back_sd_kT")
    ways = [f"{made[height]:.2f} ± {made[deviation]:.2f} kT" for height, deviation in (forwards, backwards)]
    return f"barrier {ways[0]} forwards, {ways[1]} backwards"


def sample_of(table: LandscapeTable) -> dict[str, Any]:
    """Some particles with their coordinates and amplitudes, by which a landscape is recognised."""
    rows = evenly_spread(len(table), _SAMPLE)
    return {name: getattr(table, name)[rows].tolist() for name in _SAMPLED}


def require_of_landscape(table: LandscapeTable, trajectory: Trajectory, what: str = "the trajectory") -> None:
    """Raises InputError if a trajectory belongs to another landscape: its coordinates or modes differ, or its sample of
    particles is missing or has other coordinates."""
    other, k = f"{what} belongs to another landscape", table.coordinates.shape[1]
    if trajectory.motion != table.motion:
        raise InputError(f"{other}: it is of {trajectory.motion} motion, the landscape of {table.motion} motion")
    if trajectory.points.shape[1] != k or trajectory.mode_ids != table.mode_ids:
        raise InputError(
            f"{other}: it has {trajectory.points.shape[1]} coordinates and modes {list(trajectory.mode_ids)}, the "
            f"landscape {k} and {list(table.mode_ids)}"
        )
    sample = {name: np.array(trajectory.made.get(SAMPLE, {}).get(name, [])) for name in _SAMPLED}
    if not len(sample["ids"]):
        raise InputError(f"{what} has no sample of its landscape; compute it again with the trajectory command")
    rows, found = table.find(sample["ids"])
    if not found.all():
        raise InputError(f"{other}: {int((~found).sum())} of its {len(rows)} sample particles are not in this one")
    for name in ("coordinates", "amplitudes"):
        here = getattr(table, name)
        away = float(np.abs(sample[name] - here[rows]).max())
        if away > _SAME * max(float(np.ptp(here)), 1e-12):
            raise InputError(
                f"{other}: {name} of its sample particles differ by up to {away:.3g} from those here; give the "
                "landscape in which it was computed"
            )
