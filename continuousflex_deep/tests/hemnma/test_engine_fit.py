"""What the engine is to find: pose and conformation, one of them with the other given; from nothing or near a start."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep import cli
from continuousflex_deep.commands.align import reference
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix, matrix_to_euler
from continuousflex_deep.hemnma.alignment import align, calibration_for
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.io.modes import NormalModes, write_modes
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.structures import write_structure
from continuousflex_deep.motion import motion_along
from continuousflex_deep.nma.superposition import rigid_fit
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.tests.helpers.engine_data import (
    hinged_modes,
    hinged_particles,
    hinged_structure,
    toy_modes,
    toy_particles,
    toy_structure,
    without_truth,
)

OPTIONS = AlignOptions(device="cpu", threads=1, n_hypotheses=12, angular_step_deg=24.0, motion_prior_A=4.0)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Particles:
    return toy_particles(tmp_path_factory.mktemp("toy"))


def engine(modes: NormalModes | None = None, **changes: object) -> EmbeddedEngine:
    structure = toy_structure()
    return EmbeddedEngine(
        structure, toy_modes(structure) if modes is None else modes, dataclasses.replace(OPTIONS, **changes)
    )


def angle_deg(found: Particles, truth: Particles) -> np.ndarray:
    return axes_distance_deg(euler_to_matrix(found.euler_deg), euler_to_matrix(truth.euler_deg))


def turned(particles: Particles, deg: float) -> Particles:
    """The particles with orientations that are off by an angle about random axes."""
    axis = np.random.default_rng(8).normal(size=(len(particles), 3))
    axis *= np.radians(deg) / np.linalg.norm(axis, axis=1, keepdims=True)
    zero = np.zeros(len(axis))
    cross = np.array(
        [[zero, -axis[:, 2], axis[:, 1]], [axis[:, 2], zero, -axis[:, 0]], [-axis[:, 1], axis[:, 0], zero]]
    )
    generator = cross.transpose(2, 0, 1)
    angle = np.radians(deg)
    rotation = np.eye(3) + np.sin(angle) / angle * generator + (1 - np.cos(angle)) / angle**2 * generator @ generator
    return particles.replace(euler_deg=matrix_to_euler(rotation @ euler_to_matrix(particles.euler_deg)))


def test_pose_alone_in_given_conformations(truth: Particles) -> None:
    """As with conformations that a network predicted: searched from nothing, better than in the reference's own."""
    known = truth.replace(euler_deg=None, shift_A=None)
    found = align(engine(fit="pose"), known)
    np.testing.assert_array_equal(found.amplitudes, truth.amplitudes)
    assert found.amplitudes_sd is None
    assert (angle_deg(found, truth) < 10).mean() >= 0.9
    unbent = align(engine(fit="pose"), without_truth(truth))
    assert unbent.amplitudes is None
    assert unbent.mode_ids == ()
    assert np.median(angle_deg(found, truth)) < 0.7 * np.median(angle_deg(unbent, truth))


def test_pose_alone_without_modes(tmp_path) -> None:
    rigid = toy_particles(tmp_path, amplitude_sd=0.0)
    none = NormalModes(mode_ids=(), vectors=np.zeros((0, len(toy_structure()), 3)))
    found = align(engine(none, fit="pose"), without_truth(rigid))
    assert found.amplitudes is None
    assert (angle_deg(found, rigid) < 10).mean() >= 0.9
    assert np.median(np.abs(found.shift_A - rigid.shift_A)) < 0.5
    assert np.isfinite(found.angle_sd_deg).all()


def test_conformation_alone_at_given_poses(truth: Particles) -> None:
    """Amplitudes from nothing; the poses stay to the bit, and knowing them makes the amplitudes' error bars smaller."""
    known = truth.replace(amplitudes=None, mode_ids=())
    found = align(engine(fit="conformation"), known)
    np.testing.assert_array_equal(found.euler_deg, truth.euler_deg)
    np.testing.assert_array_equal(found.shift_A, truth.shift_A)
    error = np.abs(found.amplitudes - truth.amplitudes) / found.amplitudes_sd
    assert np.median(error) < 1.2
    assert (error < 5).mean() > 0.9
    both = align(engine(init="local"), known)
    assert (found.amplitudes_sd < both.amplitudes_sd).mean() > 0.9


def test_conformation_alone_needs_poses(truth: Particles) -> None:
    with pytest.raises(InputError, match="needs angles and shifts"):
        align(engine(fit="conformation"), without_truth(truth))


@pytest.mark.parametrize("fit", ["both", "pose"])
def test_local_start_from_poses_of_another_program(truth: Particles, fit: str) -> None:
    """Poses off by 8° and, as RELION's, without amplitudes: the conformation is found all the same."""
    start = turned(truth, 8.0).replace(amplitudes=None, mode_ids=())
    start = start if fit == "both" else start.replace(amplitudes=truth.amplitudes, mode_ids=truth.mode_ids)
    found = align(engine(init="local", fit=fit), start)
    assert np.median(angle_deg(start, truth)) > 5
    assert (angle_deg(found, truth) < 10).mean() >= 0.9
    assert np.median(np.abs(found.amplitudes - truth.amplitudes)) < 4


