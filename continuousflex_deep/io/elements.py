"""Elements of atoms, from the file or, where it has none, from the residue and the atom's name."""

import re
from dataclasses import dataclass
from typing import NamedTuple

import gemmi
import numpy as np

from continuousflex_deep.arrays import Integers
from continuousflex_deep.io.atom_records import AtomRecords
from continuousflex_deep.io.residue_kinds import IONS, is_standard, resembles_polymer

UNKNOWN = 0  # instead of an atomic number
_ORGANIC = frozenset(["H", "D", "C", "N", "O", "P", "S", "SE"])
_SINGLE = frozenset("HDCNOPSFBIKVW")  # elements of one letter; D is deuterium
_HALOGENS = ("CL", "BR")  # no other names of atoms begin so
_BACKBONE = {"N": "N", "CA": "C", "C": "C", "O": "O", "OXT": "O"}
_FULL = 4  # columns of a name


class _Atom(NamedTuple):
    """What of an atom determines its element: names of its residue and of the atom, the latter also with the blanks of
    a PDB file, and the element that the file gives."""

    residue: str
    name: str
    padded: str
    given: str


@dataclass(frozen=True)
class _Kind:
    """What residues of a name are: with names of atoms as in a polymer, and of one atom each."""

    polymeric: bool
    lone: bool


def atomic_numbers(records: AtomRecords) -> Integers:
    """(N,) atomic numbers; UNKNOWN where the file has no element and the names do not determine it.

    The element of the file counts, but for one that an amino acid or nucleotide cannot have (programs write CA, HG and
    CD of protein as calcium, mercury and cadmium). Where there is none: amino acids and nucleotides consist of H, C, N,
    O, P, S and Se, which their names begin with; a lone ion has the name of its residue; of other residues the element
    is in the first two columns of a PDB file's name, unless names of the file are aligned to the left.
    """
    names = names_of_atoms(records)
    kinds = {residue: _Kind(resembles_polymer(residue, atoms), len(atoms) == 1) for residue, atoms in names.items()}
    columns = (records.residue_names, records.names, records.padded_names, records.elements)
    rows = list(zip(*(c.tolist() for c in columns), strict=True))
    atoms = [_Atom(*row) for row in dict.fromkeys(rows)]
    aligned = _is_aligned(atoms, kinds)
    found: dict[tuple[str, ...], int] = {a: _number(_symbol(a, kinds[a.residue], aligned)) for a in atoms}
    return np.array([found[row] for row in rows], dtype=np.int64)


def names_of_atoms(records: AtomRecords) -> dict[str, set[str]]:
    """Names of the atoms that residues of each name have."""
    atoms: dict[str, set[str]] = {}
    for residue, name in dict.fromkeys(zip(records.residue_names.tolist(), records.names.tolist(), strict=True)):
        atoms.setdefault(residue, set()).add(name)
    return atoms


def _symbol(atom: _Atom, kind: _Kind, aligned: bool) -> str:
    """The element's symbol, "" where nothing determines it."""
    if kind.polymeric and atom.name in _BACKBONE:
        return _BACKBONE[atom.name]
    if _number(atom.given) and not (is_standard(atom.residue) and atom.given.upper() not in _ORGANIC):
        return atom.given
    if kind.polymeric:
        return _of_polymer(atom)
    return (_of_ion(atom) if kind.lone else "") or _of_ligand(atom, aligned)


def _of_polymer(atom: _Atom) -> str:
    stem, standard = atom.name.lstrip("0123456789").upper(), is_standard(atom.residue)
    if stem[:2] == "SE" or (stem[:2] in _HALOGENS and not standard):
        return stem[:2]
    return stem[:1] if stem[:1] in _ORGANIC or (stem[:1] in _SINGLE and not standard) else ""


def _of_ion(atom: _Atom) -> str:
    """The element of a residue of one atom that has the residue's name, but for charge and digits."""
    residue, name = (re.sub(r"[^A-Z]", "", text.upper()) for text in (atom.residue, atom.name))
    if atom.residue.upper() in IONS:
        return IONS[atom.residue.upper()]
    return residue if residue == name and _number(residue) else ""


def _of_ligand(atom: _Atom, aligned: bool) -> str:
    """The first letters of the name, where they are those of one element only; else the alignment of the name."""
    letters = re.match(r"[0-9]*([A-Za-z]*)", atom.name)
    stem = letters.group(1).upper() if letters else ""
    if stem[:2] in _HALOGENS:
        return stem[:2]
    if stem[:1] in _SINGLE and (len(stem) == 1 or not _number(stem[:2])):
        return stem[:1]
    return _by_alignment(atom.padded.upper()) if aligned else ""


def _by_alignment(padded: str) -> str:
    """The element in the first two columns of a name, as the PDB aligns it; names of four letters fill them anyway."""
    first = padded[:2].strip().lstrip("0123456789")
    if len(padded.strip()) == _FULL and padded[0] in _SINGLE:
        return padded[0]
    return first if _number(first) else first[:1] if first[:1] in _SINGLE else ""


def _is_aligned(atoms: list[_Atom], kinds: dict[str, _Kind]) -> bool:
    """Whether names of PDB files follow the PDB's alignment: those of one-letter elements begin in the second
    column."""
    known = [atom.padded for atom in atoms if kinds[atom.residue].polymeric and len(atom.padded) == _FULL]
    known = [padded for padded in known if len(padded.strip()) < _FULL and not padded.lstrip()[:1].isdigit()]
    if known:
        return sum(padded[0] == " " for padded in known) > len(known) / 2
    return any(atom.padded[:1] == " " for atom in atoms)


def _number(symbol: str) -> int:
    letters = re.sub(r"[^A-Za-z]", "", symbol)  # without a charge
    return int(gemmi.Element(letters).atomic_number) if letters else UNKNOWN
