"""Atoms of PDB files, by columns.

The columns are read here and not by a library, since libraries take what is no number for 0 and guess the element by
the alignment of the name, both silently. wwPDB's format 3.3, with the extensions that programs have made: chain names
of two characters, residue names of four, hybrid-36 numbers, and files without chains, elements or MODEL records.
"""

import re
from collections import Counter
from pathlib import Path

import numpy as np

from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.atom_records import AtomRecords, names_array, number_missing_residues
from continuousflex_deep.io.residue_kinds import FOUR_LETTERS, WATER, is_standard

_WIDTH = 80
# columns, from 0
_NAME, _LABEL, _RESIDUE_OF_3, _RESIDUE_OF_4 = slice(12, 16), slice(16, 17), slice(17, 20), slice(17, 21)
_CHAIN_OF_1, _CHAIN_OF_2, _NUMBER, _FIVE_DIGITS, _CODE = (
    slice(21, 22), slice(20, 22), slice(22, 26), slice(22, 27), slice(26, 27),
)  # fmt: skip
_X, _Y, _Z, _XYZ, _OCCUPANCY, _B_FACTOR = (
    slice(30, 38), slice(38, 46), slice(46, 54), slice(30, 54), slice(54, 60), slice(60, 66),
)  # fmt: skip
_SEGMENT, _ELEMENT, _CHARGE = slice(72, 76), slice(76, 78), slice(78, 80)
_SHORTEST = 54  # coordinates end in this column
_DECIMALS = 4  # of coordinates, with the point
_HYBRID_WIDTH, _FIRST_HYBRID, _CAPITALS = 4, 10 * 36**3, 26 * 36**3  # hybrid-36: A000 is 10000, a000 follows ZZZZ


def read_pdb_atoms(text: str, file: Path) -> AtomRecords:
    """The atoms of all models of a PDB file. FormatError for lines whose coordinates are no numbers."""
    lines, numbers, models = _atom_lines(text)
    coords = [_coordinates(line, number, file) for line, number in zip(lines, numbers, strict=True)]
    names = [line[_NAME].strip() for line in lines]
    alternatives = [line[_LABEL].strip() for line in lines]
    residues, chains = _residues_and_chains(lines)
    sequence = [_sequence_number(line) for line in lines]
    residue_numbers = number_missing_residues([n for n, _ in sequence], chains, residues, names, alternatives, models)
    return AtomRecords(
        coords_A=np.array(coords, dtype=np.float64).reshape(-1, 3),
        models=np.array(models, dtype=np.int64),
        names=names_array(names),
        padded_names=names_array([line[_NAME] for line in lines]),
        alternatives=names_array(alternatives),
        residue_names=names_array(residues),
        chain_ids=names_array(chains),
        residue_numbers=np.array(residue_numbers, dtype=np.int64),
        insertion_codes=names_array([code for _, code in sequence]),
        elements=names_array([_element(line) for line in lines]),
        occupancies=np.array([_number(line[_OCCUPANCY], 1.0) for line in lines]),
        b_factors=np.array([_number(line[_B_FACTOR], 0.0) for line in lines]),
        remarks=_remarks(text),
        copies=_copies(text),
    )


def _atom_lines(text: str) -> tuple[list[str], list[int], list[int]]:
    """The lines of atoms, padded; their numbers from 1; and their models, from 0.

    A model ends with MODEL, ENDMDL or END, since programs also separate frames by END alone.
    """
    lines: list[str] = []
    numbers: list[int] = []
    models: list[int] = []
    model, ended = 0, False
    for number, line in enumerate(text.split("\n"), start=1):
        start = line[:4].upper()
        if start in ("ATOM", "HETA"):
            if ended and lines:
                model += 1
            ended = False
            lines.append(line.ljust(_WIDTH))
            numbers.append(number)
            models.append(model)
        elif start in ("MODE", "ENDM") or line.rstrip().upper() == "END":
            ended = True
    return lines, numbers, models


def _coordinates(line: str, number: int, file: Path) -> tuple[float, float, float]:
    try:
        if len(line.rstrip()) < _SHORTEST - 2 or any(_is_shifted(line, field) for field in (_X, _Y, _Z)):
            raise ValueError
        return float(line[_X]), float(line[_Y]), float(line[_Z])
    except ValueError:
        raise FormatError(
            f"'{file}' line {number}: got '{line[_XYZ].rstrip()}' in columns 31 to 54, expected three coordinates in "
            "Å of eight columns each; the line is damaged, or the file is not in the PDB format"
        ) from None


