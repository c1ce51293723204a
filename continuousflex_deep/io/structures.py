"""Atomic structures from and to PDB and mmCIF files, which gemmi parses."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import atomic_path, require_file

PSEUDOATOM = "DENS"  # Xmipp's atom name for pseudoatoms
# remarks before pseudoatoms, in files of Xmipp and ContinuousFlex: their sigma in Å, and the column of their weights
_SIGMA_REMARK, _COLUMN_REMARK = "fixedGaussian", "intensityColumn"
_FIRST_REMARK = "REMARK continuousflex_deep pseudoatoms"
_SIGMA_TAG = "_cfd_pseudoatoms.sigma_A"  # in mmCIF files


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
        """(N,) number of each atom's residue, from 0, in the order of the file."""
        codes = [""] * len(self) if self.insertion_codes is None else self.insertion_codes
        columns = (self.chain_ids, self.residue_numbers, codes, self.residue_names)
        key = np.array([f"{c}|{n}{i}|{r}" for c, n, i, r in zip(*columns, strict=True)])
        changes = np.concatenate([[False], key[1:] != key[:-1]])
        return np.cumsum(changes).astype(np.int64)

    @property
    def representative_atoms(self) -> Integers:
        """Index of one atom per residue, in order: its Cα or P if it has one, otherwise its first atom."""
        residue = self.residue_index
        chosen = np.flatnonzero(np.concatenate([[True], residue[1:] != residue[:-1]]))
        main = np.flatnonzero(np.isin(self.atom_names, ["P", "CA"]))[::-1]  # the first of several counts
        chosen[residue[main]] = main
        return np.asarray(chosen, dtype=np.int64)


def read_structure(path: str | Path, hydrogens: bool = False) -> Structure:
    """First model of a PDB or mmCIF file.

    Water, alternative locations after the first and (by default) hydrogens are omitted. Weights of pseudoatoms (atom
    name DENS, as in Xmipp) are in the column that a remark of the file names, occupancy or B-factor; without the remark
    they are the occupancies, unless only the B-factors differ. sigma_A is in another remark.
    Raises InputError for a missing file, FormatError for one without atoms or with coordinates that are not finite.
    """
    file = require_file(path, "structure")
    try:
        model = gemmi.read_structure(str(file), format=_format(file))
        remarks = _pseudoatom_remarks(model, file)
    except (ValueError, RuntimeError) as error:
        raise FormatError(f"'{file}' is not a readable PDB or mmCIF file: {error}") from error
    from_b_factor = len(model) > 0 and _weights_are_b_factors(model[0], remarks, file)
    rows = []
    if len(model):
        for chain in model[0]:
            for place, residue in enumerate(chain, start=1):
                if residue.is_water():
                    continue
                number_in_chain = place if residue.seqid.num is None else residue.seqid.num
                taken: set[str] = set()
                for atom in residue:
                    pseudo = atom.name == PSEUDOATOM  # gemmi takes its name for deuterium
                    if atom.name in taken or (atom.is_hydrogen() and not hydrogens and not pseudo):
                        continue
                    if atom.has_altloc():
                        taken.add(atom.name)
                    number = 6 if pseudo else max(atom.element.atomic_number, 1)
                    weight = float(number) if not pseudo else atom.b_iso if from_b_factor else atom.occ
                    code = residue.seqid.icode.strip()
                    names = (atom.name, residue.name, number_in_chain, chain.name, code)
                    rows.append((atom.pos.tolist(), number, weight, *names))
    if not rows:
        raise FormatError(
            f"'{file}' has no atoms; expected ATOM records of a PDB or an atom_site table of an mmCIF file"
        )
    columns = list(zip(*rows, strict=True))
    coords = np.array(columns[0], dtype=np.float64)
    if not np.isfinite(coords).all():
        raise FormatError(
            f"'{file}': {int((~np.isfinite(coords)).any(axis=1).sum())} atoms have coordinates that are not finite"
        )
    structure = Structure(
        coords_A=coords,
        atomic_number=np.array(columns[1], dtype=np.int64),
        weights=np.array(columns[2], dtype=np.float64),
        atom_names=np.array(columns[3], dtype=object),
        residue_names=np.array(columns[4], dtype=object),
        residue_numbers=np.array(columns[5], dtype=np.int64),
        chain_ids=np.array(columns[6], dtype=object),
        insertion_codes=np.array(columns[7], dtype=object) if any(columns[7]) else None,
    )
    return dataclasses.replace(structure, sigma_A=_sigma_A(remarks, file)) if structure.is_pseudoatomic else structure


