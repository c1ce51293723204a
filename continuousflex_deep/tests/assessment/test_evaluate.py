"""The article's error figures, against displacing the atoms one particle at a time."""

import json
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.assessment.evaluation import (
    Evaluation,
    evaluate,
    evaluate_between,
    format_comparison,
    format_evaluation,
)
from continuousflex_deep.cli import main
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler, random_rotations, rotation_distance_deg
from continuousflex_deep.io.modes import NormalModes, write_modes
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.io.structures import Structure, write_structure
from continuousflex_deep.particles import Particles
from continuousflex_deep.symmetry import point_group

MODES = (7, 8, 9)


@pytest.fixture
def structure() -> Structure:
    rng = np.random.default_rng(5)
    n = 40
    return Structure(
        coords_A=np.round(rng.normal(size=(n, 3)) * 15 + [3, -2, 8], 3),
        atomic_number=np.full(n, 6),
        weights=np.full(n, 6.0),
        atom_names=np.full(n, "CA", dtype=object),
        residue_names=np.full(n, "ALA", dtype=object),
        residue_numbers=np.arange(1, n + 1),
        chain_ids=np.full(n, "A", dtype=object),
    )


@pytest.fixture
def modes(structure: Structure) -> NormalModes:
    vectors = np.random.default_rng(6).normal(size=(3, len(structure), 3))
    vectors += np.array([0.5, -1.0, 2.0])[:, None, None]  # a net translation, which deformed structures do without
    vectors /= np.linalg.norm(vectors.reshape(3, -1), axis=1)[:, None, None]
    return NormalModes(mode_ids=MODES, vectors=vectors)


@pytest.fixture
def truth(tmp_path: Path) -> Particles:
    rng = np.random.default_rng(7)
    n, stack = 30, tmp_path / "images.mrcs"
    write_stack(stack, rng.normal(size=(n, 8, 8)).astype(np.float32), 2.0)
    return Particles(
        ids=np.arange(101, 101 + n),
        stacks=np.full(n, str(stack), dtype=object),
        indices=np.arange(n),
        pixel_size_A=2.0,
        box_px=8,
        euler_deg=matrix_to_euler(random_rotations(n, rng)),
        shift_A=rng.normal(size=(n, 2)) * 3,
        mode_ids=MODES,
        amplitudes=rng.normal(size=(n, 3)) * 100,
    )


def disturbed(truth: Particles, scale: float = 1.0) -> Particles:
    rng = np.random.default_rng(8)
    n = len(truth)
    return truth.replace(
        euler_deg=truth.euler_deg + rng.normal(size=(n, 3)) * scale,
        shift_A=truth.shift_A + rng.normal(size=(n, 2)) * 0.3 * scale,
        amplitudes=truth.amplitudes + rng.normal(size=(n, 3)) * 5 * scale,
        amplitudes_sd=np.full((n, 3), 5.0 * scale),
        shift_sd_A=np.full(n, 0.3 * scale),
        angle_sd_deg=np.full(n, scale),
    )


def test_other_particles_of_the_same_ids_are_refused(
    structure: Structure, modes: NormalModes, truth: Particles
) -> None:
    """Ids that are positions in a stack are the same for any stack; micrographs tell that the particles are not."""
    names = [np.array([f"{kind}{i}.mrc" for i in range(len(truth))], dtype=object) for kind in ("a", "b")]
    one, same, other = (truth.replace(extra={"rlnMicrographName": n}) for n in (names[0], names[0], names[1]))
    assert evaluate(one, same, structure, modes).n == len(truth)
    with pytest.raises(InputError, match="same ids to different particles: the micrograph differs for 30 of 30"):
        evaluate(one, other, structure, modes)


def test_truth_against_itself_is_zero(truth: Particles, structure: Structure, modes: NormalModes) -> None:
    result = evaluate(truth, truth, structure, modes)
    assert result.n_lost == 0
    assert all(
        f.mean == pytest.approx(0, abs=1e-9) and f.sd == pytest.approx(0, abs=1e-9) for f in result.overall.values()
    )


