"""The atoms of a structure file as the file has them: every model, in the file's order, nothing left out."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Floats, Integers

Names = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class AtomRecords:
    """N atoms. All columns are (N,) but coords_A (N, 3); names are without blanks, "" where the file has none.

    models: number of the model, from 0. alternatives: label of the alternative location. padded_names: the name in the
    four columns of a PDB file, whose alignment depends on the element; without blanks in other files. elements: symbol
    as the file has it, "" if it has none. occupancies and b_factors are NaN where the file has no numbers. remarks:
    those of two words, as pseudoatoms have, first word -> second. copies of the coordinates are in the file's first
    biological assembly.
    """

    coords_A: Floats
    models: Integers
    names: Names
    padded_names: Names
    alternatives: Names
    residue_names: Names
    chain_ids: Names
    residue_numbers: Integers
    insertion_codes: Names
    elements: Names
    occupancies: Floats
    b_factors: Floats
    remarks: dict[str, str] = field(default_factory=dict)
    copies: int = 1

    def __len__(self) -> int:
        return len(self.names)

    def select(self, atoms: NDArray[Any]) -> "AtomRecords":
        """Some atoms, by mask or index."""
        columns = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return AtomRecords(**{k: v[atoms] if isinstance(v, np.ndarray) else v for k, v in columns.items()})

    def with_chains(self, chain_ids: Names) -> "AtomRecords":
        """The same atoms in other chains (N,)."""
        return dataclasses.replace(self, chain_ids=chain_ids)

    @property
    def residue_keys(self) -> list[tuple[str, int, str, str]]:
        """(N,) chain, number, insertion code and name of each atom's residue."""
        return list(zip(*(c.tolist() for c in self.residue_columns), strict=True))

    @property
    def residue_columns(self) -> tuple[NDArray[Any], ...]:
        """The columns by which residues differ: chain, number, insertion code and name."""
        return self.chain_ids, self.residue_numbers, self.insertion_codes, self.residue_names


def names_array(values: list[str]) -> Names:
    """Names as an array (N,), with one object for each name."""
    known = {v: v for v in dict.fromkeys(values)}
    return np.array([known[v] for v in values], dtype=object)


def number_in_order(*columns: NDArray[Any]) -> Integers:
    """(N,) number of each row's group, from 0: a new group begins where a column (N,) changes."""
    changes = np.zeros(len(columns[0]), dtype=bool)
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return np.cumsum(changes, dtype=np.int64)


def pieces(*columns: NDArray[Any]) -> list[tuple[int, int]]:
    """First row, and the row after the last one, of each run of rows in which no column (N,) changes."""
    starts = np.flatnonzero(np.diff(number_in_order(*columns), prepend=-1)).tolist()
    return list(zip(starts, [*starts[1:], len(columns[0])], strict=True))


def number_residues(residue_columns: tuple[NDArray[Any], ...], names: Names) -> Integers:
    """(N,) number of each atom's residue, from 0, in the order of their first atoms.

    residue_columns: chain, number, insertion code and name of the residues (N,). Atoms of one residue that are apart
    belong together, unless they have the same names (N,): then they are residues of chains with one name.
    """
    piece_of_atom, places = number_in_order(*residue_columns), pieces(*residue_columns)
    starts = [start for start, _ in places]
    keys = list(zip(*(column[starts].tolist() for column in residue_columns), strict=True))
    if len(set(keys)) == len(keys):
        return piece_of_atom
    last: dict[tuple[Any, ...], tuple[int, set[str]]] = {}
    result, count = np.empty(len(keys), dtype=np.int64), 0
    for piece, (key, (start, end)) in enumerate(zip(keys, places, strict=True)):
        found = set(names[start:end].tolist())
        residue, known = last.get(key, (-1, found))
        if known & found:
            residue, known, count = count, set(), count + 1
        last[key], result[piece] = (residue, known | found), residue
    return result[piece_of_atom]


def describe_atoms(residue_columns: tuple[NDArray[Any], ...], names: Names, which: Integers, most: int = 5) -> str:
    """Some atoms as text, the first few of them, as --select takes them: A/120(LYS)/CB.

    residue_columns: chain, number, insertion code and name of all atoms' residues; names: of all atoms.
    """
    keys = zip(*(column[which[:most]].tolist() for column in residue_columns), strict=True)
    texts = [f"{residue_text(key)}/{name}" for key, name in zip(keys, names[which[:most]], strict=True)]
    return ", ".join(texts) + (f" … ({len(which)} in all)" if len(which) > most else "")


def residue_text(key: tuple[str, int, str, str]) -> str:
    """Chain, number with insertion code, and name of a residue, as --select takes them: A/52.B(SER)."""
    chain, number, code, name = key
    return f"{chain_text(chain)}/{number}{'.' if code else ''}{code}({name})"


def chain_text(chain: str) -> str:
    """A chain as --select takes it: A, but //8, //A-2 and //and, which would be something else without the slashes, and
    // for a chain without a name."""
    plain = chain[:1].isalpha() and chain.isalnum() and chain not in ("and", "or", "not")
    return chain if plain else f"//{chain}"


def number_missing_residues(
    numbers: list[int | None], chains: list[str], residue_names: list[str], names: list[str], alternatives: list[str],
    models: list[int],
) -> list[int]:  # fmt: skip
    """Numbers (N,) of residues, where missing ones get the next number that their chain does not have.

    A residue without a number ends where the chain or the name of the residue changes, or an atom's name repeats.
    """
    if None not in numbers:
        return numbers  # type: ignore[return-value]
    highest: dict[tuple[int, str], int] = {}
    for number, chain, model in zip(numbers, chains, models, strict=True):
        if number is not None:
            highest[model, chain] = max(highest.get((model, chain), 0), number)
    result: list[int] = []
    last: tuple[int, str, str] | None = None
    taken: set[tuple[str, str]] = set()
    for number, chain, residue, name, label, model in zip(
        numbers, chains, residue_names, names, alternatives, models, strict=True
    ):
        if number is not None:
            result.append(number)
            last = None
            continue
        if (model, chain, residue) != last or (name, label) in taken:
            highest[model, chain] = highest.get((model, chain), 0) + 1
            last, taken = (model, chain, residue), set()
        taken.add((name, label))
        result.append(highest[model, chain])
    return result
