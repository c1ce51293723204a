"""Frames of a moving structure, written for molecular viewers."""

import dataclasses
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.io.structures import Structure, write_structure

MOST_ATOMS = 20_000  # of a file; of larger structures it shows Cα and P, or one atom a residue
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def write_swing(path: str | Path, structure: Structure, frames_A: list[Floats]) -> None:
    """Write frames (N, 3) as the models of one PDB file; of large structures, the representative atoms alone.

    Chains whose names are too long for a PDB file get short ones, all of them in order; remarks in the file say which.
    """
    atoms = np.arange(len(structure)) if len(structure) <= MOST_ATOMS else structure.representative_atoms
    part, short = _with_short_chain_names(structure.select(atoms))
    remarks = [f"chain {new} is {old}" for old, new in short.items()]
    write_structure(path, part, [frame[atoms] for frame in frames_A], remarks)


def _with_short_chain_names(structure: Structure) -> tuple[Structure, dict[str, str]]:
    """The structure with chain names of one or two letters, which is what a PDB file can hold; and old → new name,
    empty where the names are short already."""
    names = list(dict.fromkeys(structure.chain_ids.tolist()))
    if all(len(name) <= 2 for name in names):
        return structure, {}
    short = [*_LETTERS, *(a + b for a in _LETTERS for b in _LETTERS)][: len(names)]
    renamed = dict(zip(names, short, strict=True))
    chain_ids = np.array([renamed[name] for name in structure.chain_ids], dtype=object)
    return dataclasses.replace(structure, chain_ids=chain_ids), renamed