def _is_shifted(line: str, field: slice) -> bool:
    """Whether a coordinate that touches the one before has not three decimals: then this one was too long for its
    columns, as 12345.678 is."""
    touches = " " not in line[field.start - 1 : field.start + 1]
    return touches and line[field][-_DECIMALS] != "."


def _residues_and_chains(lines: list[str]) -> tuple[list[str], list[str]]:
    """Names of residues and chains, which share column 21: it begins a chain name of two characters, or ends a residue
    name of four, as force fields write.

    The file as a whole decides, since histidine of chain AA and HISA of chain A are written alike: a chain has two
    characters where a residue that is known by three letters says so. Where a file has no chain names, its segments
    (columns 73 to 76) name the chains, if they differ.
    """
    two = {line[_CHAIN_OF_2] for line in lines if _is_known_by_three_letters(line)}
    short = [line[_CHAIN_OF_2] in two or (bool(two) and _may_have_two(line)) for line in lines]
    residues = [line[_RESIDUE_OF_3 if s else _RESIDUE_OF_4].strip() for line, s in zip(lines, short, strict=True)]
    chains = [line[_CHAIN_OF_2 if s else _CHAIN_OF_1].strip() for line, s in zip(lines, short, strict=True)]
    if any(chains):
        return residues, chains
    segments = [line[_SEGMENT].strip() for line in lines]
    return residues, segments if len(set(segments)) > 1 and all(segments) else chains


def _is_known_by_three_letters(line: str) -> bool:
    name = line[_RESIDUE_OF_3].strip()
    return _may_have_two(line) and (is_standard(name) or name.upper() in WATER)


def _may_have_two(line: str) -> bool:
    """Whether columns 21 and 22 may be a chain name of two characters: 18 to 21 are no known name of four letters."""
    return " " not in line[_CHAIN_OF_2] and line[_RESIDUE_OF_4].strip().upper() not in FOUR_LETTERS


def _sequence_number(line: str) -> tuple[int | None, str]:
    """Number and insertion code of a residue; the number is None if it is missing or illegible."""
    field, code = line[_NUMBER], line[_CODE].strip()
    if field.isdecimal() and code.isdecimal():  # a number of five digits
        return int(line[_FIVE_DIGITS]), ""
    try:
        return int(field), code
    except ValueError:
        return _hybrid_36(field), code


def _hybrid_36(field: str) -> int | None:
    """Numbers from 10000 on in four columns: A000 to ZZZZ, then a000 to zzzz."""
    plain = field.isascii() and field.isalnum() and len(field) == _HYBRID_WIDTH
    if not (plain and field[0].isalpha() and (field.isupper() or field.islower())):
        return None
    return int(field, 36) - _FIRST_HYBRID + 10_000 + (_CAPITALS if field.islower() else 0)


def _element(line: str) -> str:
    """The symbol of an element, "" if there is none. Types of atoms that end one column farther, as AutoDock's PDBQT
    has them, are no elements."""
    symbol = line[_ELEMENT].strip()
    return symbol if symbol.isalpha() and not line[_CHARGE][:1].isalpha() else ""


def _number(field: str, default: float) -> float:
    try:
        return float(field) if field.strip() else default
    except ValueError:
        return float("nan")


def _remarks(text: str) -> dict[str, str]:
    """Remarks of two words before the first atom, as pseudoatoms have them: first word -> second one."""
    head = re.split(r"^(?:ATOM|HETATM)", text, maxsplit=1, flags=re.MULTILINE)[0]
    words = [line.split()[1:] for line in head.split("\n") if line.startswith("REMARK")]
    return {pair[0]: pair[1] for pair in words if len(pair) == 2}


def _copies(text: str) -> int:
    """Copies of the coordinates in the first biological assembly (REMARK 350), or by symmetry operators that are to be
    applied (MTRIX without a mark that their copies are given).

    Each group of chains of an assembly has its own operators, so the chain with most of them counts.
    """
    first = text.split("REMARK 350 BIOMOLECULE: 2", maxsplit=1)[0]
    symmetric = [line for line in re.findall(r"^MTRIX1.*", text, flags=re.MULTILINE) if line[59:60] != "1"]
    operators: Counter[str] = Counter()
    chains = [""]
    for line in re.findall(r"^REMARK 350 (.*)", first, flags=re.MULTILINE):
        if applied := re.search(r"(APPLY THE FOLLOWING TO|AND) CHAINS:(.*)", line):
            named = [name.strip() for name in applied[2].split(",") if name.strip()]
            chains = named if applied[1] != "AND" else chains + named
        elif line.split()[:1] == ["BIOMT1"]:
            operators.update(chains)
    return max([1 + len(symmetric), *operators.values()])
