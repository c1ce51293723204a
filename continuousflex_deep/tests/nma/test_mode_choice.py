"""Choosing modes: motions that are known, other programs' numbers, and what the command writes and refuses."""

import csv
import dataclasses
import json
from pathlib import Path

import gemmi
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from continuousflex_deep import cli
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.geometry import random_rotations
from continuousflex_deep.io.frames import write_swing
from continuousflex_deep.io.mode_table import ModeTable, mode_list_text, read_mode_table, write_mode_table
from continuousflex_deep.io.modes import NormalModes, parse_mode_list, read_modes, write_modes
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.motion import StraightMotion, motion_along
from continuousflex_deep.nma.choice import (
    collective_modes,
    find_transition,
    fit_amplitudes,
    match_atoms,
    suggest_by_energy,
    suggest_by_transition,
    superpose,
)
from continuousflex_deep.nma.network import collectivity, compute_modes
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.tests.helpers import needs
from continuousflex_deep.trajectories.frames import swing_frames

RNG = np.random.default_rng(5)


def helices(residues: int = 40, chains: int = 2) -> Structure:
    """Chains of N, Cα and C helices side by side."""
    t = np.arange(3 * residues) / 3
    one = np.stack([2.3 * np.cos(1.75 * t), 2.3 * np.sin(1.75 * t), 1.5 * t], axis=1)
    n = 3 * residues
    return Structure(
        coords_A=np.concatenate([one + np.array([9.0 * k, 0, 3.0 * k]) for k in range(chains)]),
        atomic_number=np.tile([7, 6, 6], residues * chains), weights=np.tile([7.0, 6.0, 6.0], residues * chains),
        atom_names=np.array(["N", "CA", "C"] * residues * chains, dtype=object),
        residue_names=np.array(["ALA"] * n * chains, dtype=object),
        residue_numbers=np.tile(np.repeat(np.arange(1, residues + 1), 3), chains),
        chain_ids=np.repeat(np.array([chr(65 + k) for k in range(chains)], dtype=object), n),
    )  # fmt: skip


@pytest.fixture(scope="module")
def structure() -> Structure:
    return helices()


@pytest.fixture(scope="module")
def modes(structure: Structure) -> NormalModes:
    return compute_modes(structure, NmaOptions(structure="s", output="o", block_size=4, n_modes=14))


def elsewhere(coords_A: np.ndarray) -> np.ndarray:
    """Turned and displaced as a whole, by a lot."""
    return coords_A @ random_rotations(1, RNG)[0].T + RNG.normal(size=3) * 50


# ------------------------------------------------------------------------------------------------------- known motions


@pytest.mark.parametrize("size_A", [1.0, 100.0])
def test_known_amplitudes_are_found_at_any_size(structure: Structure, modes: NormalModes, size_A: float) -> None:
    """The other conformation is the structure moved along its modes, turned, displaced, its atoms in another order."""
    true = np.array([1.0, -0.6, 0.0, 0.3, 0, 0, -0.1, 0]) * size_A
    moved = elsewhere(structure.coords_A + np.tensordot(true, modes.vectors, axes=1))
    shuffled = RNG.permutation(len(structure))
    other = structure.replace_coords(moved).select(shuffled)
    matched = match_atoms(structure, other)
    np.testing.assert_array_equal(shuffled[matched.second], matched.first)
    assert len(matched.first) == len(structure)
    found = find_transition(
        motion_along(structure, modes).select(matched.first), other.coords_A[matched.second]
    )
    np.testing.assert_allclose(found.amplitudes_A, true, atol=1e-5)
    np.testing.assert_allclose(found.overlap, np.abs(true) / np.linalg.norm(true), atol=1e-6)
    np.testing.assert_allclose(found.cumulative, np.sqrt(np.cumsum(true**2)) / np.linalg.norm(true), atol=1e-6)
    assert found.rmsd_A == pytest.approx(np.linalg.norm(true) / np.sqrt(len(structure)))
    assert found.rmsd_left_A < 1e-6


def test_missing_atoms_cost_no_exactness(structure: Structure, modes: NormalModes) -> None:
    """One of two helices: modes turn what is left as a whole; pose and amplitudes are found together."""
    true = np.array([60.0, -40.0, 20.0, 0, 0, 10.0, 0, 0])
    moved = structure.replace_coords(elsewhere(structure.coords_A + np.tensordot(true, modes.vectors, axes=1)))
    other = moved.select(structure.chain_ids == "A")
    matched = match_atoms(structure, other)
    assert len(matched.first) == len(other)
    found = find_transition(motion_along(structure, modes).select(matched.first), other.coords_A[matched.second])
    np.testing.assert_allclose(found.amplitudes_A, true, atol=1e-3)
    assert found.rmsd_left_A < 1e-4


