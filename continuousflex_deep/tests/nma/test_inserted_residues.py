"""Structures with insertion codes, paired with a target that lacks some of their residues."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.nma.choice import match_atoms
from continuousflex_deep.tests.helpers.pdb_text import lines_of, mmcif, pdb

# residues 82 to 84 under one number, as in antibodies; 82A and 82B may come before or after 82
CODES = {82: (82, ""), 83: (82, "A"), 84: (82, "B")}


def numbered(tmp_path: Path, structure: Structure, without: int, suffix: str) -> Structure:
    lines = [
        replace(line, number=CODES.get(int(line.number), (line.number, ""))[0],
                code=CODES.get(int(line.number), (line.number, ""))[1], residue="GLY" if 81 < int(line.number) < 85
                else line.residue)
        for line in lines_of(structure) if line.number != without
    ]  # fmt: skip
    file = tmp_path / f"without_{without}{suffix}"
    file.write_text((pdb if suffix == ".pdb" else mmcif)(lines))
    return read_structure(file)


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
@pytest.mark.parametrize("missing", [82, 83, 84])
def test_residues_are_paired_by_number_and_code(tmp_path: Path, missing: int, suffix: str) -> None:
    structure = read_structure(ADENYLATE_KINASE)
    ours, theirs = numbered(tmp_path, structure, 0, suffix), numbered(tmp_path, structure, missing, suffix)
    matched = match_atoms(ours, theirs)
    np.testing.assert_allclose(ours.coords_A[matched.first], theirs.coords_A[matched.second], atol=1e-3)
    assert len(matched.first) == len(theirs)


def test_residues_of_equal_chains_too(tmp_path: Path) -> None:
    """Chains that are paired by their places, since their names were exchanged."""
    structure = read_structure(ADENYLATE_KINASE)
    ours, theirs = numbered(tmp_path, structure, 0, ".pdb"), numbered(tmp_path, structure, 82, ".pdb")

    def dimer(one: Structure, names: str) -> Structure:
        far = one.replace_coords(one.coords_A + np.array([60.0, 7.0, -5.0]))
        both = {
            name: np.concatenate([getattr(one, name), getattr(far, name)])
            for name in ("coords_A", "atomic_number", "weights", "atom_names", "residue_names", "residue_numbers",
                         "insertion_codes")
        }  # fmt: skip
        return Structure(**both, chain_ids=np.repeat(np.array(list(names), dtype=object), len(one)))

    first, second = dimer(ours, "AB"), dimer(theirs, "BA")
    turned = second.replace_coords(second.coords_A + np.array([0.0, 30.0, 0.0]))
    matched = match_atoms(first, turned)
    difference = turned.coords_A[matched.second] - first.coords_A[matched.first]
    np.testing.assert_allclose(difference, np.broadcast_to([0.0, 30.0, 0.0], difference.shape), atol=1e-3)
    assert len(matched.first) == len(second)
