"""Frames of a moving structure, as PDB files for molecular viewers, and the table of their amplitudes."""

import csv
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.structure_files import read_atom_records
from continuousflex_deep.io.structures import Structure, structure_of, write_structure

MOST_ATOMS = 20_000  # in a file; larger structures are shown as Cα and P, or one atom per residue


def write_swing(path: str | Path, structure: Structure, frames_A: list[Floats]) -> None:
    """Write frames (N, 3) in Å as the models of one PDB file; large structures are reduced to representative atoms."""
    atoms = np.arange(len(structure)) if len(structure) <= MOST_ATOMS else structure.representative_atoms
    write_structure(path, structure.select(atoms), [frame[atoms] for frame in frames_A])


def read_frames(path: str | Path) -> tuple[Structure, list[Floats]]:
    """The structure that a file of frames shows, and its coordinates (N, 3) in Å in each frame.

    Raises InputError for a missing file, FormatError where frames have different numbers of atoms.
    """
    records = read_atom_records(path)
    models = [records.select(records.models == number) for number in np.unique(records.models)]
    structure = structure_of(models[0] if models else records, Path(path), hydrogens=True)
    for number, model in enumerate(models, start=1):
        if len(model) != len(structure):
            raise FormatError(
                f"'{path}': frame {number} has {len(model)} atoms, expected {len(structure)}; write the frames again"
            )
    return structure, [model.coords_A for model in models]


def write_frame_table(path: str | Path, mode_ids: tuple[int, ...], amplitudes_A: Floats, rmsd_A: Floats) -> None:
    """CSV with a row for each of F frames: its amplitudes (F, M) in Å along M modes, and its RMSD (F,) in Å from the
    structure at rest."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *(f"amplitude{mode}_A" for mode in mode_ids), "rmsd_A"])
        for number, (row, rmsd) in enumerate(zip(amplitudes_A, rmsd_A, strict=True), start=1):
            writer.writerow([number, *(f"{q:.3f}" for q in row), f"{rmsd:.3f}"])