def test_overlap_is_that_of_internal_motion(structure: Structure, modes: NormalModes) -> None:
    """A small motion along one mode is that mode to a part of the atoms, too, although it also turns that part."""
    kept = structure.chain_ids == "A"
    motion = motion_along(structure, modes).select(kept)
    for row, q in enumerate(0.01 * np.eye(len(modes))):
        found = find_transition(motion, elsewhere(motion.coordinates(q)))
        assert found.overlap[row] == pytest.approx(1.0, abs=1e-3)
        assert found.cumulative[-1] == pytest.approx(1.0, abs=1e-3)


def test_no_motion_at_all(structure: Structure, modes: NormalModes) -> None:
    found = find_transition(motion_along(structure, modes), elsewhere(structure.coords_A))
    assert (found.overlap == 0).all()
    np.testing.assert_allclose(found.amplitudes_A, 0, atol=1e-6)
    with pytest.raises(InputError, match="do not determine 8 amplitudes"):
        find_transition(motion_along(structure, modes).select(slice(3)), structure.coords_A[:3])


# ------------------------------------------------------------------------------------------------------------ matching


def test_chains_of_other_names_are_taken_in_order(structure: Structure) -> None:
    renamed = Structure(**{**vars(structure), "chain_ids": np.where(structure.chain_ids == "A", "X", "A")})
    matched = match_atoms(structure, renamed.select(np.flatnonzero(structure.residue_numbers != 7)))
    assert len(matched.first) == len(structure) - 6
    assert "234 of 240 atoms and 78 of 80 residues" in matched.description
    np.testing.assert_array_equal(
        structure.residue_numbers[matched.first], np.delete(structure.residue_numbers, structure.residue_numbers == 7)
    )


def oligomer(rotations: list[np.ndarray], offset_A: list[float], residues: int = 50) -> Structure:
    """Copies, called A, B, …, of one Cα chain at an offset from the axes, turned."""
    steps = np.random.default_rng(11).normal(size=(residues, 3))
    chain = np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)
    chain += np.array(offset_A) - chain.mean(axis=0)
    copies, n = len(rotations), residues * len(rotations)
    return Structure(
        coords_A=np.concatenate([chain @ rotation.T for rotation in rotations]),
        atomic_number=np.full(n, 6), weights=np.full(n, 6.0), atom_names=np.full(n, "CA", dtype=object),
        residue_names=np.array([("ALA", "GLY", "LEU")[k % 3] for k in range(residues)] * copies, dtype=object),
        residue_numbers=np.tile(np.arange(1, residues + 1), copies),
        chain_ids=np.repeat(np.array(list("ABCDEFGH")[:copies], dtype=object), residues),
    )  # fmt: skip


def turns(*angles_deg: tuple[float, float, float]) -> list[np.ndarray]:
    return [Rotation.from_euler("xyz", angles, degrees=True).as_matrix() for angles in angles_deg]


TRIMER = oligomer(turns((0, 0, 0), (0, 0, 120), (0, 0, 240)), [18.0, 0, 4.0])
TETRAMER = oligomer(turns((0, 0, 0), (180, 0, 0), (0, 180, 0), (0, 0, 180)), [14.0, 10.0, 18.0])


def relabelled(structure: Structure, names: dict[str, str]) -> Structure:
    """Chains under other names, in the order of these, as a file has them."""
    chain_ids = np.array([names.get(name, name) for name in structure.chain_ids], dtype=object)
    return dataclasses.replace(structure, chain_ids=chain_ids).select(np.argsort(chain_ids, kind="stable"))


def bent(structure: Structure, size_A: float) -> Structure:
    """Every chain moved in its own way, and all of it elsewhere."""
    rng = np.random.default_rng(3)
    coords_A = structure.coords_A.copy()
    for name in dict.fromkeys(structure.chain_ids.tolist()):
        coords_A[structure.chain_ids == name] += rng.normal(size=3) * size_A
    return structure.replace_coords(elsewhere(coords_A))


