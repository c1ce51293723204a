"""The tables of motions that align learned along many modes: motions.csv, and learned_from.csv of these modes."""

import csv
import zlib
from dataclasses import dataclass
from pathlib import Path

from continuousflex_deep.arrays import Booleans, Floats
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.tables import format_rows

MOTIONS_CSV, LEARNED_FROM_CSV = "motions.csv", "learned_from.csv"
# The motions of a run are numbered from 1000·k + 1, with k of their vectors: normal modes have lower numbers, and the
# motions of another run nearly always others, so that neither are taken for them.
_THOUSAND, _RUNS = 1000, 900


@dataclass(frozen=True, eq=False)
class MotionTable:
    """M motions along as many modes, the largest first: axes (M, M), each row in terms of the modes; rmsd_A (M,) of the
    atoms at one deviation; share of all motion; noise: share of errors in its variance; evidence: log-likelihood
    without it; used: whether it becomes a mode; motion_ids: their numbers as modes. mode_share and mode_evidence (M,):
    the same of the modes mode_ids."""

    axes: Floats
    rmsd_A: Floats
    share: Floats
    noise: Floats
    evidence: Floats
    used: Booleans
    motion_ids: tuple[int, ...]
    mode_ids: tuple[int, ...]
    mode_share: Floats
    mode_evidence: Floats

    @property
    def used_ids(self) -> tuple[int, ...]:
        """The numbers of the motions that become modes."""
        return tuple(m for m, used in zip(self.motion_ids, self.used, strict=True) if used)

    def text(self) -> str:
        """The used motions, for people."""
        rows = [
            [str(number), f"{rmsd:.2f} Å", f"{share:.1%}", f"{noise:.1%}", f"{evidence:.0f}"]
            for number, used, rmsd, share, noise, evidence in zip(
                self.motion_ids, self.used, self.rmsd_A, self.share, self.noise, self.evidence, strict=True
            )
            if used
        ]
        return format_rows(["motion", "RMSD", "of all motion", "noise", "evidence"], rows)


def motion_numbers(vectors: Floats) -> tuple[int, ...]:
    """The numbers as modes of motions with vectors (M, N, 3)."""
    digest = zlib.crc32(vectors.astype("<f4").tobytes())
    first = _THOUSAND * (1 + digest % _RUNS) + 1
    return tuple(range(first, first + len(vectors)))


def holds_normal_modes(folder: str | Path) -> bool:
    """Whether a folder has modes that are not learned motions."""
    numbers = [path.suffix[1:] for path in Path(folder).glob("vec.*")]
    return any(number.isdecimal() and int(number) < _THOUSAND for number in numbers)


def write_motion_tables(folder: str | Path, table: MotionTable) -> None:
    """Write learned_from.csv, then motions.csv, which has the motions that are not used, too."""
    columns = (table.rmsd_A, table.share, table.noise, table.evidence)
    names = [f"mode_{mode}" for mode in table.mode_ids]
    motions = [
        [table.motion_ids[row], int(table.used[row]), *_digits(*(c[row] for c in columns), *table.axes[row])]
        for row in range(len(table.axes))
    ]
    of_modes = zip(table.mode_ids, table.mode_share, table.mode_evidence, strict=True)
    modes = [[mode, *_digits(*values)] for mode, *values in of_modes]
    _write(Path(folder) / LEARNED_FROM_CSV, ["mode", "share", "evidence"], modes)
    _write(Path(folder) / MOTIONS_CSV, ["motion", "used", "rmsd_A", "share", "noise", "evidence", *names], motions)


def _digits(*values: float) -> list[str]:
    return [f"{value:.6g}" for value in values]


def _write(path: Path, head: list[str], rows: list[list[object]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])
