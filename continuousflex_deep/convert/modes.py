"""Scipion's sets of normal modes to and from mode folders."""

import os
from pathlib import Path

from pwem.objects import AtomStruct, NormalMode, SetOfNormalModes

from continuousflex_deep.constants import ATOMS_FILE
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.file_names import DENSITY_JSON, RECORD_JSON
from continuousflex_deep.io.modes import MODE_FACTS, MOTION_JSON, read_modes
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import write_structure


def modes_to_folder(modes: SetOfNormalModes, folder: str | Path) -> tuple[int, ...]:
    """Make ``folder`` a mode folder of links ``vec.N`` to the set's files; N is the mode's id. Returns the numbers.

    If all modes come from one of our mode folders, its properties (energies, …), its motion, the density of amplitudes
    along it and its record, which names the atoms, are linked, too.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    numbers, sources = [], set()
    for mode in modes.iterItems():
        file = Path(mode.getModeFile()).resolve()
        if not file.is_file():
            raise InputError(f"normal mode {mode.getObjId()}: file '{file}' does not exist; compute the modes again")
        name = f"vec.{mode.getObjId()}"
        _link(target / name, file)
        numbers.append(int(mode.getObjId()))
        sources.add(file.parent if file.name == name else None)
    source = sources.pop() if len(sources) == 1 else None
    for name in (MODE_FACTS, MOTION_JSON, DENSITY_JSON, RECORD_JSON):
        (target / name).unlink(missing_ok=True)
        if source is not None and (source / name).is_file():
            _link(target / name, source / name)
    return tuple(numbers)


def write_atoms_beside(modes: SetOfNormalModes, structure_path: str | Path, folder: str | Path) -> None:
    """Write the atoms of a mode folder's modes, in their order, beside the set's file, where ContinuousFlex expects
    them."""
    structure, _ = read_reference(structure_path, folder)
    write_structure(Path(modes.getFileName()).parent / ATOMS_FILE, structure)


def atoms_beside(modes: SetOfNormalModes) -> AtomStruct | None:
    """The atoms of the modes, if their run (ours or ContinuousFlex's) wrote them."""
    file = Path(modes.getFileName()).parent / ATOMS_FILE
    return AtomStruct(filename=str(file)) if file.is_file() else None


def _link(link: Path, file: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(file)


def fill_modes(output: SetOfNormalModes, folder: str | Path) -> None:
    """Append the modes of a mode folder, with their properties; a mode's id is its number."""
    modes = read_modes(folder)
    for row, number in enumerate(modes.mode_ids):
        mode = NormalMode(
            modeFile=os.path.relpath(Path(folder) / f"vec.{number}"),
            collectivity=None if modes.collectivity is None else float(modes.collectivity[row]),
            score=None if modes.score is None else float(modes.score[row]),
        )
        mode.setObjId(number)
        output.append(mode)
