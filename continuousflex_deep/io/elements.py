"""Elements of atoms, from the file or, where it has none, from the residue and the atom's name."""

import re

import gemmi
import numpy as np

from continuousflex_deep.arrays import Integers
from continuousflex_deep.io.atom_records import AtomRecords
from continuousflex_deep.io.residue_kinds import IONS, is_standard, resembles_polymer

_Key = tuple[str, str, str, str]  # name of a residue, name of an atom, the same with blanks, element in the file
UNKNOWN = 0  # instead of an atomic number
_ORGANIC = frozenset(["H", "D", "C", "N", "O", "P", "S", "SE"])
_SINGLE = frozenset("HDCNOPSFBIKVW")  # elements of one letter; D is deuterium
_HALOGENS = ("CL", "BR")  # no other names of atoms begin so
_BACKBONE = {"N": "N", "CA": "C", "C": "C", "O": "O", "OXT": "O"}
_FULL = 4  # columns of a name


def atomic_numbers(records: AtomRecords) -> Integers:
    """(N,) atomic numbers; UNKNOWN where the file has no element and the names do not determine it.

    The element of the file counts, but for one that an amino acid or nucleotide cannot have (programs write CA, HG and
    CD of protein as calcium, mercury and cadmium). Where there is none: amino acids and nucleotides consist of H, C, N,
    O, P, S and Se, which their names begin with; a lone ion has the name of its residue; of other residues the element
    is in the first two columns of a PDB file's name, unless names of the file are aligned to the left.
    """
    atoms = names_of_atoms(records)
    polymeric = {residue: resembles_polymer(residue, names) for residue, names in atoms.items()}
    lone = {residue for residue, names in atoms.items() if len(names) == 1}
    columns = (records.residue_names, records.names, records.padded_names, records.elements)
    keys: list[_Key] = list(zip(*(c.tolist() for c in columns), strict=True))
    aligned = _is_aligned(keys, polymeric)
    found = {key: _number(_symbol(key, polymeric[key[0]], key[0] in lone, aligned)) for key in dict.fromkeys(keys)}
    return np.array([found[key] for key in keys], dtype=np.int64)


def names_of_atoms(records: AtomRecords) -> dict[str, set[str]]:
    """Names of the atoms that residues of each name have."""
    atoms: dict[str, set[str]] = {}
    for residue, name in dict.fromkeys(zip(records.residue_names.tolist(), records.names.tolist(), strict=True)):
        atoms.setdefault(residue, set()).add(name)
    return atoms


def _symbol(key: _Key, polymeric: bool, lone: bool, aligned: bool) -> str:
    residue, name, padded, given = key
    known = given if given and _number(given) else ""
    if polymeric and name in _BACKBONE:
        return _BACKBONE[name]
    if known and not (is_standard(residue) and known.upper() not in _ORGANIC):
        return known
    if polymeric:
        return _of_polymer(residue, name)
    if lone and (symbol := _of_ion(residue, name)):
        return symbol
    letters = re.match(r"[0-9]*([A-Za-z]*)", name)
    stem = letters.group(1).upper() if letters else ""
    if stem[:2] in _HALOGENS:
        return stem[:2]
    if stem[:1] in _SINGLE and (len(stem) == 1 or not _number(stem[:2])):
        return stem[:1]
    return _by_alignment(padded.upper()) if aligned else ""


def _of_polymer(residue: str, name: str) -> str:
    stem = name.lstrip("0123456789").upper()
    if stem[:2] == "SE" or (stem[:2] in _HALOGENS and not is_standard(residue)):
        return stem[:2]
    return stem[:1] if stem[:1] in _ORGANIC or (stem[:1] in _SINGLE and not is_standard(residue)) else ""


def _of_ion(residue: str, name: str) -> str:
    """The element of a residue of one atom that has the residue's name, but for charge and digits."""
    both = [re.sub(r"[^A-Z]", "", text.upper()) for text in (residue, name)]
    if residue.upper() in IONS:
        return IONS[residue.upper()]
    return both[0] if both[0] == both[1] and _number(both[0]) else ""


def _by_alignment(padded: str) -> str:
    """The element in the first two columns of a name, as the PDB aligns it; names of four letters fill them anyway."""
    first = padded[:2].strip().lstrip("0123456789")
    if len(padded.strip()) == _FULL and padded[0] in _SINGLE:
        return padded[0]
    return first if _number(first) else first[:1] if first[:1] in _SINGLE else ""


def _is_aligned(keys: list[_Key], polymeric: dict[str, bool]) -> bool:
    """Whether names of PDB files follow the PDB's alignment: those of one-letter elements begin in the second
    column."""
    known = [padded for residue, _, padded, _ in dict.fromkeys(keys) if polymeric[residue] and len(padded) == _FULL]
    known = [padded for padded in known if len(padded.strip()) < _FULL and not padded.lstrip()[:1].isdigit()]
    if known:
        return sum(padded[0] == " " for padded in known) > len(known) / 2
    return any(padded[:1] == " " for _, _, padded, _ in keys)


def _number(symbol: str) -> int:
    letters = re.sub(r"[^A-Za-z]", "", symbol)  # without a charge
    return int(gemmi.Element(letters).atomic_number) if letters else UNKNOWN
