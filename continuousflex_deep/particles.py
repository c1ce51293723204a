"""The data model of all commands: particles with their images, optics, poses and conformations, joined by id."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from continuousflex_deep.arrays import Booleans, Floats, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.sampling import same_pixel_size, size_text

# how amplitudes move atoms: the kinds of the package motion
STRAIGHT, HELICAL, JOINTED = "straight", "helical", "jointed"
MOTIONS = (STRAIGHT, HELICAL, JOINTED)
AS_MODES = "modes"  # the motion that a folder of modes names


@dataclass(frozen=True, eq=False)
class Ctf:
    """Contrast transfer parameters, one value per particle: every field is an array (n,)."""

    defocus_u_A: Floats
    defocus_v_A: Floats
    defocus_angle_deg: Floats
    voltage_kV: Floats
    cs_mm: Floats
    amplitude_contrast: Floats
    phase_shift_deg: Floats

    def select(self, rows: NDArray[Any]) -> "Ctf":
        """The values of some rows (indices or mask)."""
        return Ctf(**{f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)})


@dataclass(frozen=True, eq=False)
class Particles:
    """n particles. Arrays are None if unknown; row i of every array belongs to particle i; ids are unique.

    ids (n,) int64; stacks (n,) paths of image stacks; indices (n,) zero-based positions in them;
    pixel_size_A and box_px of the images; ctf; phase_flipped: whether the images are phase flipped already;
    euler_deg (n, 3) rot, tilt, psi; shift_A (n, 2), which moves the image back to the centre;
    amplitudes (n, modes) along the modes `mode_ids`, in Å for unit-norm modes, with amplitudes_sd; free_amplitudes and
    free_amplitudes_sd: what the images alone say, where the amplitudes were drawn to those of others; motion: the kind
    of motion that they are amplitudes of, one of MOTIONS;
    angle_sd_deg, shift_sd_A, score (n,); ambiguous (n,) True if hypotheses disagree;
    half (n,): half set of each particle, 1 or 2, or 0 for none;
    extra: uninterpreted columns of the source file, as strings (n,); optics_extra: the same of its optics table, one
    row per particle; column_order: names of the columns that writers copy (half sets, extra), in the file's order.
    """

    ids: Integers
    stacks: NDArray[np.object_]
    indices: Integers
    pixel_size_A: float
    box_px: int
    ctf: Ctf | None = None
    phase_flipped: bool = False
    euler_deg: Floats | None = None
    shift_A: Floats | None = None
    mode_ids: tuple[int, ...] = ()
    amplitudes: Floats | None = None
    amplitudes_sd: Floats | None = None
    free_amplitudes: Floats | None = None
    free_amplitudes_sd: Floats | None = None
    motion: str = STRAIGHT
    angle_sd_deg: Floats | None = None
    shift_sd_A: Floats | None = None
    score: Floats | None = None
    ambiguous: Booleans | None = None
    half: Integers | None = None
    extra: dict[str, NDArray[np.object_]] = field(default_factory=dict)
    optics_extra: dict[str, NDArray[np.object_]] = field(default_factory=dict)
    column_order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.ids)
        values, counts = np.unique(self.ids, return_counts=True)
        if len(values) < n:
            repeated = values[counts > 1]
            raise InputError(
                f"particle ids must be unique: {len(repeated)} of {len(values)} occur more than once, for example "
                f"{repeated[:5].tolist()}; remove the duplicate rows from the particle file"
            )
        for name in _ROW_ARRAYS:
            value = getattr(self, name)
            if value is not None and len(value) != n:
                raise InputError(f"particles: {name} has {len(value)} rows, expected {n}, one per id")
        if self.ctf is not None and len(self.ctf.defocus_u_A) != n:
            raise InputError(f"particles: the CTF has {len(self.ctf.defocus_u_A)} rows, expected {n}, one per id")
        if self.box_px < 1 or not 0 < self.pixel_size_A < np.inf:
            raise InputError(
                f"particles: got images of {self.box_px} px of {self.pixel_size_A:g} Å, expected both above 0"
            )
        if self.motion not in MOTIONS:
            raise InputError(
                f"particles: got amplitudes of a motion '{self.motion}', expected {', '.join(MOTIONS[:-1])} or "
                f"{MOTIONS[-1]}"
            )
        if twice := named_twice(self.mode_ids):
            raise InputError(f"particles: amplitudes of modes {twice} are given more than once; give each mode once")
        for name in ("amplitudes", "amplitudes_sd", *_FREE):
            values = getattr(self, name)
            if values is not None and values.shape != (n, len(self.mode_ids)):
                raise InputError(
                    f"particles: {name} have shape {values.shape}, expected ({n}, {len(self.mode_ids)}) "
                    f"for modes {list(self.mode_ids)}"
                )
        if (self.free_amplitudes is None) != (self.free_amplitudes_sd is None):
            raise InputError(
                "particles: of free amplitudes and their deviations only one is known, expected both or none; remove "
                "these columns (cfdAmplitude…Free, cfdAmplitude…FreeSd) from the particle file"
            )
        if self.half is not None and not np.isin(self.half, _HALVES).all():
            raise InputError(
                f"particles: got half sets {np.unique(self.half)[:5].tolist()}, expected 1 and 2, or 0 for none"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: ArrayLike) -> "Particles":
        """Some particles, by a boolean mask (n,) or an array of row numbers, in that order."""
        r = np.asarray(rows)
        if r.dtype != bool:
            r = r.astype(np.int64)
        changes = {name: getattr(self, name)[r] for name in _ROW_ARRAYS if getattr(self, name) is not None}
        for name in ("extra", "optics_extra"):
            changes[name] = {column: values[r] for column, values in getattr(self, name).items()}
        if self.ctf is not None:
            changes["ctf"] = self.ctf.select(r)
        return dataclasses.replace(self, **changes)

    def replace(self, **changes: Any) -> "Particles":
        """A copy with other values of some fields. Other amplitudes are not what the images say of the ones before."""
        stale: dict[str, Any] = dict.fromkeys(_FREE) if "amplitudes" in changes else {}
        return dataclasses.replace(self, **(stale | changes))

    def bare(self) -> "Particles":
        """The same without the columns that nothing interprets, for whoever only computes with them."""
        return self.replace(extra={}, optics_extra={}, column_order=())

    def rows_of(self, ids: ArrayLike) -> Integers:
        """Row numbers of the given ids, in their order. InputError if an id is missing."""
        wanted = np.asarray(ids, dtype=np.int64)
        rows, here = find_rows(self.ids, wanted)
        if not here.all():
            absent = wanted[~here]
            raise InputError(
                f"{len(absent)} of {len(wanted)} particle ids are not in the other set, for example "
                f"{absent[:5].tolist()}; both files must come from the same particles"
            )
        return rows

    def require_ctf(self, purpose: str) -> Ctf:
        """The CTF; InputError with the purpose if it is unknown."""
        if self.ctf is None:
            raise InputError(
                f"{purpose} needs CTF parameters, but the particle file has no rlnDefocusU (or ctfDefocusU) column; "
                "estimate the CTF first, or use a file that contains it"
            )
        return self.ctf

    def require_poses(self, purpose: str) -> tuple[Floats, Floats]:
        """(euler_deg, shift_A); InputError with the purpose if they are unknown."""
        if self.euler_deg is None or self.shift_A is None:
            raise InputError(
                f"{purpose} needs angles and shifts, but the particles have none; align or predict them first"
            )
        return self.euler_deg, self.shift_A

    def require_amplitudes(self, purpose: str) -> Floats:
        """The amplitudes (n, modes); InputError with the purpose if they are unknown."""
        if self.amplitudes is None:
            raise InputError(
                f"{purpose} needs normal-mode amplitudes, but the particles have none (columns cfdAmplitude7, … or "
                "nmaDisplacements); align or predict them first"
            )
        return self.amplitudes


def named_twice(mode_ids: Sequence[int]) -> list[int]:
    """The modes that a list names more than once."""
    return sorted(mode for mode, times in Counter(mode_ids).items() if times > 1)


def require_same_motion(particles: Particles, motion: str, other: str) -> None:
    """InputError if particles have amplitudes of another motion than `other` has, which is named in the message: equal
    numbers would mean different conformations."""
    if particles.amplitudes is not None and particles.amplitudes.any() and particles.motion != motion:
        raise InputError(
            f"the particles have amplitudes of {particles.motion} motion, but {other} of {motion} motion, with which "
            f"the same numbers mean other conformations; align the particles again with --motion {motion}, or take "
            f"what belongs to {particles.motion} motion"
        )


def find_rows(
    ids: NDArray[Any], wanted: NDArray[Any], order: NDArray[Any] | None = None
) -> tuple[Integers, Booleans]:
    """Rows (m,) of the wanted ids (m,) among ids (n,), and whether each is there; the row of an absent id is arbitrary.

    order: what np.argsort of ids gives, for many calls.
    """
    if len(ids) == 0:
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
    order = np.argsort(ids, kind="stable") if order is None else order
    rows = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    return rows, ids[rows] == wanted


def evenly_spread(count: int, most: int) -> Integers:
    """At most `most` of `count` rows, evenly spaced, in order."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


