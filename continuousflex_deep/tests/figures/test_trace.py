"""A structure as a trace."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from continuousflex_deep.figures.trace import Trace, chain_bonds, principal_axes
from continuousflex_deep.tests.helpers.structures import beads, helix


@pytest.mark.parametrize("stride", [1, 3])
def test_neighbours_in_a_chain_are_joined_across_no_gap(stride: int) -> None:
    structure = helix(60, chains=2)
    kept = structure.select(~((structure.residue_numbers > 20) & (structure.residue_numbers < 40)))
    atoms = kept.representative_atoms[::stride]
    bonds = chain_bonds(kept, atoms)
    chains, numbers = kept.chain_ids[atoms], kept.residue_numbers[atoms]
    assert (chains[bonds[:, 0]] == chains[bonds[:, 1]]).all()
    assert (np.diff(numbers[bonds], axis=1) == stride).all()
    assert len(bonds) == len(atoms) - 1 - 1 - 2  # one end of a chain and two gaps


def test_pseudoatoms_are_not_joined() -> None:
    assert chain_bonds(beads(9), np.arange(9)).shape == (0, 2)


def test_what_is_nearer_is_drawn_later_and_larger() -> None:
    seen_A = np.array([[0.0, 0, 5], [1, 0, 5], [2, 0, -5], [3, 0, -5]])
    lines = Trace(Figure().subplots(), np.array([[0, 1], [2, 3]]), depth_A=(-5, 5))
    lines.draw(seen_A, np.array([1.0, 2, 3, 4]))
    np.testing.assert_allclose(lines.drawn.get_segments(), [seen_A[2:, :2], seen_A[:2, :2]])
    np.testing.assert_allclose(lines.drawn.get_array(), [3.5, 1.5])
    np.testing.assert_allclose(lines.drawn.get_linewidths(), [1.2, 3.8])
    dots = Trace(Figure().subplots(), np.empty((0, 2), dtype=int), depth_A=(-5, 5))
    dots.draw(seen_A, np.array([1.0, 2, 3, 4]))
    np.testing.assert_allclose(dots.drawn.get_sizes(), [8, 8, 30, 30])
    assert sorted(dots.drawn.get_array()[2:]) == [1, 2]


def test_the_longest_axis_is_shown_across_and_never_as_a_mirror_image() -> None:
    points = np.random.default_rng(3).normal(size=(50, 3)) * [1.0, 9.0, 3.0]
    rotation = principal_axes(points - points.mean(axis=0))
    spread = (points @ rotation.T).std(axis=0)
    assert spread[0] > spread[1] > spread[2]
    assert np.linalg.det(rotation) == pytest.approx(1)
