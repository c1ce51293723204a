"""Normal modes: against elNemo and ProDy, and what physics says of them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep import cli
from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import random_rotations
from continuousflex_deep.io.modes import NormalModes, read_modes
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.motion.blocks import block_numbers
from continuousflex_deep.nma.network import (
    collectivity,
    compute_modes,
    for_structure,
    mode_scores,
    network_cutoff_A,
)
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.tests.helpers import needs
from continuousflex_deep.tests.helpers.pdb_text import Line, lines_of, pdb
from continuousflex_deep.tests.helpers.structures import helix


def options(**changes: object) -> NmaOptions:
    return NmaOptions(**{"structure": "s", "output": "o"} | changes)


def overlap(first: NormalModes, second: NormalModes) -> np.ndarray:
    return np.abs(np.einsum("mni,kni->mk", first.vectors, second.vectors))


def test_elnemo_s_modes(shared_data: Path) -> None:
    structure = read_structure(shared_data / "gold10" / "AK.pdb")
    modes = compute_modes(structure, options(cutoff_A=8.0, block_size=10, n_modes=12))
    assert modes.mode_ids == (7, 8, 9, 10, 11, 12)
    same = overlap(modes, read_modes(shared_data / "elnemo_ak"))
    assert np.diag(same)[:3].min() > 0.9999
    assert np.diag(same).min() > 0.999


@pytest.mark.parametrize("block_size", [10, 0])
def test_prody_agrees(block_size: int) -> None:
    prody = needs.library("prody", "ProDy")
    structure = helix(80, chains=3)
    ours = compute_modes(structure, options(cutoff_A=12.0, block_size=block_size, n_modes=12))
    peer = prody.RTB("peer") if block_size else prody.ANM("peer")
    extra = (block_numbers(structure, block_size),) if block_size else ()
    peer.buildHessian(structure.coords_A, *extra, cutoff=12.0)
    peer.calcModes(6)
    np.testing.assert_allclose(ours.eigenvalues, peer.getEigvals(), rtol=1e-6)
    theirs = NormalModes(ours.mode_ids, peer.getEigvecs().T.reshape(6, -1, 3))
    np.testing.assert_allclose(np.diag(overlap(ours, theirs)), 1, atol=1e-6)


def test_modes_of_others_follow_the_file(tmp_path: Path) -> None:
    """ProDy's modes of a file whose ligands come after all chains, applied to the structure as it is read here."""
    prody = needs.library("prody", "ProDy")
    whole = read_structure(ADENYLATE_KINASE)
    part = lines_of(whole.select(whole.residue_index < 40))
    second = [dataclasses.replace(line, chain="B", xyz=(line.xyz[0] + 14.0, *line.xyz[1:])) for line in part]
    x, y, z = part[100].xyz
    ligand = [Line(f"C{k}", "LIG", "A", 300, (x + 0.4 * k, y + 1.1, z - 1.3), "C") for k in range(4)]
    (tmp_path / "s.pdb").write_text(pdb([*part, *second, *ligand]))
    structure = read_structure(tmp_path / "s.pdb")
    ours = compute_modes(structure, options(cutoff_A=8.0, block_size=0, n_modes=9))
    prody.confProDy(verbosity="none")
    peer = prody.ANM("peer")
    peer.buildHessian(prody.parsePDB(str(tmp_path / "s.pdb")).getCoords(), cutoff=8.0)
    peer.calcModes(3)
    theirs = NormalModes(ours.mode_ids, peer.getEigvecs().T.reshape(3, -1, 3))
    np.testing.assert_allclose(np.diag(overlap(ours, theirs)), 1, atol=1e-4)


