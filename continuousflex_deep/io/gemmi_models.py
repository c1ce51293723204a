"""Atoms as a model of gemmi, which writes structures and selects atoms."""

from typing import Any

import gemmi
from numpy.typing import NDArray

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.io.atom_records import Names, pieces


def gemmi_model(
    number: int,
    coords_A: Floats,
    names: Names,
    atomic_number: Integers,
    residue_columns: tuple[NDArray[Any], ...],
    occupancies: Floats,
    b_factors: Floats,
) -> gemmi.Model:
    """A model of N atoms at coords_A (N, 3); the other columns are (N,). An atom's serial is its index.

    residue_columns: chain, number, insertion code and name of the residues, in which consecutive atoms are joined.
    """
    model = gemmi.Model(number)
    chain_names, numbers, codes, residue_names = (c.tolist() for c in residue_columns)
    elements = [gemmi.Element(int(z)) for z in atomic_number]
    chain: Any = None
    for start, end in pieces(*residue_columns):
        if chain is None or chain.name != chain_names[start]:
            chain = model.add_chain(gemmi.Chain(chain_names[start]))
        residue = gemmi.Residue()
        residue.name, residue.seqid = residue_names[start], gemmi.SeqId(numbers[start], _one_letter(codes[start]))
        for i in range(start, end):
            atom = gemmi.Atom()
            atom.serial, atom.name, atom.pos = i, names[i], gemmi.Position(*coords_A[i])
            atom.element, atom.occ, atom.b_iso = elements[i], occupancies[i], b_factors[i]
            residue.add_atom(atom)
        chain.add_residue(residue)
    return model


def _one_letter(code: str) -> str:
    """An insertion code as gemmi takes it: one letter of ASCII, or a blank."""
    return (code[0] if code[0].isascii() else "?") if code else " "
