"""Frames of a moving structure, as PDB files for molecular viewers."""

import dataclasses
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.structure_files import read_atom_records
from continuousflex_deep.io.structures import Structure, structure_of, write_structure

MOST_ATOMS = 20_000  # in a file; larger structures are shown as Cα and P, or one atom per residue
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def write_swing(path: str | Path, structure: Structure, frames_A: list[Floats]) -> None:
    """Write frames (N, 3) in Å as the models of one PDB file; large structures are reduced to representative atoms.

    Where chain names are too long for a PDB file, all chains get short names in order, which the file's remarks list.
    """
    atoms = np.arange(len(structure)) if len(structure) <= MOST_ATOMS else structure.representative_atoms
    part, short = _with_short_chain_names(structure.select(atoms))
    remarks = [f"chain {new} is {old}" for old, new in short.items()]
    write_structure(path, part, [frame[atoms] for frame in frames_A], remarks)


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


def _with_short_chain_names(structure: Structure) -> tuple[Structure, dict[str, str]]:
    """The structure with chain names of one or two letters, the most that a PDB file can hold; and old → new names,
    empty where the names are short already."""
    names = list(dict.fromkeys(structure.chain_ids.tolist()))
    if all(len(name) <= 2 for name in names):
        return structure, {}
    short = [*_LETTERS, *(a + b for a in _LETTERS for b in _LETTERS)][: len(names)]
    renamed = dict(zip(names, short, strict=True))
    chain_ids = np.array([renamed[name] for name in structure.chain_ids], dtype=object)
    return dataclasses.replace(structure, chain_ids=chain_ids), renamed
