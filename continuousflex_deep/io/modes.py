"""Normal modes in elNemo-style folders: one text file `vec.N` per mode, one row `dx dy dz` per atom."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.amplitude_density import AmplitudeDensity, read_density, write_density
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.independence import LEAST_OWN, dependent_modes
from continuousflex_deep.io.records import write_json
from continuousflex_deep.io.texts import parse_json, read_text
from continuousflex_deep.particles import AS_MODES, MOTIONS, STRAIGHT, named_twice

MODE_FACTS = "modes.json"  # beside the vectors
MOTION_JSON = "motion.json"  # of modes along which atoms do not move on straight lines
_OF_EACH = ("eigenvalues", "collectivity", "score", "prior_sd_A")  # what is known of each mode
_DIGITS = 6  # at most, of the number of a mode
_VECTOR_FILE = re.compile(rf"vec\.([1-9][0-9]{{0,{_DIGITS - 1}}})")
_ANEW = "compute the modes again with the nma command"
_ROW, _ROWS = "% .9E % .9E % .9E\n", 10_000  # of an atom, and rows that are formatted at once


@dataclass(frozen=True, eq=False)
class NormalModes:
    """M modes of N atoms: mode_ids (1-based, 7 is the first non-rigid mode) and vectors (M, N, 3).

    Each vector has unit norm over all its 3·N numbers. eigenvalues, collectivity, score and prior_sd_A are arrays (M,),
    or None if the source does not contain them; prior_sd_A: the deviation of each amplitude in Å that was learned from
    particles; density: where the amplitudes of these particles lie, if they are no single Gaussian. motion: how
    amplitudes move the atoms, one of MOTIONS; block_size: residues or pseudoatoms in a rigid block
    (motion/blocks.py), or 0 if the source does not tell.
    """

    mode_ids: tuple[int, ...]
    vectors: Floats
    eigenvalues: Floats | None = None
    collectivity: Floats | None = None
    score: Floats | None = None
    prior_sd_A: Floats | None = None
    motion: str = STRAIGHT
    block_size: int = 0
    density: "AmplitudeDensity | None" = None

    def __post_init__(self) -> None:
        if self.motion not in MOTIONS or self.block_size < 0:
            raise InputError(
                f"normal modes: got a motion '{self.motion}' of blocks of {self.block_size}, expected "
                f"{', '.join(MOTIONS[:-1])} or {MOTIONS[-1]}, and a size of at least 0"
            )
        if twice := named_twice(self.mode_ids):
            raise InputError(f"normal modes: modes {twice} are given more than once; give each mode once")

    def __len__(self) -> int:
        return len(self.mode_ids)

    def select(self, mode_ids: tuple[int, ...]) -> "NormalModes":
        """The named modes, in the given order."""
        missing = [m for m in mode_ids if m not in self.mode_ids]
        if missing:
            raise InputError(f"modes {missing} are not available; the available modes are {list(self.mode_ids)}")
        rows = [self.mode_ids.index(m) for m in mode_ids]
        pick: dict[str, Any] = {
            k: None if getattr(self, k) is None else getattr(self, k)[rows] for k in _OF_EACH
        }
        density = None if self.density is None else self.density.select(rows)
        return dataclasses.replace(self, mode_ids=tuple(mode_ids), vectors=self.vectors[rows], density=density, **pick)

    @property
    def learned(self) -> "list[Floats]":
        """The arrays of what was learned from particles, which an alignment along the modes depends on."""
        prior = [] if self.prior_sd_A is None else [self.prior_sd_A]
        d = self.density
        return prior if d is None else [*prior, d.weights, d.mean_A, d.covariance]

    def combined(self, axes: Floats, mode_ids: tuple[int, ...], prior_sd_A: Floats) -> "NormalModes":
        """Other coordinates of the same motions: axes (K, M), orthonormal, are the new modes' amplitudes along these
        modes, which are orthonormal as well. An amplitude along them has the deviations prior_sd_A (K,)."""
        vectors = np.tensordot(axes, self.vectors, axes=1)
        return NormalModes(mode_ids, vectors, prior_sd_A=prior_sd_A, motion=self.motion, block_size=self.block_size)

    def moving(self, motion: str) -> "NormalModes":
        """The same modes with another motion, or with their own (AS_MODES). What was learned of one motion does not
        hold for the other."""
        if motion in (AS_MODES, self.motion):
            return self
        return dataclasses.replace(self, motion=motion, prior_sd_A=None, density=None)


def parse_mode_list(text: str) -> tuple[int, ...]:
    """Mode numbers of a list such as "7-9 11" or "7,8,9". InputError for rigid-body modes (1-6) and repetitions."""
    if text.strip() == "auto":
        raise InputError("mode list 'auto': only align learns modes from particles; give numbers, for example 7-9")
    modes: list[int] = []
    for part in text.replace(",", " ").split():
        first, _, last = part.partition("-")
        numbers = [first, last or first]
        if not all(number.isdecimal() and len(number) <= _DIGITS for number in numbers):
            raise InputError(f"mode list '{text}': cannot read '{part}'; expected numbers and ranges such as 7-9 11")
        modes.extend(range(int(first), int(last or first) + 1))
    if not modes:
        raise InputError(f"mode list '{text}' contains no mode; give for example 7-9")
    rigid = [m for m in modes if m < 7]
    if rigid:
        raise InputError(
            f"mode list '{text}': modes {rigid} are rigid-body motions (1-6), which the pose already describes; select "
            "modes from 7 on"
        )
    if twice := named_twice(modes):
        raise InputError(f"mode list '{text}' contains modes {twice} more than once; give each mode once")
    return tuple(modes)


def read_modes(folder: str | Path, mode_ids: tuple[int, ...] | None = None) -> NormalModes:
    """Modes of a folder of `vec.N` files: the given ones, or by default all from 7 on.

    Raises InputError if the folder or a mode is missing or a mode is given twice, and FormatError if files differ in
    length, a vector's norm is not 1, or the modes are linearly dependent.
    """
    base = Path(folder)
    if not base.is_dir():
        raise InputError(f"normal modes: '{base}' is not a folder; compute modes with the nma command")
    available = sorted(int(number[1]) for p in base.glob("vec.*") if (number := _VECTOR_FILE.fullmatch(p.name)))
    chosen = mode_ids if mode_ids is not None else tuple(m for m in available if m >= 7)
    missing = [m for m in chosen if m not in available]
    if missing or not chosen:
        raise InputError(
            f"normal modes: '{base}' has no file vec.N for modes {missing or '7 and up'}; it has modes {available}"
        )
    vectors = [_read_vector(base / f"vec.{m}") for m in chosen]
    lengths = {len(v) for v in vectors}
    if len(lengths) > 1:
        raise FormatError(f"'{base}': mode files have different numbers of atoms {sorted(lengths)}")
    facts = _read_facts(base / MODE_FACTS, chosen) | _read_motion(base / MOTION_JSON)
    density = read_density(base, chosen)
    modes = NormalModes(mode_ids=tuple(chosen), vectors=np.array(vectors), density=density, **facts)
    _require_independent(modes, base)
    return modes


def write_modes(folder: str | Path, modes: NormalModes) -> None:
    """Write `vec.N` files, modes.json, the known properties of each mode, and motion.json unless atoms move straight.

    Mode files that an earlier run listed in modes.json of the same folder are removed first.
    """
    base = Path(folder)
    for stale in _listed_modes(base / MODE_FACTS):
        (base / f"vec.{stale}").unlink(missing_ok=True)
    for number, vector in zip(modes.mode_ids, modes.vectors, strict=True):
        with atomic_path(base / f"vec.{number}") as temporary, temporary.open("w", encoding="ascii") as file:
            for part in np.split(vector, np.arange(_ROWS, len(vector), _ROWS)):  # row by row is slow
                file.write((_ROW * len(part)) % tuple(part.ravel().tolist()))
    columns = {k: getattr(modes, k) for k in _OF_EACH}
    rows = [
        {"mode": m, **{k: float(v[i]) for k, v in columns.items() if v is not None}}
        for i, m in enumerate(modes.mode_ids)
    ]
    write_json(base / MODE_FACTS, rows)
    write_density(base, modes.density, modes.mode_ids)
    if modes.motion == STRAIGHT:
        (base / MOTION_JSON).unlink(missing_ok=True)
    else:
        write_json(base / MOTION_JSON, {"motion": modes.motion, "block_size": modes.block_size})


def require_same_atoms(
    modes: NormalModes, n_atoms: int, structure_path: str | Path = "", modes_path: str | Path = "", select: str = ""
) -> None:
    """InputError unless the modes belong to a structure of this many atoms; it names the files and the selection by
    which the modes were computed, if given."""
    if modes.vectors.shape[1] != n_atoms:
        these = f"modes '{modes_path}'" if modes_path else "modes"
        this = f"structure '{structure_path}'" if structure_path else "the structure"
        by = f" (selected by '{select}')" if select else ""
        raise InputError(
            f"{these} have {modes.vectors.shape[1]} atoms{by}, {this} has {n_atoms}; compute the modes from exactly "
            "this structure, or select their atoms by --select (hydrogens and water are removed when it is read)"
        )


def _read_vector(path: Path) -> Floats:
    lines = read_text(path, "mode").splitlines()
    try:
        if not any(line.split("#")[0].strip() for line in lines):
            raise ValueError("it has no numbers")
        vector = np.loadtxt(lines, dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise FormatError(f"'{path}': expected rows of three numbers ({error})") from error
    if vector.ndim != 2 or vector.shape[1] != 3 or not np.isfinite(vector).all():
        bad = "" if np.isfinite(vector).all() else f" with {int((~np.isfinite(vector)).sum())} that are not finite"
        raise FormatError(
            f"'{path}': got an array of shape {vector.shape}{bad}, expected one row 'dx dy dz' of finite numbers per "
            f"atom; {_ANEW}"
        )
    norm = np.linalg.norm(vector)
    if norm == 0:
        raise FormatError(f"'{path}': the mode moves no atom, all its numbers are 0; select other modes, or {_ANEW}")
    if abs(norm - 1) > 0.01:
        raise FormatError(
            f"'{path}': the mode's norm is {norm:.4g}, expected 1 over all 3·N numbers, without which amplitudes are "
            f"not in Å; divide its numbers by the norm, or {_ANEW}"
        )
    return np.asarray(vector / norm)


def _require_independent(modes: NormalModes, folder: Path) -> None:
    """FormatError where modes of a folder move the atoms alike, or one moves them as others together do."""
    parts = [
        f"{surplus} of the modes {[modes.mode_ids[row] for row in rows]}"
        for rows, surplus in dependent_modes(modes.vectors)
    ]
    if parts:
        raise FormatError(
            f"'{folder}': amplitudes along modes cannot be told apart where one mode moves the atoms as others do, to "
            f"within {LEAST_OWN:.0%}; leave {' and '.join(parts)} out: select the others or remove the files vec.N, or "
            f"{_ANEW}"
        )


def _listed_modes(path: Path) -> list[int]:
    if not path.is_file():
        return []
    try:
        return [int(row["mode"]) for row in parse_json(read_text(path, "list of modes"))]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"'{path}' is not the list of modes that the nma command writes ({error}); select another folder"
        ) from error


def _read_facts(path: Path, chosen: tuple[int, ...]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        rows = {row["mode"]: row for row in parse_json(read_text(path, "list of modes"))}
        known = [key for key in _OF_EACH if all(key in rows.get(m, {}) for m in chosen)]
        facts = {key: np.array([float(rows[m][key]) for m in chosen]) for key in known}
        if "prior_sd_A" in facts and not ((facts["prior_sd_A"] > 0) & np.isfinite(facts["prior_sd_A"])).all():
            raise ValueError(f"prior_sd_A: got {facts['prior_sd_A'].tolist()}, expected numbers above 0")
        return facts
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"'{path}' is not the list of modes that the nma command writes ({error})") from error


def _read_motion(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        facts = parse_json(read_text(path, "motion of modes"))
        motion, block_size = facts["motion"], facts["block_size"]
        if motion not in MOTIONS or not isinstance(block_size, int) or block_size < 0:
            raise ValueError(f"got motion {motion!r} of blocks of {block_size!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"'{path}' does not say how atoms move ({error}); expected for example "
            '{"motion": "jointed", "block_size": 10}; compute the modes again with the nma command'
        ) from error
    return {"motion": motion, "block_size": block_size}