RESULTS = (
    "euler_deg", "shift_A", "amplitudes", "amplitudes_sd", "free_amplitudes", "free_amplitudes_sd", "angle_sd_deg",
    "shift_sd_A", "score", "ambiguous", "half",
)  # fmt: skip
_FREE = ("free_amplitudes", "free_amplitudes_sd")
_ROW_ARRAYS = ("ids", "stacks", "indices", *RESULTS)
_HALVES = (0, 1, 2)
SAMPLING = ("rlnImageSize", "rlnImagePixelSize")  # columns of optics groups whose images differ in it
_MICROGRAPH = "rlnMicrographName"
_REFINED_A, _MOST_REFINED = 2000, 0.5  # a defocus changed by more in more particles is not the same one refined
_MOST_POSITIONS = 2**32


def concatenate(parts: Sequence[Particles]) -> Particles:
    """One set from several sets with the same image size and modes. Ids must not overlap.

    Arrays and columns that only some of the sets have (error bars, for example) are dropped. Each set keeps its boxes
    and the digits of its pixel size.
    """
    if not parts:
        raise InputError("nothing to merge: got no particle sets, expected at least one")
    first = parts[0]
    bent = all(p.amplitudes is not None for p in parts)
    for p in parts[1:]:
        for name in ("box_px", "mode_ids", "phase_flipped", *(["motion"] if bent else [])):
            if getattr(p, name) != getattr(first, name):
                raise InputError(
                    f"cannot merge particle sets: {name} is {getattr(first, name)} in one and {getattr(p, name)} in "
                    "another"
                )
        if not same_pixel_size(p.pixel_size_A, first.pixel_size_A):
            raise InputError(f"cannot merge particle sets: pixel sizes are {first.pixel_size_A} and {p.pixel_size_A} Å")
    changes: dict[str, Any] = {}
    for name in _ROW_ARRAYS:
        columns = [getattr(p, name) for p in parts]
        changes[name] = None if any(c is None for c in columns) else np.concatenate(columns)
    if changes["amplitudes"] is None:
        changes |= {"mode_ids": (), "motion": STRAIGHT}
    for name, tables in (("extra", [p.extra for p in parts]), ("optics_extra", _optics_with_sampling(parts))):
        shared = [k for k in tables[0] if all(k in t for t in tables)]
        changes[name] = {k: np.concatenate([t[k] for t in tables]) for k in shared}
    changes["ctf"] = None
    if all(p.ctf is not None for p in parts):
        names = [f.name for f in dataclasses.fields(Ctf)]
        changes["ctf"] = Ctf(**{name: np.concatenate([getattr(p.ctf, name) for p in parts]) for name in names})
    return dataclasses.replace(first, **changes)