@pytest.mark.parametrize("block_size", [0, 1, 7])
def test_modes_are_orthonormal_and_move_nothing_as_a_whole(block_size: int) -> None:
    structure = helix(60)
    modes = compute_modes(structure, options(cutoff_A=10.0, block_size=block_size, n_modes=16))
    np.testing.assert_allclose(overlap(modes, modes), np.eye(10), atol=1e-8)
    assert np.abs(modes.vectors.sum(axis=1)).max() < 1e-7  # no translation
    turning = np.cross(structure.coords_A - structure.coords_A.mean(axis=0), modes.vectors).sum(axis=1)
    assert np.abs(turning).max() < 1e-5  # no rotation
    assert modes.eigenvalues is not None
    assert (np.diff(modes.eigenvalues) >= 0).all()
    assert modes.eigenvalues[0] > 0


def test_eigenvalue_is_the_energy_of_the_springs() -> None:
    structure = helix(40)
    modes = compute_modes(structure, options(cutoff_A=10.0, block_size=4, n_modes=10))
    x = structure.coords_A
    energy = np.zeros(len(modes))
    for i in range(len(x)):
        for j in range(i):
            d = x[i] - x[j]
            if np.linalg.norm(d) <= 10.0:
                energy += ((modes.vectors[:, i] - modes.vectors[:, j]) @ d / np.linalg.norm(d)) ** 2
    np.testing.assert_allclose(modes.eigenvalues, energy, rtol=1e-8)


def test_modes_turn_with_the_structure() -> None:
    structure, rotation = helix(60), random_rotations(1, np.random.default_rng(0))[0]
    turned = structure.replace_coords(structure.coords_A @ rotation.T + [10.0, -20.0, 30.0])
    wanted = options(cutoff_A=10.0, block_size=5, n_modes=10)
    still, moved = compute_modes(structure, wanted), compute_modes(turned, wanted)
    np.testing.assert_allclose(moved.eigenvalues, still.eigenvalues, rtol=1e-6)
    back = NormalModes(moved.mode_ids, moved.vectors @ rotation)
    np.testing.assert_allclose(np.diag(overlap(still, back)), 1, atol=1e-5)


def test_blocks_move_rigidly() -> None:
    structure = helix(60, chains=2)
    modes = compute_modes(structure, options(cutoff_A=12.0, block_size=8, n_modes=12))
    block = block_numbers(structure, 8)
    for number in range(block.max() + 1):
        atoms = np.flatnonzero(block == number)
        for i in atoms[1:]:
            along = structure.coords_A[i] - structure.coords_A[atoms[0]]
            stretch = (modes.vectors[:, i] - modes.vectors[:, atoms[0]]) @ along
            assert np.abs(stretch).max() < 1e-9


def test_blocks_end_with_their_chain() -> None:
    structure = helix(25, chains=2)
    block = block_numbers(structure, 10)
    assert np.bincount(block).tolist() == [10, 10, 5, 10, 10, 5]
    assert block_numbers(structure, 0).tolist() == list(range(50))


def test_sparse_and_dense_solvers_agree() -> None:
    structure, wanted = helix(80, chains=2), options(cutoff_A=12.0, block_size=0, n_modes=14)
    dense = compute_modes(structure, wanted)
    sparse = compute_modes(structure, wanted, dense_limit=10)
    np.testing.assert_allclose(sparse.eigenvalues, dense.eigenvalues, rtol=1e-6)
    np.testing.assert_allclose(np.diag(overlap(sparse, dense)), 1, atol=1e-6)
    again = compute_modes(structure, wanted, dense_limit=10)
    np.testing.assert_array_equal(again.vectors, sparse.vectors)  # repeats exactly


def test_collectivity_of_known_motions() -> None:
    n = 10
    alone, together, half = np.zeros((3, n, 3))
    alone[0, 0] = 1
    together[:] = [0.3, 0.4, 0.5]
    half[:5, 1] = 1
    np.testing.assert_allclose(collectivity(np.stack([alone, together, half])), [0.1, 1.0, 0.5])


def test_scores_prefer_slow_and_collective_modes() -> None:
    np.testing.assert_allclose(
        mode_scores(np.array([0.2, 0.9, 0.5, 0.1])), [(1 + 3) / 8, (2 + 1) / 8, (3 + 2) / 8, 1.0]
    )


