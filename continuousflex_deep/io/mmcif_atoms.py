"""Atoms of mmCIF files: the table atom_site, which gemmi parses, in its own order."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gemmi
import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.atom_records import AtomRecords, names_array, number_missing_residues

SIGMA_TAG = "_cfd_pseudoatoms.sigma_A"
_TABLE = "_atom_site."
_UNKNOWN = ("", ".", "?")
_MOST_BLOCKS = 10  # that a message lists
_MOST = 10**9  # gemmi's numbers of residues are smaller


def read_mmcif_atoms(text: bytes, file: Path) -> AtomRecords:
    """The atoms of all models of an mmCIF file, by the author's names of chains, residues and atoms where it has them.

    FormatError if the file is not CIF, or has no table of atoms with Cartesian coordinates, or several of them.
    """
    try:
        document = gemmi.cif.read_string(text)
    except (ValueError, RuntimeError) as error:
        raise FormatError(f"'{file}' is not a readable PDB or mmCIF file: {error}") from error
    blocks = [block for block in document if len(block.find_values(_TABLE + "Cartn_x"))]
    if not blocks:
        raise FormatError(
            f"'{file}' has no atoms with Cartesian coordinates: expected ATOM records of a PDB file, or the columns "
            "_atom_site.Cartn_x, Cartn_y and Cartn_z of an mmCIF file"
        )
    if len(blocks) > 1:
        listed = ", ".join(f"data_{block.name}" for block in blocks[:_MOST_BLOCKS])
        raise FormatError(
            f"'{file}' has atoms in {len(blocks)} data blocks, expected them in one: {listed}"
            f"{', …' if len(blocks) > _MOST_BLOCKS else ''}; write the molecule that you need to a file of its own, "
            "with one data block (PyMOL writes one for each object: save one object)"
        )
    return _records(blocks[0], file)


def _records(block: Any, file: Path) -> AtomRecords:
    count = len(block.find_values(_TABLE + "Cartn_x"))
    names = _column(block, count, "auth_atom_id", "label_atom_id")
    chains = _column(block, count, "auth_asym_id", "label_asym_id")
    residues = _column(block, count, "auth_comp_id", "label_comp_id")
    alternatives = _column(block, count, "label_alt_id")
    models = _models(_column(block, count, "pdbx_PDB_model_num"))
    sequence = _column(block, count, "auth_seq_id", "label_seq_id")
    whole = {text: _whole(text) for text in dict.fromkeys(sequence)}
    given = [whole[text] for text in sequence]
    parts = _column(block, count, "label_asym_id")
    numbered = [f"{r}|{p}" for r, p in zip(residues, parts, strict=True)]
    numbers = number_missing_residues(given, chains, numbered, names, alternatives, models)
    return AtomRecords(
        coords_A=np.stack([_numbers(block, count, f"Cartn_{axis}", file) for axis in "xyz"], axis=1),
        models=np.array(models, dtype=np.int64),
        names=names_array(names),
        padded_names=names_array(names),
        alternatives=names_array(alternatives),
        residue_names=names_array(residues),
        chain_ids=names_array(chains),
        residue_numbers=np.array(numbers, dtype=np.int64),
        insertion_codes=names_array(_column(block, count, "pdbx_PDB_ins_code")),
        elements=names_array(_column(block, count, "type_symbol")),
        occupancies=_numbers(block, count, "occupancy", file, 1.0),
        b_factors=_numbers(block, count, "B_iso_or_equiv", file, 0.0),
        remarks=_remarks(block),
        copies=_copies(block),
    )


def _column(block: Any, count: int, *tags: str) -> list[str]:
    """The values (count,) of the first of some columns that has one; "" for unknown ones."""
    result = [""] * count
    for tag in tags:
        values = list(block.find_values(_TABLE + tag))
        if len(values) == count:
            plain = {value: _plain(value) for value in dict.fromkeys(values)}
            result = [old or plain[new] for old, new in zip(result, values, strict=True)]
        if all(result):
            break
    return result


def _plain(value: str) -> str:
    if value in _UNKNOWN:
        return ""
    return gemmi.cif.as_string(value) if value[0] in "'\";" else value


def _numbers(block: Any, count: int, tag: str, file: Path, default: float | None = None) -> Floats:
    values = list(block.find_values(_TABLE + tag))
    if len(values) != count:
        if default is None:
            raise FormatError(f"'{file}': the table of atoms has no column {_TABLE}{tag}, whose values are in Å")
        return np.full(count, default)
    as_number: Callable[[str], float] = gemmi.cif.as_number  # also of numbers with an uncertainty, 1.234(5)
    return np.array([default if default is not None and v in _UNKNOWN else as_number(v) for v in values])


def _whole(text: str) -> int | None:
    """A number of a residue, None if the text is none."""
    try:
        number = int(text)
    except ValueError:
        return None
    return number if abs(number) < _MOST else None


def _models(labels: list[str]) -> list[int]:
    """Models from 0, in the order of the file."""
    known: dict[str, int] = {}
    return [known.setdefault(label, len(known)) for label in labels]


def _remarks(block: Any) -> dict[str, str]:
    sigma = block.find_value(SIGMA_TAG)
    return {"fixedGaussian": gemmi.cif.as_string(sigma)} if sigma else {}


def _copies(block: Any) -> int:
    """Copies of the coordinates in the first biological assembly, or by symmetry operators that are to be applied.

    Each row of the table gives operators for some chains, so the chain with most of them in all rows counts.
    """
    symmetric = [code for code in block.find_values("_struct_ncs_oper.code") if gemmi.cif.as_string(code) == "generate"]
    table = block.find("_pdbx_struct_assembly_gen.", ["assembly_id", "oper_expression", "?asym_id_list"])
    operators: Counter[str] = Counter()
    for row in table:
        if row.str(0) == table[0].str(0):
            count = _operators(row.str(1))
            chains = row.str(2) if row.has(2) else ""
            operators.update({chain.strip(): count for chain in chains.split(",")})
    return max([1 + len(symmetric), *operators.values()])


def _operators(expression: str) -> int:
    """The number of operators of an expression such as 1, (1,2) or (1-60)(61-62), whose lists are combined."""
    return math.prod(_length(operators) for operators in expression.strip("() ").split(")("))


def _length(operators: str) -> int:
    """The number of operators in a list such as 1,3-5."""
    total = 0
    for part in operators.split(","):
        first, _, last = part.strip().partition("-")
        total += int(last) - int(first) + 1 if first.isdecimal() and last.isdecimal() else 1
    return total
