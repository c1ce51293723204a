"""Normal modes and their structure, as a viewer shows them: a few thousand atoms, and how far each residue moves."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.figures.trace import chain_bonds
from continuousflex_deep.io.frames import write_swing
from continuousflex_deep.io.mode_table import MODES_CSV, ModeTable, read_mode_table
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion import without_translation
from continuousflex_deep.trajectories.frames import swing_frames

# more atoms than these are not drawn: they would hide each other, and the motion would no longer be fluid
MOST_SHOWN = 2000


@dataclass(frozen=True, eq=False)
class ModesData:
    """A structure of N atoms and R residues with M modes (M, N, 3), re-centred as every deformed structure is.

    shown (S,): indices of the atoms to draw; bonds (B, 2): pairs of positions in ``shown`` that are joined by a line.
    """

    structure: Structure
    vectors: Floats
    table: ModeTable
    shown: Integers
    bonds: Integers

    def row(self, mode: int) -> int:
        """Where in the arrays a mode is."""
        return self.table.mode_ids.index(mode)

    def amplitude_A(self, rmsd_A: float) -> float:
        """The amplitude q of a motion of this RMSD: RMSD · √N (docs/conventions.md)."""
        return float(rmsd_A * np.sqrt(len(self.structure)))

    def shown_motion(self, mode: int) -> tuple[Floats, Floats]:
        """Coordinates (S, 3) and the mode's displacements (S, 3) of the shown atoms, per unit of RMSD, in Å."""
        return self.structure.coords_A[self.shown], self.vectors[self.row(mode)][self.shown] * self.amplitude_A(1.0)

    def shown_displacements(self, mode_ids: tuple[int, ...], amplitudes_A: Floats) -> Floats:
        """How far and where amplitudes (M,) along these modes move the shown atoms (S, 3), in Å."""
        rows = [self.row(mode) for mode in mode_ids]
        return np.asarray(np.tensordot(amplitudes_A, self.vectors[rows][:, self.shown], axes=1))

    def rmsd_A(self, mode_ids: tuple[int, ...], amplitudes_A: Floats) -> float:
        """How far amplitudes (M,) along these modes move the atoms, root mean square."""
        moved = np.tensordot(amplitudes_A, self.vectors[[self.row(mode) for mode in mode_ids]], axes=1)
        return float(np.sqrt(np.square(moved).sum(axis=1).mean()))

    def residue_displacements(self, mode: int) -> Floats:
        """How far the atoms of each residue move (R,), root mean square, per unit of RMSD."""
        residue = self.structure.residue_index
        squared = np.square(self.vectors[self.row(mode)]).sum(axis=1) * self.amplitude_A(1.0) ** 2
        return np.asarray(np.sqrt(np.bincount(residue, squared) / np.bincount(residue)))

    def write_swing(self, folder: str | Path, mode: int, rmsd_A: float) -> Path:
        """Write one period of the swing along a mode as a PDB file for ChimeraX or VMD, as the commands do; returns its
        path."""
        path = Path(folder) / f"swing_{mode}.pdb"
        farthest = np.array([self.amplitude_A(rmsd_A)])
        write_swing(path, self.structure, swing_frames(self.structure, self.vectors[[self.row(mode)]], farthest))
        return path


def read_modes_data(structure_path: str | Path, modes_folder: str | Path, results: str | Path = "") -> ModesData:
    """Structure, modes and, where ``results`` names what the modes command wrote, its table of them.

    Raises InputError or FormatError where a file is missing or belongs to something else.
    """
    table = read_mode_table(Path(results) / MODES_CSV) if results else None
    structure, modes = read_reference(structure_path, modes_folder, table.mode_ids if table else None)
    return make_modes_data(structure, modes, table)


def make_modes_data(structure: Structure, modes: NormalModes, table: ModeTable | None = None) -> ModesData:
    """What the viewer shows; without a table, of what the modes themselves say."""
    every = structure.representative_atoms
    shown = every[:: -(-len(every) // MOST_SHOWN)]  # of many residues every second, third, …
    vectors = without_translation(structure, modes.vectors)
    return ModesData(structure, vectors, table or _table_of(modes), shown, chain_bonds(structure, shown))


def _table_of(modes: NormalModes) -> ModeTable:
    columns: dict[str, Floats] = {}
    if modes.eigenvalues is not None:
        columns["energy"] = modes.eigenvalues / modes.eigenvalues[0]
    for name in ("collectivity", "score"):
        column = getattr(modes, name)
        if column is not None:
            columns[name] = column
    return ModeTable(modes.mode_ids, np.zeros(len(modes), dtype=bool), columns)
