"""Normal modes and their structure, as a viewer shows them: a few thousand atoms, and how far each residue moves."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.figures.trace import chain_bonds
from continuousflex_deep.io.frames import write_swing
from continuousflex_deep.io.mode_table import MODES_CSV, ModeTable, read_mode_table
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion import Motion, amplitude_of_rmsd, motion_along
from continuousflex_deep.particles import AS_MODES
from continuousflex_deep.trajectories.frames import swing_frames

# more atoms than these are not drawn: they would hide each other, and the motion would no longer be fluid
MOST_SHOWN = 2000


@dataclass(frozen=True, eq=False)
class ModesData:
    """A structure of N atoms and R residues, and how amplitudes along M modes, those of the table, move its atoms.

    shown (S,): indices of the atoms to draw; bonds (B, 2): pairs of positions in ``shown`` that are joined by a line.
    """

    structure: Structure
    motion: Motion[Floats]
    table: ModeTable
    shown: Integers
    bonds: Integers

    @cached_property
    def shown_motion(self) -> Motion[Floats]:
        """The motion of the shown atoms."""
        return self.motion.select(self.shown)

    def amplitude_A(self, rmsd_A: float) -> float:
        """The amplitude q of a motion of this RMSD along one mode."""
        return amplitude_of_rmsd(rmsd_A, len(self.structure))

    def amplitudes_A(self, mode_ids: tuple[int, ...], along: Floats) -> Floats:
        """Amplitudes (M,) along all modes, of those along some of them and none along the others."""
        amplitudes = np.zeros(self.motion.n_modes)
        amplitudes[[self.table.mode_ids.index(mode) for mode in mode_ids]] = along
        return amplitudes

    def amplitudes_of_rmsd(self, mode: int, rmsd_A: float) -> Floats:
        """Amplitudes (M,) of a motion of this RMSD along one mode."""
        return self.amplitudes_A((mode,), np.array([self.amplitude_A(rmsd_A)]))

    def rmsd_A(self, amplitudes_A: Floats) -> float:
        """How far amplitudes (M,) move the atoms, root mean square."""
        return float(self.motion.rmsd_A(amplitudes_A, np.zeros(self.motion.n_modes)))

    def residue_displacements(self, mode: int, rmsd_A: float) -> Floats:
        """How far the atoms of each residue move (R,), root mean square, in a motion of this RMSD along a mode."""
        residue = self._residue
        squared = np.square(self.motion.displacements(self.amplitudes_of_rmsd(mode, rmsd_A))).sum(axis=1)
        return np.asarray(np.sqrt(np.bincount(residue, squared) / np.bincount(residue)))

    @cached_property
    def _residue(self) -> Integers:
        return self.structure.residue_index

    def write_swing(self, folder: str | Path, mode: int, rmsd_A: float) -> Path:
        """Write one period of the swing along a mode as a PDB file for ChimeraX or VMD, as the commands do; returns its
        path."""
        path = Path(folder) / f"swing_{mode}.pdb"
        write_swing(path, self.structure, swing_frames(self.motion, self.amplitudes_of_rmsd(mode, rmsd_A)))
        return path


def read_modes_data(
    structure_path: str | Path, modes_folder: str | Path, results: str | Path = "", motion: str = AS_MODES
) -> ModesData:
    """Structure, modes and, where ``results`` names what the modes command wrote, its table of them.

    Raises InputError or FormatError where a file is missing or belongs to something else.
    """
    table = read_mode_table(Path(results) / MODES_CSV) if results else None
    structure, modes = read_reference(structure_path, modes_folder, table.mode_ids if table else None, motion=motion)
    return make_modes_data(structure, modes, table)


def make_modes_data(structure: Structure, modes: NormalModes, table: ModeTable | None = None) -> ModesData:
    """What the viewer shows; without a table, of what the modes themselves say."""
    every = structure.representative_atoms
    shown = every[:: -(-len(every) // MOST_SHOWN)]  # of many residues every second, third, …
    motion = motion_along(structure, modes)
    return ModesData(structure, motion, table or _table_of(modes), shown, chain_bonds(structure, shown))


def _table_of(modes: NormalModes) -> ModeTable:
    columns: dict[str, Floats] = {}
    if modes.eigenvalues is not None:
        columns["energy"] = modes.eigenvalues / modes.eigenvalues[0]
    for name in ("collectivity", "score"):
        column = getattr(modes, name)
        if column is not None:
            columns[name] = column
    return ModeTable(modes.mode_ids, np.zeros(len(modes), dtype=bool), columns)