@pytest.mark.parametrize(
    ("structure", "names"),
    [
        (TRIMER, {"B": "C", "C": "B"}),
        (TRIMER, {"A": "B", "B": "A"}),
        (TRIMER, {"A": "X", "B": "Z", "C": "Y"}),
        (TETRAMER, {"B": "C", "C": "D", "D": "B", "A": "A"}),
        (TETRAMER, {"A": "B", "B": "A"}),
    ],
)
def test_equal_chains_are_paired_by_where_they_lie(
    structure: Structure, names: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The same assembly, its chains named in another order, each of them moved by 2 Å along every axis or so."""
    moved, still = bent(structure, 2.0), StraightMotion(structure.coords_A, np.zeros((1, len(structure), 3)))
    expected = find_transition(still, moved.coords_A).rmsd_A
    other = relabelled(moved, names)
    matched = match_atoms(structure, other)
    assert len(matched.first) == len(structure)
    left = superpose(other.coords_A[matched.second], structure.coords_A[matched.first])
    rmsd_A = np.sqrt(np.square(left - structure.coords_A[matched.first]).sum(axis=1).mean())
    assert rmsd_A <= 1.001 * expected
    assert rmsd_A < 5.0  # by their names: more than 15
    assert "not by name" in capsys.readouterr().err
    assert "(chains " in matched.description


def test_swapped_names_are_undone_as_they_were_swapped(capsys: pytest.CaptureFixture[str]) -> None:
    """A trimer on itself: of the three pairings that fit, the one that keeps the first name; modes are found by it."""
    modes = compute_modes(TRIMER, NmaOptions(structure="s", output="o", cutoff_A=15.0, n_modes=14))
    motion = motion_along(TRIMER, modes)
    true = np.array([30.0, -20.0, 10.0, 0, 0, 0, 0, 0])
    moved = TRIMER.replace_coords(elsewhere(motion.coordinates(true)))
    other = relabelled(moved, {"B": "C", "C": "B"})
    matched = match_atoms(TRIMER, other, "a.pdb", "b.pdb")
    partners = dict(zip(TRIMER.chain_ids[matched.first], other.chain_ids[matched.second], strict=True))
    assert partners == {"A": "A", "B": "C", "C": "B"}
    assert "chains of 'a.pdb' and 'b.pdb' are paired by their place in the assembly" in capsys.readouterr().err
    found = find_transition(motion, other.coords_A[matched.second])
    np.testing.assert_allclose(found.amplitudes_A, true, atol=1e-3)


@pytest.mark.parametrize("structure", [TRIMER, TETRAMER])
def test_names_stay_where_they_fit(structure: Structure, capsys: pytest.CaptureFixture[str]) -> None:
    """Symmetry offers other pairings that are as good or a little better; a part of the assembly offers none."""
    for other in (bent(structure, 0.0), bent(structure, 2.0), bent(structure.select(structure.chain_ids == "B"), 2.0)):
        matched = match_atoms(structure.select(structure.chain_ids == "B") if len(other) == 50 else structure, other)
        assert len(matched.first) == len(other)
        np.testing.assert_array_equal(matched.first, matched.second)
    assert match_atoms(structure.select(structure.chain_ids == "C"), structure).second[0] == 100
    assert capsys.readouterr().err == ""


def test_chains_that_differ_stay_as_they_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Chain A has another sequence: B and C may change places with each other, not with A."""
    own = TRIMER.chain_ids == "A"
    unequal = dataclasses.replace(TRIMER, residue_names=np.where(own, "TRP", TRIMER.residue_names).astype(object))
    matched = match_atoms(unequal, bent(unequal, 8.0))
    np.testing.assert_array_equal(matched.first, matched.second)
    assert capsys.readouterr().err == ""
    other = relabelled(bent(unequal, 1.0), {"B": "C", "C": "B"})
    matched = match_atoms(unequal, other)
    partners = dict(zip(unequal.chain_ids[matched.first], other.chain_ids[matched.second], strict=True))
    assert partners == {"A": "A", "B": "C", "C": "B"}


def test_capsid_is_paired_in_seconds() -> None:
    """60 equal chains: not every order can be tried."""
    group = Rotation.create_group("I").as_matrix()
    names = [f"{a}{b}" for a in "ABCDEF" for b in "0123456789"]
    chain = oligomer([np.eye(3)], [80.0, 20.0, 40.0])
    whole = Structure(
        **{name: np.concatenate([value] * 60) for name, value in vars(chain).items() if isinstance(value, np.ndarray)}
    )
    capsid = dataclasses.replace(
        whole,
        coords_A=np.concatenate([chain.coords_A @ turn.T for turn in group]),
        chain_ids=np.repeat(np.array(names, dtype=object), 50),
    )
    other = relabelled(bent(capsid, 1.0), dict(zip(names, np.random.default_rng(2).permutation(names), strict=True)))
    matched = match_atoms(capsid, other)
    left = superpose(other.coords_A[matched.second], capsid.coords_A[matched.first]) - capsid.coords_A[matched.first]
    assert np.sqrt(np.square(left).sum(axis=1).mean()) < 2.0


def test_histidines_and_insertion_codes(structure: Structure) -> None:
    """Residues 5 and 5A have the same number: the first of one is the first of the other."""
    numbers = np.where(structure.residue_numbers == 6, 5, structure.residue_numbers)
    names = np.where(structure.residue_numbers == 9, "HIS", structure.residue_names).astype(object)
    ours = Structure(**{**vars(structure), "residue_numbers": numbers, "residue_names": names})
    theirs = Structure(**{**vars(ours), "residue_names": np.where(names == "HIS", "HSD", names).astype(object)})
    matched = match_atoms(ours, theirs)
    np.testing.assert_array_equal(matched.first, matched.second)
    assert len(matched.first) == len(structure)


def test_another_molecule_is_refused(structure: Structure) -> None:
    shifted = Structure(**{**vars(structure), "residue_numbers": structure.residue_numbers + 25})
    with pytest.raises(InputError, match=r"'b.pdb' has 30 of the 80 residues of 'a.pdb'.*at least 50%; give a conf"):
        match_atoms(structure, shifted, "a.pdb", "b.pdb")


def test_pseudoatoms_match_by_order_alone() -> None:
    n = 30
    name = np.array(["DENS"] * n, dtype=object)
    beads = Structure(
        RNG.normal(size=(n, 3)), np.full(n, 6), np.ones(n), name, name, np.arange(n), np.array([" "] * n, dtype=object)
    )
    assert len(match_atoms(beads, beads.replace_coords(beads.coords_A + 1)).first) == n
    for other in (beads.select(np.arange(n - 1)), helices()):
        with pytest.raises(InputError, match="can only be compared with the same pseudoatoms"):
            match_atoms(beads, other)


# --------------------------------------------------------------------------------------------------- adenylate kinase


def test_adenylate_kinase_closes_along_few_slow_modes(shared_data: Path) -> None:
    """4AKE is open, 1AKE closed: the slowest mode is most of the way (elNemo's modes)."""
    prody = needs.library("prody", "ProDy")
    opened = read_structure(shared_data / "gold10" / "AK.pdb")
    closed = read_structure(needs.prody_file("pdb1ake.pdb"))
    modes = read_modes(shared_data / "elnemo_ak")
    matched = match_atoms(opened, closed)
    assert len(matched.first) > 0.95 * len(opened)
    coords_A, target_A = opened.coords_A[matched.first], closed.coords_A[matched.second]
    found = find_transition(motion_along(opened, modes).select(matched.first), target_A)
    assert found.overlap[0] == pytest.approx(0.835, abs=0.02)
    assert found.cumulative[2] == pytest.approx(0.895, abs=0.02)
    assert found.rmsd_A == pytest.approx(7.21, abs=0.02)
    slowest = motion_along(opened, modes.select(modes.mode_ids[:3]))
    _, left_A = fit_amplitudes(slowest.select(matched.first), target_A)
    assert left_A == pytest.approx(3.2, abs=0.1)

    # independently: ProDy's superposition and overlaps
    turned = prody.calcTransformation(target_A, coords_A).apply(target_A)
    np.testing.assert_allclose(turned - coords_A, found.difference_A, atol=1e-6)
    change = prody.Vector((turned - coords_A).ravel(), "change")
    for vector, overlap in zip(modes.vectors[:, matched.first], found.overlap, strict=True):
        # a few atoms are not in 1AKE, so that modes turn the others as a whole a little
        assert abs(prody.calcOverlap(prody.Vector(vector.ravel()), change)) == pytest.approx(overlap, abs=0.01)


# ------------------------------------------------------------------------------------------------------------- choice


def test_the_fewest_modes_that_hold_the_motion(structure: Structure, modes: NormalModes) -> None:
    true = np.array([10.0, 0, 0, 6.0, 0, 0, 2.0, 0])  # squares 100, 36, 4
    target = elsewhere(structure.coords_A + np.tensordot(true, modes.vectors, axes=1))
    everything = np.ones(len(true), dtype=bool)

    def suggested(explained: float, collective: np.ndarray = everything) -> list[int]:
        return suggest_by_transition(motion_along(structure, modes), target, collective, explained).tolist()

    assert [suggested(share) for share in (0.7, 0.9, 0.98, 1.0)] == [[0], [0, 3], [0, 3, 6], [0, 3, 6]]
    without = everything.copy()
    without[0] = False
    assert suggested(0.8, without) == [3]


def test_slow_and_collective_modes_are_suggested_without_a_target(modes: NormalModes) -> None:
    kappa = np.array([0.1, 0.5, 0.6, 0.4, 0.3, 0.2, 0.5, 0.5])
    collective = collective_modes(modes, kappa, 0.15)
    energies = np.array([0.1, 1.0, 3.0, 4.9, 5.1, 8, 9, 10])
    assert suggest_by_energy(energies, kappa, collective, 5.0).tolist() == [1, 2, 3]
    score = np.array([0.1, 0.5, 0.2, 0.9, 0.3, 0.4, 0.6, 0.7])
    assert suggest_by_energy(None, score, collective, 5.0).tolist() == [2, 4, 5]
    with pytest.raises(InputError, match=r"none of the modes .*the highest is 0.600\); lower --collectivity-threshold"):
        collective_modes(modes, kappa, 0.7)


@pytest.mark.parametrize("text", ["7-9 11", "7", "8 10 12-14"])
def test_mode_lists_read_back(text: str) -> None:
    assert mode_list_text(parse_mode_list(text)) == text


# ---------------------------------------------------------------------------------------------------------- animation


def test_a_swing_leaves_and_returns_about_a_fixed_centre(structure: Structure, modes: NormalModes) -> None:
    rmsd_A = 2.0
    q = np.array([rmsd_A * np.sqrt(len(structure))])
    frames = swing_frames(motion_along(structure, modes.select((7,))), q, n_frames=8)
    np.testing.assert_allclose(frames[0], structure.coords_A, atol=1e-9)
    np.testing.assert_allclose(frames[4], structure.coords_A, atol=1e-9)
    np.testing.assert_allclose(frames[2] + frames[6], 2 * structure.coords_A, atol=1e-9)
    for frame in frames:
        np.testing.assert_allclose(structure.replace_coords(frame).center_A, structure.center_A, atol=1e-9)
    step = frames[2] - structure.coords_A
    moved = q[0] * modes.vectors[0]
    np.testing.assert_allclose(step - step.mean(axis=0), moved - moved.mean(axis=0), atol=1e-9)
    assert np.sqrt(np.square(step).sum(axis=1).mean()) == pytest.approx(rmsd_A, rel=0.01)
    both = motion_along(structure, modes.select((7, 8))).coordinates(np.array([3.0, -4.0]))
    assert np.linalg.norm(both - structure.coords_A) == pytest.approx(5.0, rel=0.01)


def test_large_structures_swing_as_a_trace(
    structure: Structure, modes: NormalModes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One atom a residue, and chain names that a PDB file can hold."""
    assert (structure.atom_names[structure.representative_atoms] == "CA").all()
    assert len(structure.representative_atoms) == 80
    without = structure.select(structure.atom_names == "C")
    np.testing.assert_array_equal(without.representative_atoms, np.arange(80))
    monkeypatch.setattr("continuousflex_deep.io.frames.MOST_ATOMS", 100)
    long_names = Structure(**{**vars(structure), "chain_ids": structure.chain_ids + "L50"})
    frames = swing_frames(motion_along(long_names, modes.select((7,))), np.array([10.0]), n_frames=4)
    write_swing(tmp_path / "m.pdb", long_names, frames)
    models = gemmi.read_structure(str(tmp_path / "m.pdb"))
    assert len(models) == 4
    assert [chain.name for chain in models[0]] == ["A", "B"]
    assert models[0].count_atom_sites() == 80
    assert models[1]["B"][3]["CA"][0].pos.tolist() == pytest.approx(frames[1][120 + 3 * 3 + 1].tolist(), abs=1e-3)


# ------------------------------------------------------------------------------------------------------------ command


@pytest.fixture
def files(tmp_path: Path, structure: Structure, modes: NormalModes) -> Path:
    true = np.array([30.0, 0, 0, -20.0, 0, 0, 0, 0])
    write_structure(tmp_path / "s.pdb", structure)
    moved = structure.replace_coords(elsewhere(structure.coords_A + np.tensordot(true, modes.vectors, axes=1)))
    write_structure(tmp_path / "t.pdb", moved.select(structure.residue_numbers != 3))
    write_modes(tmp_path / "modes", modes)
    return tmp_path


def run(files: Path, *more: str) -> int:
    common = ["modes", "--structure", "s.pdb", "--modes", "modes", "--output", "out"]
    paths = [str(files / word) if word in ("s.pdb", "modes", "out") and i else word for i, word in enumerate(common)]
    return cli.main([*paths, *more])


def test_command_with_a_target(files: Path, structure: Structure, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "--target", str(files / "t.pdb"), "--swing-rmsd-A", "1.5", "--explained-percent", "99") == 0
    out = capsys.readouterr().out
    assert "suggested: --mode-list '7 10'" in out
    assert "234 of 240 atoms and 78 of 80 residues are in the target" in out
    table = read_mode_table(files / "out" / "modes.csv")
    assert table.chosen_ids == (7, 10)
    assert table.columns["amplitude_A"][[0, 3]] == pytest.approx([30, -20], abs=0.1)
    assert table.columns["energy"][0] == 1
    record = json.loads((files / "out" / "record.json").read_text())
    assert record["chosen_amplitudes_A"] == pytest.approx([30, -20], abs=0.1)
    assert record["rmsd_left_by_chosen_modes_A"] < 0.01

    with (files / "out" / "displacements.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 80
    moved = np.array([float(row["mode_7_A"]) for row in rows])
    assert np.sqrt(np.mean(moved**2)) == pytest.approx(1.5, rel=0.01)  # all residues have 3 atoms
    assert rows[2]["target_A"] == "nan"
    assert np.isfinite([float(row["target_A"]) for row in rows[3:40]]).all()
    assert (files / "out" / "modes.png").read_bytes().startswith(b"\x89PNG")
    models = gemmi.read_structure(str(files / "out" / "mode_7.pdb"))
    first, end = ([site.atom.pos.tolist() for site in models[k].all()] for k in (0, 5))
    np.testing.assert_allclose(first, structure.coords_A, atol=1e-3)
    apart = np.linalg.norm(np.array(end) - np.array(first), axis=1)
    assert np.sqrt(np.mean(apart**2)) == pytest.approx(1.5, rel=0.01)


def test_command_without_energies_and_again_with_fewer_modes(
    files: Path, modes: NormalModes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of elNemo's says nothing but the vectors; what a run before left of other modes goes."""
    (files / "modes" / "modes.json").unlink()
    assert run(files, "--mode-list", "8-9") == 0
    assert "selected: --mode-list '8-9'" in capsys.readouterr().out
    table = read_mode_table(files / "out" / "modes.csv")
    assert "energy" not in table.columns
    np.testing.assert_allclose(table.columns["collectivity"], collectivity(modes.vectors), rtol=1e-3)
    (files / "modes" / "vec.14").unlink()
    (files / "out" / "mode_99.pdb").write_text("mine")
    assert run(files) == 0
    assert len(read_mode_table(files / "out" / "modes.csv").chosen_ids) == 3
    assert not (files / "out" / "mode_14.pdb").exists()
    assert (files / "out" / "mode_99.pdb").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--mode-list", "7 30"], "modes [30] are not available"),
        (["--mode-list", "5"], "rigid-body motions"),
        (["--target", "absent.pdb"], "cannot read 'absent.pdb'"),
        (["--swing-rmsd-A", "0"], "--swing-rmsd-A: got 0.0"),
        (["--collectivity-threshold", "1"], "lower --collectivity-threshold"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    files: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files, *more) == 2
    assert message in capsys.readouterr().err
    assert not (files / "out").exists()


def test_the_structure_itself_is_no_target(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "--target", str(files / "s.pdb")) == 2
    assert "has the same conformation as" in capsys.readouterr().err
    assert not (files / "out").exists()


def test_the_modes_own_folder_is_no_output(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "--output", str(files / "modes")) == 2
    assert "is the folder of the modes" in capsys.readouterr().err


def test_table_round_trip_and_other_files(tmp_path: Path) -> None:
    table = ModeTable((7, 9), np.array([False, True]), {"collectivity": np.array([0.25, 0.5])})
    write_mode_table(tmp_path / "m.csv", table)
    back = read_mode_table(tmp_path / "m.csv")
    assert (back.mode_ids, back.chosen_ids) == ((7, 9), (9,))
    assert back.columns["collectivity"].tolist() == [0.25, 0.5]
    (tmp_path / "m.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FormatError, match="not a table of the modes command"):
        read_mode_table(tmp_path / "m.csv")
