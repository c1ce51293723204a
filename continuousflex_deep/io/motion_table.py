"""The tables of motions that align learned along many modes: motions.csv, and learned_from.csv of these modes."""

import csv
from dataclasses import dataclass
from pathlib import Path

from continuousflex_deep.arrays import Floats
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.tables import format_rows

MOTIONS_CSV, LEARNED_FROM_CSV = "motions.csv", "learned_from.csv"
FIRST_MOTION = 1001  # its number as a mode; normal modes have lower ones


@dataclass(frozen=True, eq=False)
class MotionTable:
    """M motions along as many modes, the largest first: axes (M, M), each row in terms of the modes; rmsd_A (M,) of the
    atoms at one deviation; share of all motion; noise: share of errors in its variance; evidence: log-likelihood
    without it; used: how many become modes. mode_share and mode_evidence (M,): the same of the modes mode_ids."""

    axes: Floats
    rmsd_A: Floats
    share: Floats
    noise: Floats
    evidence: Floats
    used: int
    mode_ids: tuple[int, ...]
    mode_share: Floats
    mode_evidence: Floats

    @property
    def motion_ids(self) -> tuple[int, ...]:
        """The numbers of the used motions as modes; the modes that they consist of have lower ones."""
        return tuple(range(FIRST_MOTION, FIRST_MOTION + self.used))

    def text(self) -> str:
        """The used motions, for people."""
        rows = [
            [str(number), f"{rmsd:.2f} Å", f"{share:.1%}", f"{noise:.1%}", f"{evidence:.0f}"]
            for number, rmsd, share, noise, evidence in zip(
                self.motion_ids, self.rmsd_A, self.share, self.noise, self.evidence, strict=False
            )
        ]
        return format_rows(["motion", "RMSD", "of all motion", "noise", "evidence"], rows)


def write_motion_tables(folder: str | Path, table: MotionTable) -> None:
    """Write learned_from.csv, then motions.csv, which has the motions that are not used, too."""
    columns = (table.rmsd_A, table.share, table.noise, table.evidence)
    names = [f"mode_{mode}" for mode in table.mode_ids]
    motions = [
        [FIRST_MOTION + row, int(row < table.used), *_digits(*(c[row] for c in columns), *table.axes[row])]
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