def test_a_domain_that_turns_far_is_found_from_the_pose_of_the_rest(tmp_path: Path) -> None:
    """As from another program, which gives the pose of what all particles share: along the modes the body turns back by
    up to 30°, and in the given pose as it is no conformation fits."""
    given, coords_A = hinged_particles(tmp_path, angle_deg=80.0)
    options = dataclasses.replace(OPTIONS, init="local", local_step_deg=0.0, motion_prior_A=8.0)
    structure, modes = hinged_structure(), hinged_modes()
    found = align(EmbeddedEngine(structure, modes, options), given)
    motion, off_A, turns_deg = motion_along(structure, modes), [], []
    for q, truth_A in zip(found.amplitudes, coords_A, strict=True):
        model_A = motion.coordinates(q)
        turn, shift_A = rigid_fit(model_A, truth_A)
        off_A.append(np.sqrt(np.square(model_A @ turn + shift_A - truth_A).sum(axis=1).mean()))
        turns_deg.append(np.degrees(np.arccos((np.trace(turn) - 1) / 2)))
    assert max(turns_deg) > 15
    assert np.quantile(off_A, 0.9) < 3, np.round(off_A, 1)


def test_modes_are_needed_unless_only_poses_are_found(tmp_path) -> None:
    write_structure(tmp_path / "toy.pdb", toy_structure())
    structure, modes = reference(AlignOptions(structure=str(tmp_path / "toy.pdb"), fit="pose"))
    assert modes.vectors.shape == (0, len(structure), 3)
    with pytest.raises(InputError, match="--modes is required"):
        reference(AlignOptions(structure=str(tmp_path / "toy.pdb")))


def test_commands_of_the_three_switches(tmp_path, capsys) -> None:
    """Poses from nothing without modes; the conformations at those poses; both, from there on."""
    truth, structure = toy_particles(tmp_path, count=12), toy_structure()
    write_structure(tmp_path / "toy.pdb", structure)
    write_modes(tmp_path / "modes", toy_modes(structure))
    write_particles(without_truth(truth), tmp_path / "in.star")

    def align(source: str, output: str, *more: str) -> Particles:
        paths = {"particles": source, "structure": "toy.pdb", "output": output}
        given = [text for k, v in paths.items() for text in (f"--{k}", str(tmp_path / v))]
        search = ["--threads", "1", "--angular-step-deg", "25", "--n-hypotheses", "6"]
        assert cli.main(["align", *given, *search, *more]) == 0, capsys.readouterr().err
        return read_particles(tmp_path / output)

    modes = ["--modes", str(tmp_path / "modes"), "--mode-list", "7-8"]
    rigid = align("in.star", "rigid.star", "--fit", "pose")
    assert (rigid.mode_ids, rigid.amplitudes) == ((), None)
    bent = align("rigid.star", "bent.star", "--fit", "conformation", *modes)
    np.testing.assert_array_equal(bent.euler_deg, rigid.euler_deg)
    assert bent.mode_ids == (7, 8)
    both = align("bent.star", "both.star", "--init", "local", *modes)
    assert np.median(angle_deg(both, truth)) < np.median(angle_deg(rigid, truth))
    out = ["--output", str(tmp_path / "x.star"), "--structure", str(tmp_path / "toy.pdb")]
    assert cli.main(["align", "--particles", str(tmp_path / "in.star"), *out]) == 2
    assert "--modes is required" in capsys.readouterr().err
    bad = ["align", "--particles", str(tmp_path / "x_bad.star"), *out, "--fit", "pose"]
    (tmp_path / "x_bad.star").write_text((tmp_path / "in.star").read_text())
    assert cli.main(bad) == 2
    assert "is the input and would be overwritten" in capsys.readouterr().err
    (tmp_path / "x_bad.star").unlink()
    (tmp_path / "x.json").write_text("{}")
    assert cli.main(["align", "--particles", str(tmp_path / "in.star"), *out, "--fit", "pose"]) == 2
    assert "x.json' would be overwritten by the record of the run" in capsys.readouterr().err


def test_own_conformations_need_their_modes(truth: Particles) -> None:
    """Poses in the structure's conformation, written beside amplitudes that were ignored, would be nonsense."""
    none = NormalModes(mode_ids=(), vectors=np.zeros((0, len(toy_structure()), 3)))
    with pytest.raises(InputError, match=r"amplitudes along modes \[7, 8\].*--mode-list '7 8'"):
        align(engine(none, fit="pose"), truth)
    unbent = truth.replace(amplitudes=np.zeros_like(truth.amplitudes))
    engine(none, fit="pose").check(unbent)


def test_conformations_at_given_poses_stay_apart(tmp_path) -> None:
    """Where noise leaves several conformations possible, the flag has something to go by."""
    noisy = toy_particles(tmp_path, count=40, snr=0.05)
    known = noisy.replace(amplitudes=None, mode_ids=())
    local = engine(fit="conformation")
    result = local.align_batch(Batch.read(known, np.arange(40)), calibration_for(local, known))
    assert np.isfinite(result.gap).any()
