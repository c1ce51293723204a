"""Frames of a moving structure, as PDB files for molecular viewers."""

import dataclasses
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.io.structures import Structure, write_structure

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