def _optics_with_sampling(parts: Sequence[Particles]) -> list[dict[str, NDArray[np.object_]]]:
    """The optics columns of each set, with boxes and pixel sizes where one of the sets has several, or the sets
    differ."""
    own = [dict(zip(SAMPLING, (str(p.box_px), size_text(p.pixel_size_A)), strict=True)) for p in parts]
    told = [name for name in SAMPLING if any(name in p.optics_extra for p in parts) or len({o[name] for o in own}) > 1]
    return [
        {name: np.full(len(p), sizes[name], dtype=object) for name in told} | p.optics_extra
        for p, sizes in zip(parts, own, strict=True)
    ]


def join(base: Particles, results: Particles) -> Particles:
    """`base` (its images, optics, extra columns) with the poses, amplitudes, scores and half sets that `results` has
    for its ids.

    Every id of `base` must be in `results`; rows are matched by id, never by position. Shifts are in Å, so the two sets
    may have different pixel sizes: so poses found on reduced images are transferred to the original images.
    """
    matched = results.select(results.rows_of(base.ids))
    changes = {name: getattr(matched, name) for name in RESULTS if getattr(matched, name) is not None}
    if "amplitudes" in changes:
        changes |= {"mode_ids": matched.mode_ids, "motion": matched.motion}
    return base.replace(**changes)


def with_images(particles: Particles, images: Particles) -> Particles:
    """The particles' poses, amplitudes and half sets with other images of the same ids, such as the original ones.

    Additional ids in `images` are ignored. InputError for ids that `images` lacks, and where the same ids are those of
    other particles.
    """
    same = images.select(images.rows_of(particles.ids))
    require_same_particles(particles, same)
    return join(same, particles)


def require_same_particles(one: Particles, other: Particles) -> None:
    """InputError if rows with the same ids are of different particles, where the ids may be mere positions in a stack.

    Ids that are hashes of names are those of one image. Refinement changes the defocus of most particles little.
    """
    if len(one) == 0 or one.ids.max() > _MOST_POSITIONS:
        return
    witnesses: dict[str, Booleans] = {}
    if one.ctf is not None and other.ctf is not None:
        apart_A = np.abs(one.ctf.defocus_u_A + one.ctf.defocus_v_A - other.ctf.defocus_u_A - other.ctf.defocus_v_A) / 2
        witnesses["defocus"] = apart_A > _REFINED_A
    if _MICROGRAPH in one.extra and _MICROGRAPH in other.extra:
        stems = [[PurePath(str(name)).stem for name in p.extra[_MICROGRAPH]] for p in (one, other)]
        same = [a.startswith(b) or b.startswith(a) for a, b in zip(*stems, strict=True)]  # m1, m1_DW
        witnesses["micrograph"] = ~np.array(same, dtype=bool)
    for name, differ in witnesses.items():
        if differ.mean() > _MOST_REFINED:
            raise InputError(
                f"the two files give the same ids to different particles: the {name} differs for {int(differ.sum())} "
                f"of {len(one)} of them, for example id {int(one.ids[np.flatnonzero(differ)[0]])}; give the file from "
                "which these particles were made"
            )