def _pseudoatom_remarks(structure: gemmi.Structure, file: Path) -> dict[str, str]:
    """The remarks on pseudoatoms: first word -> value."""
    words = [line.split()[1:3] for line in structure.raw_remarks if len(line.split()) == 3]
    found = {word: value for word, value in words if word in (_SIGMA_REMARK, _COLUMN_REMARK)}
    if structure.input_format == gemmi.CoorFormat.Mmcif and (
        sigma := gemmi.cif.read(str(file))[0].find_value(_SIGMA_TAG)
    ):
        found[_SIGMA_REMARK] = gemmi.cif.as_string(sigma)
    return found


def _weights_are_b_factors(model: gemmi.Model, remarks: dict[str, str], file: Path) -> bool:
    column = remarks.get(_COLUMN_REMARK, "").lower()
    if column not in ("", "bfactor", "occupancy"):
        raise FormatError(
            f"'{file}': a remark names the column '{column}' for the weights of pseudoatoms; expected Bfactor or "
            "occupancy"
        )
    if column:
        return column == "bfactor"
    pairs = {(c.atom.occ, c.atom.b_iso) for c in model.all() if c.atom.name == PSEUDOATOM}
    return len({occupancy for occupancy, _ in pairs}) == 1 < len({b_factor for _, b_factor in pairs})


def _sigma_A(remarks: dict[str, str], file: Path) -> float | None:
    text = remarks.get(_SIGMA_REMARK)
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
    B-factor; their sigma_A is written as in Xmipp, whose programs read it from the second line.
    """
    out = gemmi.Structure()
    if structure.sigma_A is not None:
        told = (f"{_SIGMA_REMARK} {structure.sigma_A:.6f}", f"{_COLUMN_REMARK} Bfactor")
        out.raw_remarks = [_FIRST_REMARK, *(f"REMARK {line}" for line in told)]
    out.raw_remarks = [*out.raw_remarks, *(f"REMARK   6 {line}" for line in remarks)]
    for number, coords in enumerate(models_A if models_A is not None else [structure.coords_A], start=1):
        out.add_model(_gemmi_model(structure, coords, number))
    out.setup_entities()
    with atomic_path(path) as temporary:
        if Path(path).suffix in (".cif", ".mmcif"):
            document = out.make_mmcif_document()
            if structure.sigma_A is not None:
                document[0].set_pair(_SIGMA_TAG, f"{structure.sigma_A:.6f}")
            document.write_file(str(temporary))
        else:
            out.write_pdb(str(temporary))


def _gemmi_model(structure: Structure, coords_A: Floats, number: int) -> gemmi.Model:
    model = gemmi.Model(number)
    chain, residue, last_chain, last_residue = None, None, None, -1
    index = structure.residue_index
    for i, position in enumerate(coords_A):
        if structure.chain_ids[i] != last_chain or chain is None:
            chain, last_chain = model.add_chain(gemmi.Chain(structure.chain_ids[i])), structure.chain_ids[i]
            last_residue = -1
        if index[i] != last_residue or residue is None:
            fresh = gemmi.Residue()
            fresh.name, fresh.seqid = structure.residue_names[i], _seqid(structure, i)
            if structure.atom_names[i] == PSEUDOATOM:
                fresh.het_flag = "A"  # ATOM records, as Xmipp writes and reads
            residue, last_residue = chain.add_residue(fresh), index[i]
        atom = gemmi.Atom()
        atom.name, atom.pos = structure.atom_names[i], gemmi.Position(*position)
        atom.element = gemmi.Element(int(structure.atomic_number[i]))
        atom.occ = 1.0
        if structure.atom_names[i] == PSEUDOATOM:
            atom.occ = atom.b_iso = float(structure.weights[i])
        residue.add_atom(atom)
    return model


def _seqid(structure: Structure, atom: int) -> gemmi.SeqId:
    codes = structure.insertion_codes
    return gemmi.SeqId(int(structure.residue_numbers[atom]), (codes[atom] if codes is not None else "") or " ")


def _format(file: Path) -> gemmi.CoorFormat:
    known = {
        ".pdb": gemmi.CoorFormat.Pdb,
        ".ent": gemmi.CoorFormat.Pdb,
        ".cif": gemmi.CoorFormat.Mmcif,
        ".mmcif": gemmi.CoorFormat.Mmcif,
    }
    return known.get(file.suffix.lower(), gemmi.CoorFormat.Detect)