def test_rmsd_is_that_of_displaced_atoms(truth: Particles, structure: Structure, modes: NormalModes) -> None:
    estimate = disturbed(truth)
    result = evaluate(estimate, truth, structure, modes)
    centred = structure.coords_A - structure.coords_A.mean(axis=0)
    for i in range(len(truth)):
        by_q = [np.tensordot(p.amplitudes[i], modes.vectors, 1) for p in (estimate, truth)]
        by_q = [moved - moved.mean(axis=0) for moved in by_q]  # all atoms weigh the same
        by_angle = [centred @ euler_to_matrix(p.euler_deg[i]).T for p in (estimate, truth)]
        for name, (a, b) in {"rmsd_amplitude_A": by_q, "rmsd_angle_A": by_angle}.items():
            assert result.errors[name][i] == pytest.approx(np.sqrt(((a - b) ** 2).sum(axis=1).mean()))
        assert result.errors["rmsd_shift_A"][i] == pytest.approx(np.linalg.norm(estimate.shift_A[i] - truth.shift_A[i]))


def test_amplitude_and_shift_are_mean_absolute_errors(
    truth: Particles, structure: Structure, modes: NormalModes
) -> None:
    estimate = truth.replace(
        amplitudes=truth.amplitudes + np.array([3, -4, 8]), shift_A=truth.shift_A + np.array([-0.5, 0.1])
    )
    figures = evaluate(estimate, truth, structure, modes).overall
    assert [figures[f"amplitude_{m}"].mean for m in MODES] == pytest.approx([3, 4, 8])
    assert figures["amplitude"].mean == pytest.approx(5)
    assert (figures["shift_x_A"].mean, figures["shift_y_A"].mean, figures["shift_A"].mean) == pytest.approx(
        (0.5, 0.1, 0.3)
    )


def test_angle_is_the_mean_over_rotated_axes(truth: Particles, structure: Structure, modes: NormalModes) -> None:
    # psi turns two axes by 3° and leaves the third: the article's distance is 2/3 of the rotation angle
    figures = evaluate(
        truth.replace(euler_deg=truth.euler_deg + np.array([0, 0, 3.0])), truth, structure, modes
    ).overall
    assert figures["angle_deg"].mean == pytest.approx(2.0)


@pytest.mark.parametrize("name", ["c2", "c7", "d3"])
def test_orientations_that_look_the_same_are_one(
    truth: Particles, structure: Structure, modes: NormalModes, name: str
) -> None:
    rigid = truth.replace(amplitudes=None, mode_ids=())
    near = disturbed(truth).replace(amplitudes=None, amplitudes_sd=None, mode_ids=())
    group = point_group(name)
    which = np.random.default_rng(0).integers(1, len(group), len(truth))
    turned = near.replace(euler_deg=matrix_to_euler(euler_to_matrix(near.euler_deg) @ group[which]))
    assert evaluate(turned, rigid, structure, modes).n_lost == len(truth)
    plain = evaluate(near, rigid, structure, modes)
    # against displacing the atoms: of all orientations that look the same, the one whose atoms are nearest
    mates = np.einsum("nij,sjk->nsik", euler_to_matrix(rigid.euler_deg), group)
    apart = rotation_distance_deg(euler_to_matrix(turned.euler_deg)[:, None], mates).argmin(axis=1)
    centred = structure.coords_A - structure.coords_A.mean(axis=0)
    result = evaluate(turned, rigid, structure, modes, symmetry=name)
    assert result.n_lost == 0
    for i, (found, true) in enumerate(zip(euler_to_matrix(turned.euler_deg), mates[np.arange(30), apart], strict=True)):
        rmsd_A = np.sqrt((((found - true) @ centred.T) ** 2).sum(axis=0).mean())
        assert result.errors["rmsd_angle_A"][i] == pytest.approx(rmsd_A)
    assert result.spread["angle_rms"] == pytest.approx(plain.spread["angle_rms"])
    np.testing.assert_allclose(result.errors["rmsd_shift_A"], plain.errors["rmsd_shift_A"])
    between = evaluate_between(turned, near, structure, modes, symmetry=name)
    np.testing.assert_allclose(between.errors["angle_deg"], 0, atol=1e-5)


