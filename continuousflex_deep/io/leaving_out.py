"""Selections that leave atoms out, for error messages that advise them."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Booleans, Integers
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.atom_records import Names, chain_text, number_residues, residue_text
from continuousflex_deep.io.atom_selection import selected_atoms
from continuousflex_deep.io.gemmi_models import gemmi_model

_MOST_TERMS = 10
_OF_SHELLS = frozenset('"$`\\')  # special within double quotes


def leave_out(residue_columns: tuple[NDArray[Any], ...], names: Names, atoms: Integers, select: str = "") -> str:
    """What leaves these atoms out, after "by": the option --select, or removing them from the file.

    residue_columns: chain, number, insertion code and name of all atoms' residues (N,); names (N,): of all atoms.
    select: the selection by which they were read, which the advice then narrows.
    Whole chains, whole residues, or atoms of residues are named; of very many only the first ones, which "…" marks.
    Atoms that no selection names, or that none tells from others, have to be removed.
    """
    gone = np.zeros(len(names), dtype=bool)
    gone[atoms] = True
    terms = _terms(residue_columns, names, gone)
    listed, more = terms[:_MOST_TERMS], len(terms) > _MOST_TERMS
    selection = " and ".join(listed)
    if _OF_SHELLS & set(selection) or not _keeps(selection, residue_columns, names, gone, complete=not more):
        return "removing them from the file, since --select cannot name them apart from others"
    selection += " and …" if more else ""
    terms_before = re.split(r"\s+or\s+", select.strip()) if select else []
    return f'--select "{" or ".join(f"{term} and {selection}" for term in terms_before) or selection}"'


def _terms(residue_columns: tuple[NDArray[Any], ...], names: Names, gone: Booleans) -> list[str]:
    """The first parts of the selection, in the order of the atoms, at most one more than are listed."""
    residue = number_residues(residue_columns, names)
    staying_chains = set(residue_columns[0][~gone].tolist())
    staying = np.bincount(residue[~gone], minlength=int(residue.max(initial=-1)) + 1)
    residues, first = np.unique(residue[gone], return_index=True)
    order = np.argsort(first)
    first = np.flatnonzero(gone)[first]
    terms: dict[str, None] = {}
    for number, atom in zip(residues[order].tolist(), first[order].tolist(), strict=True):
        key = tuple(column[atom] for column in residue_columns)
        if key[0] not in staying_chains:
            terms[f"not {chain_text(key[0])}"] = None
        else:
            part = "/" + ",".join(names[gone & (residue == number)]) if staying[number] else ""
            terms[f"not {residue_text(key)}{part}"] = None
        if len(terms) > _MOST_TERMS:
            break
    return list(terms)


def _keeps(
    selection: str, residue_columns: tuple[NDArray[Any], ...], names: Names, gone: Booleans, complete: bool
) -> bool:
    """Whether a selection keeps all atoms that are not to go and, if it is complete, no others.

    Names of mmCIF files can have any characters, also those of the language, such as * or (.
    """
    count, nothing = len(names), np.zeros(len(names))
    elements = np.ones(count, dtype=np.int64)  # no part of what is selected by
    model = gemmi_model(1, np.zeros((count, 3)), names, elements, residue_columns, nothing, nothing)
    try:
        kept = selected_atoms(model, count, selection)
    except InputError:
        return False
    return bool(kept[~gone].all() and not (complete and kept[gone].any()))
