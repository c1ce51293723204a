"""Atomic structures from and to PDB and mmCIF files."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Booleans, Floats, Integers
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.atom_records import AtomRecords, describe_atoms, number_residues
from continuousflex_deep.io.atom_selection import selected_atoms
from continuousflex_deep.io.elements import UNKNOWN
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.gemmi_models import gemmi_model
from continuousflex_deep.io.leaving_out import leave_out
from continuousflex_deep.io.mmcif_atoms import SIGMA_TAG
from continuousflex_deep.io.molecule import PSEUDOATOM, Models, some_names, the_molecule
from continuousflex_deep.io.polymers import polymer_atoms
from continuousflex_deep.io.structure_files import MMCIF_SUFFIXES, read_atom_records, suffix_of

_CARBON = 6
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# remarks before pseudoatoms, in files of Xmipp and ContinuousFlex: their sigma in Å, and the column of their weights
_SIGMA_REMARK, _COLUMN_REMARK = "fixedGaussian", "intensityColumn"
_FIRST_REMARK = "REMARK continuousflex_deep pseudoatoms"


@dataclass(frozen=True, eq=False)
class Structure:
    """N atoms: coords_A (N, 3), atomic_number, atom_names, residue_names, residue_numbers and chain_ids (N,).

    insertion_codes (N,) distinguish residues of the same number, "" for none; None if no residue has one.
    weights (N,): contribution of each atom to the projected density: its atomic number, or a pseudoatom's weight.
    sigma_A: standard deviation of pseudoatoms, which are Gaussians; None for atoms, or if the file lacks it.
    """

    coords_A: Floats
    atomic_number: Integers
    weights: Floats
    atom_names: NDArray[np.object_]
    residue_names: NDArray[np.object_]
    residue_numbers: Integers
    chain_ids: NDArray[np.object_]
    sigma_A: float | None = None
    insertion_codes: NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.coords_A)

    def select(self, atoms: NDArray[Any]) -> "Structure":
        """Some atoms, by mask or index."""
        columns = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return Structure(**{k: v[atoms] if isinstance(v, np.ndarray) else v for k, v in columns.items()})

    def replace_coords(self, coords_A: Floats) -> "Structure":
        """The same atoms with other coordinates (N, 3)."""
        if coords_A.shape != self.coords_A.shape:
            raise InputError(f"coordinates of shape {coords_A.shape} for a structure of shape {self.coords_A.shape}")
        return dataclasses.replace(self, coords_A=coords_A)

    def centred(self) -> "Structure":
        """The same atoms about their weighted centre."""
        return self.replace_coords(self.coords_A - self.center_A)

    @property
    def center_A(self) -> Floats:
        """The weighted centre (3,) in Å, the common centre of all deformed structures (Xmipp's --centerPDB)."""
        return np.asarray((self.weights @ self.coords_A) / self.weights.sum())

    @property
    def is_pseudoatomic(self) -> bool:
        """Whether all atoms are pseudoatoms, which represent density and belong to no sequence."""
        return bool((self.atom_names == PSEUDOATOM).all())

    @property
    def residue_index(self) -> Integers:
        """(N,) number of each atom's residue, from 0, in the order of the residues' first atoms in the file."""
        return number_residues(self.residue_columns, self.atom_names)

    @property
    def residue_columns(self) -> tuple[NDArray[Any], ...]:
        """The columns (N,) by which residues differ: chain, number, insertion code and name."""
        codes = np.full(len(self), "", dtype=object) if self.insertion_codes is None else self.insertion_codes
        return self.chain_ids, self.residue_numbers, codes, self.residue_names

    def describe(self, atoms: Integers) -> str:
        """Some atoms as text, by their indices; the first few of them."""
        return describe_atoms(self.residue_columns, self.atom_names, atoms)

    def leave_out(self, atoms: Integers) -> str:
        """What leaves some atoms out, by their indices: the option --select, in general (see leaving_out)."""
        return leave_out(self.residue_columns, self.atom_names, atoms)

    @property
    def representative_atoms(self) -> Integers:
        """Index of one atom per residue, in order: its Cα or P if it has one, otherwise its first atom."""
        residue = self.residue_index
        chosen = np.unique(residue, return_index=True)[1]
        alpha = (self.atom_names == "CA") & (self.atomic_number == _CARBON)  # and not calcium
        main = np.flatnonzero(alpha | (self.atom_names == "P"))[::-1]  # the first of several counts
        chosen[residue[main]] = main
        return np.asarray(chosen, dtype=np.int64)


def read_structure(
    path: str | Path, hydrogens: bool = False, select: str = "", models: Models = "first"
) -> Structure:
    """The molecule of a PDB or mmCIF file, its atoms in the order of the file.

    Water, dummy atoms, alternatives after the first and (by default) hydrogens are omitted. select: a selection of
    atoms (see atom_selection); models: the first one, or all as one molecule, whose chains get distinct names. Weights
    of pseudoatoms (atom name DENS, as in Xmipp) are in the column that a remark of the file names, occupancy or
    B-factor; without the remark they are the occupancies, unless only the B-factors differ. sigma_A is in another
    remark. What is read otherwise than the file has it is reported once.
    Raises InputError for a missing file or a selection without atoms, FormatError for a file without atoms, with
    coordinates that are not finite, or with atoms of unknown elements.
    """
    return structure_of(read_atom_records(path), Path(path), hydrogens, select, models)


def structure_of(
    records: AtomRecords, file: Path, hydrogens: bool = False, select: str = "", models: Models = "first"
) -> Structure:
    """The molecule among the atoms of a file, as from `read_structure`."""
    if not len(records):
        raise FormatError(
            f"'{file}' has no atoms; expected ATOM records of a PDB or an atom_site table of an mmCIF file"
        )
    records, atomic_number = the_molecule(records, file, hydrogens, models)
    if not len(records):
        raise FormatError(f"'{file}' has only water, hydrogens or dummy atoms, which are left out")
    if select:
        chosen = selected_atoms(_model_of(records, atomic_number), len(records), select)
        if not chosen.any():
            raise InputError(
                f"--select '{select}': none of the {len(records)} atoms of '{file}' is selected; its chains are "
                f"{some_names(records.chain_ids)}"
            )
        records, atomic_number = records.select(chosen), atomic_number[chosen]
    _require_sound(records, atomic_number, file, select)
    pseudo = records.names == PSEUDOATOM
    structure = Structure(
        coords_A=records.coords_A,
        atomic_number=atomic_number,
        weights=np.where(pseudo, _pseudoatom_weights(records, pseudo, file), atomic_number),
        atom_names=records.names,
        residue_names=records.residue_names,
        residue_numbers=records.residue_numbers,
        chain_ids=records.chain_ids,
        insertion_codes=records.insertion_codes if records.insertion_codes.any() else None,
    )
    return dataclasses.replace(structure, sigma_A=_sigma_A(records, file)) if structure.is_pseudoatomic else structure


def _model_of(records: AtomRecords, atomic_number: Integers) -> gemmi.Model:
    """The records as a model in which atoms can be selected, also by occupancy, B-factor and kind of residue."""
    columns = (records.names, atomic_number, records.residue_columns, records.occupancies, records.b_factors)
    model = gemmi_model(1, records.coords_A, *columns)
    polymeric = polymer_atoms(records)
    for chain in model:
        for residue in chain:
            kind = gemmi.EntityType.Polymer if polymeric[residue[0].serial] else gemmi.EntityType.NonPolymer
            residue.entity_type = kind
    return model


def _require_sound(records: AtomRecords, atomic_number: Integers, file: Path, select: str) -> None:
    """FormatError unless all coordinates are finite and all elements known."""
    columns = records.residue_columns
    for wrong, what in (
        (~np.isfinite(records.coords_A).all(axis=1), "coordinates that are not finite; correct the file"),
        (
            atomic_number == UNKNOWN,
            "no element, and their names do not determine it (elements are missing); add the elements, in columns 77 "
            "and 78 of a PDB file or in _atom_site.type_symbol of an mmCIF file",
        ),
    ):
        if wrong.any():
            advice = leave_out(columns, records.names, np.flatnonzero(wrong), select)
            raise FormatError(
                f"'{file}': {int(wrong.sum())} atoms have {what}"
                f"{'' if wrong.all() else f', or leave the atoms out by {advice}'}: "
                f"{describe_atoms(columns, records.names, np.flatnonzero(wrong))}"
            )


def _pseudoatom_weights(records: AtomRecords, pseudo: Booleans, file: Path) -> Floats:
    """(N,) the column that holds the weights of pseudoatoms."""
    column = records.remarks.get(_COLUMN_REMARK, "").lower()
    if column not in ("", "bfactor", "occupancy"):
        raise FormatError(
            f"'{file}': a remark names the column '{column}' for the weights of pseudoatoms; expected Bfactor or "
            "occupancy"
        )
    if not column:
        differ = [len(np.unique(values[pseudo])) > 1 for values in (records.occupancies, records.b_factors)]
        column = "bfactor" if differ == [False, True] else "occupancy"
    weights = records.b_factors if column == "bfactor" else records.occupancies
    if not np.isfinite(weights[pseudo]).all():
        raise FormatError(f"'{file}': weights of pseudoatoms, in the column {column}, are not numbers")
    return weights


def _sigma_A(records: AtomRecords, file: Path) -> float | None:
    text = records.remarks.get(_SIGMA_REMARK)
    if text is None:
        return None
    try:
        sigma_A = float(text)
    except ValueError:
        sigma_A = np.nan
    if not 0 < sigma_A < np.inf:
        raise FormatError(f"'{file}': got '{text}' in the remark '{_SIGMA_REMARK}', expected sigma of Gaussians in Å")
    return sigma_A


def write_structure(
    path: str | Path, structure: Structure, models_A: list[Floats] | None = None, remarks: Sequence[str] = ()
) -> None:
    """Write a PDB (or, by suffix, mmCIF) file, atomically; models_A: several coordinate sets (N, 3), one MODEL each.

    remarks: lines of text for REMARK 6 of a PDB file. Weights of pseudoatoms are written to both columns, occupancy and
    B-factor; their sigma_A is written as in Xmipp, whose programs read it from the second line. Where chain names are
    too long for a PDB file, all chains get short names in order, which the remarks list.
    """
    is_mmcif = suffix_of(path) in MMCIF_SUFFIXES
    if not is_mmcif:
        structure, short = _with_short_chain_names(structure)
        remarks = [*remarks, *(f"chain {new} is {old}" for old, new in short.items())]
    out = gemmi.Structure()
    if structure.sigma_A is not None:
        told = (f"{_SIGMA_REMARK} {structure.sigma_A:.6f}", f"{_COLUMN_REMARK} Bfactor")
        out.raw_remarks = [_FIRST_REMARK, *(f"REMARK {line}" for line in told)]
    out.raw_remarks = [*out.raw_remarks, *(f"REMARK   6 {line}" for line in remarks)]
    for number, coords in enumerate(models_A if models_A is not None else [structure.coords_A], start=1):
        out.add_model(_gemmi_model(structure, coords, number))
    out.setup_entities()
    with atomic_path(path) as temporary:
        if is_mmcif:
            document = out.make_mmcif_document()
            if structure.sigma_A is not None:
                document[0].set_pair(SIGMA_TAG, f"{structure.sigma_A:.6f}")
            document.write_file(str(temporary))
        else:
            out.write_pdb(str(temporary))


def _gemmi_model(structure: Structure, coords_A: Floats, number: int) -> gemmi.Model:
    pseudo = structure.atom_names == PSEUDOATOM
    weights, nothing = structure.weights, np.zeros(len(structure))
    columns = (np.where(pseudo, weights, 1.0), np.where(pseudo, weights, nothing))
    model = gemmi_model(
        number, coords_A, structure.atom_names, structure.atomic_number, structure.residue_columns, *columns
    )
    for chain in model:
        for residue in chain:
            if residue[0].name == PSEUDOATOM:
                residue.het_flag = "A"  # ATOM records, as Xmipp writes and reads
    return model


def _with_short_chain_names(structure: Structure) -> tuple[Structure, dict[str, str]]:
    """The structure with chain names of one or two letters of ASCII, the most that a PDB file can hold; and old → new
    names, empty where the names are short already."""
    names = list(dict.fromkeys(structure.chain_ids.tolist()))
    if all(len(name) <= 2 and name.isascii() for name in names):
        return structure, {}
    short = [*_LETTERS, *(a + b for a in _LETTERS for b in _LETTERS)][: len(names)]
    renamed = dict(zip(names, short, strict=True))
    chain_ids = np.array([renamed[name] for name in structure.chain_ids], dtype=object)
    return dataclasses.replace(structure, chain_ids=chain_ids), renamed