def test_bent_particles_have_no_symmetry(truth: Particles, structure: Structure, modes: NormalModes) -> None:
    rigid = truth.replace(amplitudes=np.zeros_like(truth.amplitudes))
    assert evaluate(rigid, rigid, structure, modes, symmetry="c2").n_lost == 0
    for pair in ((truth, rigid), (rigid, truth)):
        with pytest.raises(InputError, match="motions along modes break the symmetry"):
            evaluate(*pair, structure, modes, symmetry="c2")


def test_claimed_symmetry_is_that_of_the_structure(
    truth: Particles, structure: Structure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = structure.replace_coords(structure.coords_A - structure.center_A)
    both = one.select(np.tile(np.arange(len(one)), 2))
    dimer = both.replace_coords(np.concatenate([one.coords_A, one.coords_A * [-1, -1, 1]]))
    rigid = truth.replace(amplitudes=None, mode_ids=())
    half_turn = np.diag([-1.0, -1.0, 1.0])
    turned = rigid.replace(euler_deg=matrix_to_euler(euler_to_matrix(rigid.euler_deg) @ half_turn))
    for name, particles in (("truth", rigid), ("found", turned)):
        write_particles(particles, tmp_path / f"{name}.star")
    for name, atoms in (("dimer", dimer), ("alone", one)):
        write_structure(tmp_path / f"{name}.pdb", atoms)
    command = ["evaluate", "--particles", str(tmp_path / "found.star"), "--truth", str(tmp_path / "truth.star")]
    record = tmp_path / "record.json"
    for structure_name, symmetry, lost in (("dimer", "c1", 30), ("dimer", "c2", 0)):
        where = ["--structure", str(tmp_path / f"{structure_name}.pdb"), "--symmetry", symmetry]
        assert main([*command, *where, "--output", str(record)]) == 0
        assert json.loads(record.read_text())["results"]["found"]["lost"] == lost
    for name, symmetry, told in (("alone", "c2", "is not symmetric under"), ("dimer", "icosahedral", "expected c1 to")):
        capsys.readouterr()
        assert main([*command, "--structure", str(tmp_path / f"{name}.pdb"), "--symmetry", symmetry]) == 2
        assert told in capsys.readouterr().err
    bent = turned.replace(amplitudes=truth.amplitudes, mode_ids=MODES)
    write_particles(bent, tmp_path / "found.star")
    assert main([*command, "--structure", str(tmp_path / "dimer.pdb")]) == 2
    assert "option --modes is required, a folder with modes [7, 8, 9]" in capsys.readouterr().err
    write_particles(turned, tmp_path / "found.star")
    write_particles(truth, tmp_path / "truth.star")
    assert main([*command, "--structure", str(tmp_path / "dimer.pdb"), "--bound"]) == 2
    assert "--bound: option --modes is required" in capsys.readouterr().err


def test_rows_are_matched_by_id(truth: Particles, structure: Structure, modes: NormalModes) -> None:
    estimate = disturbed(truth)
    shuffled = np.random.default_rng(0).permutation(len(truth))[:20]
    result = evaluate(estimate.select(shuffled), truth, structure, modes)
    full = evaluate(estimate, truth, structure, modes)
    np.testing.assert_allclose(result.errors["amplitude_8"], full.errors["amplitude_8"][shuffled])


def test_modes_are_matched_by_number(truth: Particles, structure: Structure, modes: NormalModes) -> None:
    estimate = disturbed(truth)
    turned = estimate.replace(mode_ids=(9, 7), amplitudes=estimate.amplitudes[:, [2, 0]], amplitudes_sd=None)
    result = evaluate(turned, truth, structure, modes.select((7, 9)))
    full = evaluate(estimate, truth, structure, modes)
    np.testing.assert_allclose(result.errors["amplitude_9"], full.errors["amplitude_9"])
    with pytest.raises(InputError, match=r"but not \[8\]; select modes"):
        evaluate(turned, truth, structure, modes)


def test_lost_particles_are_counted_and_kept_apart(truth: Particles, structure: Structure, modes: NormalModes) -> None:
    estimate = disturbed(truth, 0.1)
    wrong = estimate.euler_deg.copy()
    wrong[[3, 11]] += [90, 40, 0]
    amplitudes = estimate.amplitudes.copy()
    amplitudes[[3, 11]] += 1000
    result = evaluate(estimate.replace(euler_deg=wrong, amplitudes=amplitudes), truth, structure, modes)
    assert result.ids[result.lost].tolist() == [104, 112]
    assert result.overall["amplitude"].mean > 50 > 1 > result.found["amplitude"].mean
    assert "ids 104, 112" in format_evaluation(result)


def test_error_bars_of_the_right_size_give_a_spread_of_one(
    structure: Structure, modes: NormalModes, truth: Particles
) -> None:
    estimate = disturbed(truth)
    spread = evaluate(estimate, truth, structure, modes).spread
    assert all(0.7 < spread[f"amplitude_{m}"] < 1.35 for m in MODES)
    assert 0.75 < spread["shift"] < 1.25
    half = estimate.replace(amplitudes_sd=estimate.amplitudes_sd / 2)
    assert evaluate(half, truth, structure, modes).spread["amplitude_7"] == pytest.approx(2 * spread["amplitude_7"])


def test_types_that_are_missing_are_left_out(truth: Particles, structure: Structure, modes: NormalModes) -> None:
    only_q = truth.replace(euler_deg=None, shift_A=None)
    result = evaluate(only_q, truth, structure, modes)
    assert set(result.errors) == {"amplitude", "amplitude_7", "amplitude_8", "amplitude_9", "rmsd_amplitude_A"}
    poses = truth.replace(mode_ids=(), amplitudes=None)
    assert set(evaluate(poses, truth, structure, modes).found) == {
        "angle_deg", "rmsd_angle_A", "shift_A", "shift_x_A", "shift_y_A", "rmsd_shift_A",
    }  # fmt: skip
    with pytest.raises(InputError, match="nothing to compare"):
        evaluate(poses, only_q, structure, modes)


def test_unknown_ids_are_an_error(truth: Particles, structure: Structure, modes: NormalModes) -> None:
    with pytest.raises(InputError, match="1 of 30 particle ids"):
        evaluate(truth, truth.select(np.arange(1, 30)), structure, modes)


def test_comparison_has_a_line_per_method(truth: Particles, structure: Structure, modes: NormalModes) -> None:
    results: dict[str, Evaluation] = {
        "network": evaluate(disturbed(truth), truth, structure, modes),
        "poses only": evaluate(truth.replace(mode_ids=(), amplitudes=None), truth, structure, modes),
    }
    lines = format_comparison(results).splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == ["network", "poses only"]
    assert "–" in lines[3]
    assert "–" not in lines[2]


def test_command(
    truth: Particles, structure: Structure, modes: NormalModes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_particles(truth, tmp_path / "truth.star")
    write_particles(disturbed(truth), tmp_path / "out.star")
    write_structure(tmp_path / "s.pdb", structure)
    write_modes(tmp_path / "modes", modes)
    arguments = ["evaluate", "--particles", str(tmp_path / "out.star"), "--truth", str(tmp_path / "truth.star")]
    arguments += ["--structure", str(tmp_path / "s.pdb"), "--modes", str(tmp_path / "modes")]
    assert main([*arguments, "--output", str(tmp_path / "table.json")]) == 0
    table = json.loads((tmp_path / "table.json").read_text())
    assert table["results"]["out"]["particles"] == 30
    assert 1 < table["results"]["out"]["all"]["amplitude"]["mean"] < 8
    assert "q7" in capsys.readouterr().out
    assert main([*arguments, "--particles", str(tmp_path / "truth.star")]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert any(r.split()[:4] == ["truth", "(2)", "30", "0"] for r in rows)  # the result, not what it is compared with
    assert main([*arguments, "--mode-list", "7-10"]) == 2
