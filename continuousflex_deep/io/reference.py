"""A structure together with its normal modes, which must have the same atoms."""

import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.file_names import RECORD_JSON
from continuousflex_deep.io.modes import NormalModes, read_modes, require_same_atoms
from continuousflex_deep.io.molecule import Models
from continuousflex_deep.io.records import read_record
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.particles import AS_MODES

_TRACE = ("CA", "P")


class AtomOptions(Protocol):
    """Options of a command that reads a structure: which atoms of it."""

    @property
    def select(self) -> str: ...
    @property
    def models(self) -> Models: ...


@dataclass(frozen=True)
class AtomChoice:
    """Which atoms of a structure file are read."""

    select: str = ""
    models: Models = "first"
    hydrogens: bool = False

    def read(self, path: str | Path) -> Structure:
        return read_structure(path, self.hydrogens, self.select, self.models)


def read_reference(
    structure_path: str | Path,
    modes_folder: str | Path,
    mode_ids: tuple[int, ...] | None = None,
    options: AtomOptions | None = None,
    motion: str = AS_MODES,
) -> tuple[Structure, NormalModes]:
    """The structure and its modes, the given ones or all in the folder, with their own motion or the given one.

    The atoms are those that the record of the modes names, unless the options name others. Files that contain only
    these atoms are read as well. Modes without a record have all atoms, with or without hydrogens.
    Raises InputError if the modes have other atoms, or the structure or the modes cannot be read.
    """
    modes, record = read_modes(modes_folder, mode_ids), _record_of_modes(Path(modes_folder))
    of_modes = _choice(record.get("options", {}))
    choice = _chosen(of_modes, options)
    structure = _read(structure_path, choice, of_modes, modes.vectors.shape[1], bool(record))
    _require_no_trace(modes, structure, structure_path, modes_folder)
    require_same_atoms(modes, len(structure), structure_path, modes_folder, of_modes.select)
    if record.get("elements", element_digest(structure)) != element_digest(structure):
        raise InputError(
            f"modes '{modes_folder}' were computed from atoms in another order, or of other elements, than structure "
            f"'{structure_path}' has; give the structure that the modes were computed from"
        )
    return structure, modes.moving(motion)


def atoms_of_modes(modes_folder: str | Path, options: AtomOptions | None = None) -> AtomChoice:
    """The atoms that options name, and otherwise those that the record of the modes names."""
    return _chosen(_choice(_record_of_modes(Path(modes_folder)).get("options", {})), options)


def read_rigid_reference(
    structure_path: str | Path, options: AtomOptions | None = None
) -> tuple[Structure, NormalModes]:
    """A structure without modes, for poses only. Raises InputError if it cannot be read."""
    structure = _chosen(AtomChoice(), options).read(structure_path)
    return structure, no_modes(structure)


def no_modes(structure: Structure) -> NormalModes:
    """No modes, for a rigid structure."""
    return NormalModes(mode_ids=(), vectors=np.zeros((0, len(structure), 3)))


def element_digest(structure: Structure) -> str:
    """A number of the atoms' elements in their order, by which a record recognises them; names may differ."""
    return f"{zlib.crc32(structure.atomic_number.astype('<i8').tobytes()):08x}"


def _read(path: str | Path, choice: AtomChoice, of_modes: AtomChoice, n_atoms: int, is_known: bool) -> Structure:
    """The chosen atoms; all atoms of a file that has only those of the modes; with hydrogens where only then their
    number is that of modes of which no more is known."""
    remembered = choice.select == of_modes.select != ""
    try:
        structure = choice.read(path)
    except InputError:
        if not remembered:
            raise
        return replace(choice, select="").read(path)
    if remembered and len(structure) != n_atoms:
        whole = replace(choice, select="").read(path)
        return whole if len(whole) == n_atoms else structure
    if len(structure) < n_atoms and not is_known:
        more = replace(choice, hydrogens=True).read(path)
        return more if len(more) == n_atoms else structure
    return structure


def _require_no_trace(
    modes: NormalModes, structure: Structure, structure_path: str | Path, modes_folder: str | Path
) -> None:
    """InputError where modes have as many atoms as the structure has Cα and P atoms, and it has others."""
    traced = int(np.isin(structure.atom_names[structure.representative_atoms], _TRACE).sum())
    if traced == modes.vectors.shape[1] < len(structure):
        raise InputError(
            f"modes '{modes_folder}' have {traced} atoms, as many as structure '{structure_path}' has Cα and P atoms; "
            f"if they move these, read these alone by --select '//*//{','.join(_TRACE)}'"
        )


def _record_of_modes(folder: Path) -> dict[str, Any]:
    """The record beside modes of the nma command; empty for those of other programs."""
    record = read_record(folder / RECORD_JSON) if (folder / RECORD_JSON).is_file() else {}
    return record if record.get("command") == "nma" else {}


def _choice(options: dict[str, Any]) -> AtomChoice:
    """The atoms that recorded options name; records of earlier versions have fewer of them."""
    models: Models = "all" if options.get("models") == "all" else "first"
    return AtomChoice(str(options.get("select") or ""), models, bool(options.get("hydrogens", False)))


def _chosen(of_modes: AtomChoice, options: AtomOptions | None) -> AtomChoice:
    """The atoms that options name, and otherwise those of the modes."""
    if options is None:
        return of_modes
    models: Models = "all" if "all" in (options.models, of_modes.models) else "first"
    return replace(of_modes, select=options.select or of_modes.select, models=models)
