"""The embedded engine on a small molecule, beyond what every engine must do."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from continuousflex_deep import cli
from continuousflex_deep.commands.align import part_store
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix, random_rotations
from continuousflex_deep.hemnma.alignment import align, calibration_for
from continuousflex_deep.hemnma.bound import cramer_rao_bound
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.levels import coarse_resolution_A, disc_for
from continuousflex_deep.hemnma.refine import Whitened
from continuousflex_deep.hemnma.search import ReferenceLibrary, prior_conformations
from continuousflex_deep.imaging.projector import PointModel, project
from continuousflex_deep.io.amplitude_density import AmplitudeDensity
from continuousflex_deep.io.modes import write_modes
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.io.structures import write_structure
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.engine_data import (
    PIXEL_A,
    toy_modes,
    toy_particles,
    toy_structure,
    without_truth,
)

OPTIONS = AlignOptions(device="cpu", threads=1, n_hypotheses=12, angular_step_deg=24.0, motion_prior_A=4.0)


def angle_deg(found: Particles, truth: Particles) -> np.ndarray:
    matched = truth.select(truth.rows_of(found.ids))
    return axes_distance_deg(euler_to_matrix(found.euler_deg), euler_to_matrix(matched.euler_deg))


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Particles:
    return toy_particles(tmp_path_factory.mktemp("toy"))


def engine(**changes: object) -> EmbeddedEngine:
    structure = toy_structure()
    return EmbeddedEngine(structure, toy_modes(structure), dataclasses.replace(OPTIONS, **changes))


@pytest.fixture(scope="module")
def aligned(truth: Particles) -> Particles:
    """What the engine finds, computed once."""
    return align(engine(), without_truth(truth))


@pytest.mark.parametrize("of_density", [False, True])
def test_what_images_alone_say_is_not_drawn_to_a_learned_prior(truth: Particles, of_density: bool) -> None:
    """A prior that is narrower than the motion, and one about other conformations."""
    structure, sd_A = toy_structure(), np.array([8.0, 8.0])
    two = np.array([[9.0, 0.0], [-9.0, 0.0]]), np.tile(np.diag(sd_A**2), (2, 1, 1))
    places = AmplitudeDensity(np.array([0.5, 0.5]), *two)
    modes = dataclasses.replace(toy_modes(structure), prior_sd_A=sd_A, density=places if of_density else None)
    options = dataclasses.replace(OPTIONS, init="local", local_step_deg=0.0)
    found = align(EmbeddedEngine(structure, modes, options), truth.replace(amplitudes=None, mode_ids=()))
    sure = angle_deg(found, truth) < 10
    assert sure.mean() > 0.8
    true_A, drawn, free_A, sd_A = (
        values[sure] for values in (truth.amplitudes, found.amplitudes, found.free_amplitudes, found.free_amplitudes_sd)
    )
    slope = lambda estimates: float(np.sum(estimates * true_A) / np.sum(true_A**2))  # noqa: E731
    assert slope(drawn) < slope(free_A) - 0.03
    assert slope(free_A) == pytest.approx(1, abs=0.06)
    assert 0.7 < np.sqrt(np.square((free_A - true_A) / sd_A).mean()) < 1.5
    assert (sd_A > found.amplitudes_sd[sure]).all()
    # other amplitudes, and those under a prior that was not learned, have none
    assert found.replace(amplitudes=found.amplitudes + 1).free_amplitudes is None
    assert align(engine(), found.select([0, 1, 2, 3])).free_amplitudes is None


class TestEmbeddedEngine:
    def test_contrast_is_detected(self, tmp_path) -> None:
        dark = toy_particles(tmp_path, contrast=-1.0)
        ours = engine()
        aligned = align(ours, without_truth(dark))
        assert (angle_deg(aligned, dark) < 10).mean() >= 0.9
        assert ours.facts(aligned, calibration_for(ours, dark))["contrast"] == "dark particles"

    def test_without_ctf(self, tmp_path, capsys) -> None:
        truth = toy_particles(tmp_path, ctf=False)
        ours = engine()
        aligned = align(ours, without_truth(truth))
        assert "no CTF" in capsys.readouterr().err
        assert (angle_deg(aligned, truth) < 10).mean() >= 0.9
        assert ours.facts(aligned, calibration_for(ours, truth))["contrast"] == "bright particles"

    def test_normalisation_of_images_does_not_matter(self, truth, aligned, tmp_path) -> None:
        write_stack(tmp_path / "other.mrcs", read_images(truth) * 37 + 1000, PIXEL_A)
        other = truth.replace(stacks=np.full(len(truth), str(tmp_path / "other.mrcs"), dtype=object))
        again = align(engine(), without_truth(other))
        np.testing.assert_allclose(again.amplitudes, aligned.amplitudes, atol=2.0)

    def test_local_start_refines(self, truth: Particles) -> None:
        rng = np.random.default_rng(0)
        near = truth.replace(
            euler_deg=truth.euler_deg + rng.normal(scale=8, size=truth.euler_deg.shape),
            shift_A=truth.shift_A + rng.normal(scale=1, size=truth.shift_A.shape),
            amplitudes=np.zeros_like(truth.amplitudes),
        )
        refined = align(engine(init="local"), near)
        assert np.median(angle_deg(refined, truth)) < 0.6 * np.median(angle_deg(near, truth))
        assert np.median(np.abs(refined.amplitudes - truth.amplitudes)) < 5

    def test_errors_are_near_the_bound(self, truth: Particles, aligned: Particles) -> None:
        ours = engine(init="local")
        bound = cramer_rao_bound(ours, truth, calibration_for(ours, truth))
        found = angle_deg(aligned, truth) < 10
        ratio = np.abs(aligned.amplitudes - truth.amplitudes)[found].mean() / bound.amplitude_A
        assert 0.6 < ratio < 1.6, (
            ratio
        )  # two dozen images: a mean absolute error is known to 10%, and spectra are estimated
        reported = (aligned.amplitudes_sd[found] * np.sqrt(2 / np.pi)).mean()
        assert 0.7 < reported / bound.amplitude_A < 1.4


def test_parts_belong_to_everything_that_is_known_of_the_particles(truth: Particles, tmp_path) -> None:
    structure, modes = toy_structure(), toy_modes(toy_structure())

    def fingerprint(particles: Particles, vectors: np.ndarray) -> str:
        return part_store(OPTIONS, particles, structure, dataclasses.replace(modes, vectors=vectors)).fingerprint

    vectors, ctf = modes.vectors, truth.require_ctf("this test")
    copied = shutil.copyfile(truth.stacks[0], tmp_path / "other.mrcs")
    changed = [
        truth.replace(ctf=dataclasses.replace(ctf, defocus_u_A=ctf.defocus_u_A + 1)),
        truth.replace(ctf=None),
        truth.replace(phase_flipped=True),
        truth.replace(amplitudes=truth.amplitudes + 1),
        truth.replace(shift_A=truth.shift_A + 1),
        truth.replace(stacks=np.full(len(truth), str(copied), dtype=object)),
    ]
    seen = {fingerprint(truth, vectors), fingerprint(truth, -vectors), *(fingerprint(p, vectors) for p in changed)}
    assert len(seen) == len(changed) + 2
    assert fingerprint(truth.select(np.arange(len(truth))), vectors) in seen


def test_search_finds_planted_orientation_and_shift() -> None:
    structure = toy_structure()
    model = PointModel.from_structure(structure, toy_modes(structure))
    field_A, rng = 120.0, np.random.default_rng(4)
    disc = disc_for(coarse_resolution_A(model, 18.0), field_A, 40, torch.device("cpu"))
    library = ReferenceLibrary(model, disc, field_A, 18.0, 12.0, prior_conformations(torch.full((2,), 20.0), 12))
    rotation = torch.as_tensor(random_rotations(20, rng), dtype=torch.float32)
    shift = torch.as_tensor(rng.uniform(-8, 8, (20, 2)), dtype=torch.float32)
    data = project(model, disc, field_A, rotation, shift, torch.zeros(20, 2))
    found = library.best(Whitened(data, torch.ones(20, len(disc))), 4, 20.0)
    angle = axes_distance_deg(found.rotation.reshape(20, 4, 3, 3).numpy(), rotation[:, None].numpy())
    nearest = angle.argmin(axis=1)
    assert np.median(angle.min(axis=1)) < 12
    assert angle.min(axis=1).max() < 25
    displaced = found.displacement_A.reshape(20, 4, 2)[torch.arange(20), nearest]
    assert (displaced - shift).norm(dim=1).median() < 3
    turned = found.rotation.reshape(20, 4, 3, 3)
    trace = torch.einsum("kaij,kbij->kab", turned, turned) - 3 * torch.eye(4)
    assert (trace < 1 + 2 * np.cos(np.radians(20)) + 1e-4).all()


def test_command_writes_what_it_promises(tmp_path, capsys) -> None:
    truth, structure = toy_particles(tmp_path, count=8), toy_structure()
    write_structure(tmp_path / "toy.pdb", structure)
    write_modes(tmp_path / "modes", toy_modes(structure))
    write_particles(without_truth(truth), tmp_path / "in.star")
    base = ["align", "--particles", str(tmp_path / "in.star"), "--structure", str(tmp_path / "toy.pdb")]
    base += ["--modes", str(tmp_path / "modes"), "--threads", "1", "--angular-step-deg", "25", "--n-hypotheses", "4"]
    assert cli.main([*base, "--mode-list", "7-8", "--output", str(tmp_path / "out.star")]) == 0
    out = read_particles(tmp_path / "out.star")
    assert out.ids.tolist() == truth.ids.tolist()
    assert out.mode_ids == (7, 8)
    assert out.amplitudes_sd is not None
    assert out.angle_sd_deg is not None
    assert out.ambiguous is not None
    assert not (tmp_path / "out.parts").exists()
    assert (tmp_path / "out.json").is_file()
    for bad, message in (
        (["--mode-list", "6-8", "--output", str(tmp_path / "x.star")], "rigid-body"),
        (["--mode-list", "7-9", "--output", str(tmp_path / "x.star")], "no file vec.N for modes [9]"),
        (["--mode-list", "7-8", "--output", str(tmp_path / "x.txt")], "expected .star"),
        (["--mode-list", "7-8", "--output", str(tmp_path / "in.star")], "is the input"),
    ):
        assert cli.main([*base, *bad]) == 2
        assert message in capsys.readouterr().err
