"""Selections that leave atoms out, for error messages that advise them."""

import numpy as np

from continuousflex_deep.arrays import Integers
from continuousflex_deep.io.atom_records import residue_text
from continuousflex_deep.io.structures import Structure

_MOST_TERMS = 10


def leave_out(structure: Structure, atoms: Integers) -> str:
    """The option --select that leaves these atoms out: whole chains, whole residues, or atoms of residues.

    Of very many residues only the first ones are listed, which "…" marks.
    """
    gone = np.zeros(len(structure), dtype=bool)
    gone[atoms] = True
    chains, keys = structure.chain_ids, list(zip(*(c.tolist() for c in structure.residue_columns), strict=True))
    residue = structure.residue_index
    terms: dict[str, None] = {}
    for atom in atoms.tolist():
        if gone[chains == chains[atom]].all():
            terms[f"not {chains[atom] or '//'}"] = None
            continue
        mates = np.flatnonzero(residue == residue[atom])
        left = "" if gone[mates].all() else "/" + ",".join(structure.atom_names[mates[gone[mates]]])
        terms[f"not {residue_text(keys[atom])}{left}"] = None
        if len(terms) > _MOST_TERMS:
            break
    listed = list(terms)[:_MOST_TERMS]
    return f'--select "{" and ".join(listed)}{" and …" if len(terms) > _MOST_TERMS else ""}"'