def test_relative_cutoff_follows_the_spacing() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), axis=-1).reshape(-1, 3)
    for spacing in (2.0, 3.5):
        # a corner of the lattice has only 3 neighbours at the spacing itself
        cutoff = network_cutoff_A(grid * spacing, options(cutoff_percent=95.0))
        assert cutoff == pytest.approx(spacing * np.sqrt(2), rel=1e-5)
    assert network_cutoff_A(grid, options(cutoff_A=9.0)) == 9.0


def test_cutoff_and_blocks_suit_atoms_and_pseudoatoms() -> None:
    """Left to choose, they are those of ContinuousFlex for either; what is given stays."""
    atoms, pseudo = helix(20), helix(20)
    pseudo.atom_names[:] = "DENS"
    chosen = [for_structure(options(), s) for s in (atoms, pseudo)]
    assert [(o.cutoff_A, o.cutoff_percent, o.block_size) for o in chosen] == [(8.0, 0.0, 10), (0.0, 95.0, 0)]
    given = options(cutoff_A=12.0, block_size=4)
    assert for_structure(given, atoms) == for_structure(given, pseudo) == given
    assert for_structure(options(cutoff_percent=90.0), atoms).cutoff_A == 0.0
    np.testing.assert_array_equal(
        compute_modes(pseudo, options(n_modes=9)).vectors,
        compute_modes(pseudo, options(n_modes=9, cutoff_percent=95.0, block_size=0)).vectors,
    )


@pytest.mark.parametrize(
    ("structure", "changes", "message"),
    [
        (helix(40), {"cutoff_A": 9.0, "cutoff_percent": 95.0}, "are two cutoffs; give one"),
        (helix(40), {"cutoff_A": 1.0}, "got 1 Å, expected at least 2 Å"),
        (helix(40), {"cutoff_A": 2.5}, r"network falls into 40 parts .* larger cutoff"),
        (helix(30, chains=2), {"cutoff_A": 4.0, "block_size": 5}, "falls into 2 parts"),
        (helix(20), {"cutoff_A": 5.0, "block_size": 0}, "motions without energy, expected the 6"),
        (
            helix(20),
            {"cutoff_A": 10.0, "block_size": 10, "n_modes": 20},
            "have only 12; request fewer modes or use smaller blocks",
        ),
        (helix(20, chains=2).replace_coords(np.tile(helix(20).coords_A, (2, 1))), {"cutoff_A": 10.0}, "same position"),
    ],
)
def test_unusable_networks_are_explained(structure: Structure, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compute_modes(structure, options(**{"n_modes": 10} | changes))


def test_what_exceeds_the_memory_is_refused_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PHYS_PAGES": 100, "SC_PAGE_SIZE": 4096}[name])
    with pytest.raises(InputError, match=r"need about .* GB, this machine has .*; use blocks"):
        compute_modes(helix(200), options(cutoff_A=12.0, block_size=0))
    with pytest.raises(InputError, match="use a smaller cutoff, or Cα"):
        compute_modes(helix(600), options(cutoff_A=20.0, block_size=5))


def test_command_writes_modes_facts_and_record(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "nma",
        "--structure",
        str(shared_data / "gold10" / "AK.pdb"),
        "--output",
        str(tmp_path / "m"),
        "--n-modes",
        "10",
    ]
    assert cli.main(arguments) == 0
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "modes.json",
        "motion.json",
        "record.json",
        *(f"vec.{m}" for m in (10, 7, 8, 9)),
    ]
    modes = read_modes(tmp_path / "m")
    np.testing.assert_allclose(np.linalg.norm(modes.vectors, axis=(1, 2)), 1)
    assert modes.collectivity is not None
    assert modes.collectivity[0] == pytest.approx(0.467, abs=0.01)
    record = json.loads((tmp_path / "m" / "record.json").read_text())
    assert record["options"]["n_modes"] == 10
    assert record["n_atoms"] == 1656
    assert "collectivity" in capsys.readouterr().out
