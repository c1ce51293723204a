"""Rigid blocks: consecutive residues that are joined, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.motion.blocks import block_numbers, joined_residues
from continuousflex_deep.nma.network import compute_modes
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.tests.helpers.structures import helix


@pytest.fixture(scope="module")
def protein() -> Structure:
    return read_structure(ADENYLATE_KINASE)


def with_ions(structure: Structure, coords_A: list[list[float]], element: int = 12, name: str = "MG") -> Structure:
    n = len(coords_A)
    more = {
        "coords_A": coords_A, "atomic_number": [element] * n, "weights": [float(element)] * n, "atom_names": [name] * n,
        "residue_names": [name] * n, "residue_numbers": range(900, 900 + n), "chain_ids": ["A"] * n,
    }  # fmt: skip
    columns = {k: np.concatenate([getattr(structure, k), np.array(v, dtype=getattr(structure, k).dtype)])
               for k, v in more.items()}  # fmt: skip
    return replace(structure, insertion_codes=None, **columns)


def test_a_protein_is_joined_from_end_to_end(protein: Structure) -> None:
    assert joined_residues(protein).all()
    assert np.unique(np.bincount(block_numbers(protein, 10)[protein.representative_atoms])).tolist() == [4, 10]


def test_traces_are_joined_and_gaps_are_not(protein: Structure) -> None:
    trace = protein.select(protein.representative_atoms)
    assert joined_residues(trace).all()
    gap = trace.select(np.r_[:15, 40:60])
    assert np.flatnonzero(~joined_residues(gap)).tolist() == [14]
    assert np.bincount(block_numbers(gap, 10)).tolist() == [10, 5, 10, 10]
    whole = protein.select(np.isin(protein.residue_index, np.r_[:15, 40:60]))
    assert np.flatnonzero(~joined_residues(whole)).tolist() == [14]


def test_each_ion_is_a_block_of_its_own(protein: Structure) -> None:
    corner = protein.coords_A.max(axis=0)
    ions = with_ions(protein, [[*(corner + 2.0 * k)] for k in range(5)])
    assert np.bincount(block_numbers(ions, 10))[-5:].tolist() == [1] * 5
    calcium = with_ions(protein, [[*(corner + 4.0 * k)] for k in range(3)], 20, "CA")
    assert np.bincount(block_numbers(calcium, 10))[-3:].tolist() == [1] * 3


def test_ions_hardly_change_the_modes_of_the_molecule(protein: Structure) -> None:
    """Ions on opposite sides of the molecule, which one rigid block would clamp."""
    part = protein.select(protein.residue_index < 120)
    centre = part.coords_A.mean(axis=0)
    far = np.argsort(-np.linalg.norm(part.coords_A - centre, axis=1))[[0, 40, 90, 150, 220]]
    towards = part.coords_A[far] + 0.1 * (centre - part.coords_A[far]) + 0.7
    options = NmaOptions(structure="s", output="o", n_modes=9)
    bare, soaked = (compute_modes(s, options) for s in (part, with_ions(part, towards.tolist())))
    assert bare.eigenvalues is not None
    assert soaked.eigenvalues is not None
    np.testing.assert_allclose(soaked.eigenvalues[0], bare.eigenvalues[0], rtol=0.15)


@pytest.mark.parametrize("block_size", [0, 10])
def test_names_of_chains_and_order_of_atoms_change_no_mode(protein: Structure, block_size: int) -> None:
    part = protein.select(protein.residue_index < 60)
    options = NmaOptions(structure="s", output="o", n_modes=10, block_size=block_size)
    modes = compute_modes(part, options)
    renamed = replace(part, chain_ids=np.full(len(part), "XYZ", dtype=object))
    np.testing.assert_array_equal(compute_modes(renamed, options).vectors, modes.vectors)
    order = np.lexsort((-np.arange(len(part)), part.residue_index))  # atoms of each residue in reverse
    other = compute_modes(part.select(order), options)
    assert modes.eigenvalues is not None
    np.testing.assert_allclose(other.eigenvalues, modes.eigenvalues, rtol=1e-7)
    overlap = np.abs((other.vectors * modes.vectors[:, order]).sum(axis=(1, 2)))
    np.testing.assert_allclose(overlap, 1, atol=1e-6)


def test_loose_atoms_are_named() -> None:
    structure = helix(60)
    loose = structure.coords_A[-1] + np.array([0, 0, 7.5])
    hanging = with_ions(structure, [loose.tolist()])
    said = r'parts of it move freely, such as A/900\(MG\)/MG; .*--select "not A/900\(MG\)"'
    with pytest.raises(InputError, match=said):
        compute_modes(hanging, NmaOptions(structure="s", output="o", n_modes=8, cutoff_A=8.0))


def test_atoms_at_one_place_are_named() -> None:
    structure = helix(20)
    twice = with_ions(structure, structure.coords_A[3:5].tolist())
    said = r'same position, A/.\(ALA\)/CA, A/90.\(MG\)/MG; leave .* "not A/900\(MG\) and not A/901\(MG\)"'
    with pytest.raises(InputError, match=said):
        compute_modes(twice, NmaOptions(structure="s", output="o", n_modes=8, cutoff_A=10.0))
